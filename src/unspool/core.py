"""
The parts of a running Unspool, opened and closed together.

This is what the HTTP application stands on, and what another application embeds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from .admission import Admission
from .catalog import Catalog
from .generation import Means
from .journals import Journal, Tuning, open_journal, sqlite_url
from .providers import open_http
from .records import Records
from .records.samples import seed_samples
from .runner import Runner
from .settings import Settings
from .streaming import Viewing


@dataclass(frozen=True, slots=True)
class Core:
    settings: Settings
    journal: Journal
    records: Records
    catalog: Catalog
    runner: Runner
    admission: Admission
    viewing: Viewing


@asynccontextmanager
async def open_core(settings: Settings) -> AsyncGenerator[Core]:
    """
    Open what is kept in the data directory and carry runs until the context ends.

    Raises:
        SetupError: One sentence for the person who starts the program.
    """
    tuning = Tuning(
        commit_window_s=settings.commit_window_ms / 1000,
        synchronous=settings.synchronous,
        max_run_bytes=settings.max_run_bytes,
    )
    journal = open_journal(sqlite_url(settings.data_dir / "journal.db"), tuning)
    try:
        records = await Records.open(settings.data_dir / "records.db")
        try:
            if settings.sample_data:
                await seed_samples(records)
            async with open_http() as http:
                means = Means(http, retries=settings.retries)
                catalog = Catalog.of(settings)
                runner = Runner(journal, catalog, means, settings)
                await runner.end_abandoned()
                viewing = Viewing(journal, settings)
                admission = Admission(runner, catalog, records, settings)
                try:
                    yield Core(settings, journal, records, catalog, runner, admission, viewing)
                finally:
                    await runner.close()
                    viewing.close()
        finally:
            await records.aclose()
    finally:
        await journal.aclose()
