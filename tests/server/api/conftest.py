"""Clients of the register of models."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from support.models import client_of
from support.servers import Served


@pytest.fixture
async def api(server: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(server.url) as opened:
        yield opened


@pytest.fixture
async def refusing(shared_server: Served) -> AsyncIterator[httpx.AsyncClient]:
    """Of a server that takes in nothing of what is sent to it here."""
    async with client_of(shared_server.url) as opened:
        yield opened
