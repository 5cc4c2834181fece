"""Conversations with the client in Python against real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.harness.programs import Program
from support.servers import Desk, clean_env
from support.upstream import SILENCE, Upstream, answer, chunk
from unspool import connect, connect_blocking
from unspool.viewing.remote.errors import RequestRefused


@pytest.fixture
async def program(no_offers: None, tmp_path: Path) -> AsyncIterator[Program]:
    program = Program(tmp_path / "data", clean_env())
    assert await program.start()
    program.port = int(program.url.rpartition(":")[2])
    yield program
    if program.is_alive:
        program.kill()


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_each_event_of_all_turns_comes_once_though_the_server_is_killed(
    program: Program,
) -> None:
    async with connect(program.url) as server:
        talk = await server.begin_conversation()
        first = await talk.send("请介绍运动鞋的特点", key="one")
        numbers: dict[int, list[int]] = {}
        sending = None
        async for event in talk.events():
            if not event.seq:
                continue
            numbers.setdefault(event.turn, []).append(event.seq)
            if sending is None and event.seq == 4:
                program.kill()
                sending = asyncio.create_task(talk.send("再讲一个"))
                assert await program.start()
            if event.turn == 2 and event.type == "run.completed":
                break
        assert sending is not None
        await sending
        again = await talk.send("请介绍运动鞋的特点", key="one")
        assert (again["id"], again["turn"]) == (first["id"], 1)
        assert set(numbers) == {1, 2}
        for seqs in numbers.values():
            assert seqs == list(range(1, len(seqs) + 1))


async def test_messages_wait_are_changed_withdrawn_and_steer_without_await(
    desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [[chunk("一"), SILENCE], answer("二")]
    await asyncio.to_thread(_talk_in_a_thread, desk)


def _talk_in_a_thread(desk: Desk) -> None:
    with connect_blocking(desk.url) as server:
        talk = server.begin_conversation("shoes")
        assert talk.send("第一", model=desk.model)["turn"] == 1
        kept, gone = (talk.send(prompt, model=desk.model) for prompt in ("第二", "不要"))
        assert (kept["place"], gone["place"]) == (1, 2)
        talk.withdraw(gone["id"])
        assert talk.change(kept["id"], prompt="讲两个")["prompt"] == "讲两个"
        now = next(talk.events(after="now"))
        assert [it["prompt"] for it in now.data["messages"]] == ["讲两个"]
        assert [it["prompt"] for it in talk.messages()] == ["讲两个"]
        assert talk.change(kept["id"], steer=True)["id"] == kept["id"]
        with pytest.raises(RequestRefused) as refused:
            talk.withdraw(gone["id"])
        assert refused.value.status == 404
        seen = []
        types = ["run.started", "run.cancelled", "run.completed"]
        for event in server.conversation(talk.id).events(types=types):
            seen += [(event.turn, event.type)] if event.seq else []
            if seen and seen[-1] == (2, "run.completed"):
                break
        assert seen == [
            (1, "run.started"),
            (1, "run.cancelled"),
            (2, "run.started"),
            (2, "run.completed"),
        ]
        whole = [it for it in talk.events(turn=1) if it.seq]
        rest = [it for it in talk.events(turn=1, after=whole[-2].place) if it.seq]
        assert rest == whole[-1:]
        assert talk.messages() == []
