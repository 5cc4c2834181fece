"""Frames as the seed documents print them."""

from __future__ import annotations

import json
from typing import Any


def frame(kind: str, **facts: Any) -> bytes:
    """Return one JSON document with its `type` first, a space after `:` and `,`, Chinese as is."""
    return json.dumps({"type": kind, **facts}, ensure_ascii=False).encode()
