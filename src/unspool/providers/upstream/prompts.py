"""
Prompts for vendors that do not write them as OpenAI does, and prompts that hold the beginning of
their answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from unspool.errors import ProviderError, ProviderRefused

from .. import Model, Prompt
from .vendors import prefill_of, quirks_of

LENGTHS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""Vendors' names for the most tokens of an answer."""

_OF_PREFILL: Final = re.compile(
    r"prefill|prefix|partial|continu|(last|final) (message|turn|assistant)|ends? with|"
    r"assistant|role|model turn",
    re.IGNORECASE,
)
"""Words of refusals that concern the beginning of the answer, as vendors have written them."""


_OF_IMAGES: Final = re.compile(
    r"image|vision|multi-?modal|mmproj|inline_?data|expected `?text|图(片|像)|多模态", re.IGNORECASE
)
"""Words of refusals that concern images; "expected `text`" is DeepSeek's."""

_NO_IMAGES: Final = re.compile(r"image input is not supported|\bmmproj\b", re.IGNORECASE)
"""llama.cpp's words without a projector; it answers 500, which would be asked again."""

HTTP_FAULT: Final = 500


def text_of(message: Mapping[str, Any]) -> str:
    """
    Return a message's text.

    Raises:
        ProviderRefused: The message holds more than text.
    """
    content = message.get("content")
    if not isinstance(content, list):
        return "" if content is None else str(content)
    texts = [part.get("text") for part in content if isinstance(part, Mapping)]
    if len(texts) != len(content) or not all(isinstance(text, str) for text in texts):
        raise ProviderRefused(
            "a message holds something else than text, which is not sent to this provider; "
            "ask a model of the provider `openai`",
            code="invalid_request",
        )
    return "".join(map(str, texts))


def talk_of(prompt: Prompt) -> list[Mapping[str, Any]]:
    """Return all messages but the system's, for vendors that put those elsewhere."""
    return [message for message in prompt.messages if message["role"] != "system"]


def renamed(params: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return parameters under a vendor's own names; a parameter that already has one wins."""
    ours = {names[name]: value for name, value in params.items() if name in names}
    return ours | {name: value for name, value in params.items() if name not in names}


def check_prefix(model: Model, prompt: Prompt) -> None:
    """
    Refuse a beginning that the model cannot continue.

    Raises:
        ProviderRefused: Code `prefill`. We sent nothing.
    """
    if prompt.prefix and (way := prefill_of(model)) != "assistant":
        raise ProviderRefused(
            f"model {model.name!r} cannot go on from a text by its prefill {way!r}; "
            "only `assistant` is spoken here",
            code="prefill",
        )


def seeing(models: Sequence[Model]) -> list[Model]:
    """
    Return the models of a route that are not known to take no images.

    Raises:
        ProviderRefused: None of them takes any (code `no_images`).
    """
    some = [model for model in models if "no_images" not in quirks_of(model)]
    if models and not some:
        names = ", ".join(model.name for model in models)
        raise ProviderRefused(
            f"{names} takes no images; choose a model that does", code="no_images"
        )
    return some


def of_images(error: ProviderError) -> ProviderError:
    """Return a refusal of images as one, with its own code; others as they are."""
    if error.status in {400, 404, 415, 422, 501} and _OF_IMAGES.search(str(error)):
        error.code = "no_images"
    elif error.status == HTTP_FAULT and _NO_IMAGES.search(str(error)):
        return ProviderRefused(str(error), code="no_images", status=error.status)
    return error


def of_prefill(error: ProviderError) -> ProviderError:
    """Give a refusal of the beginning of the answer its own code."""
    if error.status in {400, 422} and _OF_PREFILL.search(str(error)):
        error.code = "prefill_refused"
    return error
