"""Faults written in a test: what an upstream sends, in few words."""

from __future__ import annotations

import json
from typing import Any

from faults.adapter import call
from faults.playing import Stage

EVENTS = "Content-Type: text/event-stream"

LIMITS = {"first_event_s": 1.5, "idle_s": 1.0, "progress_s": 2.0, "total_s": 15.0}

Steps = list[dict[str, Any]]


def head(*lines: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    return "\r\n".join([f"HTTP/{version} {status}", *lines, "Connection: close", "", ""]).encode()


def sent(*parts: bytes | float) -> Steps:
    """Bytes that are sent one after the other; a number is a pause in seconds."""
    return [
        {"send_hex": part.hex()} if isinstance(part, bytes) else {"pause_ms": part * 1000}
        for part in parts
    ]


def event(document: object) -> bytes:
    """One document as an event; text is sent as it stands."""
    told = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    return f"data: {told}\n\n".encode()


def say(text: Any = None, finish: Any = None, **delta: Any) -> bytes:
    """A chunk with a piece of the answer."""
    said = {**({} if text is None else {"content": text}), **delta}
    return event({"choices": [{"index": 0, "delta": said, "finish_reason": finish}]})


DONE = event("[DONE]")
STOP = say(finish="stop") + DONE


def stream(*parts: bytes | float) -> Steps:
    """A stream of events that ends with the connection."""
    return sent(head(EVENTS), *parts)


def body(data: bytes | object, content_type: str = "application/json") -> Steps:
    """A body that comes at once, whole."""
    raw = data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()
    return sent(head(f"Content-Type: {content_type}", f"Content-Length: {len(raw)}"), raw)


async def meet(
    steps: Steps, *, quirks: tuple[str, ...] = (), secret: str = "", **limits: Any
) -> dict[str, Any]:
    """Return what one request to an upstream that plays `steps` comes to."""
    fault = {
        "id": "written",
        "dialect": "openai",
        "endpoint": "/v1/chat/completions",
        "client": {**LIMITS, **limits},
        "options": dict.fromkeys(quirks, True),
        "must_not_leak": [secret] if secret else [],
        "steps": steps,
    }
    async with Stage() as stage:
        visit = stage.visit(fault)
        return {**await call(visit.url, fault), "heads": visit.heads}
