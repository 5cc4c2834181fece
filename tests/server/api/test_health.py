"""What a load balancer asks: does the process answer, and can it take work?"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import httpx

from support.journals import SPEC, fill, full_disk
from support.servers import Served
from unspool.errors import JournalFull


async def test_a_server_is_not_ready_while_its_journal_cannot_write(
    server: Served, client: httpx.AsyncClient
) -> None:
    journal: Any = server.core.journal._journal
    disk = full_disk(journal, server.settings.data_dir / "journal.db")

    async def status() -> int:
        return (await client.get(f"{server.url}/readyz")).status_code

    async def fill_the_disk() -> None:
        disk.__enter__()
        pen = await journal.create(SPEC)
        with suppress(JournalFull):
            await fill(pen)

    async def make_room() -> None:
        disk.__exit__(None, None, None)

    assert await status() == 200
    await server.call(fill_the_disk)
    refused = await client.get(f"{server.url}/readyz")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "journal_full")
    assert (await client.get(f"{server.url}/healthz")).status_code == 200
    await server.call(make_room)
    for _ in range(100):  # the journal tries again every second
        if await status() == 200:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("there is room again, and the server is still not ready")
