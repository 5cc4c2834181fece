"""A model whose template opens its thoughts: they are text until the tag that closes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from support.upstream import CUT, END, Upstream, chunk
from unspool import Model, Prompt
from unspool.generation.attempts import AttemptFinished, Rewound
from unspool.generation.generate import GenerationDeps, generate
from unspool.providers import Reasoning, Skipped, Text
from unspool.providers.upstream.http import open_http

THOUGHT = [chunk("Hm, a greeting.\n"), chunk("</think>"), chunk("\n\nHello"), chunk("!"), *END]


async def pieces(model: Model, *, can_rewind: bool) -> list[Any]:
    async with open_http() as http:
        deps = GenerationDeps(http, retries=3)
        asked = generate(Prompt.of("hi"), [model], deps, can_rewind=can_rewind)
        return [it async for it in asked]


def shown(told: list[Any]) -> str:
    """The text at the end, for a viewer who follows."""
    text = ""
    for piece in told:
        if isinstance(piece, Text):
            text += piece.text
        elif isinstance(piece, Rewound):
            text = text[: piece.at]
    return text


async def test_the_text_before_the_tag_is_taken_back_and_told_as_thoughts(
    upstream: Upstream,
) -> None:
    upstream.play = [THOUGHT]
    told = await pieces(upstream.model(), can_rewind=True)
    assert shown(told) == "Hello!"
    assert [it.text for it in told if isinstance(it, Reasoning)] == ["Hm, a greeting.\n"]
    assert isinstance(told[-1], AttemptFinished)
    assert len(upstream.requests) == 1


async def test_viewers_who_cannot_take_text_back_are_warned(upstream: Upstream) -> None:
    upstream.play = [THOUGHT]
    told = await pieces(upstream.model(), can_rewind=False)
    assert shown(told) == "Hm, a greeting.\nHello!"
    assert sum(isinstance(it, Skipped) for it in told) == 1


async def test_a_continuation_that_thinks_aloud_leaves_nothing_in_the_text(
    upstream: Upstream,
) -> None:
    upstream.play = [
        [chunk("Roses are red, "), chunk("violets are "), CUT],
        [chunk("I should go on.\n"), chunk("</think>"), chunk("\n\nblue."), *END],
        [chunk("I should go on.\n"), chunk("</think>"), chunk("\n\nblue."), *END],
    ]
    model = replace(upstream.model(), prefill="assistant")
    told = await pieces(model, can_rewind=True)
    assert shown(told) == "Roses are red, violets are blue."
