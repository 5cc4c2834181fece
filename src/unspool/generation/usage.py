"""Our estimate of the tokens of a request, where its provider reports none."""

from __future__ import annotations

from ..formats.tokens import estimate_tokens
from ..providers import Prompt, Usage


def estimated_usage(prompt: Prompt, text: str) -> Usage:
    """Estimate the tokens of a request that the provider did not report (yet)."""
    request = "".join(str(message.get("content") or "") for message in prompt.messages)
    return Usage(estimate_tokens(request + prompt.prefix), estimate_tokens(text), measured=False)
