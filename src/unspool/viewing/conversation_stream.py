"""
All turns of a conversation as one stream, and the messages that wait in it.

The events are those of the native dialect, with the turn and the run they belong to. Turns come in
order; those that are live at once interleave. Each viewer reads and encodes for itself, at its own
speed: it holds one batch of events, and a place for each turn that is not whole yet.

The messages that wait are no history. Their frame has the whole list, and no place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ..errors import BadCursor, JournalError, RecordsError, UnknownRecord, UnknownRun
from ..formats.sse import Frame
from ..journals import READ_EVENTS, Head, Journal
from ..records import Records
from ..records.conversation_bells import ConversationBells
from ..records.conversations import TurnRow, TurnTree, find_conversation, turns_of
from ..runs.events import Event, encode_event
from .event_stream import EventStream
from .places import MAX_PLACES, WHOLE, Places
from .viewers import Viewer, Viewing

log = logging.getLogger(__name__)

AGAIN_S: Final = 1.0
"""Seconds until another look, while the database of the turns does not answer."""

NOW: Final = "now"
"""In place of a cursor: only what comes."""


@dataclass(frozen=True, slots=True)
class TurnFilter:
    """What of a conversation a viewer wants to see."""

    turn: int | None = None
    """This turn alone."""
    path: int | None = None
    """The path to this turn; 0: to the current one, wherever that goes."""
    types: frozenset[str] | None = None
    """Types of events; None: all."""
    follows: bool = True
    """Also what comes later."""

    @property
    def is_fixed(self) -> bool:
        """Whether no later turn can be among those that it lets through."""
        return self.turn is not None or bool(self.path)

    def chosen(self, rows: Sequence[TurnRow], current: int) -> list[TurnRow]:
        """
        Return the turns that it lets through, in order.

        Raises:
            UnknownRecord: There is no turn of that number.
        """
        tree, wanted = TurnTree(rows), self.turn or self.path
        if wanted is not None and wanted and wanted not in tree.rows:
            raise UnknownRecord(f"the conversation has no turn {wanted}")
        if self.turn is not None:
            return [tree.rows[self.turn]]
        return list(rows) if self.path is None else tree.path(self.path or current)


ReadMessages = Callable[[int], Awaitable[list[dict[str, Any]]]]
"""Returns the messages that wait in a conversation, as JSON shows them."""


@dataclass(frozen=True, slots=True)
class TalkSource:
    """Where the turns and the messages of conversations are."""

    records: Records
    bells: ConversationBells
    waiting: ReadMessages


@dataclass(slots=True, eq=False)
class _OpenTurn:
    """A turn of which the viewer does not have all."""

    row: TurnRow
    seq: int
    viewer: Viewer | None
    """Counts for its run while that is live."""
    waiter: asyncio.Future[object] | None = None
    """Done when the log may have more; None: it has to be read."""
    is_parked: bool = False
    """What there was is shown, and the viewer does not follow."""


class ConversationStream(EventStream):
    """The stream of a conversation, from a place on; make one with `conversation_stream`."""

    def __init__(
        self, viewing: Viewing, source: TalkSource, number: int, places: Places, wanted: TurnFilter
    ) -> None:
        super().__init__(viewing, f"conversation {number}")
        self._viewer.counts = False  # it counts for each live turn by itself
        self.raw_headers = [h for h in self.raw_headers if h[0] != b"x-run-id"]
        self._source, self._number = source, number
        self._places, self._wanted = places, wanted
        self._pending: list[TurnRow] = []
        self._open: list[_OpenTurn] = []
        self._wake = asyncio.Event()
        self._is_rung = True
        self._begun = 0
        """The last turn that was begun here."""
        self._queue = b""
        self._names_place = False
        """The next frame of the queue names the place, too."""
        self._out: list[bytes] = []
        self._out_bytes = 0

    def name_place(self) -> None:
        """Give the first frame the place as its id: the viewer came without one."""
        self._names_place = True

    async def show(self) -> bytes:
        with self._source.bells.listening(self._number, self._on_ring):
            try:
                await self._resume()
                while await self._go_on():
                    pass
                await self._flush()
            finally:
                for turn in tuple(self._open):
                    self._close(turn)
        return b""

    async def _go_on(self) -> bool:
        """Show what there is, or wait; return False at the end."""
        self._wake.clear()
        if self._is_rung and not await self._look():
            return False
        try:
            is_behind = await self._read()
        except JournalError as error:
            log.warning("Turns of conversation %d cannot be read: %s", self._number, error)
            self._is_rung, is_behind = self._wanted.follows, False
        await self._flush()
        if is_behind:
            await asyncio.sleep(0)  # others have a turn of the event loop
        elif self._is_over():
            return False
        else:
            if self.is_quiet():
                await self.write(self.viewing.heartbeat())
            await self._wait()
        return True

    def _on_ring(self) -> None:
        if self._wanted.follows:
            self._is_rung = True
            self._wake.set()

    def _is_over(self) -> bool:
        if self._pending or self._is_rung:
            return False
        if not self._wanted.follows:
            return all(turn.is_parked for turn in self._open)
        return self._wanted.is_fixed and not self._open

    # Turns

    async def _resume(self) -> None:
        """Open the turns of which the viewer has a part."""
        rows = {row.number: row for row in await turns_of(self._source.records, self._number)}
        self._begun = self._places.last
        for number, seq in sorted(self._places.named.items()):
            if self._wanted.turn not in {None, number}:
                continue
            if number in rows and seq != WHOLE:
                await self._join(rows[number], seq)
            else:
                self._places.end(number)

    async def _look(self) -> bool:
        """Read which turns there are and which messages wait; return False if it is deleted."""
        self._is_rung = False
        source, number = self._source, self._number
        try:
            counted = await find_conversation(source.records, number)
            rows = await turns_of(source.records, number)
            chosen = self._wanted.chosen(rows, counted.row.current)
            await self._show_queue(await source.waiting(number))
        except UnknownRecord:
            return False
        except RecordsError as error:
            log.warning("Turns of conversation %d cannot be seen: %s", number, error)
            self._is_rung = True
            return True
        self._pending = [row for row in chosen if row.number > self._begun]
        return True

    async def _show_queue(self, messages: list[dict[str, Any]]) -> None:
        data = msgspec.json.encode({"type": "queue", "messages": messages})
        if data != self._queue:
            self._queue = data
            place = str(self._places) if self._names_place else None
            self._names_place = False
            await self._put(Frame(data, id=place).encode())

    async def _join(self, row: TurnRow, seq: int = 0) -> None:
        try:
            head = await self.viewing.journal.head(row.run_id)
        except UnknownRun:
            self._begun = max(self._begun, row.number)
            await self._tell_deleted(row)
            return
        self._begun = max(self._begun, row.number)
        if head.ended_ms is not None and head.seq == seq:
            self._places.end(row.number)
            return
        viewer = None
        if head.ended_ms is None:
            viewer = Viewer(row.run_id, key="")  # this stream counts once for its key
            self.viewing.enter(viewer)
        self._open.append(_OpenTurn(row, seq, viewer))

    async def _tell_deleted(self, row: TurnRow) -> None:
        self._places.reach(row.number, WHOLE)
        self._places.end(row.number)
        facts = {"type": "turn.deleted", "turn": row.number, "run": row.run_id}
        data = msgspec.json.encode({**facts, "parent": row.parent})
        await self._put(Frame(data, id=str(self._places)).encode())

    def _close(self, turn: _OpenTurn) -> None:
        self._open.remove(turn)
        if turn.waiter is not None:
            turn.waiter.cancel()
        if turn.viewer is not None:
            self.viewing.leave(turn.viewer)

    # Events

    async def _read(self) -> bool:
        """Show what the logs have; return whether there may be more at once."""
        is_behind = False
        for turn in tuple(self._open):
            if turn.is_parked or (turn.waiter is not None and not turn.waiter.done()):
                continue
            turn.waiter = None
            is_behind |= await self._read_turn(turn)
        if is_behind or not self._pending or len(self._open) >= MAX_PLACES:
            return is_behind
        await self._join(self._pending[0])
        del self._pending[0]
        return True

    async def _read_turn(self, turn: _OpenTurn) -> bool:
        journal, run_id = self.viewing.journal, turn.row.run_id
        try:
            events = await journal.read(run_id, after=turn.seq, limit=READ_EVENTS)
            if not events:
                await journal.head(run_id)  # else it would be waited for without an end
        except UnknownRun:
            self._close(turn)
            await self._tell_deleted(turn.row)
            return True
        if events:
            await self._put(*self._frames(turn.row, events))
            turn.seq = events[-1].seq
            if events[-1].is_terminal:
                self._close(turn)
                return True
            if len(events) == READ_EVENTS:
                return True
        turn.is_parked = not self._wanted.follows
        if not turn.is_parked:
            self._await_more(turn)
        return False

    def _frames(self, row: TurnRow, events: Sequence[Event]) -> list[bytes]:
        places, types = self._places, self._wanted.types
        told = b',"turn":%d,"run":"%b"' % (row.number, row.run_id.encode())
        frames = []
        for event in events:
            places.reach(row.number, event.seq)
            if event.is_terminal:
                places.end(row.number)
            if types is None or event.type in types:
                parent = b',"parent":%d' % row.parent if event.seq == 1 else b""
                data = encode_event(event)[:-1]  # JSON in one line, so one field holds it
                frames.append(b"id: %b\ndata: %b%b%b}\n\n" % (bytes(places), data, told, parent))
        return frames

    def _await_more(self, turn: _OpenTurn) -> None:
        patience_s = self.viewing.settings.heartbeat_s
        more = self.viewing.journal.wait(turn.row.run_id, after=turn.seq, timeout_s=patience_s)
        turn.waiter = asyncio.ensure_future(more)
        turn.waiter.add_done_callback(self._on_news)

    def _on_news(self, _: object) -> None:
        self._wake.set()

    async def _wait(self) -> None:
        """Wait for news, or until a heartbeat is due."""
        if not self._is_rung and any(turn.waiter is not None for turn in self._open):
            # Their own time-outs wake us.
            await self._wake.wait()
            return
        with suppress(TimeoutError):
            patience_s = AGAIN_S if self._is_rung else self.viewing.settings.heartbeat_s
            async with asyncio.timeout(patience_s):
                await self._wake.wait()

    async def _put(self, *frames: bytes) -> None:
        """Take frames into the next write; write first where it would be too long."""
        most = self.viewing.settings.max_write_bytes
        for frame in frames:
            if self._out and self._out_bytes + len(frame) > most:
                await self._flush()
            self._out.append(frame)
            self._out_bytes += len(frame)

    async def _flush(self) -> None:
        if self._out:
            data, self._out, self._out_bytes = b"".join(self._out), [], 0
            await self.write(data)


async def conversation_stream(
    viewing: Viewing, source: TalkSource, number: int, after: str, wanted: TurnFilter
) -> ConversationStream | None:
    """
    Return the stream of a conversation after a place; None: nothing is left, and nothing can come.

    `after` is a cursor or `NOW`.

    Raises:
        UnknownRecord: There is no such conversation or turn.
        BadCursor: The place was never given out.
    """
    counted = await find_conversation(source.records, number)
    rows = await turns_of(source.records, number)
    chosen = wanted.chosen(rows, counted.row.current)
    if after == NOW:
        places = await _places_now(viewing.journal, rows)
    else:
        places = Places.parse(after)
    shown = [row for row in rows if row.number in places.named and row in chosen]
    heads = await _checked(viewing.journal, rows, places)
    lacks = any(row.number > places.last for row in chosen)
    for row in shown:
        head = heads.get(row.number)
        is_open = head is not None and head.ended_ms is None and wanted.follows
        lacks |= is_open or (head is not None and places.named[row.number] < head.seq)
    if not lacks and (wanted.is_fixed or not wanted.follows):
        return None
    stream = ConversationStream(viewing, source, number, places, wanted)
    if after == NOW:
        stream.name_place()
    return stream


async def _places_now(journal: Journal, rows: Sequence[TurnRow]) -> Places:
    """Return the place of a viewer who has all that there is."""
    live = set(await journal.unended())
    places = Places()
    for row in rows:
        head = await _head(journal, row) if row.run_id in live or row is rows[-1] else None
        places.reach(row.number, WHOLE if head is None else head.seq)
        if head is None or head.ended_ms is not None:
            places.end(row.number)
    return places


async def _checked(journal: Journal, rows: Sequence[TurnRow], places: Places) -> dict[int, Head]:
    """Check a place against the logs; return the heads of the turns of which it names an event."""
    by_number, heads = {row.number: row for row in rows}, dict[int, Head]()
    for turn, seq in places.named.items():
        row = by_number.get(turn)
        if row is None:
            raise BadCursor(f"the conversation has no turn {turn} so far")
        head = None if seq == WHOLE else await _head(journal, row)
        if head is not None:
            heads[turn] = head
            if seq > head.seq:
                raise BadCursor(f"turn {turn} has events 1 to {head.seq}; {seq} is ahead of them")
    return heads


async def _head(journal: Journal, row: TurnRow) -> Head | None:
    try:
        return await journal.head(row.run_id)
    except UnknownRun:
        return None
