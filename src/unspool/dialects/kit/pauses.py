"""
Contracts whose streams end where a run waits for a person.

The client sends the answer with its next request, and that one's stream goes on. So all that
happens while a question is open is held back until it has its answer; then it comes in its order.
Of several questions the client sees one after another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ...runs.events import Event


class PausingEncoder:
    """Base of their encoders: `tell` encodes an event, `go_on` begins the stream after a wait."""

    def __init__(self) -> None:
        self._held: deque[Event] = deque()
        self._asked = ""
        """The step of the question that the client has; empty: the run does not wait for it."""

    def encode(self, event: Event) -> Sequence[bytes]:
        if not self._asked and event.type != "question.asked":
            return self.tell(event)
        self._held.append(event)
        frames: list[bytes] = []
        while self._held:
            if self._asked:
                over = next((it for it in self._held if self._is_over(it)), None)
                if over is None:
                    break
                if over.type == "question.answered":
                    self._held.remove(over)
                self._asked = ""
                frames += self.go_on(over)
                continue
            event = self._held.popleft()
            frames += self.tell(event)
            if event.type == "question.asked":
                self._asked = event.data["step"]
        return frames

    def _is_over(self, event: Event) -> bool:
        is_answer = event.type == "question.answered" and event.data["step"] == self._asked
        return is_answer or event.is_terminal

    def tell(self, event: Event) -> Sequence[bytes]:
        """Return the frames of an event; those of a `question.asked` end the stream."""
        raise NotImplementedError

    def go_on(self, event: Event) -> Sequence[bytes]:
        """Return the frames that begin a stream again: a question was answered, or the run ends."""
        raise NotImplementedError
