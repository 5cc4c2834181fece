"""
The parts of a running Unspool, opened and closed together.

This is what the HTTP application stands on, and what another application embeds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..apps.debug_chat.log import Diary
from ..errors import SetupError
from ..execution.admission import Admission
from ..execution.children import ChildRuns
from ..execution.conversations import Conversations
from ..execution.runner import Runner
from ..flows.kit.files import offer_flows
from ..generation.generate import Means
from ..journals import Journal, Tuning, open_journal, sqlite_url
from ..models.catalog import Catalog
from ..models.registry import Registry
from ..providers.upstream.http import open_http
from ..records import Records
from ..records.samples import seed_samples
from ..settings import Settings
from ..tools.calling.calls import Calls
from ..tools.calling.registry import Toolbox
from ..viewing.eta import Forecast
from ..viewing.event_stream import Viewing
from ..viewing.timelines import Sketches
from .abandonment import Leaving
from .retention import Retention

try:
    import fcntl
except ImportError:  # Windows has no such lock; there it is on the user to start one server
    fcntl = None  # type: ignore[assignment]


def _tuning(settings: Settings) -> Tuning:
    return Tuning(
        commit_window_s=settings.commit_window_ms / 1000,
        synchronous=settings.synchronous,
        max_run_bytes=settings.max_run_bytes,
    )


class InUse(SetupError):
    """Another process has the data directory."""


@dataclass(frozen=True, slots=True)
class Core:
    settings: Settings
    journal: Journal
    records: Records
    registry: Registry
    calls: Calls
    runner: Runner
    admission: Admission
    conversations: Conversations
    viewing: Viewing
    retention: Retention
    forecast: Forecast
    sketches: Sketches

    @property
    def catalog(self) -> Catalog:
        return self.registry.catalog

    @property
    def toolbox(self) -> Toolbox:
        return self.calls.toolbox


@asynccontextmanager
async def open_core(settings: Settings) -> AsyncGenerator[Core]:
    """
    Open what is kept in the data directory and carry runs until the context ends.

    Raises:
        SetupError: One sentence for the person who starts the program.
    """
    with owned(settings.data_dir):
        async with _opened(settings) as core:
            yield core


@contextmanager
def owned(data_dir: Path) -> Iterator[None]:
    """
    Be the only server of a data directory: a second one would end the runs of the first.

    The lock goes with the process, however that ends.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "server.lock").open("w")
    except OSError as error:
        raise SetupError(
            f"The data directory {data_dir} cannot be written: {error.strerror}. Make it "
            "writable, or choose another with --data-dir."
        ) from error
    with lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InUse(
                    f"Another server uses the data directory {data_dir}. Stop it, or choose "
                    "another directory with --data-dir."
                ) from None
        yield


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncGenerator[Core]:
    tuning = _tuning(settings)
    offer_flows(settings.flows)
    journal = open_journal(sqlite_url(settings.data_dir / "journal.db"), tuning)
    try:
        records = await Records.open(settings.data_dir / "records.db")
        try:
            if settings.sample_data:
                await seed_samples(records)
            async with open_http(allow_private=settings.allow_private_upstreams) as http:
                means = Means(http, settings.retries, settings.retry_budget_s)
                registry = await Registry.open(settings, records, http, means.health)
                catalog = registry.catalog
                runner = Runner(journal, catalog, means, settings)
                viewing = Viewing(journal, settings)
                leaving = Leaving(runner, viewing)
                admission = Admission(runner, journal, catalog, records, settings)
                runner.children = ChildRuns(journal, runner, admission)
                runner.tools = calls = Calls(
                    Toolbox(records, registry.secrets, settings), records, http
                )
                runner.records = records
                await runner.watch()
                forecast = Forecast(journal)
                diary = Diary(journal)
                runner.on_ended = _both(forecast.note, diary.note)
                retention = Retention(journal, viewing, settings)
                retention.watch()
                try:
                    yield Core(
                        settings,
                        journal,
                        records,
                        registry,
                        calls,
                        runner,
                        admission,
                        Conversations(journal, records, admission),
                        viewing,
                        retention,
                        forecast,
                        Sketches(journal),
                    )
                finally:
                    leaving.close()
                    await retention.close()
                    await runner.close()
                    await diary.close()
                    viewing.close()
        finally:
            await records.aclose()
    finally:
        await journal.aclose()


def _both(one: Callable[[str], object], other: Callable[[str], object]) -> Callable[[str], object]:
    def tell(run_id: str) -> None:
        one(run_id)
        other(run_id)

    return tell
