"""
Chooses which part of the built-in model answers.

To add one, add a file here with `answer(messages)`, which returns None for questions that are not
its own, and a line in `PARTS`. The first answer counts; `text` takes every other question.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from . import events, graphs, schema, story, tools
from .text import Messages, compose, text_of

PARTS: Final[tuple[Callable[[Messages], str | None], ...]] = (
    tools.answer,
    events.answer,
    graphs.answer,
    story.answer,
    schema.answer,
)


NO_EYES: Final = (
    "I am the built-in model, and I see no images. Choose a model that takes them.",
    "我是内置模型，看不到图片。请换一个能看图的模型。",
)
_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")


def answer_to(messages: Messages) -> str:
    """Return the whole answer to a conversation."""
    if messages and messages[-1].get("images"):
        return NO_EYES[bool(_CHINESE.search(text_of(messages[-1])))]
    for answer in PARTS:
        if (text := answer(messages)) is not None:
            return text
    return compose(messages)
