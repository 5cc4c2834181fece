"""A limit counts no time in which the loop itself stood still."""

from __future__ import annotations

import asyncio
import time

import pytest

from support.upstream import Script, Upstream, UpstreamRequest, answer, chunk
from unspool.providers import Prompt
from unspool.providers.upstream.http1 import Client
from unspool.providers.upstream.pulled import outputs_of
from unspool.providers.upstream.standstill import Standstill

LIMIT_S = 0.3
LOST_S = 0.5


def stand_still(seconds: float = LOST_S) -> None:
    time.sleep(seconds)


async def test_a_wait_that_nobody_ends_is_ended_by_its_limit() -> None:
    standstill, loop = Standstill(), asyncio.get_running_loop()
    began_at = loop.time()
    with pytest.raises(TimeoutError):
        async with standstill.timeout(began_at, LIMIT_S):
            await asyncio.Event().wait()
    assert loop.time() - began_at >= LIMIT_S


async def test_a_limit_is_put_off_by_the_time_lost_before_it_ran_out() -> None:
    standstill, loop = Standstill(), asyncio.get_running_loop()
    began_at = loop.time()
    loop.call_soon(stand_still)
    with pytest.raises(TimeoutError):
        async with standstill.timeout(began_at, LIMIT_S):
            await asyncio.Event().wait()
    # It may have been late with noticing that it stands still, by one look.
    assert loop.time() - began_at >= LOST_S + LIMIT_S - 0.1


async def test_an_answer_that_came_while_we_stood_still_is_taken() -> None:
    standstill, loop = Standstill(), asyncio.get_running_loop()
    came = asyncio.Event()
    async with standstill.timeout(loop.time(), LIMIT_S):
        stand_still()
        loop.call_later(0.05, came.set)
        await came.wait()


async def test_time_lost_before_the_wait_began_does_not_count() -> None:
    standstill, loop = Standstill(), asyncio.get_running_loop()
    began_at = loop.time()
    with standstill.measured():
        stand_still()
        await asyncio.sleep(0.01)
        lost_s = standstill.lost_since(began_at)
        assert lost_s > LOST_S / 2 > standstill.lost_since(loop.time())


async def test_nothing_is_measured_while_nobody_waits() -> None:
    standstill = Standstill()
    async with standstill.timeout(asyncio.get_running_loop().time(), 10):
        pass
    stand_still(0.2)
    with standstill.measured():
        assert standstill.lost_since(0) == 0


async def test_a_model_is_not_given_up_because_we_stood_still_before_its_answer(
    upstream: Upstream,
) -> None:
    def late(_: UpstreamRequest) -> Script:
        stand_still()
        return [0.05, *answer("Well.")]

    upstream.play = late
    async with Client() as http:
        outputs = outputs_of(upstream.model(first_event_s=LIMIT_S), Prompt.of("hi"), http)
        assert "".join([getattr(it, "text", "") async for it in outputs]) == "Well."


async def test_a_model_is_not_given_up_because_we_stood_still_between_two_words(
    upstream: Upstream,
) -> None:
    upstream.play = [[chunk("One"), 0.1, *answer(" two")]]
    said = ""
    async with Client() as http:
        model = upstream.model(idle_s=LIMIT_S, progress_s=LIMIT_S)
        async for output in outputs_of(model, Prompt.of("hi"), http):
            said += getattr(output, "text", "")
            if said == "One":
                stand_still()
    assert said == "One two"
