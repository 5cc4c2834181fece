"""
The time limits of one attempt, and its silence.

One lazy timer keeps them all, so a read arms no timer of its own. The timer rings at the
earliest moment at which a limit could be broken, and then looks at the times of the last reads.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from typing import Final

from unspool.errors import UnspoolError

from .. import BodyReader, Model, Silent
from .http1 import Response
from .patience import patience_with
from .standstill import Standstill

log = logging.getLogger(__name__)

LINGER_S: Final = 2.0
"""
Seconds to keep reading a complete answer for its usage, and an error answer for its message:
both arrive at once or never. A provider that leaves the connection open must not hold us back.
"""


class Timer:
    """
    Watches one attempt from its request on. `http` writes `bytes_at` and `output_at` as bytes and
    outputs arrive.

    Until there is a response it only tells of silence: the one who waits for it limits the time.
    """

    def __init__(
        self, model: Model, standstill: Standstill, tell: Callable[[Silent], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._standstill = standstill
        self._tell = tell
        self._total_s = model.limits.total_s or math.inf
        self._silent_s = model.limits.silent_s
        self._has_own_first = model.limits.first_event_s is not None
        self.patience = patience_with(model)
        self.started_at = self._loop.time()
        self.bytes_at = 0.0  # 0: nothing yet
        self.output_at = 0.0
        self.whole_at = 0.0
        self.broken = ""
        self._response: Response | None = None
        self._reader: BodyReader | None = None
        self._told_at = 0.0
        """Last output before the silence of which viewers have been told."""
        self._silences = 0
        """How often they have been told of it."""
        self._handle: asyncio.TimerHandle | None = self._loop.call_later(self._silent_s, self._look)

    def watch(self, response: Response, reader: BodyReader) -> None:
        """Watch an answer, too; `reader` reads it."""
        self._response, self._reader = response, reader
        self.stop()
        self._look()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def saw_whole(self, *, is_whole: bool) -> None:
        """Note whether the answer is whole: if so, only its usage may follow, and soon."""
        if is_whole and not self.whole_at:
            self.whole_at = self.bytes_at
            self._rearm(self.whole_at + LINGER_S)
        elif not is_whole:
            self.whole_at = 0.0  # that end was not the end

    def _rearm(self, at: float) -> None:
        self.stop()
        self._handle = self._loop.call_at(at, self._look)

    def _limits(self) -> Mapping[str, tuple[float, float]]:
        """Return since when each limit counts, and its seconds."""
        start, patience = self.started_at, self.patience
        limits = {"total_s": (start, self._total_s)}
        if self.whole_at:
            return {**limits, "linger_s": (self.whole_at, LINGER_S)}
        idle_s, progress_s = patience.idle_s, patience.progress_s
        if self._reader is not None and self._reader.is_calling:
            idle_s = max(idle_s, patience.calling_s)
        limits["progress_s"] = (self.output_at or start, progress_s)
        if self.bytes_at:
            limits["idle_s"] = (self.bytes_at, idle_s)
        # Pings are signs of life, but a limit for the first event means an event.
        is_awaited = not self.output_at and self._has_own_first
        if is_awaited or not self.bytes_at:
            limits["first_event_s"] = (start, patience.first_event_s)
        return limits

    def _look(self) -> None:
        now = self._loop.time()
        wake_at = self._tell_of_silence(now)
        if self._response is not None:
            name, (since, limit_s) = min(self._limits().items(), key=lambda item: sum(item[1]))
            at = since + limit_s
            if at <= now:
                at += self._standstill.lost_since(since)
            if at <= now:
                self.broken = name
                self._response.close()  # the reader wakes with an error
                return
            # Bytes that arrive until then start a limit of their own, which may end before `at`.
            soon = now + min(self.patience.idle_s, self.patience.progress_s)
            wake_at = min(wake_at, at, soon)
        self._handle = self._loop.call_at(wake_at, self._look)

    def _tell_of_silence(self, now: float) -> float:
        """Tell of a silence that has lasted long, and longer; return when to look again."""
        since = self.output_at or self.started_at
        if self.whole_at:
            return math.inf
        if since != self._told_at:
            self._told_at, self._silences = since, 0
        silent_s: float = self._silent_s * 2**self._silences
        if now < since + silent_s:
            return since + silent_s
        self._silences += 1
        try:
            self._tell(Silent(silent_s, is_alive=self.bytes_at > since))
        except UnspoolError:
            log.debug("A silence was not told; who writes next hears why", exc_info=True)
        return since + 2 * silent_s
