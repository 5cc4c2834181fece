"""
Who of the built-in model's rooms answers.

To add one: a room `_offline_<what>.py` with `answer(messages)`, which returns None where the
question is not its own, and a line in `ROOMS`. The first one that answers is heard; the one
for everything else comes last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import events as _offline_events
from . import schema as _offline_schema
from . import story as _offline_story
from . import tools as _offline_tools
from .text import Messages, compose

ROOMS: Final[tuple[Callable[[Messages], str | None], ...]] = (
    _offline_tools.answer,
    _offline_events.answer,
    _offline_story.answer,
    _offline_schema.answer,
)


def answer_to(messages: Messages) -> str:
    """Return the whole answer to a conversation."""
    for answer in ROOMS:
        if (said := answer(messages)) is not None:
            return said
    return compose(messages)
