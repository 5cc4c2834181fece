"""
A run as data: its events, and what follows from them. Everything here is pure.

Read `events` first, then `run` (the fold of a log). `progress`, `durations` and `timeline` are
further folds: speed, time left, a run as a row of a list. `fork` selects the events that a fork
takes over, `options` reads the headers of a request that concern the run.
"""

from .events import Draft, Event
from .run import Run, RunSpec, fold

__all__ = ["Draft", "Event", "Run", "RunSpec", "fold"]
