"""All open streams of this process, and the watch over slow readers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ..errors import JournalError
from ..formats.sse import HEARTBEAT
from ..journals import Journal
from ..runs.principal import present
from ..settings import Settings
from .tapes import Tapes

log = logging.getLogger(__name__)

BEATS: Final = 8
"""A heartbeat is due an eighth of `heartbeat_s` early, because we look only eight times in it."""


@dataclass(slots=True, eq=False)
class Viewer:
    """An open stream, for the watch over slow readers."""

    run_id: str
    sent_at: float = 0.0
    """Loop time at which the last write began."""
    is_sending: bool = False
    has_begun: bool = False
    """The head of its answer went out."""
    key: str = field(default_factory=lambda: present.get().key)
    """The id of the key that opened it."""
    is_revoked: bool = False
    """That key holds no more."""
    stop: Callable[[], object] = lambda: None


class Viewing:
    """All open streams of this process."""

    def __init__(self, journal: Journal, settings: Settings) -> None:
        self.journal = journal
        self.settings = settings
        self.tapes = Tapes(
            journal,
            max_bytes=settings.max_tape_bytes,
            max_write_bytes=settings.max_write_bytes,
        )
        self.viewers: set[Viewer] = set()
        self._counts: Counter[str] = Counter()  # of viewers, by run: thousands may leave at once
        self.on_left: Callable[[str], object] = _nobody_asks
        """Called with the id of a run whose last viewer has left."""
        self.is_ending = False
        """The server stops and leaves every stream to the next process."""
        self.quiet_s = settings.heartbeat_s * (1 - 1 / BEATS)
        """Seconds without a write after which a viewer needs a heartbeat."""
        self._watch: asyncio.TimerHandle | None = None
        self._beating: asyncio.TimerHandle | None = None

    def count(self, run_id: str) -> int:
        """Return how many streams of a run are open in this process."""
        return self._counts[run_id]

    def count_of_key(self, key_id: str) -> int:
        """Return how many streams a key has open in this process."""
        return sum(viewer.key == key_id for viewer in self.viewers)

    def enter(self, viewer: Viewer) -> None:
        self.viewers.add(viewer)
        self._counts[viewer.run_id] += 1
        if self.is_ending:  # its request arrived while we stopped the others
            viewer.stop()
        if self._watch is None:
            self._look()
        if self._beating is None:
            self._beat()

    def leave(self, viewer: Viewer) -> None:
        self.viewers.remove(viewer)
        self._counts[viewer.run_id] -= 1
        if not self._counts[viewer.run_id]:
            del self._counts[viewer.run_id]
            self.on_left(viewer.run_id)

    def close(self) -> None:
        """End all streams; their viewers resume at the next process."""
        self.is_ending = True
        for timer in (self._watch, self._beating):
            if timer is not None:
                timer.cancel()
        for viewer in self.viewers:
            viewer.stop()

    def heartbeat(self) -> bytes:
        """Return what tells a viewer that we are there; a comment, for every dialect the same."""
        try:
            self.journal.check()
        except JournalError as error:
            words = f"nothing new can be written now ({error.code}): {error}"
            return b": %b\n" % " ".join(words.split()).encode()
        return HEARTBEAT

    def _beat(self) -> None:
        # One timer for all viewers whom tapes write to; the others beat by themselves.
        loop = asyncio.get_running_loop()
        pause_s = self.settings.heartbeat_s / BEATS
        self._beating = loop.call_later(pause_s, self._beat) if self.viewers else None
        self.tapes.beat(loop.time() - self.quiet_s, self.heartbeat())

    def _look(self) -> None:
        # One timer for all viewers, not one per write.
        loop = asyncio.get_running_loop()
        patience_s = self.settings.stalled_viewer_s
        self._watch = loop.call_later(patience_s / 4, self._look) if self.viewers else None
        for viewer in self.viewers:
            if viewer.is_sending and loop.time() - viewer.sent_at > patience_s:
                log.info("A viewer of run %s read nothing for %s s", viewer.run_id, patience_s)
                viewer.stop()


def _nobody_asks(run_id: str) -> None:
    """Default of `Viewing.on_left`: runs continue without viewers."""
