"""Time in which a run waits for a person is no time of the run, and guests hear of it only so."""

from __future__ import annotations

from typing import Any

from unspool.runs.durations import RunShape
from unspool.runs.events import Event
from unspool.viewing.shared_stream import SharedText


def events(*told: tuple[str, int, dict[str, Any]]) -> list[Event]:
    return [Event(seq, *rest) for seq, rest in enumerate(told, 1)]  # type: ignore[arg-type]


ASKED = {"step": "q", "text": "Which seat?", "until_ms": 90_000_000}
LOG = events(
    ("run.started", 1000, {}),
    ("step.started", 2000, {"step": "a"}),
    ("question.asked", 3000, ASKED),
    ("question.asked", 4000, {**ASKED, "step": "r"}),
    ("run.released", 5000, {}),
    ("run.recovered", 60_000, {"reason": "stopped"}),
    ("question.answered", 70_000, {"step": "q", "outcome": "answered"}),
    ("question.answered", 80_000, {"step": "r", "outcome": "declined"}),
    ("step.finished", 82_000, {"step": "a"}),
)


def test_time_without_an_answer_is_no_time_of_the_run() -> None:
    shape = RunShape()
    for event in LOG[:4]:
        shape.apply(event)
    assert (shape.is_waiting, shape.at(50_000)) == (True, 2.0)
    for event in LOG[4:]:
        shape.apply(event)
    assert (shape.is_waiting, shape.has_waited) == (False, True)
    assert (shape.last_s, shape.at(83_000)) == (4.0, 5.0)


def test_guests_of_a_share_link_learn_that_a_run_waits_and_no_more() -> None:
    shared = SharedText()
    told = [fact for event in LOG if (fact := shared.take(event)) is not None]
    assert told == [
        {"type": "running", "at_ms": 1000},
        {"type": "waiting", "at_ms": 3000},
        {"type": "running", "at_ms": 80_000},
    ]
