"""
Stores what attempts send and get (`UNSPOOL_KEEP_RAW`), beside their runs.

A run does not wait for this, and none fails by it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ..errors import RecordsError
from ..generation.attempts import OpenAttempt
from ..providers import Model, Prompt, Sink
from ..providers.upstream.http1 import Client
from ..providers.upstream.kept import KeptExchange, keeping
from ..records import Records
from ..records.exchanges import ExchangeRow, save_exchange

log = logging.getLogger(__name__)

Ask = Callable[[Model, Prompt, Client, Sink], Awaitable[None]]

HIDDEN = "***"
"""Stands for a key of the model, should it be in a body."""


class Exchanges:
    """Open for as long as runs are carried."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._saving: set[asyncio.Task[None]] = set()

    def around(self, ask: Ask, run_id: str) -> Ask:
        """Return `ask`, with each attempt of this run kept."""

        async def ask_and_keep(model: Model, prompt: Prompt, http: Client, sink: Sink) -> None:
            kept = KeptExchange()
            token = keeping.set(kept)
            try:
                await ask(model, prompt, http, sink)
            finally:
                keeping.reset(token)
                if kept.request and isinstance(sink, OpenAttempt):
                    self._keep(_row(run_id, sink.number, model, kept))

        return ask_and_keep

    def _keep(self, row: ExchangeRow) -> None:
        saving = asyncio.create_task(self._save(row), name="exchange")
        self._saving.add(saving)
        saving.add_done_callback(self._saving.discard)

    async def _save(self, row: ExchangeRow) -> None:
        try:
            await save_exchange(self._records, row)
        except RecordsError as error:
            log.warning("Attempt %d of run %s is not kept: %s", row.attempt, row.run_id, error)

    async def aclose(self) -> None:
        """Store what is on its way."""
        if self._saving:
            await asyncio.wait(self._saving)


def _row(run_id: str, number: int, model: Model, kept: KeptExchange) -> ExchangeRow:
    def text(raw: bytes | bytearray) -> str:
        said = raw.decode("utf-8", "replace")
        return said.replace(model.api_key, HIDDEN) if model.api_key else said

    return ExchangeRow(
        run_id=run_id,
        attempt=number,
        request=text(kept.request),
        status=kept.status,
        head=text(kept.head),
        tail=text(kept.tail),
        left_out_bytes=kept.left_out_bytes,
    )
