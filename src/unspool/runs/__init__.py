"""
A run as data: its events, and what follows from them. Everything here is pure.

Read `events` first, then `run` (the fold of a log). `progress`, `durations` and `timeline` are
further folds: speed, time left, a run as a row of a list. `fork` says which events a fork takes
over, `options` which headers of a request concern the run itself.
"""

from .events import Draft, Event
from .run import Run, RunSpec, fold

__all__ = ["Draft", "Event", "Run", "RunSpec", "fold"]
