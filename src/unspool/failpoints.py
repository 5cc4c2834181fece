"""
Named points at which a test can kill this process, to check what the crash leaves behind.

`UNSPOOL_CRASH_AT=journal.committed:3` ends the process like `kill -9`, the third time it passes
that point. It flushes, closes and reports nothing. Without the variable a point is a function
that does nothing.

To add one: add a line to `POINTS`, write `here = point("module.moment")` at the head of the
module, and call `here()` where it may die. `tests/crash/test_crash.py` kills a server there and
checks its runs; it fails for a name that no code passes.
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
    "admission.accepted": "the request is valid; nothing is written",
    "admission.reused": "the log holds an equal run; the client has no answer",
    "runner.created": "the run is in the log; no worker runs it",
    "runner.claimed": "a later owner has claimed the run, and written nothing",
    "runner.recovered": "the takeover is accepted, not committed",
    "runner.keeping": "the flow is done; its records are not written",
    "runner.kept": "the flow's records are written; the ending is not",
    "runner.ending": "the flow is done; the ending is not written",
    "runner.ended": "the ending is committed, not sent",
    "runner.cancelling": "a cancel has arrived; nothing has happened",
    "runner.interrupted": "the flow must stop; the provider's connection is open",
    "runner.letting_go": "the server stops; it has not released its runs",
    "generation.asking": "an attempt has begun; its request is not sent",
    "generation.asking_again": "the same, for an attempt after the first",
    "generation.first_text": "the first text has arrived; it is not accepted",
    "generation.broken": "the provider has failed; the attempt is not closed",
    "attempts.counted": "the usage has arrived; it is not written",
    "writing.fragment": "a fragment of a tool call has arrived; it is not accepted",
    "context.finished": "the end of a step is accepted; the next step has not begun",
    "context.answered": "a tool has answered; its answer is not accepted",
    "context.saying": "a piece of known text is accepted, not committed",
    "journal.committing": "events are accepted; the commit has not begun",
    "journal.appended": "in a transaction: events are written, runs and pages are not",
    "journal.inserted": "in a transaction: a run has its row",
    "journal.paged": "in a transaction: a page is written, the run's row is not updated",
    "journal.claiming": "in a transaction: the epoch is raised, the fence is not",
    "journal.committed": "a commit is durable; no reader sees it",
    "journal.published": "the bell has rung for readers; no listener knows",
    "journal.checkpointed": "the write-ahead log is copied into the file",
    "journal.migrating": "in a transaction: a statement of a new format has run",
    "postgresql.sending": "a commit is about to be sent to the database",
    "postgresql.answered": "the database has committed; nobody here has noticed",
    "postgresql.ringing": "a commit is published here; other processes are not told",
    "postgresql.beating": "a beat is about to be given",
    "postgresql.fenced": "in a transaction: a dead owner can write no more; its runs are not ours",
    "postgresql.claimed": "in a transaction: runs are ours; their events are in no page",
    "postgresql.burying": "a dead process has no runs any more; its row is there",
    "streaming.opened": "a viewer is known; it has received nothing",
    "streaming.sent": "a viewer has received some frames, others have not",
}
"""Every point, and the state of the program there."""

AS_KILLED: Final = 137
"""A shell's exit code for a process that SIGKILL ended."""


def point(name: str) -> Callable[[], None]:
    """
    Return the function to call at the point; a module asks for it once, at import.

    Raises:
        SetupError: `UNSPOOL_CRASH_AT` names an unknown point, or a wrong number.
    """
    assert name in POINTS, name
    wanted, times = _wanted(os.environ.get(VARIABLE, ""))
    return _CountedPoint(times) if name == wanted else _nothing


def _wanted(text: str) -> tuple[str, int]:
    """Read `point:n`; without a number, n is 1."""
    name, _, times = text.partition(":")
    if name and (name not in POINTS or not (times or "1").isdecimal() or times == "0"):
        raise SetupError(
            f"{VARIABLE} must be point:n, with n from 1; the points are: {', '.join(POINTS)}"
        )
    return name, int(times or 1)


def _nothing() -> None:
    """Do nothing: no test crashes here."""


class _CountedPoint:
    """Ends the process at its n-th call."""

    def __init__(self, times: int) -> None:
        self._left = times

    def __call__(self) -> None:
        self._left -= 1
        if not self._left:
            die()


def die() -> None:
    """End the process at once, as `kill -9` does."""
    if sys.platform != "win32":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(AS_KILLED)
