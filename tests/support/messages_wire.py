"""Events of Anthropic's Messages, as they go over the wire."""

from __future__ import annotations

from typing import Any

from support.upstream import frame


def event(type: str, **more: Any) -> bytes:
    return f"event: {type}\n".encode() + frame({"type": type, **more})


def delta(index: int = 0, **said: str) -> bytes:
    kinds = {"text": "text_delta", "thinking": "thinking_delta", "partial_json": "input_json_delta"}
    (name,) = said
    kind = kinds.get(name, name)
    return event("content_block_delta", index=index, delta={"type": kind, **said})


def block(index: int = 0, **content: Any) -> bytes:
    return event("content_block_start", index=index, content_block=content)


def call(index: int, id: str, **more: Any) -> bytes:
    return block(index, type="tool_use", id=id, name="get_weather", **{"input": {}, **more})


def stop(reason: str = "end_turn", **usage: Any) -> bytes:
    counts = {"output_tokens": 15, **usage}
    return event("message_delta", delta={"stop_reason": reason}, usage=counts)


def start(**usage: Any) -> bytes:
    return event("message_start", message={"usage": {"input_tokens": 25, **usage}})


START = start(output_tokens=1)
PING = event("ping")
OVER = event("message_stop")
SAID = (START, block(type="text", text=""), delta(text="今天"), PING, delta(text="推荐"))
END = (event("content_block_stop", index=0), stop(), OVER)


def error(type: str, message: str = "no") -> bytes:
    return event("error", error={"type": type, "message": message})
