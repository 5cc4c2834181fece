"""A conversation whose database goes away in the middle: its viewers have every event once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from support.postgres import PostgresServer
from support.servers import ServeModel
from support.talks import Talk, events_in, queues_in
from support.upstream import END, Script, Upstream, UpstreamRequest, chunk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

AWAY_S = 2.5
"""Longer than a viewer waits between two looks."""


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    with closing(PostgresServer()) as server:
        yield server


def slowly(asked: UpstreamRequest) -> Script:
    pieces = [f"{asked.question}{number}。" for number in range(60)]
    return [*(step for piece in pieces for step in (chunk(piece), 0.02)), *END]


async def sent(talk: Talk, prompt: str, model: str) -> None:
    """Send a message as often as it takes until the server has it."""
    key = {"Idempotency-Key": prompt.encode().hex()}
    while True:
        reply = await talk.post(prompt, model=model, headers=key)
        if reply.status_code in {201, 202}:
            return
        assert reply.status_code == 503, reply.text
        await asyncio.sleep(0.1)


async def test_while_the_database_is_away_viewers_of_a_conversation_wait_and_miss_nothing(
    database: PostgresServer,
    serve_model: ServeModel,
    upstream: Upstream,
    client: httpx.AsyncClient,
    tmp_path: Path,
) -> None:
    upstream.play = slowly
    url = SecretStr(database.new_database())
    served = serve_model(database_url=url, data_dir=tmp_path / "away", heartbeat_s=0.5)
    talk = await Talk.begin(client, served.url)
    await sent(talk, "一", served.core.catalog.default)
    watching = [asyncio.create_task(talk.look(query)) for query in ("", "turn=1")]
    await upstream.until(lambda: upstream.open == 1)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(database.stop)
    sending = asyncio.create_task(sent(talk, "二", served.core.catalog.default))
    await asyncio.sleep(AWAY_S)
    assert not any(task.done() for task in (*watching, sending))
    await asyncio.to_thread(database.start)
    await sending
    await talk.rest(2)
    whole = events_in(await talk.whole())
    await client.delete(f"{served.url}/api/conversations/{talk.number}")
    both, first = await asyncio.gather(*watching)
    assert events_in(both) == whole
    assert events_in(first) == [(id_, event) for id_, event in whole if event["turn"] == 1]
    assert {event["turn"] for _, event in whole} == {1, 2}
    assert {event["type"] for _, event in whole}.isdisjoint({"run.recovered", "run.failed"})
    assert both.seen.comments, "heartbeats while nothing came"
    assert queues_in(both)[-1] == []
