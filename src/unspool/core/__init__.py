"""
The parts of a running Unspool, opened and closed together.

The HTTP application uses them, and other applications embed them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .. import plugs
from ..errors import SetupError
from ..execution.admission import Admission
from ..execution.answers import Answers
from ..execution.budgets import Budgets
from ..execution.children import ChildRuns
from ..execution.conversations import Conversations
from ..execution.exchanges import Exchanges
from ..execution.messages import Messages, begin_messages
from ..execution.runner import Runner
from ..flows.kit.files import offer_flows
from ..formats.moments import zone_of
from ..generation.generate import GenerationDeps
from ..journals import Journal, Tuning, open_journal, sqlite_url
from ..models.catalog import Catalog
from ..models.following import Following
from ..models.learning import Learning
from ..models.registry import ModelRegistry
from ..providers.upstream.http import open_http
from ..providers.upstream.http1 import Client
from ..records import Records, place_of
from ..records.csv_import.uploads import Uploads
from ..records.keys import list_keys
from ..records.samples import seed_samples
from ..records.tenant_records import TenantRecords
from ..runs.principal import present
from ..runs.run import RunSpec
from ..settings import Settings
from ..tools.calling.calls import ToolCaller
from ..tools.calling.registry import ToolRegistry
from ..viewing.eta import EtaEstimator
from ..viewing.index import RunIndex
from ..viewing.timelines import Timelines
from ..viewing.viewers import Viewing
from .abandonment import AbandonedRuns
from .access import Access, AuditLog, People, RevokedKeys, TenantJournal
from .indexing import Indexing
from .retention import Retention
from .telemetry import Telemetry, opening
from .telemetry.webhooks import Webhooks

try:
    import fcntl
except ImportError:  # Windows has no such lock; there the user must start only one server
    fcntl = None  # type: ignore[assignment]


def _tuning(settings: Settings) -> Tuning:
    return Tuning(
        commit_window_s=settings.commit_window_ms / 1000,
        synchronous=settings.synchronous,
        max_run_bytes=settings.max_run_bytes,
    )


class Observer(Protocol):
    """A part of an application that reacts to the ends of runs."""

    def note(self, run_id: str, spec: RunSpec) -> None:
        """Note that the ending of a run is in the log; `spec` is its request. Return at once."""

    async def close(self) -> None:
        """Stop; it may drop unfinished work."""


class InUse(SetupError):
    """Another process has the data directory."""


@dataclass(frozen=True, slots=True)
class Core:
    settings: Settings
    journal: Journal
    records: TenantRecords
    registry: ModelRegistry
    calls: ToolCaller
    runner: Runner
    admission: Admission
    messages: Messages
    viewing: Viewing
    retention: Retention
    eta: EtaEstimator
    timelines: Timelines
    index: RunIndex
    indexing: Indexing
    uploads: Uploads
    access: Access
    people: People
    budgets: Budgets
    answers: Answers
    telemetry: Telemetry

    @property
    def audit(self) -> AuditLog:
        return AuditLog(self.records.operator)

    @property
    def webhooks(self) -> Webhooks:
        return self.telemetry.webhooks

    @property
    def conversations(self) -> Conversations:
        return self.messages.conversations

    @property
    def catalog(self) -> Catalog:
        return self.registry.catalog

    async def check_viewers(self, *, besides: int = 0) -> None:
        """
        Check that the present key may open one more stream, `besides` so many that count already.

        Raises:
            RateLimited: Its budget allows no more.
        """
        who = present.get()
        if who.key:
            count = self.viewing.count_of_key(who.key) - besides
            await self.budgets.check_viewers(who.key, who.tenant, count)

    @property
    def tool_registry(self) -> ToolRegistry:
        return self.calls.tool_registry


@asynccontextmanager
async def open_core(settings: Settings) -> AsyncGenerator[Core]:
    """
    Open the data directory and carry runs until the context ends.

    Raises:
        SetupError: One sentence for the person who starts the program.
    """
    with ExitStack() as owning:
        if settings.database_url is None:
            owning.enter_context(owned(settings.data_dir))
        else:
            _make(settings.data_dir)
        async with _opened(settings) as core:
            yield core


def _make(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"The data directory {data_dir} cannot be made: {error.strerror}. Make its folder "
            "writable, or choose another with --data-dir."
        ) from error


@contextmanager
def owned(data_dir: Path) -> Iterator[None]:
    """
    Be the only server of a data directory: SQLite takes the events of one process.

    The lock ends with the process, even after a crash.
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
    offer_flows(settings.flows)
    _check_zone(settings.time_zone)
    async with AsyncExitStack() as opened:  # closed in reverse order
        journal, records = await _stores(settings, opened)
        shown = TenantJournal(journal)
        uploads = await _uploads(settings, records, opened)
        if settings.sample_data:
            await seed_samples(records)
        http = await opened.enter_async_context(_http(settings))
        deps = GenerationDeps(http, settings.retries, settings.retry_budget_s)
        registry = await _registry(settings, records.operator, deps, opened)
        calls = _tools(settings, records, registry, http, opened)

        viewing = Viewing(shown, settings)
        opened.callback(viewing.close)
        eta = EtaEstimator(journal)
        index, indexing = _index(settings, journal, opened)
        telemetry = opening.open_telemetry(settings, journal, registry.catalog, http, opened)
        runner = Runner(journal, registry.catalog, deps, settings, records=records, tools=calls)
        runner.exchanges = _exchanges(records, settings, opened)
        observers = (each.note for each in _observers(journal, opened))
        runner.on_ended += [lambda run_id, _: eta.note(run_id), indexing.note_ended, *observers]
        budgets = _budgets(records, journal, runner, registry, opened)
        budgets.on_warned.append(telemetry.webhooks.budget_warned)
        admission = Admission(runner, shown, registry.catalog, records, settings, budgets)
        opened.push_async_callback(runner.close)
        retention = _retention(settings, journal, records, viewing, indexing, opened)
        opened.callback(AbandonedRuns(journal, runner, viewing, settings.max_unwatched_bytes).close)
        access = await _access(settings, records, registry, viewing, opened)
        runner.principal_of = access.principal_of_run
        await opening.begin(telemetry, settings, journal, runner, viewing)
        runner.watch(ChildRuns(shown, runner, admission))
        retention.watch()
        indexing.watch()
        yield Core(
            settings=settings,
            journal=shown,
            records=records,
            registry=registry,
            calls=calls,
            runner=runner,
            admission=admission,
            messages=begin_messages(
                shown, records, admission, runner, access.principal_of_sender, opened
            ),
            viewing=viewing,
            retention=retention,
            eta=eta,
            timelines=Timelines(shown),
            index=index,
            indexing=indexing,
            uploads=uploads,
            budgets=budgets,
            answers=Answers(shown, runner),
            access=access,
            people=People(records.operator, registry.secrets, http, settings),
            telemetry=telemetry,
        )


def _http(settings: Settings) -> Client:
    max_delay_s = settings.max_delay_ms / 1000
    return open_http(allow_private=settings.allow_private_upstreams, max_delay_s=max_delay_s)


async def _stores(settings: Settings, opened: AsyncExitStack) -> tuple[Journal, TenantRecords]:
    """Open the journal and the records, and close them with `opened`."""
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    journal_url = url or sqlite_url(settings.data_dir / "journal.db")
    journal = await open_journal(journal_url, _tuning(settings))
    opened.push_async_callback(journal.aclose)
    place = place_of(settings)
    records = TenantRecords(await Records.open(place), place)
    opened.push_async_callback(records.aclose)
    return journal, records


def _check_zone(name: str) -> None:
    try:
        zone_of(name)
    except ValueError as error:
        raise SetupError(f"UNSPOOL_TIME_ZONE: {error}") from None


def _retention(
    settings: Settings,
    journal: Journal,
    records: TenantRecords,
    viewing: Viewing,
    indexing: Indexing,
    opened: AsyncExitStack,
) -> Retention:
    """Return what deletes old runs, and close it with `opened`."""
    retention = Retention(journal, viewing, settings, records, on_deleted=indexing.note_deleted)
    opened.push_async_callback(retention.close)
    return retention


def _tools(
    settings: Settings,
    records: Records,
    registry: ModelRegistry,
    http: Client,
    opened: AsyncExitStack,
) -> ToolCaller:
    """Return what calls tools, and close its connections with `opened`."""
    tool_registry = ToolRegistry(records, registry.secrets, settings)
    opened.push_async_callback(tool_registry.mcp.aclose)
    return ToolCaller(tool_registry, records, http)


def _budgets(
    records: TenantRecords,
    journal: Journal,
    runner: Runner,
    registry: ModelRegistry,
    opened: AsyncExitStack,
) -> Budgets:
    """Return what holds runs to their budgets, and close it with `opened`."""
    budgets = runner.budgets = Budgets(records.operator, journal, registry.catalog)
    opened.push_async_callback(budgets.aclose)
    budgets.watch()
    return budgets


def _exchanges(records: Records, settings: Settings, opened: AsyncExitStack) -> Exchanges | None:
    """Return what keeps the exchanges of attempts, if they are wanted; close it with `opened`."""
    if not settings.keep_raw:
        return None
    exchanges = Exchanges(records)
    opened.push_async_callback(exchanges.aclose)
    return exchanges


async def _registry(
    settings: Settings, records: Records, deps: GenerationDeps, opened: AsyncExitStack
) -> ModelRegistry:
    """Open the models with what keeps them up to date, and close that with `opened`."""
    registry = await ModelRegistry.open(settings, records, deps.http, deps.health)
    learning = Learning(records, deps.http, deps.health, settings)
    opened.push_async_callback(learning.aclose)
    opened.push_async_callback(Following(registry).aclose)
    return registry


async def _access(
    settings: Settings,
    records: TenantRecords,
    registry: ModelRegistry,
    viewing: Viewing,
    opened: AsyncExitStack,
) -> Access:
    """Open what knows the keys, and what ends the streams of revoked ones."""
    issuer = settings.oidc_issuer.strip()
    access = Access(records.operator, registry.secrets, is_open=settings.is_open, issuer=issuer)
    if not (access.is_open or issuer or await list_keys(records.operator)):
        raise SetupError(
            "There are no keys yet, and without one nobody can use this server. Make the first: "
            "`unspool keys add NAME --scope admin`. Or let everybody in: --allow-open."
        )
    opened.callback(RevokedKeys(access, viewing).close)
    return access


async def _uploads(settings: Settings, records: Records, opened: AsyncExitStack) -> Uploads:
    """Open the files that wait for their import, and close them with `opened`."""
    folder = settings.data_dir / "imports"
    uploads = await Uploads.open(records, folder, settings.max_upload_bytes, settings.time_zone)
    opened.push_async_callback(uploads.aclose)
    return uploads


def _index(
    settings: Settings, journal: Journal, opened: AsyncExitStack
) -> tuple[RunIndex, Indexing]:
    """Open the index of runs, one for each process, and close it with `opened`."""
    name = f"index-{settings.worker}.db" if settings.worker else "index.db"
    index = RunIndex(settings.data_dir / name)
    opened.push_async_callback(index.aclose)
    indexing = Indexing(journal, index)
    opened.push_async_callback(indexing.close)
    return index, indexing


def _observers(journal: Journal, opened: AsyncExitStack) -> list[Observer]:
    """Return the observers of all applications, and close them with `opened`."""
    observers: list[Observer] = []
    for name in plugs.names("observers"):
        observer: Observer = plugs.load("observers", name)(journal)
        opened.push_async_callback(observer.close)
        observers.append(observer)
    return observers
