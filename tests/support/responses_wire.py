"""Events of OpenAI's Responses, as they go over the wire."""

from __future__ import annotations

from itertools import count
from typing import Any

from support.upstream import frame

Told = tuple[str, dict[str, Any]]


def numbered(*events: Told, first: int = 0) -> list[bytes]:
    """Events as they go over the wire, each with its number."""
    numbers = count(first)
    return [
        f"event: {type}\n".encode()
        + frame({"type": type, "sequence_number": next(numbers), **fields})
        for type, fields in events
    ]


def response(state: str, **more: Any) -> Told:
    return f"response.{state}", {"response": {"id": "resp_1", "status": state, **more}}


def said(delta: str) -> Told:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return "response.output_text.delta", {**place, "delta": delta}


def ended(state: str = "completed", **more: Any) -> Told:
    usage = {"input_tokens": 12, "output_tokens": 6, "total_tokens": 18}
    return response(state, usage=usage, **more)


def message(*texts: str) -> dict[str, Any]:
    return {"type": "message", "content": [{"type": "output_text", "text": it} for it in texts]}


CREATED = response("created")
GOING = response("in_progress")
TEXT = (CREATED, GOING, said("今天"), said("推荐"), ended())
