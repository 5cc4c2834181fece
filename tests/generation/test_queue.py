"""The line before a model that gives only so many answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest

from support.upstream import SILENCE, Upstream, answer, chunk, refusal
from unspool.errors import ProviderError
from unspool.generation.attempts import AttemptFinished, AttemptQueued, AttemptStarted
from unspool.generation.generate import GenerationDeps, generate
from unspool.generation.queue import MAX_TOLD, ModelLine, ModelLines
from unspool.providers import Model, Prompt
from unspool.providers.upstream.http1 import Client

ONE = Model("local", "openai", "m", "http://127.0.0.1:9/v1", max_parallel=1)


def test_a_line_lets_in_as_many_as_there_is_room_for_and_in_turn() -> None:
    line = ModelLine(room=2)
    for turn in (3, 1, 2, 4):
        line.join(turn)
    assert line.admit() == [1, 2]
    assert line.admit() == []
    line.leave(2)
    assert line.admit() == [3]
    line.leave(4)
    assert (line.inside, line.waiting) == ({1, 3}, [])


def test_a_text_that_comes_again_keeps_its_turn() -> None:
    line = ModelLine()
    line.join(1)
    line.admit()
    line.join(2)
    line.join(3)
    line.leave(1)
    line.join(1)
    assert line.admit() == [1]


def test_room_may_shrink_and_grow_while_others_are_inside() -> None:
    line = ModelLine(room=3)
    for turn in range(5):
        line.join(turn)
    assert line.admit() == [0, 1, 2]
    line.room = 1
    line.leave(0)
    assert line.admit() == []
    line.room = 4
    assert line.admit() == [3, 4]


def test_whatever_happens_nobody_is_lost_and_nobody_is_in_too_many() -> None:
    rng, line, turns = Random(5), ModelLine(room=3), 0
    for _ in range(5000):
        present = [*line.inside, *line.waiting]
        if present and rng.random() < 0.5:
            line.leave(rng.choice(present))
        else:
            turns += 1
            line.join(turns)
        line.admit()
        assert len(line.inside) <= 3
        assert line.waiting == sorted(line.waiting)
        assert not line.waiting or len(line.inside) == 3


async def test_one_that_waits_hears_its_place_and_only_so_often() -> None:
    lines = ModelLines()
    told: dict[int, list[int]] = {}

    async def one() -> None:
        turn = lines.turn()
        await lines.enter(ONE, turn, told.setdefault(turn, []).append)
        await asyncio.sleep(0)
        lines.leave(ONE, turn)

    await asyncio.gather(*(one() for _ in range(1500)))
    assert told[1] == []
    assert told[3] == [2, 1]
    assert told[8] == [7, 5, 4, 3, 2, 1]
    assert max(map(len, told.values())) <= MAX_TOLD
    assert told[1500][0] == 1499
    assert told[1500][-5:] == [5, 4, 3, 2, 1]
    assert not lines._lines
    assert not lines._waiting


async def test_one_that_is_cancelled_gives_its_place_back_at_any_moment() -> None:
    lines, places = ModelLines(), []
    first, second, third = (lines.turn() for _ in range(3))
    await lines.enter(ONE, first, places.append)
    waiting = asyncio.ensure_future(lines.enter(ONE, second, places.append))
    last = asyncio.ensure_future(lines.enter(ONE, third, places.append))
    await asyncio.sleep(0)
    assert places == [1, 2]
    lines.leave(ONE, first)
    waiting.cancel()  # it was let in, and does not know it yet
    with suppress(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(last, 1)
    lines.leave(ONE, third)
    assert lines.is_free(ONE)


@pytest.fixture
async def http() -> AsyncIterator[Client]:
    async with Client() as client:
        yield client


async def pieces_of(deps: GenerationDeps, *models: Model) -> list[object]:
    return [piece async for piece in generate(Prompt.of("hi"), models, deps)]


async def test_an_engine_of_one_slot_is_asked_one_by_one(http: Client, upstream: Upstream) -> None:
    upstream.play = [[chunk("One"), 0.1, *answer(".")]]
    model = replace(upstream.model(first_event_s=0.25), max_parallel=1)
    deps = GenerationDeps(http, retries=0)
    most = 0

    async def count() -> None:
        nonlocal most
        while True:
            most = max(most, upstream.open)
            await asyncio.sleep(0.005)

    counting = asyncio.ensure_future(count())
    told = await asyncio.gather(*(pieces_of(deps, model) for _ in range(6)))
    counting.cancel()
    assert most == 1
    places = [[p.place for p in pieces if isinstance(p, AttemptQueued)] for pieces in told]
    assert places == [[], [1], [2, 1], [3, 2, 1], [4, 3, 2, 1], [5, 4, 3, 2, 1]]
    for pieces in told:  # the last waited longer than `first_event_s`, and is well
        assert isinstance(pieces[-1], AttemptFinished)


async def test_a_route_prefers_a_model_that_is_free(http: Client, upstream: Upstream) -> None:
    upstream.play = [[chunk("One"), SILENCE]]
    busy = replace(upstream.model(), max_parallel=1)
    deps = GenerationDeps(http)
    async with Upstream() as other:
        free = replace(other.model(), name="free")
        holding = asyncio.ensure_future(pieces_of(deps, busy, free))
        await upstream.until(lambda: upstream.open == 1)
        pieces = await pieces_of(deps, busy, free)
        holding.cancel()
    started = [piece.model.name for piece in pieces if isinstance(piece, AttemptStarted)]
    assert started == ["free"]


async def test_one_that_leaves_frees_the_slot(http: Client, upstream: Upstream) -> None:
    upstream.play = [[chunk("One"), SILENCE], answer("Two")]
    model = replace(upstream.model(), max_parallel=1)
    deps = GenerationDeps(http)
    holding = asyncio.ensure_future(pieces_of(deps, model))
    await upstream.until(lambda: upstream.open == 1)
    waiting = asyncio.ensure_future(pieces_of(deps, model))
    await asyncio.sleep(0.05)
    assert len(upstream.requests) == 1
    holding.cancel()
    pieces = await waiting
    assert isinstance(pieces[-1], AttemptFinished)


async def test_a_failed_try_frees_the_slot_and_waiting_costs_no_budget(
    http: Client, upstream: Upstream
) -> None:
    upstream.play = [refusal(500), refusal(500)]
    model = replace(upstream.model(), max_parallel=1)
    deps = GenerationDeps(http, retries=0)
    for _ in range(2):
        with pytest.raises(ProviderError):
            await pieces_of(deps, model)
    assert deps.lines.is_free(model)
