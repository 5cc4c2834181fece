"""Answers that their provider keeps: where a stream breaks, and how it is read on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from support.provider_probe import ask, at
from support.responses_wire import CREATED, TEXT, ended, numbered, response, said
from support.upstream import CUT, RESET, Script, Upstream, UpstreamRequest, refusal
from unspool import Model, Prompt
from unspool.generation.attempts import AttemptStarted
from unspool.generation.generate import GenerationDeps, generate
from unspool.providers import Handle, Reasoning, Text, Tool, ToolCall, ToolFragment, Usage
from unspool.providers.upstream.http import open_http
from unspool.providers.upstream.http1 import Client


@pytest.fixture
def kept(upstream: Upstream) -> Model:
    upstream.play = [numbered(*TEXT)]
    return replace(at(upstream, "responses", "/v1"), quirks=frozenset({"background"}))


def again(prefix: str = "", after: int | None = None) -> Prompt:
    return replace(Prompt.of("你好"), prefix=prefix, handle=Handle("resp_1", after))


async def test_a_kept_answer_has_a_handle(upstream: Upstream, kept: Model) -> None:
    upstream.play = [numbered(response("queued"), *TEXT)]
    heard = await ask(kept)
    assert heard.accepted == ["resp_1"]
    assert (heard.text, heard.finish) == ("今天推荐", "stop")
    body = upstream.requests[0].body
    assert (body["background"], body["store"]) == (True, True)


@pytest.mark.parametrize("end", [[], [CUT], [RESET]])
async def test_a_break_says_where_to_read_on(
    upstream: Upstream, kept: Model, end: list[Any]
) -> None:
    events = numbered(*TEXT)
    for cut in range(len(events)):
        upstream.play = [[b"", *events[:cut], *end]]
        heard = await ask(kept)
        assert heard.error is not None
        assert heard.error.after == (cut - 1 if cut else None)
        assert heard.accepted == (["resp_1"] if cut else [])
        assert heard.failure[0] == ("interrupted" if heard.text else "unavailable")


def keeping(events: Sequence[bytes]) -> Any:
    """A provider that keeps `events` and gives those that are asked for."""

    def play(asked: UpstreamRequest) -> Script:
        assert asked.method == "GET"
        path, _, query = asked.path.partition("?")
        wanted = dict(pair.split("=") for pair in query.split("&"))
        assert (path, wanted["stream"]) == ("/v1/responses/resp_1", "true")
        return [b"", *events[int(wanted.get("starting_after", -1)) + 1 :]]

    return play


async def test_an_answer_cut_after_any_event_is_read_on_exactly(
    upstream: Upstream, kept: Model
) -> None:
    events = numbered(*TEXT)
    for cut in range(1, len(events)):
        upstream.play = [[*events[:cut], CUT]]
        first = await ask(kept)
        assert first.error is not None
        upstream.play = keeping(events)
        rest = await ask(kept, again(first.text, first.error.after))
        assert (first.text + rest.text, rest.finish, rest.error) == ("今天推荐", "stop", None)
        assert rest.usage == Usage(12, 6)


async def test_a_second_break_says_where_to_read_on_and_of_what(
    upstream: Upstream, kept: Model
) -> None:
    upstream.play = [[*numbered(said("推"), first=3), CUT]]
    heard = await ask(kept, again("今天", 2))
    assert heard.error is not None
    assert (heard.text, heard.error.after, heard.accepted) == ("推", 3, ["resp_1"])


@pytest.mark.parametrize("cut", range(5))
async def test_an_answer_read_from_its_beginning_leaves_out_what_is_there(
    upstream: Upstream, kept: Model, cut: int
) -> None:
    thought = ("response.reasoning_text.delta", {"delta": "想"})
    upstream.play = keeping(numbered(CREATED, thought, *TEXT[2:]))
    heard = await ask(kept, again("今天推荐"[:cut]))
    assert heard.text == "今天推荐"[cut:]
    assert (heard.finish, heard.error) == ("stop", None)
    assert heard.reasoning == ("" if cut else "想")


@pytest.mark.parametrize("prefix", ["明天", "今天推荐了", "今天推荐的是"])
async def test_another_answer_is_not_taken_for_the_same(
    upstream: Upstream, kept: Model, prefix: str
) -> None:
    upstream.play = keeping(numbered(*TEXT))
    heard = await ask(kept, again(prefix))
    assert (heard.text, heard.failure) == ("", ("interrupted", "protocol"))


@pytest.mark.parametrize("status", [400, 404, 410])
async def test_an_answer_that_is_not_kept_any_more_ends_this_way_alone(
    upstream: Upstream, kept: Model, status: int
) -> None:
    upstream.play = [refusal(status)]
    assert (await ask(kept, again("今天"))).failure == ("interrupted", "not_kept")
    assert (await ask(kept, again())).failure == ("unavailable", "not_kept")


async def test_reading_on_is_refused_as_anything_else_is(upstream: Upstream, kept: Model) -> None:
    upstream.play = [refusal(401), refusal(503, "no", "Retry-After: 2")]
    assert (await ask(kept, again("今天"))).failure == ("refused", "auth")
    heard = await ask(kept, again("今天", 2))
    assert heard.error is not None
    assert (heard.failure, heard.error.after) == (("interrupted", "overloaded"), 2)
    assert heard.error.retry_after_s == 2


async def test_an_answer_that_failed_in_the_background_says_so(
    upstream: Upstream, kept: Model
) -> None:
    error = {"code": "server_error", "message": "no"}
    upstream.play = [numbered(response("failed", error=error), first=3)]
    heard = await ask(kept, again("今天", 2))
    assert heard.failure == ("interrupted", "server")


async def test_a_handle_and_a_query_stand_in_the_address_as_they_must(
    upstream: Upstream, kept: Model
) -> None:
    prompt = replace(again(), handle=Handle("a/b?c", 5))
    await ask(replace(kept, base_url=f"{kept.base_url}?api-version=1"), prompt)
    path = "/v1/responses/a%2Fb%3Fc?api-version=1&stream=true&starting_after=5"
    assert upstream.requests[0].path == path


async def said_in_all(model: Model) -> tuple[str, list[str]]:
    """The text of one generation, and the ways in which its requests went out."""
    text, ways = "", []
    async with Client() as http:
        deps = GenerationDeps(http, sleep=lambda _: asyncio.sleep(0))
        async with aclosing(generate(Prompt.of("你好"), [model], deps)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Text):
                    text += piece.text
                elif isinstance(piece, AttemptStarted):
                    ways.append(piece.strategy)
    return text, ways


@pytest.mark.parametrize("cut", range(1, len(TEXT)))
async def test_a_generation_reads_on_wherever_it_was_cut(
    upstream: Upstream, kept: Model, cut: int
) -> None:
    events = numbered(*TEXT)
    rest = keeping(events)

    def play(asked: UpstreamRequest) -> Script:
        return [*events[:cut], CUT] if asked.method == "POST" else rest(asked)

    upstream.play = play
    assert await said_in_all(kept) == ("今天推荐", ["first", "reattach"])


async def test_a_generation_may_break_after_every_word(upstream: Upstream, kept: Model) -> None:
    events = numbered(CREATED, *(said(word) for word in "今天推荐"), TEXT[-1])

    def play(asked: UpstreamRequest) -> Script:
        after = int(asked.path.rpartition("starting_after=")[2] or -1) if "?" in asked.path else -1
        return [events[after + 1], CUT]

    upstream.play = play
    text, ways = await said_in_all(kept)
    assert text == "今天推荐"
    assert ways == ["first", *["reattach"] * (len(events) - 1)]


def call_events() -> list[bytes]:
    item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look"}
    where = {"item_id": "fc_1", "output_index": 0}
    pieces = ['{"q"', ': "鞋', '"}']
    return numbered(
        CREATED,
        ("response.reasoning_text.delta", {"delta": "先想"}),
        ("response.reasoning_text.delta", {"delta": "一想"}),
        ("response.output_item.added", {"output_index": 0, "item": {**item, "arguments": ""}}),
        *(("response.function_call_arguments.delta", {**where, "delta": p}) for p in pieces),
        (
            "response.function_call_arguments.done",
            {**where, "arguments": "".join(pieces), "name": "look"},
        ),
        ended(),
    )


@pytest.mark.parametrize("cut", range(1, 8))
async def test_a_tool_call_that_broke_is_read_on_and_told_once(
    upstream: Upstream, kept: Model, cut: int
) -> None:
    events = call_events()
    whole = keeping(events)
    upstream.play = lambda asked: [*events[:cut], CUT] if asked.method == "POST" else whole(asked)
    thoughts, fragments, calls = "", "", []
    async with open_http() as http:
        prompt = replace(Prompt.of("你好"), tools=(Tool("look"),))
        async for piece in generate(prompt, [kept], GenerationDeps(http)):
            match piece:
                case Reasoning(text):
                    thoughts += text
                case ToolFragment():
                    fragments += piece.arguments
                case ToolCall():
                    calls.append((piece.id, piece.name, piece.arguments))
    assert (thoughts, fragments) == ("先想一想", '{"q": "鞋"}')
    assert calls == [("call_1", "look", {"q": "鞋"})]
