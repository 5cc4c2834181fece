"""Every journal, found by its name, for the tests of the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.journals import Open, new_store
from unspool import Journal, open_journal, plugs
from unspool.journals import Tuning


@pytest.fixture(params=plugs.names("journals"))
async def opening(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Open journals of the same store, as several processes would; all are closed in the end."""
    opened: list[Journal] = []
    url = new_store(request.param, tmp_path)

    async def open_one(**tuning: object) -> Journal:
        opened.append(await open_journal(url, replace(Tuning(), **tuning)))
        return opened[-1]

    yield open_one
    for journal in reversed(opened):
        await journal.aclose()


@pytest.fixture
async def store(opening: Open) -> Journal:
    return await opening()
