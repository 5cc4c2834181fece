"""Results of clients' own tools, as the text that a model gets."""

from __future__ import annotations

import json
from typing import Any


def result_text(value: Any) -> str:
    """Return what a tool answered: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def failed_text(code: str, message: str) -> str:
    """Return why a tool did not answer, in the form that our own tools have for it."""
    return result_text({"error": {"code": code, "message": message}})
