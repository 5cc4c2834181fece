"""Going on from a text with Anthropic's Messages: what is sent, and how it joins on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.messages_wire import END, SAID, START, delta
from support.provider_probe import ask, at
from support.upstream import Upstream, refusal
from unspool import Model, Prompt


@pytest.fixture
def claude(upstream: Upstream) -> Model:
    upstream.play = [[*SAID, *END]]
    return replace(at(upstream, "anthropic", ""), prefill="assistant")


async def test_a_text_is_gone_on_from_as_the_last_message(
    upstream: Upstream, claude: Model
) -> None:
    heard = await ask(claude, prefixed("从前"))
    assert upstream.requests[0].body["messages"][-1] == {"role": "assistant", "content": "从前"}
    assert heard.text == "今天推荐"


def prefixed(prefix: str, **params: Any) -> Prompt:
    return replace(Prompt.of("你好", **params), prefix=prefix)


@pytest.mark.parametrize(
    ("prefix", "said", "rest"),
    [
        ("one\n\n", ["\n\ntwo"], "two"),
        ("one\n\n", ["\n", "\n", "two"], "two"),
        ("one\n\n", ["\ntwo"], "two"),
        ("one\n", ["\n\ntwo"], "\ntwo"),
        ("one ", ["two"], "two"),
        ("one \n", [" ", "two"], "two"),
        ("一\u3000", ["\u3000二"], "二"),
        ("one", [" two"], " two"),
        ("\n", ["\none"], "one"),
    ],
)
async def test_white_space_at_the_seam_is_neither_sent_nor_doubled(
    upstream: Upstream, claude: Model, prefix: str, said: list[str], rest: str
) -> None:
    upstream.play = [[START, *(delta(text=piece) for piece in said), *END]]
    heard = await ask(claude, prefixed(prefix))
    assert heard.text == rest
    last = upstream.requests[0].body["messages"][-1]
    assert last["content"] == (prefix.rstrip() or "你好")


@pytest.mark.parametrize("way", ["none", "partial", ""])
async def test_a_model_that_cannot_go_on_from_a_text_is_not_asked(
    upstream: Upstream, claude: Model, way: str
) -> None:
    heard = await ask(replace(claude, prefill=way), prefixed("从前"))
    assert heard.failure == ("refused", "prefill")
    assert upstream.requests == []


async def test_a_model_that_thinks_does_not_go_on_from_a_text(
    upstream: Upstream, claude: Model
) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    heard = await ask(claude, prefixed("从前", thinking=thinking))
    assert (heard.failure, upstream.requests) == (("refused", "prefill"), [])
    assert (await ask(claude, prefixed("从前", thinking={"type": "disabled"}))).finish == "stop"


REFUSALS = {
    "This model does not support assistant message prefill. The conversation must end with a "
    "user message.": "prefill_refused",
    "final assistant content cannot end with trailing whitespace": "prefill_refused",
    "temperature: Input should be less than 1": "invalid_request",
}


@pytest.mark.parametrize(("message", "code"), REFUSALS.items())
async def test_a_refused_beginning_is_told_from_other_refusals(
    upstream: Upstream, claude: Model, message: str, code: str
) -> None:
    upstream.play = [refusal(400, message)]
    assert (await ask(claude, prefixed("从前"))).failure == ("refused", code)
    assert (await ask(claude)).failure == ("refused", "invalid_request")
    upstream.play = [refusal(404, message)]
    assert (await ask(claude, prefixed("从前"))).failure == ("refused", "unknown_model")
