"""The part of a live run that is in memory: events that are not yet in a page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from unspool.runs.events import Event, decode_event
from unspool.runs.run import Status

from .. import Claim, Head, Heard

log = logging.getLogger(__name__)

PAGE_BYTES = 256 * 1024
"""
Size at which events move from segments to a page. So a run of any length has bounded memory and
recovery cost, and its ending is never a large write.
"""

BACKLOG_BYTES = 256 * 1024
"""Bytes that may await their commit before the writer must wait too."""

QUESTION_EVENTS: Final = frozenset({"question.asked", "question.answered"})
"""The events that make a live run wait for people, or go on."""


Ending = tuple[str, int | None]
"""The last status here, and the Unix time in ms; None: the run is released, and continues."""


class LiveRun:
    """
    Events `base` … of a run as encoded lines, committed up to `visible`.

    Bytes, not objects: the garbage collector does not visit them. Only events that await their
    commit are here as objects too, for listeners.
    """

    __slots__ = (
        "base",
        "claim",
        "committed_bytes",
        "ending",
        "epoch",
        "first_segment",
        "head",
        "is_new",
        "lines",
        "listeners",
        "no",
        "paged_bytes",
        "questions",
        "seq",
        "status",
        "total_bytes",
        "unseen",
        "visible",
        "waiters",
    )

    def __init__(
        self, no: int, head: Head, *, is_new: bool = False, claim: Claim | None = None
    ) -> None:
        self.no = no
        self.claim = claim
        self.head = head
        self.epoch = head.epoch
        self.is_new = is_new
        self.base = 1
        self.seq = 0  # the last event accepted
        self.visible = 0  # the last event committed
        self.lines: list[bytes] = []
        self.unseen: list[Event] = []  # those accepted and not committed
        self.total_bytes = 0
        self.committed_bytes = 0
        self.paged_bytes = 0
        self.first_segment: int | None = None
        self.ending: Ending | None = None
        self.status: Status = head.status  # as the store has it
        self.questions: set[str] = set()  # steps that were asked and not answered, as accepted
        self.waiters: dict[asyncio.Future[None], float] = {}  # and until when they wait
        self.listeners: dict[object, Heard] = {}

    def shown(self, after: int, limit: int) -> list[bytes]:
        """Return committed lines with a number above `after`, of those in memory."""
        start = max(0, after + 1 - self.base)
        return self.lines[start : min(start + limit, self.visible + 1 - self.base)]

    def retire(self) -> None:
        """Make all pens stale, because this is no longer the run: no owner has epoch 0."""
        self.epoch = 0
        self.forget_unseen()

    @property
    def is_behind(self) -> bool:
        return self.total_bytes - self.committed_bytes > BACKLOG_BYTES

    def forget_unseen(self) -> None:
        """Drop unseen events, for a new owner or an ending that has to fit."""
        self.rewind(self.visible, self.committed_bytes)

    def rewind(self, seq: int, total_bytes: int) -> None:
        """Drop the events after `seq`; `total_bytes` counts the bytes up to it."""
        del self.lines[seq + 1 - self.base :]
        for event in reversed(self.unseen[seq - self.visible :]):
            if event.type in QUESTION_EVENTS:
                self.note_question(event, is_dropped=True)
        del self.unseen[seq - self.visible :]
        self.seq = seq
        self.total_bytes = total_bytes

    @property
    def next_status(self) -> Status:
        """The status after all accepted events, as long as there is no ending."""
        return "waiting" if self.questions else "running"

    def note_question(self, event: Event, *, is_dropped: bool = False) -> None:
        """Note one of `QUESTION_EVENTS`, or that it was dropped."""
        opens = (event.type == "question.asked") is not is_dropped
        (self.questions.add if opens else self.questions.discard)(event.data["step"])

    def find_questions(self, lines: Iterable[bytes]) -> None:
        """Note the questions in committed lines; a run that does not wait has none open."""
        if self.status == "waiting":
            for line in lines:
                # Cheap, and not exact: a text may have these characters too.
                if b'"question.' in line and (event := decode_event(line)).type in QUESTION_EVENTS:
                    self.note_question(event)

    def load(self, lines: list[bytes]) -> None:
        """Load committed lines from the file."""
        self.lines += lines
        self.seq = self.visible = self.seq + len(lines)
        self.committed_bytes += sum(map(len, lines))
        self.total_bytes = self.committed_bytes

    def load_page(self, lines: list[bytes]) -> None:
        """Note that lines are in a page now; they stay there."""
        self.load(lines)
        self.lines.clear()
        self.base = self.seq + 1
        self.paged_bytes = self.total_bytes

    def forget_paged(self, seq: int, total_bytes: int) -> None:
        """Let go of the lines up to `seq`: they are in pages, and count `total_bytes`."""
        if seq >= self.base:
            del self.lines[: seq + 1 - self.base]
            self.base, self.paged_bytes = seq + 1, total_bytes

    def ring(self) -> None:
        if self.waiters:
            waiters, self.waiters = self.waiters, {}
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def listen(self, heard: Heard) -> Callable[[], None]:
        """Tell `heard` of each commit, until the function that this returns is called."""
        key = object()
        self.listeners[key] = heard

        def stop() -> None:
            self.listeners.pop(key, None)

        return stop

    def tell(self, events: Sequence[Event]) -> None:
        """Call the listeners; one that raises is called no more."""
        for key in tuple(self.listeners):
            heard = self.listeners.get(key)
            if heard is None:  # the one before has stopped it
                continue
            try:
                heard(events)
            except Exception:
                log.exception("A listener to run %s failed and is detached", self.head.run_id)
                self.listeners.pop(key, None)

    def send_away(self) -> None:
        """Tell the listeners that they will hear no more, and ring for the waiters: read again."""
        self.tell(())
        self.listeners.clear()
        self.ring()


class Strip(msgspec.Struct, gc=False):
    """One run's part in one commit."""

    live_run: LiveRun
    upto: int
    """The last event it commits."""
    total_bytes: int
    """Of the whole run, up to there."""
    record: bytes = b""
    """New events for the segment."""
    page: bytes = b""
    """Events from the run's base on that move from the segments to a page."""
    paged_upto: int = 0
    paged_bytes: int = 0
    """Of the whole run, up to there."""
    ending: Ending | None = None
    """Of the run, if this commits it; an ending may come while a commit is under way."""
    status: Status | None = None
    """The new one of a run without an ending; None: it is as before."""


def cut(live_run: LiveRun, *, is_followed: bool) -> Strip:
    """
    Cut the lines for the next commit from a live run.

    `is_followed`: other processes follow the segments, so an ending must be in one too.
    """
    lines, visible, base = live_run.lines, live_run.visible, live_run.base
    known = visible + 1 - base
    strip = Strip(live_run, live_run.seq, live_run.total_bytes)
    if live_run.ending is None or is_followed:
        body = lines[known] if len(lines) == known + 1 else b"\n".join(lines[known:])
        head = live_run.no, live_run.epoch, visible + 1, len(body)
        strip.record = b"%d %d %d %d\n%b\n" % (*head, body)  # see `segments`
    if live_run.ending is not None:
        strip.ending = live_run.ending
        strip.page = b"\n".join(lines)
        strip.paged_upto = live_run.seq
        strip.paged_bytes = live_run.total_bytes
    elif live_run.committed_bytes - live_run.paged_bytes > PAGE_BYTES:
        strip.page = b"\n".join(lines[:known])
        strip.paged_upto = visible
        strip.paged_bytes = live_run.committed_bytes
    # Cheap first: nearly no commit of a run is about a question.
    is_asking = live_run.questions or live_run.status == "waiting"
    if is_asking and live_run.ending is None and live_run.next_status != live_run.status:
        strip.status = live_run.next_status
    return strip


def settle(strip: Strip, segment: int) -> list[Event]:
    """Make committed events visible and return them; release lines that are in a page now."""
    live_run = strip.live_run
    live_run.is_new = False
    events, live_run.unseen = live_run.unseen, []
    count = strip.upto - live_run.visible
    if len(events) > count:  # some came while the commit was in its thread
        live_run.unseen = events[count:]
        del events[count:]
    live_run.visible = strip.upto
    if strip.status is not None:
        live_run.status = strip.status
    if strip.paged_upto:
        live_run.first_segment = segment
        live_run.paged_bytes = strip.paged_bytes
        del live_run.lines[: strip.paged_upto + 1 - live_run.base]
        live_run.base = strip.paged_upto + 1
    elif live_run.first_segment is None:
        live_run.first_segment = segment
    live_run.committed_bytes = strip.total_bytes
    live_run.ring()
    return events
