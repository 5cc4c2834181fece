"""Frames in the format of the seed documents."""

from __future__ import annotations

import json
from typing import Any


def frame(kind: str, **facts: Any) -> bytes:
    """Return one JSON document: `type` first, a space after `:` and `,`, Chinese unescaped."""
    return json.dumps({"type": kind, **facts}, ensure_ascii=False).encode()
