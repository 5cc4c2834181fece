"""A parameter that a deployment refuses is left out, once, and stays left out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from support.upstream import (
    END,
    Head,
    Script,
    Upstream,
    UpstreamRequest,
    answer,
    chunk,
    frame,
    refusal,
)
from unspool import Model, Prompt
from unspool.errors import ProviderError
from unspool.providers import Output, Reasoning, Skipped, Text, ThoughtAloud
from unspool.providers.upstream.http import open_http
from unspool.providers.upstream.http1 import Client
from unspool.providers.upstream.pulled import outputs_of


async def ask(http: Client, model: Model, **params: Any) -> list[Output]:
    return [it async for it in outputs_of(model, Prompt.of("hi", **params), http)]


def said(outputs: list[Output]) -> str:
    return "".join(it.text for it in outputs if isinstance(it, Text))


def warned(outputs: list[Output]) -> int:
    return sum(isinstance(it, Skipped) for it in outputs)


def refused(name: str, status: int = 400) -> list[Any]:
    message = f"Unsupported parameter: '{name}' is not supported with this model."
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode()
    return [Head(status, ("Content-Type: application/json",), body)]


def strict(*names: str, status: int = 400) -> Any:
    def play(request: UpstreamRequest) -> Script:
        found = next((name for name in names if name in request.body), None)
        return refused(found, status) if found else answer("Bonjour")

    return play


MISTRAL = {
    "detail": [
        {
            "type": "extra_forbidden",
            "loc": ["body", "stream_options"],
            "msg": "Extra inputs are not permitted",
        }
    ]
}


async def test_what_we_add_is_left_out_without_a_word(upstream: Upstream) -> None:
    body = json.dumps({"object": "error", "message": MISTRAL}).encode()
    upstream.play = [[Head(422, (), body)], answer("Bonjour")]
    async with open_http() as http:
        first = await ask(http, upstream.model())
        again = await ask(http, upstream.model())
    assert (said(first), said(again)) == ("Bonjour", "Bonjour")
    assert (warned(first), warned(again)) == (0, 0)
    has_it = ["stream_options" in request.body for request in upstream.requests]
    assert has_it == [True, False, False]


@pytest.mark.parametrize("status", [400, 422])
async def test_what_the_user_asked_for_is_left_out_with_a_warning(
    upstream: Upstream, status: int
) -> None:
    upstream.play = strict("temperature", "top_p", status=status)
    async with open_http() as http:
        outputs = await ask(http, upstream.model(), temperature=0, top_p=0.5, stop="x")
        assert (said(outputs), warned(outputs)) == ("Bonjour", 2)
        assert upstream.requests[-1].body["stop"] == "x"
        assert len(upstream.requests) == 3
        other = replace(upstream.model(), upstream_name="m-2")
        await ask(http, other, temperature=0)
    assert "temperature" in upstream.requests[3].body, "another model is another deployment"


async def test_a_limit_of_tokens_goes_out_under_its_other_name(upstream: Upstream) -> None:
    upstream.play = strict("max_tokens")
    async with open_http() as http:
        outputs = await ask(http, upstream.model(), max_tokens=7)
    assert (said(outputs), warned(outputs)) == ("Bonjour", 0)
    assert upstream.requests[-1].body["max_completion_tokens"] == 7


NOT_TO_DROP = {
    "the question": refused("messages"),
    "tools": refused("tools"),
    "a form": refused("response_format"),
    "a value out of its range": refusal(400, "temperature must be between 0 and 2"),
    "nothing of the request": refused("whatever"),
    "another status": refused("temperature", 403),
}


@pytest.mark.parametrize("name", NOT_TO_DROP)
async def test_what_an_answer_cannot_do_without_stays(upstream: Upstream, name: str) -> None:
    upstream.play = [NOT_TO_DROP[name]]
    async with open_http() as http:
        with pytest.raises(ProviderError):
            await ask(
                http, upstream.model(), temperature=3, response_format={"type": "json_object"}
            )
    assert len(upstream.requests) == 1


async def test_a_parameter_is_left_out_once(upstream: Upstream) -> None:
    upstream.play = [refused("temperature")]
    async with open_http() as http:
        with pytest.raises(ProviderError):
            await ask(http, upstream.model(), temperature=0)
    assert len(upstream.requests) == 2


async def test_parameters_within_a_field_count_too(upstream: Upstream) -> None:
    def play(request: UpstreamRequest) -> Script:
        if "presencePenalty" in request.body.get("generationConfig", {}):
            return refused("presencePenalty")
        said = {"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}
        return [frame({"candidates": [said]})]

    upstream.play = play
    model = replace(upstream.model(), provider="gemini")
    async with open_http() as http:
        outputs = await ask(http, model, presence_penalty=1, temperature=0)
    assert said(outputs) == "Hi"
    assert upstream.requests[-1].body["generationConfig"] == {"temperature": 0}


@pytest.mark.parametrize(
    ("status", "should", "is_tried_again"),
    [
        (409, None, True),
        (409, "true", True),
        (409, "false", False),
        (400, "true", True),
        (401, "TRUE", True),
        (429, "false", False),
        (503, "false", False),
        (503, None, True),
        (400, "maybe", False),
    ],
)
async def test_servers_say_whether_to_try_again(
    upstream: Upstream, status: int, should: str | None, is_tried_again: bool
) -> None:
    headers = [] if should is None else [f"x-should-retry: {should}"]
    upstream.play = [refusal(status, "no", *headers)]
    async with open_http() as http:
        with pytest.raises(ProviderError) as failed:
            await ask(http, upstream.model())
    assert (type(failed.value).__name__ == "ProviderUnavailable") == is_tried_again


THOUGHT = [chunk("Hm, a greeting.\n"), chunk("</think>"), chunk("\n\nHello"), *END]


async def test_that_a_model_thinks_first_is_learned_and_unlearned(upstream: Upstream) -> None:
    plain = answer("Just text.")
    upstream.play = [THOUGHT, THOUGHT, plain, plain]
    async with open_http() as http:
        first, again, other, last = [await ask(http, upstream.model()) for _ in range(4)]
    assert ThoughtAloud() in first, "nobody knew"
    assert [it.text for it in again if isinstance(it, Reasoning)] == ["Hm, a greeting.\n"]
    assert said(again) == "Hello"
    assert said(other) == "Just text.", "it is told at its end"
    assert any(isinstance(it, Reasoning) for it in other)
    assert said(last) == "Just text."
    assert not any(isinstance(it, Reasoning) for it in last)
