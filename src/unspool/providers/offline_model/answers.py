"""
Chooses which part of the built-in model answers.

To add one, add a file here with `answer(messages)`, which returns None for questions that are not
its own, and a line in `PARTS`. The first answer counts; `text` takes every other question.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import events, graphs, schema, story, tools
from .text import Messages, compose

PARTS: Final[tuple[Callable[[Messages], str | None], ...]] = (
    tools.answer,
    events.answer,
    graphs.answer,
    story.answer,
    schema.answer,
)


def answer_to(messages: Messages) -> str:
    """Return the whole answer to a conversation."""
    for answer in PARTS:
        if (text := answer(messages)) is not None:
            return text
    return compose(messages)
