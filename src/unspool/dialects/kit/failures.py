"""
Errors as vendors' clients know them: the HTTP status of a run that did not complete, and OpenAI's
shape, `{"error": {"message", "type", "param", "code"}}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

STATUS: Final[Mapping[str, int]] = {
    "invalid_request": 400,
    "no_images": 400,
    "image_gone": 400,
    "budget": 402,
    "cancelled": 409,
    "content_filter": 400,
    "rate_limit": 429,
    "overloaded": 503,
    "loading": 503,
    "timeout": 504,
    "out_of_time": 504,
    "internal": 500,
}
"""Of a run's error, by its code; all others are 502: a provider did not do its part."""

TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}
"""OpenAI's `type` by status; below 500 any other is `invalid_request_error`."""

CODES: Final[Mapping[str, str]] = {
    "unknown_record": "model_not_found",
    "unauthorized": "invalid_api_key",
}
"""Codes that clients of OpenAI look for, in the place of ours."""

SERVER_FAULT: Final = 500

UNFIT: Final = 422
"""Ours for a field that does not fit; OpenAI's is 400."""


def status_of(code: str) -> int:
    """Return the status that tells of a run with this error."""
    return STATUS.get(code, 502)


def openai_error(status: int, code: str, message: str) -> dict[str, Any]:
    """Return the body of an error in OpenAI's shape."""
    fallback = "server_error" if status >= SERVER_FAULT else "invalid_request_error"
    kind = TYPES.get(status, fallback)
    facts = {"message": message, "type": kind, "param": None, "code": CODES.get(code, code)}
    return {"error": facts}


@dataclass(frozen=True, slots=True)
class OpenAIRefusals:
    """See `dialects.Refusals`."""

    paths: Sequence[str]

    def refusal(self, status: int, code: str, message: str) -> tuple[int, bytes]:
        status = 400 if status == UNFIT else status
        return status, msgspec.json.encode(openai_error(status, code, message))
