"""A local engine tells how many answers it gives at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from support.upstream import Head, Upstream
from unspool.models.slots import slots_of
from unspool.providers.upstream.http1 import Client


@pytest.fixture
async def http() -> AsyncIterator[Client]:
    async with Client() as client:
        yield client


@pytest.mark.parametrize(
    ("body", "slots"),
    [
        (b'{"total_slots": 4, "chat_template": "{{ x }}"}', 4),
        (b'{"total_slots": 0}', None),
        (b'{"total_slots": true}', None),
        (b'{"total_slots": "4"}', None),
        (b'{"total_slots": 1e9}', None),
        (b"[]", None),
        (b"<html>", None),
        (b"", None),
        (b'{"total_slots": 4, "x": "' + b"x" * 300_000 + b'"}', None),
    ],
)
async def test_the_slots_of_llama_cpp_are_read_and_nothing_else_is_believed(
    http: Client, upstream: Upstream, body: bytes, slots: int | None
) -> None:
    upstream.play = [[Head(headers=("Content-Type: application/json",), body=body)]]
    assert await slots_of(upstream.model(), http) == slots
    assert [(asked.method, asked.path) for asked in upstream.requests] == [("GET", "/props")]


async def test_only_an_engine_near_us_is_asked(http: Client, upstream: Upstream) -> None:
    far = replace(upstream.model(), base_url="https://api.example.com/v1")
    assert await slots_of(far, http) is None
    assert await slots_of(replace(upstream.model(), provider="ollama"), http) is None
    assert upstream.requests == []


async def test_an_engine_that_is_not_there_tells_nothing(http: Client, upstream: Upstream) -> None:
    upstream.play = [[Head(404, body=b"{}")]]
    assert await slots_of(upstream.model(), http) is None
