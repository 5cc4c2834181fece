"""A disk that is full, and a clock that was set back: what probes, viewers and runs tell of it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.journals import DONE, SPEC, opened, text
from support.servers import ServeModel
from support.upstream import Upstream, chunk
from unspool import Draft
from unspool.journals.live import clock, group_commit
from unspool.runs.events import Event
from unspool.runs.run import fold
from unspool.server.api.health import MIN_FREE_BYTES
from unspool.server.api.json.run import head_json, run_json


@pytest.mark.timeout(60)  # each word waits for a turn of a machine that has other work
async def test_a_full_disk_is_told_to_probes_and_viewers_and_its_run_has_no_open_attempt(
    serve_model: ServeModel,
    client: httpx.AsyncClient,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "FAILED_RETRY_S", 0.05)
    upstream.play = [[chunk("今天"), *[step for _ in range(200) for step in (0.05, chunk("x"))]]]
    served = serve_model(heartbeat_s=0.2)
    asked = {"input": {"prompt": "?"}}
    run_id = (await client.post(f"{served.url}/v1/runs", json=asked)).json()["id"]
    url = f"{served.url}/v1/runs/{run_id}"

    async def writes(may: bool) -> None:
        """Let the journal's file take what is written, or not."""
        deny = None if may else _no_inserts
        served.core.journal._journal._store._db.set_authorizer(deny)  # type: ignore[attr-defined]

    async with client.stream("GET", f"{url}/events") as stream, asyncio.timeout(45):
        reading = stream.aiter_lines()
        while "今天" not in await anext(reading):
            pass
        await served.call(lambda: writes(may=False))
        while "journal_full" not in (line := await anext(reading)):
            pass
        assert line.startswith(": ")
        ready = await client.get(f"{served.url}/readyz")
        assert (ready.status_code, ready.json()["error"]["code"]) == (503, "journal_full")
        await served.call(lambda: writes(may=True))
        rest = "".join([line async for line in reading])
    assert "run.incomplete" in rest
    run = (await client.get(url)).json()
    assert (run["status"], run["error"]["code"]) == ("incomplete", "journal_full")
    (attempt,) = run["attempts"]
    assert (attempt["status"], attempt["error"]["code"]) == ("failed", "journal_full")
    assert (await client.get(f"{served.url}/readyz")).status_code == 200


def _no_inserts(action: int, *_: object) -> int:
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_INSERT else sqlite3.SQLITE_OK


async def test_a_disk_that_is_about_to_be_full_makes_the_server_unready(
    serve_model: ServeModel, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve_model()
    assert (await client.get(f"{served.url}/readyz")).status_code == 200
    usage = shutil.disk_usage(served.settings.data_dir)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=MIN_FREE_BYTES - 1))
    answer = await client.get(f"{served.url}/readyz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "journal_full")
    assert (await client.get(f"{served.url}/healthz")).status_code == 200


def log_of(*drafts: Draft) -> list[Event]:
    return [Event(seq, it.type, 1000, it.data) for seq, it in enumerate(drafts, 1)]


def test_an_attempt_ends_with_its_run_at_the_latest() -> None:
    asked: dict[str, Any] = {"step": "s", "model": "m", "provider": "openai", "strategy": "first"}
    begun = [Draft("run.started", {}), Draft("attempt.started", {**asked, "number": 1})]
    failed = Draft("run.failed", {"code": "journal_full", "message": "no space"})
    (attempt,) = fold(log_of(*begun, failed)).attempts
    assert (attempt.status, attempt.facts["code"]) == ("failed", "journal_full")
    (attempt,) = fold(log_of(*begun, Draft("run.cancelled", {}))).attempts
    assert (attempt.status, attempt.facts["code"]) == ("failed", "interrupted")
    (attempt,) = fold(log_of(*begun)).attempts
    assert attempt.status == "running"


NOW = 1_800_000_000.0


@pytest.mark.parametrize("back_s", [3600.0, 1.0, -3600.0, clock.MAX_BACK_S * 2])
async def test_ids_grow_and_no_time_is_negative_after_the_clock_was_set_back(
    tmp_path: Path, back_s: float
) -> None:
    path = tmp_path / "journal.db"
    async with opened(path, clock=lambda: NOW) as journal:
        ended = await journal.create(SPEC)
        await ended.end(DONE)
        live = await journal.create(SPEC)
        live.append(text("a"))
        await live.commit()
    async with opened(path, clock=lambda: NOW - back_s) as journal:
        new = await journal.create(SPEC)
        taken = await journal.claim(live.run_id)
        taken.append(text("b"))
        await taken.end(DONE)
        await new.end(DONE)
        for run_id in (ended.run_id, live.run_id, new.run_id):
            head, log = await journal.head(run_id), await journal.read(run_id, after=0)
            facts = run_json(head, fold(log))
            assert facts["total_ms"] >= 0
            assert facts["first_token_ms"] is None or facts["first_token_ms"] >= 0
            assert head_json(head)["total_ms"] >= 0
            if back_s < clock.MAX_BACK_S:
                assert [e.at_ms for e in log] == sorted(e.at_ms for e in log)
        if back_s < clock.MAX_BACK_S:
            assert ended.run_id[:9] <= new.run_id[:9]
        else:
            assert new.run_id < ended.run_id, "a clock that was days ahead is not believed for ever"
