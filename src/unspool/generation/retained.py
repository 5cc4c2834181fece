"""An answer that its provider keeps: what a failed attempt leaves of it to read on."""

from __future__ import annotations

from dataclasses import replace

from ..errors import ProviderError, ProviderRefused
from .attempts import OpenAttempt
from .continuation import RetainedAnswer


def still_retained(
    before: RetainedAnswer | None, attempt: OpenAttempt, error: ProviderError
) -> RetainedAnswer | None:
    """Return the answer to reattach to after a failure: the same one, or this attempt's."""
    if attempt.plan.strategy != "reattach" or before is None:
        if not attempt.handle or isinstance(error, ProviderRefused) or error.code == "repetition":
            return None
        received = attempt.text_of_answer, attempt.thoughts, attempt.fragments
        return RetainedAnswer(
            attempt.model.name, attempt.handle, error.after, attempt.plan.prompt, *received
        )
    if isinstance(error, ProviderRefused) or error.code in {"not_kept", "protocol", "repetition"}:
        return None
    if not attempt.has_passed_on:
        return before  # no more of it arrived; its provider still has it
    return replace(
        before,
        after=error.after,
        text=before.text + attempt.text_of_answer,
        thoughts=before.thoughts + attempt.thoughts,
        fragments=before.fragments + attempt.fragments,
    )
