"""
Asks an engine to write a prompt with the model's own template, for raw completion.

llama.cpp: `POST /apply-template` takes the messages of a chat and returns the text that its model
would read (`tools/server/README.md` there). A cut answer put behind that text goes on exactly.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import urlsplit

from unspool.errors import ProviderError, ProviderRefused
from unspool.providers.upstream.http1 import Client

from .. import Model, Prompt, Request
from .http import send

OF_TEMPLATE: Final = ("chat_template_kwargs", "reasoning_format")
"""Parameters of a request that the template reads."""

MAX_CHARS: Final = 8 * 1024 * 1024
"""Of a prompt; the largest contexts hold a million tokens, some 4 MB."""


async def rendered(model: Model, prompt: Prompt, http: Client) -> str:
    """
    Return the prompt as the model's template writes it, up to where its answer begins.

    Raises:
        ProviderRefused: The engine writes no prompts (code `prefill_refused`).
        ProviderError: The engine did not answer.
    """
    params = {**model.params, **prompt.params}
    body: dict[str, Any] = {name: params[name] for name in OF_TEMPLATE if name in params}
    body["messages"] = list(prompt.messages)
    headers = {"Accept": "application/json"}
    if model.api_key:
        headers["Authorization"] = f"Bearer {model.api_key}"
    reader = _Whole()
    try:
        async with send(
            http, Request(_address(model.base_url), headers, body), model, reader.take
        ) as reply:
            await reply.read_to(reader, reader)
        text = json.loads(reader.body)["prompt"]
    except ProviderRefused as error:
        raise _refused(str(error)) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _refused("its answer holds no prompt") from None
    if not isinstance(text, str):
        raise _refused("its answer holds no prompt")
    return text


def _address(base_url: str) -> str:
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1")
    return parts._replace(path=f"{path}/apply-template", query="", fragment="").geturl()


def _refused(why: str) -> ProviderError:
    return ProviderRefused(f"the engine writes no prompt: {why}", code="prefill_refused")


class _Whole:
    """Reads a body whole; it is its own sink."""

    is_whole = is_done = is_calling = is_full = False
    traits: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.body = bytearray()

    def feed(self, chunk: bytes) -> bool:
        self.body += chunk
        if len(self.body) > MAX_CHARS:
            raise _refused("the prompt is too long")
        return True

    def end(self, broken: ProviderError | None) -> None:
        """Take no notice: `rendered` reads the body itself."""

    def text(self, _text: str) -> None:
        """Nothing comes this way."""

    def take(self, _output: Any) -> None:
        """Nothing comes this way."""

    async def drain(self) -> None:
        """Never full."""
