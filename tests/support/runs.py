"""Runs over HTTP: started, read, waited for; and runs that a stopped server left."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from support.servers import Served
from unspool import Core, Draft, Event, RunSpec, open_journal
from unspool.journals import sqlite_url

from .patience import within


def batch(*prompts: str, **more: Any) -> dict[str, Any]:
    items = [{"prompt": prompt} for prompt in prompts]
    return {"flow": "batch", "input": {"flow": "chat", "items": items, **more}}


async def start(client: httpx.AsyncClient, served: Served, body: dict[str, Any]) -> str:
    answered = await client.post(f"{served.url}/v1/runs", json=body)
    assert answered.status_code == 201, answered.text
    return str(answered.json()["id"])


async def read(client: httpx.AsyncClient, served: Served, run_id: str) -> dict[str, Any]:
    return dict((await client.get(f"{served.url}/v1/runs/{run_id}")).json())


async def children(client: httpx.AsyncClient, served: Served, run_id: str) -> list[Any]:
    url = f"{served.url}/v1/runs?parent={run_id}&limit=500"
    return list((await client.get(url)).json()["runs"])


async def until_ended(
    client: httpx.AsyncClient, served: Served, run_id: str, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return the run when it has ended, or waits for a person."""
    async with within(15):
        while True:
            run = (await client.get(f"{served.url}/v1/runs/{run_id}", headers=headers)).json()
            if run["status"] != "running":
                return dict(run)
            await asyncio.sleep(0.02)


async def left_behind(served: Served, *drafts: Draft, deaths: int = 0) -> str:
    """A run in the journal of a stopped server, as a process that died leaves it."""
    journal = await open_journal(sqlite_url(served.settings.data_dir / "journal.db"))
    pen = await journal.create(RunSpec("chat", {"prompt": "请介绍运动鞋"}))
    pen.append(Draft("step.started", {"step": "answer"}), *drafts)
    for epoch in range(deaths):
        pen.append(Draft("run.recovered", {"epoch": epoch + 2, "reason": "died"}))
    await journal.aclose()  # without an ending
    return pen.run_id


async def events_of(core: Core, run_id: str) -> list[Event]:
    events: list[Event] = []
    while batch := await core.journal.read(run_id, after=len(events)):
        events += batch
    return events
