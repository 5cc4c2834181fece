"""
Learns how models continue a text: stores the evidence of their attempts, and probes, in the
background, the ones of which nothing is known.

A probe waits until its model is idle, and goes to unknown deployments alone: what a vendor or an
engine is known for needs none. By default it stays on this machine and private networks, where an
answer costs nothing (`settings.Settings.probe`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from unspool.providers.upstream.http1 import Client

from ..errors import UnspoolError
from ..providers import Model
from ..providers.upstream.patience import is_private
from ..records import Records
from ..records.findings import FindingRow, list_findings, replace_findings
from ..settings import Settings
from .health import Health
from .prefills import Evidence, PrefillFinding, Prefills
from .probe import probe_prefill

log = logging.getLogger(__name__)

STORE_AFTER_S: Final = 1.0
"""Evidence waits so long for more of it: a busy server writes it once a second."""

PROBE_AFTER_S: Final = 30.0
"""After a model's first answer, and between looks at whether it is idle."""


async def load_findings(records: Records, prefills: Prefills) -> None:
    """Take over all stored evidence."""
    rows = await list_findings(records)
    prefills.load(
        PrefillFinding(
            r.model, r.deployment, r.form, Evidence(r.went_on, r.started_anew, r.refused)
        )
        for r in rows
    )


async def keep_findings(records: Records, prefills: Prefills, model: str) -> None:
    """Store all evidence of one model."""
    found = prefills.findings(model)
    rows = [
        FindingRow(
            model=model,
            deployment=finding.deployment,
            form=finding.form,
            place=place,
            went_on=finding.evidence.went_on,
            started_anew=finding.evidence.started_anew,
            refused=finding.evidence.refused,
        )
        for place, finding in enumerate(found)
    ]
    await replace_findings(records, model, rows)


class Learning:
    """Stores and probes until it is closed."""

    def __init__(
        self,
        records: Records,
        http: Client,
        health: Health,
        settings: Settings,
        *,
        probe_after_s: float = PROBE_AFTER_S,
    ) -> None:
        self._records = records
        self._http = http
        self._health = health
        self._where = settings.probe
        self._probe_after_s = probe_after_s
        self._changed: set[str] = set()
        self._storing: asyncio.Task[None] | None = None
        self._probes: dict[str, asyncio.Task[None]] = {}
        health.prefills.on_change = self._note_change
        health.prefills.on_unknown = self._note_unknown

    def _note_change(self, model: str) -> None:
        self._changed.add(model)
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_soon())

    async def _store_soon(self) -> None:
        await asyncio.sleep(STORE_AFTER_S)
        self._storing = None
        await self._store()

    async def _store(self) -> None:
        while self._changed:
            model = self._changed.pop()
            await keep_findings(self._records, self._health.prefills, model)

    def _note_unknown(self, model: Model) -> None:
        is_allowed = self._where == "all" or (
            self._where == "private" and is_private(model.base_url)
        )
        if is_allowed and model.name not in self._probes:
            self._probes[model.name] = asyncio.create_task(self._probe_later(model))

    async def _probe_later(self, model: Model) -> None:
        await asyncio.sleep(self._probe_after_s)
        while self._health.in_flight(model.name):  # noqa: ASYNC110 - nobody is in a hurry
            await asyncio.sleep(self._probe_after_s)
        try:
            finding = await probe_prefill(model, self._http)
        except UnspoolError as error:  # it costs the user nothing
            log.info("A probe of %s failed: %s", model.name, error)
            return
        if outcomes := finding.outcomes:
            self._health.prefills.tried(model, outcomes)
            log.info("%s continues a text by prefill %s", model.name, finding.prefill or "unknown")

    async def aclose(self) -> None:
        """Stop probing; store the rest."""
        tasks = [task for task in (self._storing, *self._probes.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._store()
