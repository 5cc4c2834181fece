"""Addresses of resources, for `Location`."""

from __future__ import annotations

from urllib.parse import quote


def place(collection: str, name: str | int) -> str:
    """
    Return the address of one of a collection, percent-encoded: a header holds no other characters.

    It is relative to `root_path`; the server puts that before it.
    """
    return f"{collection}/{quote(str(name), safe='')}"
