"""The prompts of a run, and how long it has been carried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..flows import GenerateOptions
from ..formats.images import ImageBytes
from ..providers import Image, Prompt, Tool
from ..runs.run import Run


def carried_s(past: Run) -> float:
    """
    Return how long earlier owners carried a run.

    The time between two owners does not count: nobody could ask a model then.
    """
    if past.started_ms is None:
        return 0.0
    return max(0, past.last_ms - past.started_ms - past.away_ms) / 1000


def shown(message: Mapping[str, Any], found: Mapping[str, ImageBytes]) -> Mapping[str, Any]:
    if not message.get("images"):
        return message
    images = [Image(*found[image["sha256"]]) for image in message["images"]]
    return {**message, "images": images}


def prompt_of(text: str, system: str, how: GenerateOptions) -> Prompt:
    """Return the messages: the system's, the earlier ones, the question, and the later ones."""
    prompt = Prompt.of(text, system=system, **how.get("params", {}))
    *head, question = prompt.messages
    if images := how.get("images"):
        question = {**question, "images": images}
    talk = (*head, *how.get("earlier", ()), question, *how.get("since", ()))
    tools = tuple(Tool(**tool) for tool in how.get("tools", ()))
    return replace(prompt, messages=talk, tools=tools, is_bound=how.get("is_bound", False))
