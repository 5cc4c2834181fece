"""The client in Python against real servers: once, in order, over restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.harness.programs import Program
from support.servers import Serve, clean_env
from unspool import connect, connect_blocking
from unspool.errors import SpecError
from unspool.viewing.remote import following
from unspool.viewing.remote.errors import RequestRefused, Unreachable

FLOWS = '''
from pydantic import BaseModel
from unspool import flow

class Trip(BaseModel):
    to: str

@flow
async def book(ctx, trip: Trip) -> dict:
    """Books a trip."""
    await ctx.say(f"A trip to {trip.to}, by train. " * 8, step="intro")
    name = await ctx.ask("Whose name?", step="name")
    sure = await ctx.ask("Sure?", step="sure")
    await ctx.say("Booked.", step="end")
    return {"name": name.value, "declined": sure.is_declined, "why": sure.reason}
'''


@pytest.fixture
def flows(no_offers: None, tmp_path: Path) -> str:
    path = tmp_path / "trips.py"
    path.write_text(FLOWS)
    return str(path)


async def test_a_run_is_started_followed_answered_and_forked(flows: str, serve_with: Serve) -> None:
    served = serve_with(flows=flows)
    async with connect(served.url) as server:
        run = await server.start("book", {"to": "Oslo"}, key="one")
        assert (await server.start("book", {"to": "Oslo"}, key="one")).id == run.id
        numbers, text = [], ""
        async for event in run.events():
            numbers.append(event.seq)
            text += event.data["text"] if event.type == "text.delta" else ""
            if event.type == "question.asked" and event.data["step"] == "name":
                await run.answer("Ann")
            elif event.type == "question.asked":
                await run.decline("not yet", step="sure")
        facts = await run.read()
        assert numbers == list(range(1, facts["last_seq"] + 1))
        assert (facts["status"], text) == ("completed", facts["text"])
        assert facts["result"] == {"name": "Ann", "declined": True, "why": "not yet"}
        with pytest.raises(RequestRefused) as refused:
            await run.answer("Bob", step="name")
        assert (refused.value.code, refused.value.status) == ("not_waiting", 409)
        fork = await run.fork(after=1, input={"to": "Rome"})
        assert (await fork.cancel())["status"] == "cancelled"
        assert (await fork.wait())["forked_from"] == {"run": run.id, "seq": 1}
        with pytest.raises(RequestRefused) as unknown:
            await server.run("nobody").read()
        assert unknown.value.code == "unknown_run"


def test_the_same_without_await(flows: str, serve_with: Serve) -> None:
    served = serve_with(flows=flows)
    with connect_blocking(served.url) as server:
        run = server.start("book", {"to": "Oslo"})
        last: Any = None
        for event in run.events():
            last = event
            if event.type == "question.asked":
                run.answer("Ann", step=event.data["step"])
        assert (last.type, last.seq) == ("run.completed", run.read()["last_seq"])
        for event in server.run(run.id).events(after=last.seq - 1):
            assert event == last
        assert next(run.events()).type == "run.started"  # a reader may leave
        assert run.wait()["result"]["name"] == "Ann"
        fork = run.fork(after=1)
        assert fork.cancel()["status"] == "cancelled"
        with pytest.raises(RequestRefused):
            fork.decline()


def test_what_is_no_address_and_where_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "GIVE_UP_S", 0.5)
    with pytest.raises(SpecError), connect_blocking("ftp://nowhere"):
        pass
    with connect_blocking("http://127.0.0.1:9") as server:
        with pytest.raises(Unreachable, match="Cannot reach"):
            server.start("chat", {"prompt": "?"})
        with pytest.raises(Unreachable):
            next(server.run("any").events())


@pytest.fixture
async def program(flows: str, tmp_path: Path) -> AsyncIterator[Program]:
    env = clean_env(UNSPOOL_FLOWS=flows, UNSPOOL_SAY_CHARS_PER_S="150")
    program = Program(tmp_path / "data", env)
    assert await program.start()
    program.port = int(program.url.rpartition(":")[2])
    yield program
    if program.is_alive:
        program.kill()


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_every_event_comes_once_though_the_server_is_killed_in_mid_stream(
    program: Program,
) -> None:
    async with connect(program.url) as server:
        run = await server.start("book", {"to": "Oslo"})
        numbers: list[int] = []
        text = ""
        answering = None
        async for event in run.events():
            numbers.append(event.seq)
            text += event.data["text"] if event.type == "text.delta" else ""
            if event.seq == 5:  # in mid-text
                program.kill()
                assert await program.start()
            if event.type == "question.asked" and event.data["step"] == "name":
                program.kill()
                answering = asyncio.create_task(run.answer("Ann", step="name"))
                assert await program.start()
            elif event.type == "question.asked":
                await run.answer("yes", step="sure")
        assert answering is not None
        await answering
        facts = await run.read()
        assert numbers == list(range(1, facts["last_seq"] + 1))
        assert facts["result"] == {"name": "Ann", "declined": False, "why": ""}
        assert facts["text"] == text
        assert facts["text"].endswith("Booked.")
