"""Opens telemetry with all who tell of runs, and closes it in the right order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from ...execution.runner import Runner
from ...journals import Journal
from ...models.catalog import Catalog
from ...providers.upstream.http1 import Client
from ...settings import Settings
from ...viewing.viewers import Viewing
from . import Telemetry
from .exposition import Exposition
from .lines import write_line
from .metrics import Present, ServerMetrics
from .traces import Traces
from .webhooks import Webhooks

UNTOLD: Final = 200
"""Newest runs to look at after a server has died."""


def open_telemetry(
    settings: Settings, journal: Journal, catalog: Catalog, http: Client, opened: AsyncExitStack
) -> Telemetry:
    """
    Open it; `opened` closes it.

    Raises:
        SetupError: A setting of it is wrong.
    """
    metrics = ServerMetrics(catalog.names)
    webhooks = Webhooks.open(settings, http)
    webhooks.outcomes = metrics.webhooks
    opened.push_async_callback(webhooks.close)
    traces = Traces.open(settings)
    opened.push_async_callback(traces.close)
    is_shared = settings.workers > 1
    exposition = Exposition(
        metrics.registry, settings.data_dir, settings.worker, is_shared=is_shared
    )
    reports = [write_line, webhooks.run_ended, *([traces.run_ended] if traces.is_on else [])]
    telemetry = Telemetry(journal, metrics, webhooks, exposition, reports)
    opened.push_async_callback(telemetry.close)
    return telemetry


async def begin(
    telemetry: Telemetry, settings: Settings, journal: Journal, runner: Runner, viewing: Viewing
) -> None:
    """Hear of runs from now on, and tell of those that ended when the server died."""
    webhooks = telemetry.webhooks
    Present(
        telemetry.metrics,
        journal,
        live_runs=lambda: runner.live_count,
        waiting_runs=lambda: len(runner.waiting),
        viewers=lambda: len(viewing.viewers),
        webhooks=lambda: webhooks.waiting,
    )
    if webhooks.is_on and (settings.database_url is None or webhooks.may_lack):
        for head in reversed(await journal.heads(limit=UNTOLD)):
            if head.ended_ms is not None and webhooks.lacks(head.run_id, head.ended_ms):
                telemetry.note_ended(head.run_id)
    runner.on_ended.append(telemetry.note_ended)
    telemetry.watch()
    webhooks.watch()
