"""Servers die while messages wait: each becomes exactly one turn, in its order."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.harness.programs import Program
from support.postgres import shared_server
from support.servers import clean_env
from support.talks import Talk, events_in
from support.upstream import KEY, Script, Upstream, UpstreamRequest, answer, chunk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

COUNT = 6
PATIENCE_S = 40.0


def slowly(asked: UpstreamRequest) -> Script:
    """An answer that takes long enough to be met in its middle."""
    words = [step for n in range(4) for step in (chunk(f"{asked.question}:{n} "), 0.03)]
    return [*words, *answer("end")]


def environment(upstream: Upstream, **more: str) -> dict[str, str]:
    return clean_env(
        UNSPOOL_RETRIES="0",
        UNSPOOL_SAMPLE_DATA="false",
        UNSPOOL_SECRET_KEY="MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        LLM_API_KEY=KEY,
        LLM_BASE_URL=upstream.url,
        LLM_MODEL="tested",
        **more,
    )


class Sender:
    """Somebody who sends messages, each until a server has it."""

    def __init__(self, client: httpx.AsyncClient, talk: Talk, where: Callable[[], str]) -> None:
        self.client = client
        self.talk = talk
        self._where = where

    async def send(self, prompt: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    headers = {"Idempotency-Key": f"key of {prompt}"}
                    reply = await self.talk.at(self._where()).post(prompt, headers=headers)
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
                    continue
                if reply.status_code in {201, 202}:
                    return dict(reply.json())
                assert reply.status_code >= 500, reply.text
                await asyncio.sleep(0.05)

    async def rest(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await self.talk.at(self._where()).rest(count)
                except (httpx.TransportError, TimeoutError):
                    await asyncio.sleep(0.1)


def are_turns(turns: list[dict[str, Any]], sent: list[str]) -> None:
    """
    Check that each message is one turn, after the one before, and that no text is doubled.

    The model here cannot continue a text that a dead server began: such a turn is `incomplete`.
    """
    assert [turn["prompt"] for turn in turns] == sent
    assert [turn["parent"] for turn in turns] == list(range(len(sent)))
    for turn in turns:
        words = "".join(f"{turn['prompt']}:{n} " for n in range(4)) + "end"
        assert turn["status"] in {"completed", "incomplete"}
        assert words.startswith(turn["text"])
        assert turn["text"] == words or turn["status"] == "incomplete"


POINTS = [
    *("admission.accepted:1", "admission.accepted:3", "runner.created:1", "runner.created:4"),
    *("journal.inserted:2", "journal.committed:9", "journal.committed:20", "runner.ended:2"),
    *("runner.ending:3", "generation.asking:3"),
]


@pytest.mark.parametrize("point", POINTS)
async def test_a_server_that_dies_at_a_point_begins_each_message_once_after_its_start(
    point: str, tmp_path: Path, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = slowly
    program = Program(tmp_path / "data", environment(upstream))
    assert await program.start(crash_at=point)
    try:
        talk = await Talk.begin(client, program.url)
        sender = Sender(client, talk, lambda: program.url)
        prompts = [f"m{number}" for number in range(COUNT)]

        async def send() -> None:
            for prompt in prompts:
                await sender.send(prompt)

        sending = asyncio.create_task(send())
        assert await program.has_died(), f"{point} was not passed"
        assert await program.start()
        await sending
        are_turns(await sender.rest(COUNT), prompts)
    finally:
        if program.is_alive:
            program.kill()


@pytest.mark.parametrize("seed", range(3))
async def test_a_server_killed_again_and_again_loses_and_doubles_no_message(
    seed: int, tmp_path: Path, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = slowly
    dice = random.Random(seed)
    program = Program(tmp_path / "data", environment(upstream))
    assert await program.start()
    try:
        talk = await Talk.begin(client, program.url)
        sender = Sender(client, talk, lambda: program.url)
        prompts = [f"m{number}" for number in range(COUNT)]
        for prompt in prompts:
            await sender.send(prompt)
        for _ in range(4):
            await asyncio.sleep(dice.uniform(0.0, 0.3))
            program.kill()
            assert await program.start()
        are_turns(await sender.rest(COUNT), prompts)
        # The stream has each event once, over all the deaths.
        seen = [(e["turn"], e["seq"]) for _, e in events_in(await talk.at(program.url).whole())]
        assert seen == sorted(set(seen))
    finally:
        if program.is_alive:
            program.kill()


async def test_a_message_whose_turn_is_there_and_not_noted_begins_no_second_one(
    tmp_path: Path, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = slowly
    program = Program(tmp_path / "data", environment(upstream))
    assert await program.start()
    try:
        talk = await Talk.begin(client, program.url)
        sender = Sender(client, talk, lambda: program.url)
        for prompt in ("m0", "m1"):
            await sender.send(prompt)
        await sender.rest(2)
        program.kill()
        with closing(sqlite3.connect(tmp_path / "data" / "records.db")) as file:
            # As it is between the commit of the run and the note of the message.
            body = '{"prompt": "m1"}'
            who = '{"key":"","user":"","traceparent":"","cancel_after_s":null,"continues":false}'
            file.execute(
                "update messages set state = 'beginning', run_id = '', body = ?, sender = ? "
                "where id = 2",
                (body, who),
            )
            file.execute("insert into queues values ('default', ?)", (talk.number,))
            file.commit()
        assert await program.start()
        are_turns(await sender.rest(2), ["m0", "m1"])
        later = talk.at(program.url)
        assert (await later.withdraw(2)).json()["error"]["code"] == "message_begun"
    finally:
        program.kill()


@pytest.mark.parametrize("seed", range(2))
async def test_what_a_dead_server_left_begins_at_another_over_one_database(
    seed: int, tmp_path: Path, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = slowly
    env = environment(upstream, UNSPOOL_DATABASE_URL=shared_server().new_database())
    first, second = (Program(tmp_path / str(number), env) for number in range(2))
    try:
        for program in (first, second):
            assert await program.start()
        talk = await Talk.begin(client, first.url)
        sender = Sender(client, talk, lambda: (first if first.is_alive else second).url)
        prompts = [f"m{number}" for number in range(COUNT)]
        for number, prompt in enumerate(prompts):
            await talk.at((first, second)[number % 2].url).send(prompt)
        watching = asyncio.create_task(talk.at(second.url).look(frames=10_000))
        await asyncio.sleep(random.Random(seed).uniform(0.0, 0.4))
        first.kill()
        are_turns(await sender.rest(COUNT), prompts)
        await client.delete(f"{second.url}/api/conversations/{talk.number}")
        seen = [(e["turn"], e["seq"]) for _, e in events_in(await watching)]
        assert seen == sorted(set(seen))
        assert {turn for turn, _ in seen} == set(range(1, COUNT + 1))
    finally:
        for program in (first, second):
            if program.is_alive:
                program.kill()
