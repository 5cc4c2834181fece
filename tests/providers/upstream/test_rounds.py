"""Rounds: when the loop is busy, answers in mid-flow are read together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from support.upstream import CUT, SILENCE, Upstream, answer, chunk
from unspool import Prompt
from unspool.errors import ProviderInterrupted
from unspool.providers import Output, Text
from unspool.providers.upstream.exchange import ask
from unspool.providers.upstream.http1 import Client
from unspool.providers.upstream.rounds import Rounds, share_at

NEVER_S = 3600.0


@pytest.fixture
async def http() -> AsyncIterator[Client]:
    async with Client() as client:
        yield client


class Heard:
    """A sink that remembers each text."""

    is_full = False

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.came = asyncio.Event()

    def text(self, text: str) -> None:
        self.texts.append(text)
        self.came.set()

    def take(self, output: Output) -> None:
        if isinstance(output, Text):
            self.texts.append(output.text)

    async def drain(self) -> None:
        """It is never full."""


def test_a_quiet_loop_has_no_rounds_and_a_busy_one_no_longer_ones_than_allowed() -> None:
    assert [share_at(load) for load in (0.0, 0.05, 0.1, 0.15, 1.0)] == [
        0.0,
        0.0,
        pytest.approx(0.5),
        1.0,
        1.0,
    ]


async def test_a_loop_without_streams_forgets_how_busy_it_was() -> None:
    rounds = Rounds(1.0)
    rounds.enter()
    rounds._load = rounds.delay_s = 1.0
    rounds.leave()
    await asyncio.sleep(0.3)
    assert rounds.delay_s == 0.0


async def test_rounds_call_those_who_wait_together_and_once() -> None:
    rounds, called = Rounds(0.01), []
    rounds.delay_s = 0.01
    for name in "ab":
        rounds.wait(lambda name=name: called.append(name))  # type: ignore[misc]
    assert called == []
    await asyncio.sleep(0.05)
    assert called == ["a", "b"]


async def test_the_first_output_does_not_wait_and_the_rest_comes_in_rounds(
    http: Client, upstream: Upstream
) -> None:
    http.rounds.delay_s = NEVER_S
    upstream.play = [[chunk("今"), 0.05, chunk("天"), 0.05, *answer("好")]]
    heard = Heard()
    asking = asyncio.create_task(ask(upstream.model(), Prompt.of("?"), http, heard))
    await heard.came.wait()
    await asyncio.sleep(0.3)
    assert heard.texts == ["今", "天"], "the first round is now, the next one in an hour"
    assert not asking.done()
    http.rounds.delay_s = 0.0
    http.rounds._begin()
    await asking
    assert "".join(heard.texts) == "今天好"


@pytest.mark.parametrize("delay_s", [0.001, 0.01, 0.05])
async def test_no_text_is_lost_or_doubled_in_rounds(
    http: Client, upstream: Upstream, delay_s: float
) -> None:
    words = [f"{number} " for number in range(50)]
    http.rounds.delay_s = delay_s
    upstream.play = [[part for word in words for part in (chunk(word), 0.001)] + answer("!")]
    heard = [Heard() for _ in range(5)]
    await asyncio.gather(*(ask(upstream.model(), Prompt.of("?"), http, each) for each in heard))
    assert {"".join(each.texts) for each in heard} == {"".join(words) + "!"}


async def test_a_break_during_a_round_is_told_after_the_text_before_it(
    http: Client, upstream: Upstream
) -> None:
    http.rounds.delay_s = 0.05
    upstream.play = [[chunk("今"), chunk("天"), 0.01, chunk("好"), CUT]]
    heard = Heard()
    with pytest.raises(ProviderInterrupted):
        await ask(upstream.model(), Prompt.of("?"), http, heard)
    assert "".join(heard.texts) == "今天好"


async def test_leaving_while_a_round_is_awaited_closes_the_connection(
    http: Client, upstream: Upstream
) -> None:
    http.rounds.delay_s = NEVER_S
    upstream.play = [[chunk("今"), SILENCE]]
    heard = Heard()
    asking = asyncio.create_task(ask(upstream.model(), Prompt.of("?"), http, heard))
    await heard.came.wait()
    asking.cancel()
    await asyncio.wait([asking])
    await upstream.until(lambda: upstream.left == 1, within_s=5)
