"""Everything here is tested on both loops, and never through a proxy of the environment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import uvloop

from unspool.providers.upstream.http1 import Client


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
async def complaints() -> AsyncIterator[list[dict[str, Any]]]:
    """Fail where the loop would only log: an exception in a callback is a defect."""
    found: list[dict[str, Any]] = []

    def note(_: asyncio.AbstractEventLoop, what: dict[str, Any]) -> None:
        # A server of a test whose client does not trust it: that is what the test is about.
        if "incoming connection" not in what["message"]:
            found.append(what)

    asyncio.get_running_loop().set_exception_handler(note)
    yield found
    assert not found


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    opened = Client()
    yield opened
    await opened.aclose()
