"""Users as bodies of vendors' requests name them, who may be named longer than ours."""

from __future__ import annotations

import hashlib

from unspool.runs.options import MAX_USER_CHARS


def user_named(name: str) -> str:
    """Return the user of a name, by its digest where it cannot be one of ours."""
    is_fit = len(name) <= MAX_USER_CHARS and name.isprintable() and name != "*"
    return name if is_fit else hashlib.sha256(name.encode(errors="replace")).hexdigest()
