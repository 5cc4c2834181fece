"""
The model that all systems ask: OpenAI-compatible, and as bad as it is told to be.

The last message of the user is an order: `{"name": …, "fault": …}` for a fault of
`conformance/faults`, `{"name": …, "words": 60, "pause_ms": 50}` for a plain answer. The first
request of a name meets the fault. If a request brings the beginning of the answer in a message of
the assistant, the model continues there, as most do that are not OpenAI's own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from faults.playing import Scene, Stage, asked_of

from .corpus import cases

HOLD_MS = 60_000
"""How long a silent model stays silent: longer than any viewer waits."""

PIECE_CHARS = 4
SPACE = " "

HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    "Connection: close\r\n\r\n"
)


@dataclass(slots=True)
class Asked:
    """One request that came. Times are monotonic."""

    name: str
    began_s: float = field(default_factory=time.monotonic)
    ended_s: float | None = None
    was_whole: bool = False
    """Whether it was answered to its end, and nobody left before."""


def words(count: int) -> list[str]:
    """Return the words of a plain answer, no two alike, each with its space."""
    return [f"word{number}{SPACE}" for number in range(count)]


class TortureModel(Stage):
    """The model. Enter it, then ask at `url`."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self._cases = cases()

    @property
    def url(self) -> str:
        """Its `/v1` root."""
        return f"http://127.0.0.1:{self._port}/v1"

    def of(self, name: str) -> list[Asked]:
        """Return the requests of one name, in their order."""
        return [asked for asked in self.asked if asked.name == name]

    async def until_left(self, name: str, within_s: float) -> bool:
        """Wait until nobody asks for `name` any more; false if somebody still does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while any(asked.ended_s is None for asked in self.of(name)):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                return True
        return False

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, body = await asked_of(reader)
        messages = json.loads(body)["messages"] if body else []
        order = _order(messages)
        asked = Asked(str(order.get("name")))
        is_first = not self.of(asked.name)
        self.asked.append(asked)
        scene = Scene(reader, writer, base="")
        try:
            asked.was_whole = await scene.play(self._steps(order, messages, is_first=is_first))
        finally:
            asked.ended_s = time.monotonic()

    def _steps(
        self, order: dict[str, Any], messages: list[dict[str, Any]], *, is_first: bool
    ) -> list[dict[str, Any]]:
        if "fault" in order:
            case = self._cases[order["fault"]]
            if is_first or case.answer is None:
                return [_held(step) for step in case.fault["steps"]]
            return list(_answer(_pieces(_rest(case.answer, messages)), 0))
        rest = _rest("".join(words(order["words"])), messages)
        return list(_answer(rest.split(SPACE)[:-1], order["pause_ms"], SPACE))


def _order(messages: list[dict[str, Any]]) -> dict[str, Any]:
    for message in reversed(messages):
        if message["role"] == "user":
            with suppress(ValueError):
                order: dict[str, Any] = json.loads(_text(message))
                return order
    return {"words": 0, "pause_ms": 0}


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _rest(answer: str, messages: list[dict[str, Any]]) -> str:
    """Return what is missing of the answer behind what the request says that it has."""
    for message in reversed(messages):
        begun = _text(message)
        if message["role"] == "assistant" and answer.startswith(begun):
            return answer[len(begun) :]
    return answer


def _held(step: dict[str, Any]) -> dict[str, Any]:
    return {**step, "max_ms": HOLD_MS} if step.get("hold") else step


def _pieces(text: str) -> list[str]:
    return [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]


def _answer(pieces: list[str], pause_ms: float, end: str = "") -> Iterator[dict[str, Any]]:
    yield {"send_text": HEAD + _chunk({"role": "assistant", "content": ""})}
    for piece in pieces:
        yield {"send_text": _chunk({"content": piece + end})}
        if pause_ms:
            yield {"pause_ms": pause_ms}
    yield {"send_text": _chunk({}, "stop")}
    usage = {"prompt_tokens": 12, "completion_tokens": len(pieces), "total_tokens": 12}
    usage["total_tokens"] += len(pieces)
    yield {"send_text": _event({**_DOCUMENT, "choices": [], "usage": usage})}
    yield {"send_text": "data: [DONE]\n\n"}
    yield {"close": True}


_DOCUMENT = {
    "id": "chatcmpl-torture",
    "object": "chat.completion.chunk",
    "created": 1_760_000_000,
    "model": "m-1",
}


def _event(document: dict[str, Any]) -> str:
    return f"data: {json.dumps(document, ensure_ascii=False)}\n\n"


def _chunk(delta: dict[str, str], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event({**_DOCUMENT, "choices": [choice]})
