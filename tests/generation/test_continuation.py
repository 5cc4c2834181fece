"""The ladder: how a text that broke off is gone on with, and what is told of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from support.continuation import (
    ASKED,
    BREAK,
    REFUSES_PREFIX,
    breaks_after,
    model,
    says,
    tell,
)
from support.upstream import RESET, SILENCE, Upstream, answer, chunk, refusal
from unspool.errors import ProviderError, ProviderInterrupted
from unspool.generation.attempts import AttemptFailed, AttemptFinished
from unspool.generation.continuation import PartialText
from unspool.generation.generate import MAX_ATTEMPTS, GenerationDeps, generate
from unspool.models.health import Health
from unspool.providers import Prices, Tool
from unspool.providers.upstream.http1 import Client

WHOLE = "今天推荐这款运动鞋，舒适的设计真的很赞！"
CUT = WHOLE[:9]


@pytest.fixture
async def http() -> AsyncIterator[Client]:
    async with Client() as session:
        yield session


async def test_a_cut_answer_is_finished_by_the_same_model_from_its_prefix(
    http: Client,
) -> None:
    told = await tell(http, [model(breaks_after(CUT), says(WHOLE))])
    assert (told.text, told.ways) == (WHOLE, ["first", "prefill"])
    assert (told.waited, told.seams) == ([], [("exact", 0)])
    assert [(start.at, start.reason) for start in told.starts] == [(0, None), (9, "connection")]


async def test_where_there_is_another_model_the_first_is_asked_once_more(
    http: Client,
) -> None:
    first = model(breaks_after(CUT), [BREAK])
    told = await tell(http, [first, model(says(WHOLE))])
    assert (told.text, told.ways) == (WHOLE, ["first", "prefill", "prefill"])
    assert told.starts[-1].model is not first


async def test_a_prefill_that_is_refused_is_remembered_and_hides_nothing(
    http: Client,
) -> None:
    health = Health()
    second = model(REFUSES_PREFIX, REFUSES_PREFIX)
    told = await tell(http, [model(breaks_after(CUT)), second], retries=0, health=health)
    assert told.ways == ["first", "prefill", "instruct"]
    assert told.codes == ["connection", "prefill_refused", "prefill_refused"]
    assert isinstance(told.error, ProviderInterrupted)
    assert told.error.code == "connection", "the first error, not the refusal that came of it"
    again = await tell(http, [model(breaks_after(CUT)), second], retries=0, health=health)
    assert again.ways == ["first", "instruct"]
    assert not health.is_resting(second.name), "the way was of no use; the model is well"


@pytest.mark.parametrize(
    "answered", [WHOLE, WHOLE[5:], WHOLE[9:]], ids=["all of it", "the last words", "the rest"]
)
async def test_a_model_that_is_told_to_go_on_may_repeat_itself(http: Client, answered: str) -> None:
    second = model(says(answered), prefill="none")
    told = await tell(http, [model(breaks_after(CUT)), second], retries=0)
    assert (told.text, told.ways) == (WHOLE, ["first", "instruct"])


@pytest.mark.parametrize("prefill", ["assistant", "none"])
async def test_half_an_answer_is_never_followed_by_a_whole_one(http: Client, prefill: str) -> None:
    other = "今天推荐大家一双好鞋，轻便又透气！"
    second = model(says(other), prefill=prefill)
    told = await tell(http, [model(breaks_after(CUT)), second], retries=0)
    assert told.text == CUT
    assert told.codes[-1] == "started_anew"
    assert isinstance(told.error, ProviderInterrupted)
    assert told.error.code == "connection"


async def test_a_model_that_says_its_few_words_over_is_not_believed_to_go_on(
    http: Client, upstream: Upstream
) -> None:
    upstream.play = [answer("今天推荐", "大家一双好鞋，", "轻便又透气！")]
    health, second = Health(), upstream.model()
    second = replace(second, prefill="assistant")
    short = await tell(http, [model(breaks_after(CUT[:4])), second], retries=0, health=health)
    assert (short.text, short.seams) == ("今天推荐大家一双好鞋，轻便又透气！", [("echo", 4)])
    assert health.prefills.trust(second, "assistant") == ""
    told = await tell(http, [model(breaks_after(CUT)), second], retries=0, health=health)
    assert (told.text, told.codes[-1]) == (CUT, "started_anew")


async def test_the_next_model_is_asked_where_one_started_anew(http: Client) -> None:
    anew = model(says("今天推荐大家一双好鞋，轻便又透气！"))
    told = await tell(http, [model(breaks_after(CUT)), anew, model(says(WHOLE))], retries=0)
    assert told.text == WHOLE
    assert told.ways == ["first", "prefill", "instruct", "prefill"]


async def test_a_text_that_was_whole_already_gets_no_second_ending(
    http: Client, upstream: Upstream
) -> None:
    upstream.play = [answer("")]
    second = replace(upstream.model(), name="second", prefill="assistant")
    told = await tell(http, [model(breaks_after(WHOLE)), second], retries=0)
    assert (told.text, told.error) == (WHOLE, None)


async def test_a_provider_that_says_nothing_at_all_ends_no_text(
    http: Client, upstream: Upstream
) -> None:
    upstream.play = [[b""]]
    second = replace(upstream.model(), name="second", prefill="assistant")
    told = await tell(http, [model(breaks_after(CUT)), second], retries=0)
    assert told.text == CUT
    assert told.error is not None


CALL = {"tool": {"index": 0, "id": "c1", "name": "look", "arguments": '{"q":'}}


async def test_a_tool_call_that_has_begun_is_not_gone_on_with(http: Client) -> None:
    whole = {"tool": {"index": 0, "id": "c1", "name": "look", "arguments": '{"q":1}'}}
    models = [model([CALL, BREAK]), model([whole, {"finish": "tool_calls"}])]
    told = await tell(http, models, replace(ASKED, tools=(Tool("look"),)), retries=0)
    assert told.ways == ["first"]
    assert told.calls == []
    assert isinstance(told.error, ProviderInterrupted)


async def test_an_answer_that_may_become_a_tool_call_is_not_gone_on_with_in_words(
    http: Client,
) -> None:
    asked = replace(ASKED, tools=(Tool("look"),))
    told = await tell(http, [model(breaks_after(CUT)), model(says(WHOLE), prefill="none")], asked)
    assert (told.text, told.ways[-1]) == (CUT, "prefill")
    told = await tell(http, [model(breaks_after(CUT)), model(says(WHOLE))], asked, retries=0)
    assert told.text == WHOLE, "from its beginning it may be gone on with"


@pytest.mark.parametrize(
    "form", [{"response_format": {"type": "json_object"}}, {"format": "json"}, {"grammar": "x"}]
)
async def test_constrained_json_is_gone_on_with_by_prefill_alone(
    http: Client, form: dict[str, Any]
) -> None:
    asked = replace(ASKED, params=form)
    json = '{"a": 1, "b": 2}'
    told = await tell(
        http, [model(breaks_after(json[:6])), model(says(json), prefill="none")], asked, retries=0
    )
    assert (told.text, told.ways) == (json[:6], ["first"])
    told = await tell(http, [model(breaks_after(json[:6])), model(says(json))], asked, retries=0)
    assert told.text == json


async def test_an_answer_bound_to_a_form_by_its_messages_is_not_gone_on_with_in_words(
    http: Client,
) -> None:
    asked = replace(ASKED, is_bound=True)
    told = await tell(http, [model(breaks_after('{"a"'), prefill="none")], asked, retries=0)
    assert (told.text, told.ways) == ('{"a"', ["first"])


async def test_where_nothing_fits_a_contract_that_can_takes_the_text_back_once(
    http: Client,
) -> None:
    asked = replace(ASKED, params={"response_format": {"type": "json_object"}})
    first = model(breaks_after('{"a"'), says('{"b": 1}'), prefill="none")
    told = await tell(http, [first], asked, retries=1, can_rewind=True)
    assert (told.text, told.ways) == ('{"b": 1}', ["first", "restart"])
    broken = model(breaks_after('{"a"'), prefill="none")
    told = await tell(http, [broken], asked, retries=1, can_rewind=True)
    assert told.ways == ["first", "restart"]
    assert isinstance(told.error, ProviderInterrupted)
    told = await tell(http, [broken], asked, retries=0, can_rewind=True)
    assert told.ways == ["first"], "who wants no request twice gets none"


async def test_reasoning_alone_is_nothing_to_go_on_from(http: Client) -> None:
    told = await tell(http, [model([{"reasoning": "想一想"}, BREAK], says(WHOLE))])
    assert (told.text, told.ways) == (WHOLE, ["first", "retry"])


async def test_a_text_that_gets_further_each_time_is_carried_to_its_end(
    http: Client,
) -> None:
    scripts = [breaks_after(WHOLE[:size]) for size in range(2, len(WHOLE), 2)]
    told = await tell(http, [model(*scripts, says(WHOLE))], retries=1)
    assert told.text == WHOLE
    assert told.ways == ["first", *["prefill"] * len(scripts)]


async def test_a_text_that_breaks_for_ever_ends_some_time(http: Client) -> None:
    endless = "".join(chr(0x4E00 + n) for n in range(99))
    scripts = [breaks_after(endless[:size]) for size in range(2, 99)]
    told = await tell(http, [model(*scripts)], retries=1)
    assert len(told.ways) == MAX_ATTEMPTS
    assert isinstance(told.error, ProviderInterrupted)


async def test_what_is_written_counts_towards_the_limit_of_tokens(
    http: Client, upstream: Upstream
) -> None:
    upstream.play = [answer("，很轻")]
    second = replace(upstream.model(), name="second")
    asked = replace(ASKED, params={"max_tokens": 100})
    await tell(http, [model(breaks_after(CUT)), second], asked, retries=0)
    assert 80 <= upstream.requests[0].body["max_tokens"] < 100


@pytest.mark.parametrize(("text", "language"), [(CUT, "断开"), ("The shoe is very ", "cut off")])
async def test_the_instruction_is_a_users_message_in_the_language_of_the_text(
    http: Client, upstream: Upstream, text: str, language: str
) -> None:
    upstream.play = [answer("!")]
    second = replace(upstream.model(), name="second")
    await tell(http, [model(breaks_after(text)), second], retries=0)
    messages = upstream.requests[0].body["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "user"], "no prompt of ours"
    assert messages[1]["content"] == text
    assert language in messages[2]["content"]
    assert "{" not in messages[2]["content"]


async def test_what_was_there_before_is_gone_on_from(http: Client) -> None:
    told = await tell(
        http, [model(says(WHOLE))], so_far=PartialText([CUT]), numbers=itertools.count(5)
    )
    assert told.text == WHOLE[9:]
    assert [(start.number, start.strategy, start.at) for start in told.starts] == [
        (5, "prefill", 9)
    ]


async def test_each_attempt_tells_what_it_cost(http: Client) -> None:
    counted = {"usage": {"prompt_tokens": 1000, "completion_tokens": 500}}
    prices = Prices(2.0, 8.0, currency="CNY")
    first = model(breaks_after(CUT), [*says(WHOLE), counted], prices=prices)
    told = await tell(http, [first])
    failed = next(piece for piece in told.pieces if isinstance(piece, AttemptFailed))
    finished = next(piece for piece in told.pieces if isinstance(piece, AttemptFinished))
    assert failed.cost is not None
    assert failed.cost.basis == "estimated"
    assert 0 < failed.cost.amount < 0.001
    assert finished.cost is not None
    assert (finished.cost.amount, finished.cost.currency) == (0.006, "CNY")
    assert finished.cost.basis == "measured"


async def test_retries_end_with_their_budget_of_time(http: Client, upstream: Upstream) -> None:
    upstream.play = [refusal(503)]
    now = 0.0

    async def sleep(wait_s: float) -> None:
        nonlocal now
        now += wait_s

    facts = {"sleep": sleep, "random": lambda: 0.0, "clock": lambda: now}
    deps = GenerationDeps(http, retries=10, budget_s=4.0, **facts)
    async with aclosing(generate(ASKED, [upstream.model()], deps)) as pieces:
        with pytest.raises(ProviderError):
            _ = [piece async for piece in pieces]
    assert len(upstream.requests) == 4, "0.5, 1 and 2 s; another 4 s would be too long"


async def test_a_model_that_keeps_failing_rests(http: Client, upstream: Upstream) -> None:
    health = Health()
    upstream.play = [refusal(503), refusal(503), refusal(503), answer("好")]
    failing = upstream.model()
    await tell(http, [failing], health=health, retries=1)
    assert not health.is_resting(failing.name)
    await tell(http, [failing], health=health, retries=0)
    assert health.is_resting(failing.name)
    signals = health.signals(failing.name)
    assert (signals["attempts"], signals["failures"], signals["in_flight"]) == (3, 3, 0)
    await tell(http, [failing], health=health)
    assert not health.is_resting(failing.name), "it has answered"


async def test_signals_tell_stalls_and_false_ends(http: Client, upstream: Upstream) -> None:
    health = Health()
    upstream.play = [[chunk("今"), 0.01], [chunk("今天"), 0.01, RESET], [SILENCE]]
    for first_event_s in (10, 10, 0.2):
        asked = upstream.model(first_event_s=first_event_s)
        await tell(http, [asked], health=health, retries=0)
    signals = health.signals(asked.name)
    assert (signals["false_ends"], signals["stalls"], signals["last_error"]) == (1, 1, "timeout")
    assert signals["first_token_s"] is not None


async def test_texts_that_are_written_side_by_side_number_their_attempts_apart(
    http: Client,
) -> None:
    numbers = itertools.count(1)
    models = [model(breaks_after(CUT), says(WHOLE)) for _ in range(3)]
    told = await asyncio.gather(*(tell(http, [each], numbers=numbers) for each in models))
    assert sorted(start.number for each in told for start in each.starts) == [1, 2, 3, 4, 5, 6]
    assert {each.text for each in told} == {WHOLE}
