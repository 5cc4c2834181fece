"""Logs that no model wrote, for encoders: drafts as events, and the documents of their frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from unspool import Draft
from unspool.dialects import encoder_for
from unspool.runs.events import Event

RUN = "01m8fh2aa2mjeznfs6k6hz5s4r"

USED = {"prompt_tokens": 7, "completion_tokens": 3, "basis": "measured"}


def begun(**input: Any) -> Draft:
    request = {"prompt": "hi", **input}
    return Draft("run.started", {"flow": "chat", "model": "m", "digest": "d", "input": request})


def log(*drafts: Draft) -> list[Event]:
    """Return the events of a log; the times are one second apart."""
    return [
        Event(seq, draft.type, seq * 1000, draft.data) for seq, draft in enumerate(drafts, start=1)
    ]


def text(*pieces: str, step: str = "answer") -> list[Draft]:
    return [Draft("text.delta", {"step": step, "text": piece}) for piece in pieces]


def started(step: str = "answer") -> Draft:
    return Draft("step.started", {"step": step})


def finished(reason: str = "stop", *, step: str = "answer", **facts: Any) -> Draft:
    return Draft("step.finished", {"step": step, "model": "m", "finish_reason": reason, **facts})


def used(step: str = "answer") -> Draft:
    return Draft("attempt.finished", {"step": step, "number": 1, "usage": USED, "cost": None})


def called(index: int = 0, name: str = "find", *, step: str = "answer") -> list[Draft]:
    """A call in two fragments, and whole."""
    place = {"step": step, "index": index}
    named = {"id": f"c{index}", "name": name}
    return [
        Draft("tool.delta", {**place, **named, "arguments": '{"q":'}),
        Draft("tool.delta", {**place, "arguments": '"x"}'}),
        Draft("tool.called", {**place, **named, "arguments": {"q": "x"}}),
    ]


def asked(step: str, *, call: Any = None) -> Draft:
    about = {"call": call} if call else {}
    return Draft("question.asked", {"step": step, "text": "Well?", "until_ms": 9000, **about})


def answer(step: str, outcome: str = "answered", **facts: Any) -> Draft:
    return Draft("question.answered", {"step": step, "outcome": outcome, **facts})


COMPLETED = Draft("run.completed")


def documents(dialect: str, events: Sequence[Event], *, after: int = 0) -> list[Any]:
    """Return the frames behind event `after`, encoded from the first event on."""
    encoder = encoder_for(dialect, RUN)
    frames = [(event.seq, encoder.encode(event)) for event in events]
    return [json.loads(data) for seq, datas in frames for data in datas if seq > after]


def kinds(found: Sequence[Any]) -> list[str]:
    return [document["type"] for document in found]
