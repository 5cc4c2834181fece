"""Our estimate of the tokens of a request, where its provider reports none."""

from __future__ import annotations

from ..formats.tokens import estimate_tokens
from ..providers import Prompt, Usage

IMAGE_TOKENS = 765
"""Of a square picture of a thousand pixels at OpenAI; Anthropic counts twice, Gemini a third."""


def estimated_usage(prompt: Prompt, text: str) -> Usage:
    """Estimate the tokens of a request that the provider did not report (yet)."""
    request = "".join(str(message.get("content") or "") for message in prompt.messages)
    shown = sum(len(message.get("images") or ()) for message in prompt.messages)
    asked = estimate_tokens(request + prompt.prefix) + IMAGE_TOKENS * shown
    return Usage(asked, estimate_tokens(text), measured=False)
