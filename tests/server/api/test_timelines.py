"""Runs as a list draws them: the same fold in Python and in the browser, and its bounds."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.servers import Served
from unspool import Journal
from unspool.journals import Pen
from unspool.runs.events import Draft, Event
from unspool.runs.run import RunSpec
from unspool.runs.timeline import MAX_FACT_CHARS, MAX_FACTS, MAX_SEAMS, Timeline
from unspool.viewing.timelines import Timelines

FOLDER = Path(__file__).parent.parent.parent.parent / "conformance"
VECTORS: list[dict[str, Any]] = json.loads((FOLDER / "timelines.json").read_text())
COPY = {"sku": "8WZ01CM1", "style": "natural", "count": 2}


def timeline_of(events: list[dict[str, Any]]) -> Timeline:
    timeline = Timeline()
    for event in events:
        timeline.apply(Event(**event))
    return timeline


def shape_of(timeline: Timeline) -> dict[str, Any]:
    seams = [asdict(seam) for seam in timeline.seams]
    for seam in seams:
        seam["from"] = seam.pop("writer")
    return {
        "end": timeline.end,
        "last_s": timeline.last_s,
        "stretches": [asdict(stretch) for stretch in timeline.stretches],
        "seams": seams,
        "waits": [
            {"t0": wait.t0, "t1": wait.t1} for wait in timeline.waits if wait.cause == "question"
        ],
    }


def approximately(value: Any) -> Any:
    """Times are sums of floats, and two languages add them alike to a hair."""
    if isinstance(value, float):
        return pytest.approx(value, abs=1e-6)
    if isinstance(value, list):
        return [approximately(each) for each in value]
    if isinstance(value, dict):
        return {name: approximately(each) for name, each in value.items()}
    return value


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["says"])
def test_the_same_events_are_the_same_timeline(vector: dict[str, Any]) -> None:
    expected = {"waits": [], **vector["shape"]}
    assert shape_of(timeline_of(vector["events"])) == approximately(expected)


def told(*drafts: tuple[str, dict[str, Any]], every_ms: int = 100) -> Timeline:
    events = [
        {"seq": at, "type": kind, "at_ms": 1000 + every_ms * at, "data": data}
        for at, (kind, data) in enumerate(drafts, start=1)
    ]
    return timeline_of(events)


def test_what_it_says_of_the_input_is_short() -> None:
    many = {f"f{n}": n for n in range(9)}
    asked = {"prompt": "长" * 5000, "params": {"a": 1}, "empty": "", **many}
    timeline = told(("run.started", {"input": asked}))
    assert timeline.about["prompt"] == "长" * MAX_FACT_CHARS
    assert len(timeline.about) == MAX_FACTS
    assert "params" not in timeline.about
    assert "empty" not in timeline.about


def test_a_run_that_breaks_without_end_has_no_endless_list_of_seams() -> None:
    one = [
        ("attempt.started", {"step": "s", "number": 1, "model": "m", "strategy": "prefill"}),
        ("text.delta", {"step": "s", "text": "字"}),
        ("attempt.failed", {"step": "s", "number": 1, "code": "truncated"}),
    ]
    timeline = told(("run.started", {}), *one * (MAX_SEAMS + 20))
    assert len(timeline.seams) == MAX_SEAMS


def test_a_pause_before_another_try_is_no_silence_of_the_model() -> None:
    limit = {"step": "s", "number": 1, "code": "rate_limit", "retry_in_s": 18.0}
    asked = {"step": "s", "model": "m", "strategy": "first"}
    begun = [
        ("run.started", {}),
        ("attempt.queued", {"step": "s", "model": "m", "place": 2}),
        ("attempt.queued", {"step": "s", "model": "m", "place": 1}),
        ("attempt.started", {**asked, "number": 1}),
        ("attempt.failed", limit),
    ]
    timeline = told(*begun)
    line, pause = timeline.waits
    assert (line.cause, line.place, line.t0, line.t1) == ("queued", 1, 0.1, 0.3)
    assert (pause.cause, pause.model, pause.t0, pause.t1) == ("rate_limit", "m", 0.4, None)
    assert pause.until == pytest.approx(18.4)
    again = told(*begun, ("attempt.started", {**asked, "number": 2}))
    assert again.waits[-1].t1 == 0.5
    cancelled = told(*begun, ("run.cancelled", {}))
    assert cancelled.waits[-1].t1 == 0.5


@pytest.mark.parametrize(
    ("unseen", "rest", "error"),
    [
        (False, [], {"code": "length", "message": ""}),
        (True, [], None),
        (False, [("step.rewound", {"step": "s"})], None),
        (False, [("step.finished", {"step": "s", "finish_reason": "stop"})], None),
    ],
)
def test_a_completed_run_with_a_text_cut_at_its_limit_says_so(
    unseen: bool, rest: list[tuple[str, dict[str, Any]]], error: dict[str, Any] | None
) -> None:
    timeline = told(
        ("run.started", {}),
        ("step.started", {"step": "s", "unseen": unseen}),
        ("text.delta", {"step": "s", "text": "half"}),
        ("step.finished", {"step": "s", "finish_reason": "length"}),
        *rest,
        ("run.completed", {}),
    )
    assert (timeline.end, timeline.error) == ("completed", error)


def test_the_last_progress_of_a_batch_is_told() -> None:
    made = [("progress.made", {"message": "…", "current": n, "total": 5}) for n in (1, 2)]
    assert told(("run.started", {}), *made).progress == {"current": 2, "total": 5}
    assert told(("progress.made", {"message": "words alone"})).progress is None


async def written(journal: Journal, words: int) -> Pen:
    pen = await journal.create(RunSpec("chat", {"prompt": "鞋"}))
    pen.append(Draft("step.started", {"step": "answer"}))
    pen.append(*[Draft("text.delta", {"step": "answer", "text": "字"})] * words)
    await pen.commit()
    return pen


async def test_a_live_run_is_read_on_from_where_it_was_and_an_ended_one_once(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    reading = journal.read

    async def counted(run_id: str, *, after: int, limit: int = 500) -> Any:
        read.append(after)
        return await reading(run_id, after=after, limit=limit)

    monkeypatch.setattr(journal, "read", counted)
    timelines, pen = Timelines(journal), await written(journal, 3)
    assert (await timelines.of([pen.run_id]))[pen.run_id].seq == 5
    await pen.end(Draft("run.completed", {}))
    assert (await timelines.of([pen.run_id]))[pen.run_id].end == "completed"
    assert (await timelines.of([pen.run_id]))[pen.run_id].seq == 6
    assert read == [0, 5]


async def test_one_question_reads_no_more_than_it_may_and_the_next_one_goes_on(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unspool.viewing.timelines.MAX_EVENTS", 700)
    first, second = await written(journal, 600), await written(journal, 600)
    ids = [first.run_id, "unknown", second.run_id]
    timelines = Timelines(journal)
    assert list(await timelines.of(ids)) == [first.run_id]
    assert list(await timelines.of(ids)) == [first.run_id, second.run_id]


async def test_what_is_remembered_is_bounded(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unspool.viewing.timelines.REMEMBERED", 2)
    timelines, pens = Timelines(journal), [await written(journal, 1) for _ in range(4)]
    await timelines.of([pen.run_id for pen in pens])
    assert len(timelines._known) == 2


async def test_the_resource_tells_shape_cost_and_seams(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    url = shared_server.url
    body = {"flow": "copywriting", "input": COPY}
    run = (await client.post(f"{url}/v1/runs", json=body)).json()["id"]
    async with client.stream("GET", f"{url}/v1/runs/{run}/events") as events:
        async for _ in events.aiter_lines():
            pass
    answer = await client.get(f"{url}/api/timelines", params={"run": [run, "nothing", run]})
    (timeline,) = answer.json()["timelines"]
    assert timeline["run"] == run
    assert timeline["end"] == "completed"
    assert timeline["about"]["sku"] == "8WZ01CM1"
    assert {each["model"] for each in timeline["stretches"]} == {"template"}
    assert timeline["tokens_basis"] == "estimated"
    assert (timeline["seams"], timeline["attempts"], timeline["cost"]) == ([], [], None)
    many = await client.get(f"{url}/api/timelines", params={"run": ["x"] * 101})
    assert many.status_code == 422
