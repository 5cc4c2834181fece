"""A model that repeats itself without end: the attempt ends, and the loop is nobody's beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from support.continuation import ASKED, breaks_after, model, says, tell
from support.upstream import Upstream, answer
from unspool.errors import ProviderInterrupted
from unspool.generation.continuation import PartialText
from unspool.generation.loops import LASTS_S, Looping, LoopWatch
from unspool.providers import Limits
from unspool.providers.upstream.http1 import Client

START = "这双鞋走起路来"
PART = "从舒适到舒适，"
LOOP = START + PART * 900
REST = "鞋底柔软，适合长时间步行。"


@pytest.fixture
async def http() -> AsyncIterator[Client]:
    async with Client() as session:
        yield session


async def test_a_loop_is_continued_from_what_stands_before_it(http: Client) -> None:
    first = model(says(LOOP), says(START + PART + REST))
    told = await tell(http, [first])
    assert told.ways == ["first", "prefill"]
    assert told.codes == ["repetition"]
    shown = told.text.removesuffix(REST)
    assert LOOP.startswith(shown), "what viewers saw stays"
    assert len(shown) < len(START) + 3 * len(PART) + 200
    assert told.error is None


async def test_where_viewers_can_take_it_back_the_loop_is_gone(http: Client) -> None:
    told = await tell(
        http, [model(says(LOOP), says(START + PART + REST))], so_far=PartialText(can_cut=True)
    )
    assert told.text == START + PART + REST


@pytest.mark.parametrize(
    ("params", "sent"),
    [({}, 1.0), ({"frequency_penalty": 0.2}, 1.0), ({"frequency_penalty": 1.5}, 1.5)],
)
async def test_after_a_loop_words_that_were_said_cost_more(
    http: Client, upstream: Upstream, params: dict[str, float], sent: float
) -> None:
    upstream.play = [answer(*([START] + [PART] * 900)), answer(REST)]
    asked = replace(upstream.model(), prefill="assistant", params=params)
    told = await tell(http, [asked], so_far=PartialText(can_cut=True))
    assert told.codes == ["repetition"]
    first, second = (request.body.get("frequency_penalty") for request in upstream.requests)
    assert (first, second) == (params.get("frequency_penalty"), sent)


async def test_data_may_repeat_its_words_after_a_loop(http: Client, upstream: Upstream) -> None:
    upstream.play = [answer(*([START] + [PART] * 900)), answer(REST)]
    asked = replace(upstream.model(), prefill="assistant")
    bound = replace(ASKED, is_bound=True)
    await tell(http, [asked], bound, so_far=PartialText(can_cut=True))
    assert ["frequency_penalty" in request.body for request in upstream.requests] == [False, False]


async def test_a_model_that_loops_again_makes_room_for_the_next(http: Client) -> None:
    second = model(says(START + PART + REST))
    told = await tell(http, [model(says(LOOP)), second])
    assert told.ways == ["first", "prefill", "prefill"]
    assert told.codes == ["repetition", "repetition"]
    assert told.starts[-1].model is second
    assert told.text.endswith(REST)


async def test_where_every_model_loops_the_text_stays_incomplete(http: Client) -> None:
    told = await tell(http, [model(says(LOOP)), model(says(LOOP))])
    assert told.codes == ["repetition"] * 4
    assert isinstance(told.error, ProviderInterrupted)
    assert told.error.code == "repetition"
    assert told.text.startswith(START + PART)
    assert len(told.text) < 4 * 300


async def test_a_loop_of_thoughts_is_a_failed_try(http: Client) -> None:
    thinks = [*({"reasoning": "Wait, no. "} for _ in range(900)), *says("Yes.")]
    told = await tell(http, [model(thinks, says("No."))])
    assert told.codes == ["repetition"]
    assert told.text == "No."


async def test_a_text_of_lines_goes_on_after_its_last_line_before_the_loop(http: Client) -> None:
    lines = "red\ngreen\n"
    told = await tell(
        http,
        [model(says(lines + "blue, and blue\n" * 90), says("black\n"))],
        so_far=PartialText(by_lines=True),
    )
    assert told.codes == ["repetition"]
    assert told.text.startswith(lines + "blue, and blue\n")
    assert told.text.endswith("blue, and blue\nblack\n")


async def test_a_model_may_be_let_loop(http: Client) -> None:
    free = replace(model(says(LOOP)), limits=Limits(repetition=False))
    told = await tell(http, [free])
    assert (told.text, told.codes) == (LOOP, [])


async def test_a_loop_across_a_break_is_one_too(http: Client) -> None:
    told = await tell(http, [model(breaks_after(START + PART), says(LOOP))], retries=1)
    assert told.codes == ["connection", "repetition", "repetition"]
    assert told.error is not None


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_that_may_end_by_itself_ends_an_attempt_only_if_it_lasts() -> None:
    clock = Clock()
    watch = LoopWatch(now=clock)
    watch.text("字" * 10_000)
    watch.end("stop")
    clock.now = LASTS_S
    with pytest.raises(Looping, match="字"):
        watch.text("字" * 200)


def test_a_loop_that_stopped_by_itself_begins_anew() -> None:
    clock = Clock()
    watch = LoopWatch(now=clock)
    watch.text("-" * 3000)
    watch.text("That was a rule, and here is another one, which is not the first any more. " * 2)
    clock.now = 2 * LASTS_S
    watch.text("-" * 3000)


def test_a_loop_that_only_a_limit_ended_is_one() -> None:
    watch = LoopWatch(now=Clock())
    watch.text("字" * 10_000)
    with pytest.raises(Looping):
        watch.end("length")


async def test_a_loop_that_began_before_the_break_is_noticed_with_it(http: Client) -> None:
    first = model(
        breaks_after(START + PART * 20),
        says(START + PART * 60),  # 40 more are too few to be noticed by themselves
        says(START + PART + REST),
    )
    told = await tell(http, [first], so_far=PartialText(can_cut=True))
    assert told.codes == ["connection", "repetition"]
    assert told.text == START + PART + REST, "one of it stays, wherever the break was"


async def test_of_a_loop_cut_in_the_middle_of_its_part_one_whole_part_stays(http: Client) -> None:
    first = model(breaks_after(PART[:3]), says(PART * 900), says(PART + REST))
    told = await tell(http, [first], so_far=PartialText(can_cut=True))
    assert told.text == PART + REST
