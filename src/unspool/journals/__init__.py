"""
Plug point: stores for runs.

To add one: a module here with `plug`, an asynchronous callable taking a URL and a `Tuning` and
returning an open `Journal`, and a way to make an empty store in `tests/support/journals.py`.
`tests/journals` finds it and tests the whole contract.

The log in the journal decides. Its bell (`wait`) only tells readers to read again: a lost ring
costs latency, never an event. A listener (`listen`) hears the events themselves, and reads again
where the journal sends it away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Final, Literal, Protocol, TypedDict, Unpack
from urllib.parse import quote, urlsplit

from .. import plugs
from ..formats.tenancy import DEFAULT
from ..runs.events import Draft, Event
from ..runs.run import RunSpec, Status

READ_EVENTS: Final = 500
"""Events folded or encoded between two turns of the event loop: about 1 ms of work."""


Heard = Callable[[Sequence[Event]], object]
"""Called with the new events of a run after their commit; with none when the listening is over."""


BeforeRun = Callable[[str], Awaitable[None]]
"""Called with the id of a run that is about to be written."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Options of a journal; `settings.Settings` describes them."""

    commit_window_s: float = 0.002
    synchronous: str = "NORMAL"
    max_run_bytes: int = 64 * 1024 * 1024
    clock: Callable[[], float] = time
    """Returns Unix time in seconds, for the times of events. Order never depends on it."""


@dataclass(frozen=True, slots=True)
class Head:
    """The facts of a run that a journal knows without reading its events."""

    run_id: str
    flow: str
    model: str
    dialect: str
    digest: str
    status: Status
    """`waiting` while a question of its log has no answer; one commit has the event and this."""
    seq: int
    """The last committed event."""
    epoch: int
    created_ms: int
    ended_ms: int | None
    parent: str | None = None
    """The run whose flow started it."""
    forked_from: str | None = None
    """The run that it continues."""
    tenant: str = DEFAULT
    """Its owner."""


class Wanted(TypedDict, total=False):
    """Filters; an empty or missing one matches every run."""

    status: str
    flow: str
    digest: str
    parent: str
    forked_from: str
    tenant: str
    is_live: bool
    """Only runs without an ending."""


def conditions_of(before: str, wanted: Wanted) -> tuple[list[str], list[str]]:
    """Return the conditions of `Journal.heads` in SQL, and the values of the `{}` in them."""
    equal = {f"{name} = {{}}": str(value) for name, value in wanted.items() if name != "is_live"}
    valued = {"no < (select no from runs where id = {})": before} | equal
    used = {condition: value for condition, value in valued.items() if value}
    # Every run that is running or waits is live, and those have an index of their own.
    is_live = wanted.get("is_live") or wanted.get("status") in {"running", "waiting"}
    return [*used, "ended_ms is null" if is_live else "true"], [*used.values()]


@dataclass(frozen=True, slots=True)
class Claim:
    """The key of a request, so that the same request finds its run again."""

    key: str
    request_digest: str
    """A digest of the whole request; another request has another one."""


@dataclass(frozen=True, slots=True)
class EndedRun:
    """An ended run, and the bytes that its events take."""

    run_id: str
    ended_ms: int
    bytes: int


AskKind = Literal["cancel", "answer"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to the process that writes a run."""

    run_id: str
    kind: AskKind
    message: str
    """The reason, for the log; or the answer, as JSON."""


class Pen(Protocol):
    """The right to write one run. The next claim of the run makes this pen stale."""

    run_id: str
    epoch: int

    def append(self, *drafts: Draft) -> None:
        """
        Add events at the end, in this order.

        The journal accepts them at once and commits them soon, together with those of other runs;
        readers see them only then. It commits all events of one call, or none.

        Raises:
            StaleEpoch: A later owner with a higher epoch has claimed the run.
            JournalError: The journal cannot write now; it accepted nothing.
        """

    def append_text(self, step: str, text: str) -> bool:
        """
        Add one `text.delta` like `append`, and return whether the writer `is_behind` now.

        The path of every token.

        Raises:
            StaleEpoch, JournalError: As for `append`.
        """

    @property
    def is_behind(self) -> bool:
        """True if so many bytes await their commit that the writer should call `commit`."""

    @property
    def size(self) -> int:
        """Bytes of the run so far."""

    async def commit(self) -> None:
        """
        Return when everything accepted so far is durable.

        Raises:
            StaleEpoch: It never will be; the run has another owner.
        """

    async def end(self, ending: Draft) -> None:
        """
        Add the last event; it and the end of the run are one commit.

        If the journal cannot write, unseen drafts give way to the ending, which it writes as soon
        as it can.
        """


class RunPen(Pen, Protocol):
    """The pen of a journal, which can also leave the run to another process."""

    async def release(self, last: Draft) -> None:
        """
        Add an event and leave the run, without an ending, to the next process that adopts it.

        Raises:
            StaleEpoch, JournalError: As for `append`.
        """

    def drop(self) -> None:
        """Write no more, because the journal has failed; `adopt` finds the run again."""


class Journal(Protocol):
    async def create(
        self,
        spec: RunSpec,
        claim: Claim | None = None,
        history: Sequence[Draft] = (),
        before: BeforeRun | None = None,
    ) -> RunPen:
        """
        Write a new run and its `run.started`, durably, and return its first pen.

        `before` is awaited with the run's id when it is certain that a run is wanted and before it
        is written; if it raises, there is no run.

        One commit holds the claim, the run and its `history`: of any number of requests with one
        key, at any time, one creates a run.

        Raises:
            KeyTaken: A run has this key; the error names it.
            JournalError: The journal cannot write now; it created no run.
        """

    async def claim(self, run_id: str) -> RunPen:
        """
        Become the only writer of a live run: raise its epoch.

        Raises:
            UnknownRun: There is no such run, or it has ended.
        """

    async def adopt(self, limit: int) -> list[RunPen]:
        """
        Claim up to `limit` runs without an owner, the oldest first, and return their pens.

        The process that wrote them has ended, or has released or dropped them. Call it every
        half second: a journal that several processes share watches them with these calls.

        Raises:
            JournalError: The journal cannot be used now.
        """

    async def ask(self, ask: Ask) -> None:
        """
        Leave a request for the process that writes a run, or adopts it later.

        A run that has ended, or does not exist, takes none.

        Raises:
            JournalError: The journal cannot be used now.
        """

    async def asked(self, timeout_s: float) -> list[Ask]:
        """Return requests for runs of this process, each once; wait so long for the first."""

    def exclusive(self, name: str) -> AbstractAsyncContextManager[None]:
        """
        Let nobody else, in any process, into a section of this name.

        Raises:
            JournalError: The journal cannot be used now.
        """

    async def note_viewers(self, run_ids: Sequence[str]) -> None:
        """Tell other processes, which write these runs, that they have viewers here; a hint."""

    on_viewers: Callable[[str], object]
    """Called with a run of this process that has viewers at another one, every few seconds."""

    async def read(self, run_id: str, *, after: int, limit: int = 500) -> Sequence[Event]:
        """
        Return committed events with `seq > after`, in order.

        A batch shorter than `limit` ends at the present head of the log; an empty one means none
        yet.
        """

    def wait(self, run_id: str, *, after: int, timeout_s: float) -> Awaitable[object]:
        """
        Return, when awaited, once the log may hold an event after `after`, or on time-out.

        It may return early without a reason, so callers must read again.
        """

    def listen(self, run_id: str, *, after: int, heard: Heard) -> Callable[[], None] | None:
        """
        Call `heard` with the new events of each commit, and return a function that stops this.

        It hears every event after `after` once, in order, and the ending last. None: `after` is
        not the last committed event of a run that this process writes; read, and ask again.

        A call without events is the last one: the run has another owner, or the journal is closed.
        Then read from the last event that was heard.

        Calls come when all runs of a commit are settled. `heard` may write to a viewer or stop
        listening, nothing else: every run of the process waits for it. If it raises, the error is
        logged, and it is called no more; no run notices.
        """

    async def head(self, run_id: str) -> Head:
        """
        Raises:
            UnknownRun: There is no such run.
        """

    async def heads(
        self, *, before: str = "", limit: int = 50, **wanted: Unpack[Wanted]
    ) -> list[Head]:
        """Return runs, newest first; `before` is the id of the last one of the page before."""

    async def unended(self) -> dict[str, Status]:
        """Return all runs without an ending, of every process, oldest first, and their status."""

    async def oldest(
        self, *, after: str = "", before_ms: int | None = None, limit: int = 50
    ) -> list[EndedRun]:
        """
        Return ended runs in the order in which they began.

        `after` is the last run of the page before; `before_ms` leaves out runs that ended later.
        Children count with their parent, as long as it exists. It leaves out a run that the
        journal itself needs.
        """

    async def forget(self, run_ids: Sequence[str]) -> int:
        """
        Delete ended runs, with their children and the keys of their requests; return how many.

        It skips unknown runs, live runs, and runs with a live child.

        Raises:
            JournalError: The journal cannot write now; a parent may have lost children already.
        """

    def check(self) -> None:
        """
        Return if the journal can write.

        Raises:
            JournalError: It cannot: the disk is full or failing, or the journal is closed.
        """

    def commits(self) -> tuple[float, int]:
        """Return the mean seconds of this process's last commits, and how many have failed."""

    async def used_bytes(self) -> int:
        """Return the bytes in use, without the free room for new runs."""

    async def give_back(self, *, at_rest: bool = False) -> bool:
        """
        Give a little free room back to the disk; True while there is more to give.

        `at_rest`: no process uses the journal, so it may take its time and return all of it.
        """

    async def aclose(self) -> None:
        """Commit accepted events and close the store."""


def nobody_watches(run_id: str) -> None:
    """Default of `Journal.on_viewers`."""


async def read_all(
    journal: Journal, run_id: str, *, after: int = 0, upto: int | None = None
) -> AsyncGenerator[Sequence[Event]]:
    """
    Yield the committed events of a run after `after`, batch by batch, up to `upto` or its head.

    Between two batches the event loop has a turn, so a long log does not block others.
    """
    while upto is None or after < upto:
        limit = READ_EVENTS if upto is None else min(READ_EVENTS, upto - after)
        events = await journal.read(run_id, after=after, limit=limit)
        if events:
            yield events
        if len(events) < limit:
            return
        after = events[-1].seq
        await asyncio.sleep(0)


async def open_journal(url: str, tuning: Tuning | None = None) -> Journal:
    """
    `sqlite:///data/runs.db` opens `unspool.journals.sqlite`.

    Raises:
        SetupError: It cannot open; the message tells why.
    """
    scheme = urlsplit(url).scheme
    journal: Journal = await plugs.load("journals", scheme)(url, tuning or Tuning())
    return journal


def sqlite_url(path: Path) -> str:
    """The URL of a journal in the file at `path`."""
    return f"sqlite://{quote(path.absolute().as_posix())}"
