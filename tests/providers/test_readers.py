"""
Readers of every provider, without a socket: the same bytes mean the same, wherever they are cut.

A new provider is found by itself, and needs an answer in `ANSWERS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httptools
import msgspec
import pytest

from faults.adapter import model_of, provider_of
from faults.playing import Fault, faults
from support import messages_wire, responses_wire
from support.hearing import read_with
from support.upstream import END, chunk, frame
from unspool import Model, Prompt, plugs
from unspool.errors import ProviderError, ProviderInterrupted
from unspool.providers import (
    Finish,
    LocalAnswer,
    Output,
    Reasoning,
    Skipped,
    Text,
    ToolCall,
    ToolFragment,
    open_provider,
)

OUR_ID = re.compile("call_[0-9a-f]{16}")
"""An id that we make up where a provider gives none."""

BROKE = ProviderInterrupted("the connection broke", code="connection")


@dataclass
class Heard:
    """A sink that remembers; deltas that differ only in their cuts are one."""

    outputs: list[Output] = field(default_factory=list)
    error: tuple[str, str] | None = None
    is_full = False

    def text(self, text: str) -> None:
        self.take(Text(text))

    def take(self, output: Output) -> None:
        if isinstance(output, ToolFragment | ToolCall) and OUR_ID.fullmatch(output.id or ""):
            output = msgspec.structs.replace(output, id="ours")
        last = self.outputs[-1] if self.outputs else None
        match last, output:
            case Text(before), Text(text):
                self.outputs[-1] = Text(before + text)
            case Reasoning(before), Reasoning(text):
                self.outputs[-1] = Reasoning(before + text)
            case _:
                self.outputs.append(output)

    async def drain(self) -> None:
        """It is never full."""

    @property
    def said(self) -> str:
        return "".join(it.text for it in self.outputs if isinstance(it, Text))


def read(model: Model, pieces: Iterable[bytes], broken: ProviderError | None = None) -> Heard:
    heard = Heard()
    reader = open_provider(model.provider).reader(model, Prompt.of("你好"), heard)
    error = read_with(reader, pieces, broken)
    if error is not None:
        heard.error = type(error).__name__, error.code
    return heard


def halves(body: bytes) -> Iterator[list[bytes]]:
    for at in range(1, len(body)):
        yield [body[:at], body[at:]]


def bytewise(body: bytes) -> list[bytes]:
    return [body[at : at + 1] for at in range(len(body))]


def local(provider: str, **params: Any) -> tuple[bytes, ...]:
    request = open_provider(provider).request(Model("m", provider), Prompt.of("你好", **params))
    assert isinstance(request, LocalAnswer)
    return tuple(piece for _, piece in request.pieces())


SCRIPT = [{"reasoning": "嗯"}, {"text": "今天"}, {"text": "推荐"}, {"finish": "stop"}]
LINE = b'{"message":{"content":"%b"},"done":false}\n'

ANSWERS: dict[str, tuple[bytes, ...]] = {
    "openai": (chunk("今"), chunk("天"), b": ping\n\n", chunk("推荐"), chunk("😀"), *END),
    "anthropic": (*messages_wire.SAID, *messages_wire.END),
    "responses": tuple(responses_wire.numbered(*responses_wire.TEXT)),
    "gemini": (
        frame({"candidates": [{"content": {"parts": [{"text": "今天"}]}}]}),
        frame({"candidates": [{"content": {"parts": [{"text": "推荐"}]}, "finishReason": "STOP"}]}),
    ),
    "ollama": (
        LINE % "今天".encode(),
        LINE % "推荐".encode(),
        b'{"message":{"content":""},"done":true,"done_reason":"stop"}\n',
    ),
    "offline": local("offline"),
    "scripted": local("scripted", script=SCRIPT),
}
"""A whole answer of each provider, in the pieces in which it would arrive."""


def model_for(provider: str) -> Model:
    return Model("m", provider, "m-1", "http://127.0.0.1:9")


def test_each_provider_has_an_answer_here() -> None:
    assert set(ANSWERS) == set(plugs.names("providers"))


@pytest.mark.parametrize("provider", ANSWERS)
def test_an_answer_is_the_same_wherever_it_is_cut(provider: str) -> None:
    model, pieces = model_for(provider), ANSWERS[provider]
    whole = read(model, pieces)
    assert whole.error is None
    assert "今天" in whole.said or provider == "offline"
    assert isinstance(whole.outputs[-1], Finish)
    body = b"".join(pieces)
    assert read(model, [body]) == whole
    assert read(model, bytewise(body)) == whole
    for cut in halves(body):
        assert read(model, cut) == whole, cut


@pytest.mark.parametrize("provider", ANSWERS)
def test_an_answer_that_breaks_is_a_beginning_and_never_whole(provider: str) -> None:
    model, pieces = model_for(provider), ANSWERS[provider]
    whole = read(model, pieces)
    for end in range(len(pieces)):
        for broken in (BROKE, None):
            heard = read(model, pieces[:end], broken)
            assert whole.said.startswith(heard.said)
            is_whole = any(isinstance(output, Finish) for output in heard.outputs)
            assert is_whole == (heard.error is None)
            assert not is_whole or heard.said == whole.said


def body_of(fault: Fault) -> list[bytes]:
    """The pieces of a fault's body, as the parser hands them over; empty if it is no such body."""
    pieces: list[bytes] = []

    class Body:
        def on_header(self, name: bytes, value: bytes) -> None:
            if name.lower() == b"content-encoding":
                raise ValueError(value)

        def on_body(self, body: bytes) -> None:
            pieces.append(body)

    parser = httptools.HttpResponseParser(Body())
    try:
        for step in fault["steps"]:
            parser.feed_data(
                bytes.fromhex(step["send_hex"])
                if "send_hex" in step
                else step.get("send_text", "").encode()
            )
    except httptools.HttpParserError:
        return []
    return pieces


FAULTS = {
    name: body
    for name, fault in faults().items()
    if (body := body_of(fault)) and sum(map(len, body)) < 20_000
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_the_same_wherever_it_is_cut(name: str) -> None:
    fault, pieces = faults()[name], FAULTS[name]
    model = model_of("http://127.0.0.1:9/v1/chat/completions", fault)
    assert model.provider == provider_of(fault)
    came = read(model, pieces)
    body = b"".join(pieces)
    assert read(model, [body]) == came
    assert read(model, bytewise(body)) == came


def test_the_short_way_reads_a_text_as_the_long_way_does() -> None:
    texts = ["今", "天", "\u2028", "\\", '"', "a\nb", "<think>", "", " ", "😀", "\0", "data: x\n\n"]
    pieces = [chunk("一"), *map(chunk, texts), *END]
    whole = read(model_for("openai"), pieces)
    assert whole.said == "一" + "".join(texts)
    odd = [piece.replace(b"\n\n", b"\r\n\r\n") for piece in pieces]  # never plain
    assert read(model_for("openai"), odd) == whole


ODD = {
    "another choice": {"choices": [{"index": 1, "delta": {"content": "x"}}]},
    "two choices": {"choices": [{"delta": {"content": "二"}}, {"index": 1, "delta": {}}]},
    "thought beside text": {"choices": [{"delta": {"content": "二", "reasoning": "hm"}}]},
    "parts": {"choices": [{"delta": {"content": [{"type": "text", "text": "二"}]}}]},
    "a reason": {"choices": [{"delta": {"content": "二"}, "finish_reason": "stop"}]},
    "a count": {"choices": [{"delta": {"content": "二"}}], "usage": {"prompt_tokens": 1}},
    "an error": {"choices": [{"delta": {"content": "二"}}], "error": {"message": "boom"}},
    "a call": {
        "choices": [{"delta": {"content": "二", "tool_calls": [{"function": {"name": "f"}}]}}]
    },
    "no text": {"choices": [{"delta": {"content": 5}}]},
}


@pytest.mark.parametrize("name", ODD)
def test_a_chunk_with_more_than_text_goes_the_long_way(name: str) -> None:
    pieces = [chunk("一"), frame(ODD[name]), chunk("三"), *END]
    heard = read(model_for("openai"), pieces)
    body = b"".join(pieces)
    assert heard == read(model_for("openai"), bytewise(body))
    is_left_out = name in {"another choice", "no text"}
    assert heard.said == {"an error": "一"}.get(name, "一三" if is_left_out else "一二三")


def test_what_is_left_out_and_what_is_called_is_told() -> None:
    heard = read(model_for("openai"), [chunk("一"), frame(ODD["no text"]), frame(ODD["a call"])])
    assert [type(output) for output in heard.outputs[1:]] == [Skipped, Text, ToolFragment]
