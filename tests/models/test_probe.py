"""Finding out by trying how a model goes on from a text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from support.upstream import (
    RESET,
    SILENCE,
    Script,
    Upstream,
    UpstreamRequest,
    answer,
    chunk,
    refusal,
)
from unspool.models.catalog import OFFLINE
from unspool.models.probe import COUNTING, MAX_CHARS, ask, probe_prefill, verdict_of
from unspool.providers.upstream.http import open_http
from unspool.providers.upstream.http1 import Client
from unspool.providers.upstream.vendors import PREFILLS

ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEENS = ["thir", "four", "fif", "six", "seven", "eigh", "nine"]
TENS = ["ten", "eleven", "twelve", *(f"{begin}teen" for begin in TEENS)]
TWENTIES = [
    f"{ten}{tail}" for ten in ("twenty", "thirty") for tail in ("", *(f"-{n}" for n in ONES))
]
COUNTED = ", ".join([*ONES, *TENS, *TWENTIES, "forty"])


@pytest.fixture
async def http() -> AsyncIterator[Client]:
    async with open_http() as opened:
        yield opened


def counting(
    goes_on: Callable[[dict[str, Any]], bool | None],
) -> Callable[[UpstreamRequest], Script]:
    """
    A model that counts. Given the beginning of its answer it goes on, begins again (False),
    or answers 400 (None).
    """

    def play(asked: UpstreamRequest) -> Script:
        last = asked.body["messages"][-1]
        given = last["content"] if last["role"] == "assistant" else asked.body.get("prefix", "")
        if not given:
            return answer(COUNTED)
        assert COUNTED.startswith(given)
        goes = goes_on({**last, **asked.body})
        if goes is None:
            return refusal(400, "the last message must not be of the assistant")
        return answer(COUNTED[len(given) :] if goes else COUNTED)

    return play


def verdicts(found: Any) -> dict[str, str]:
    return {each.way: each.verdict for each in found.tried}


async def found_of(upstream: Upstream, http: Client, play: Any) -> Any:
    upstream.play = counting(play)
    return await probe_prefill(upstream.model(), http)


async def test_a_model_that_marks_its_beginning_is_found_by_its_mark(
    upstream: Upstream, http: Client
) -> None:
    found = await found_of(upstream, http, lambda sent: sent.get("prefix") is True)
    assert found.prefill == "prefix"
    assert verdicts(found)["assistant"] == "starts_anew"
    assert set(verdicts(found)) == set(PREFILLS) - {"none", "raw"}
    first, *others = upstream.requests
    assert first.question == COUNTING
    assert {asked.body["temperature"] for asked in upstream.requests} == {0}
    assert all(asked.body["max_tokens"] < 100 for asked in others)


@pytest.mark.parametrize("word", ["partial", "continue_final_message"])
async def test_every_other_mark_is_found_too(upstream: Upstream, http: Client, word: str) -> None:
    found = await found_of(upstream, http, lambda sent: sent.get(word) is True)
    assert found.prefill == word


async def test_the_simplest_of_several_ways_is_taken(upstream: Upstream, http: Client) -> None:
    found = await found_of(upstream, http, lambda _: True)
    assert found.prefill == "assistant"
    assert set(verdicts(found).values()) == {"goes_on"}


async def test_a_model_that_begins_again_or_refuses_cannot(
    upstream: Upstream, http: Client
) -> None:
    found = await found_of(
        upstream, http, lambda sent: None if sent.get("prefix") is True else False
    )
    assert found.prefill == "none"
    assert set(verdicts(found).values()) == {"starts_anew", "refused"}
    assert verdicts(found)["prefix"] == "refused"


async def test_what_cannot_be_told_is_not_guessed(upstream: Upstream, http: Client) -> None:
    play = counting(lambda _: False)
    upstream.play = lambda asked: [RESET] if asked.body.get("prefix") else play(asked)
    found = await probe_prefill(upstream.model(), http)
    assert found.prefill == ""
    assert "cannot_tell" in verdicts(found).values()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (answer("No."), "too short"),
        (refusal(401), "it did not answer: the provider answered 401"),
        ([chunk("one"), RESET], "it did not answer"),
    ],
)
async def test_where_nothing_can_be_tried_the_reason_is_told(
    upstream: Upstream, http: Client, script: Script, why: str
) -> None:
    upstream.play = [script]
    found = await probe_prefill(upstream.model(), http)
    assert (found.prefill, found.tried) == ("", [])
    assert why in found.why
    assert len(upstream.requests) == 1


async def test_the_built_in_model_goes_on(quick_model: None, http: Client) -> None:
    found = await probe_prefill(OFFLINE, http)
    assert found.prefill == "assistant"


async def test_a_model_that_does_not_stop_is_read_so_far_and_left(
    upstream: Upstream, http: Client
) -> None:
    upstream.play = [[*(chunk("x" * 100) for _ in range(100)), SILENCE]]
    answered = await ask(upstream.model(), http)
    assert len(answered.text) == MAX_CHARS
    await upstream.until(lambda: upstream.left == 1)


HALF = COUNTED[: COUNTED.index(", twenty-one")]


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (COUNTED[len(HALF) :], "goes_on"),
        (" Twenty-One,\nTwenty-Two, TWENTY-THREE, twenty-four", "goes_on"),
        (COUNTED, "starts_anew"),
        ("One, two, three, four, five, six, seven", "starts_anew"),
        ("Sure! Here are the numbers from 1 to 40: one", "cannot_tell"),
        ("twenty-one", "cannot_tell"),
        ("twenty-two, twenty-three, twenty-four, twenty-five", "cannot_tell"),
        ("", "cannot_tell"),
    ],
)
def test_what_came_is_compared_with_both_halves(said: str, verdict: str) -> None:
    assert verdict_of(COUNTED, HALF, said) == verdict
