"""
Named places at which this program can be made to die, so that a test can look at what is left.

`UNSPOOL_CRASH_AT=journal.committed:3` ends the process, as `kill -9` does, the third time it
passes that place. Nothing is flushed, closed or told. Without the variable a place is a
function that does nothing.

To add one: a line in `POINTS`, `here = point("room.place")` at the head of the room, and
`here()` where it may die. `tests/crash/test_crash.py` kills a server there and checks what became
of its runs, and fails for a name that no room passes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Final

from .errors import SetupError

VARIABLE: Final = "UNSPOOL_CRASH_AT"

POINTS: Final[dict[str, str]] = {
    "admission.accepted": "a request is in order, nothing of it is written down",
    "admission.reused": "an equal run was found in the log, nobody has been told",
    "runner.created": "the run is in the log, nobody carries it yet",
    "runner.claimed": "a later owner has claimed the run and said nothing",
    "runner.recovered": "the takeover is accepted, not committed",
    "runner.keeping": "the flow is done, what is to be kept of it is not",
    "runner.kept": "what is to be kept is, the ending is not written",
    "runner.ending": "the flow is done, the ending is not written",
    "runner.ended": "the ending is committed, not sent",
    "runner.cancelling": "a cancel has come, nothing was done about it",
    "runner.interrupted": "the flow is told to stop, the provider's connection is open",
    "runner.letting_go": "the server stops, its runs are not let go",
    "generation.asking": "an attempt is told of, its request is not sent",
    "generation.asking_again": "the same, of an attempt after the first",
    "generation.first_text": "the first text has come, it is not accepted",
    "generation.broken": "the provider's fault is seen, the attempt is not closed",
    "attempts.counted": "the usage has come, it is not written down",
    "writing.fragment": "a part of a tool call has come, it is not accepted",
    "context.finished": "a step is finished and committed, the next not begun",
    "context.answered": "a tool has answered, its answer is not accepted",
    "context.saying": "a piece of known text is accepted, not committed",
    "journal.committing": "lines are accepted, the commit has not begun",
    "journal.appended": "in a transaction: lines are written, runs and pages are not",
    "journal.inserted": "in a transaction: a run has its row",
    "journal.paged": "in a transaction: a page is written, the run's row not updated",
    "journal.claiming": "in a transaction: the epoch is raised, the fence is not",
    "journal.committed": "a commit is durable, nobody can see it",
    "journal.published": "readers were rung",
    "journal.checkpointed": "the write-ahead log was copied into the file",
    "journal.migrating": "in a transaction: a statement of a new format was carried out",
    "streaming.opened": "a viewer is known, nothing was sent to it",
    "streaming.sent": "a viewer has got some frames, others have not",
}
"""Every place, and how far things have got there."""

AS_KILLED: Final = 137
"""What a shell calls a process that ended by SIGKILL."""


def point(name: str) -> Callable[[], None]:
    """
    Return what a room calls at the place; asked once, when the room is loaded.

    Raises:
        SetupError: `UNSPOOL_CRASH_AT` names no place, or no number.
    """
    assert name in POINTS, name
    wanted, times = _wanted(os.environ.get(VARIABLE, ""))
    return _CountedPoint(times) if name == wanted else _nothing


def _wanted(text: str) -> tuple[str, int]:
    """Read `point:n`; without a number it is the first time."""
    name, _, times = text.partition(":")
    if name and (name not in POINTS or not (times or "1").isdecimal() or times == "0"):
        raise SetupError(
            f"{VARIABLE} is point:n, n from 1, and the points are: {', '.join(POINTS)}"
        )
    return name, int(times or 1)


def _nothing() -> None:
    """Stand in for a place where nobody wants to die."""


class _CountedPoint:
    """Dies when it is called for the n-th time."""

    def __init__(self, times: int) -> None:
        self._left = times

    def __call__(self) -> None:
        self._left -= 1
        if not self._left:
            die()


def die() -> None:
    """End the process at once, as if somebody had killed it."""
    if sys.platform != "win32":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(AS_KILLED)
