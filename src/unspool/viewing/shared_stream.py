"""
A run for guests who have no more than a share link: its text and its state.

Everything else stays behind here, at the server: input, models, cost, attempts, tools, thoughts,
notes, the words of errors, and the names of steps, which may be those of models. A guest has no say
in whether a run goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from ..formats.sse import Frame
from ..formats.tenancy import working_for
from ..runs.events import TERMINAL, Event
from .cursor import Cursor, follow
from .event_stream import EventStream
from .viewers import Viewing


class SharedText:
    """Folds the events of a run into what guests may see; each makes one fact at most."""

    def __init__(self) -> None:
        self.status = "queued"
        self.ended_ms: int | None = None
        self._questions: set[str] = set()
        """Open ones; guests learn only that somebody is asked."""
        self._numbers: dict[str, int] = {}
        """By step: its place among those that are shown; 0: it is unseen."""
        self.count = 0
        """Parts of the text: steps that are shown."""

    def take(self, event: Event) -> Mapping[str, Any] | None:
        """Read the next event; return what a guest is told of it."""
        if event.type == "run.started":
            self.status = "running"
            return {"type": "running", "at_ms": event.at_ms}
        if event.type in TERMINAL:
            self.status, self.ended_ms = event.type.partition(".")[2], event.at_ms
            return {"type": "ended", "status": self.status, "at_ms": event.at_ms}
        if event.type.startswith("question."):
            return self._question(event)
        if event.type in {"step.started", "text.delta", "step.rewound"}:
            return self._text(event)
        return None

    def _text(self, event: Event) -> Mapping[str, Any] | None:
        part = self._part(event.data)
        if not part or event.type == "step.started":
            return None
        if event.type == "step.rewound":
            return {"type": "rewound", "part": part, "at": event.data.get("at", 0)}
        return {"type": "text", "part": part, "text": event.data["text"]}

    def _question(self, event: Event) -> Mapping[str, Any] | None:
        before = self.status
        is_open = event.type == "question.asked"
        (self._questions.add if is_open else self._questions.discard)(event.data["step"])
        self.status = "waiting" if self._questions else "running"
        return None if self.status == before else {"type": self.status, "at_ms": event.at_ms}

    def _part(self, data: Mapping[str, Any]) -> int:
        name = data["step"]
        if name not in self._numbers:
            is_shown = not data.get("unseen")
            self.count += is_shown
            self._numbers[name] = self.count if is_shown else 0
        return self._numbers[name]


class SharedStream(EventStream):
    """The stream of a share link, from a cursor on."""

    def __init__(
        self, viewing: Viewing, run_id: str, cursor: Cursor, *, share: str, tenant: str
    ) -> None:
        super().__init__(viewing, run_id)
        self._viewer.key = share
        self._viewer.counts = False
        self._cursor = cursor
        self._tenant = tenant
        self.raw_headers = [h for h in self.raw_headers if h[0] != b"x-run-id"]

    async def show(self) -> bytes:
        shared, patience_s = SharedText(), self.viewing.settings.heartbeat_s
        with working_for(self._tenant):
            following = follow(self.viewing.journal, self.run_id, patience_s=patience_s)
            async with aclosing(following) as batches:
                async for events in batches:
                    frames = self._frames(shared, events) if events else self.viewing.heartbeat()
                    if frames:
                        await self.write(frames)
        return b""

    def _frames(self, shared: SharedText, events: Iterable[Event]) -> bytes:
        told = [(event.seq, shared.take(event)) for event in events]
        return b"".join(
            Frame(msgspec.json.encode(fact), id=str(seq)).encode()
            for seq, fact in told
            if fact is not None and seq > self._cursor.seq
        )
