"""Where records may lie: a file, or a database of a real PostgreSQL."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from unspool.records import Records
from unspool.records.samples import seed_samples

from .postgres import shared_server

STORES: Final = ("sqlite", "postgresql")

_templates: dict[bool, str] = {}


async def new_store(kind: str, folder: Path, *, filled: bool = False) -> str:
    """Return a URL for `Records.open`: of a database with our tables, and samples if wanted."""
    if kind == "sqlite":
        url = f"sqlite:///{folder / 'records.db'}"
        await _prepare(url, filled=filled)
        return url
    if filled not in _templates:
        # Made once: a copy takes 30 ms, all migrations take ten times as long.
        url = shared_server().new_database()
        await _prepare(url, filled=filled)
        _templates[filled] = url.rpartition("/")[2]
    name = f"test_{secrets.token_hex(6)}"
    shared_server().query(f"create database {name} template {_templates[filled]}")
    return shared_server().url(name)


async def _prepare(url: str, *, filled: bool) -> None:
    records = await Records.open(url)
    if filled:
        await seed_samples(records)
    await records.aclose()
