"""The records of the applications answer the same from a file and from PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from unspool.apps.copywriting.records import copies, experiments, interests, tastes, versions
from unspool.apps.debug_chat.records import cases
from unspool.apps.extraction.kept_figures import KeptFigures
from unspool.apps.extraction.records import (
    events,
    extractions,
    graphs,
    histories,
    people_pages,
    person_timelines,
)
from unspool.apps.stories import records as stories
from unspool.errors import NotReady, SpecError, UnknownRecord
from unspool.formats.images import ImageBytes
from unspool.records import Records
from unspool.records.behaviors import (
    BehaviorFilter,
    behaviors_between,
    count_matching,
    list_actions,
    list_behaviors,
    save_behaviors,
)
from unspool.records.conversations import (
    Sought,
    add_conversation,
    choose_turn,
    list_conversations,
    number_of_turn,
    remove_conversation,
    save_turn,
)
from unspool.records.exchanges import ExchangeRow, find_exchange, save_exchange
from unspool.records.feedback import feedback_of, remove_feedback, save_feedback
from unspool.records.images import find_images, forget_images, save_images
from unspool.records.people import save_people
from unspool.records.products import names_of, save_products
from unspool.records.tools import change_tool, find_tools, list_tools, remove_tool, save_tool

AT = datetime(2025, 11, 24, 9, 50, 50, tzinfo=UTC)
LONG = "长" * 128
"""A user id of the greatest length."""


def copy(run_id: str, **changes: Any) -> copies.StoredCopy:
    facts: dict[str, Any] = {
        "run_id": run_id,
        "sku": "A1",
        "style": "plain",
        "user_id": LONG,
        "experiment": "e",
        "arm": "a",
        "status": "completed",
        "models": ["qwen"],
        "first_token_ms": None,
        "total_ms": 2_500_000_000,
        "created_ms": 1,
    }
    return copies.StoredCopy(**{**facts, **changes})


async def fill(records: Records) -> None:
    async with records.session() as session:
        await save_products(
            session,
            [
                {"sku": "A1", "name": "鞋", "category": "鞋类", "brand": "甲"},
                {"sku": "B1", "name": "Bag", "brand": "乙"},
                {"sku": "C1", "name": "Cap", "brand": "B"},
            ],
        )
        rows = [
            {"user_id": user, "sku": sku, "action": action, "at": AT + timedelta(hours=at)}
            for at, (user, sku, action) in enumerate(
                [
                    ("u1", "A1", "visit"),
                    ("u1", "B1", "buy"),
                    ("u2", None, "visit"),
                    (LONG, "A1", "visit"),
                ]
            )
        ]
        assert await save_behaviors(session, rows) == (4, 0)
        await save_people(session, [{"user_id": "u1", "name": "Ann", "city": "Ulm", "age": 40}])
        await session.commit()


async def test_copies_and_their_figures(records: Records) -> None:
    await fill(records)
    await copies.keep_copy(records, copy("r1"))
    await copies.keep_copy(records, copy("r1", sku="other"))
    await copies.keep_copy(records, copy("r2", arm="b", sku="B1", created_ms=2, total_ms=1))
    await copies.keep_copy(records, copy("r3", total_ms=2_500_000_001, created_ms=3))
    await copies.keep_outcome(records, "r1", is_adopted=True, step="")
    await copies.keep_outcome(records, "r3", is_adopted=True, step="")
    await copies.keep_outcome(records, "r3", is_adopted=False, step="post")
    listed = await copies.list_copies(records, before_ms=3, experiment="e", runs=["r1", "r2", "r3"])
    assert [row.run_id for row, _ in listed] == ["r2", "r1"]
    by_arm = {count.arm: count for count in await copies.count_arms(records, "e")}
    assert by_arm["a"] == copies.ArmCount("a", 2, 2, 1, 2_500_000_000.5)
    assert type(by_arm["a"].total_ms) is float
    assert list(await copies.count_parts(records, "e", "style")) == ["plain"]
    parts = await copies.count_parts(records, "e", "category")
    assert {name: [c.arm for c in counts] for name, counts in parts.items()} == {
        "鞋类": ["a"],
        "": ["b"],
    }
    assert await copies.arm_before(records, "e", LONG) == "a"
    assert await copies.count_runs(records, "A1", "plain", LONG) == 2


async def test_tastes_interests_and_versions(records: Records) -> None:
    await fill(records)
    for run in ("r1", "r2", "r3"):
        await copies.keep_copy(records, copy(run, user_id="u1"))
        await copies.keep_outcome(records, run, is_adopted=True, step="")
    assert (await tastes.liked_style(records, "u1", []))["style"] == "plain"
    assert await tastes.rivals_of(records, "甲") == ["B", "乙"]
    facts, _ = await tastes.tasted(records, "u1", {"sku": "A1", "scenes": []})
    assert facts["sku"] == "A1"
    assert (await interests.interest_in(records, "u1", "A1"))["visits"] == 1
    await versions.keep_edit(records, "r1", 1, "first")
    await versions.keep_edit(records, "r1", 1, "second")
    found = (await versions.versions_of(records, ["r1", "r2"]))["r1"]
    assert [version.text for version in found] == ["second", "first"]


async def test_experiments(records: Records) -> None:
    arms = [{"name": "a", "weight": 1.5, "writer": "", "model": "", "prompt": ""}]
    begun = await experiments.begin_experiment(records, "e", arms, learns=True)
    with pytest.raises(SpecError, match="'e' goes on"):
        await experiments.begin_experiment(records, "f", arms)
    assert (await experiments.arm_for(records, "u1"))["name"] == "a"
    ended = await experiments.change_experiment(records, "e", winner="a")
    assert (ended.is_active, ended.winner) == (False, "a")
    assert ended.ended_ms >= begun.created_ms
    again = await experiments.change_experiment(records, "e", is_active=False)
    assert again.ended_ms == ended.ended_ms
    with pytest.raises(SpecError, match="already"):
        await experiments.begin_experiment(records, "e", arms)
    assert await experiments.arm_for(records, None) == {
        "name": "a", "writer": "", "model": "", "prompt": ""
    }  # fmt: skip
    await experiments.remove_experiment(records, "e")
    assert await experiments.list_experiments(records) == []


async def test_cases_and_verdicts(records: Records) -> None:
    first = await cases.add_case(records, {"name": "one", "input": {"prompt": "?"}})
    second = await cases.add_case(records, {"name": "two"})

    def verdict(evaluation: str, number: int, case: int, verdict: str, at: int) -> dict[str, Any]:
        return {
            "evaluation": evaluation, "number": number, "case_id": case, "model": "m",
            "run_id": "r", "verdict": verdict, "misses": [{"kind": "x"}], "at_ms": at,
        }  # fmt: skip

    rows = [
        verdict("e1", 1, first.id, "passed", 1),
        verdict("e2", 1, first.id, "failed", 2),
        verdict("e2", 2, second.id + 100, "failed", 2),
    ]
    await cases.keep_verdicts(records, rows)
    await cases.keep_verdicts(records, rows)
    ((latest, before),) = await cases.latest_verdicts(records, [first.id, second.id])
    assert (latest.verdict, before) == ("failed", "passed")
    assert [v.evaluation for v in await cases.verdicts_of(records, first.id)] == ["e2", "e1"]
    assert [c.id for c in await cases.find_cases(records, [second.id, first.id])] == [2, 1]
    await cases.remove_case(records, first.id)
    assert await cases.verdicts_of(records, first.id) == []
    third = await cases.add_case(records, {"name": "three"})
    assert third.id == 3
    assert await cases.count_cases(records) == 2


async def test_stories(records: Records) -> None:
    project = await stories.add_project(records, "film", "topic")
    assert await stories.claim_stages(records, project.id, ["rewrite", "storyboard"], "r1") is None
    assert await stories.claim_stages(records, project.id, ["storyboard"], "r2") == "r1"
    with pytest.raises(SpecError, match="is writing the stage rewrite"):
        await stories.remove_project(records, project.id)
    result = {
        "project_id": project.id, "kind": "rewrite", "run_id": "r1", "original_text": "",
        "text": "new", "items": [], "model": "m", "prompt": "", "details": {}, "made_of": "d",
    }  # fmt: skip
    for _ in range(2):
        async with records.session() as session:
            await stories.point_at(session, result, await stories.add_result(session, result))
            await session.commit()
    current = (await stories.current_results(records, project.id))["rewrite"]
    assert current.text == "new"
    assert len(await stories.results_of(records, project.id, "rewrite")) == 1
    await stories.change_project(records, project.id, {"name": "other"})
    assert [p.name for p in await stories.list_projects(records, before=None, limit=9)] == ["other"]
    await stories.remove_project(records, project.id)
    assert await stories.stages_of(records, project.id) == []
    with pytest.raises(UnknownRecord):
        await stories.find_project(records, project.id)


async def test_people_with_events(records: Records) -> None:
    await fill(records)
    found = [{"type": "购买", "at": AT + timedelta(hours=n), "context": "c"} for n in range(9)]
    await extractions.begin_extraction(records, "u1", "r1")
    whole = extractions.Ending("completed", "", None)
    assert await extractions.end_extraction(records, "u1", "r1", found, whole) == 0
    assert await extractions.end_extraction(records, "u1", "r2", found[:2], whole) == 9
    await extractions.accept_events(records, "u1", "r2", found[:2])
    with pytest.raises(NotReady):
        await extractions.accept_events(records, "u1", "r2", found[:2])
    assert [e.number for e in await events.events_of(records, "u1", limit=5)] == [1, 2]

    async def shown(which: people_pages.PeopleFilter, **page: Any) -> list[tuple[str, int, int]]:
        listed = await people_pages.list_people(records, which, people_pages.Page(**page))
        return [(one.person.id, one.behaviors, one.events) for one in listed]

    every = people_pages.PeopleFilter()
    assert await shown(every) == [("u1", 2, 2), ("u2", 1, 0), (LONG, 1, 0)]
    assert [row[0] for row in await shown(every, sort="changed")] == ["u1", "u2", LONG]
    latest = await shown(every, sort="changed", is_descending=True)
    assert [row[0] for row in latest] == ["u1", "u2", LONG]
    assert [row[0] for row in await shown(every, sort="city")] == ["u2", LONG, "u1"]
    assert [row[0] for row in await shown(every, after="u1", limit=1)] == ["u2"]
    for query, count in (("ANN", 1), ("ul", 1), ("%", 0)):
        assert len(await shown(people_pages.PeopleFilter(query=query))) == count
    for state, count in (("with_events", 1), ("without_events", 2), ("never", 2), ("failed", 0),
                         ("completed", 1)):  # fmt: skip
        assert len(await shown(people_pages.PeopleFilter(state=state))) == count  # type: ignore[arg-type]
    assert await people_pages.totals_of(records, every) == {
        "people": 3, "behaviors": 4, "events": 2
    }  # fmt: skip
    assert await people_pages.states_of(records, every) == {"never": 2, "completed": 1}
    assert await people_pages.cities_of(records) == [{"city": "Ulm", "people": 1}]
    assert await people_pages.ids_of(records, every, limit=2) == ["u1", "u2"]
    timeline = await person_timelines.timeline_of(records, "u1")
    assert [(entry.kind, entry.at) for entry in timeline] == [
        ("event", AT + timedelta(hours=1)),
        ("behavior", AT + timedelta(hours=1)),
        ("event", AT),
        ("behavior", AT),
    ]
    ((history),) = await histories.read_histories(records, query="ann")
    assert history.user_id == "u1"
    assert set(await histories.read_traits(records)) == {"u1"}


async def test_behaviours_of_all(records: Records) -> None:
    await fill(records)
    which = BehaviorFilter(query="VIS", action="visit")
    assert [b.user_id for b in await list_behaviors(records, which)] == [LONG, "u2", "u1"]
    assert await count_matching(records, which) == (3, 3)
    assert await list_actions(records, limit=5) == [
        {"action": "visit", "behaviors": 3}, {"action": "buy", "behaviors": 1}
    ]  # fmt: skip
    assert len(await behaviors_between(records, "u1", AT, AT, limit=5)) == 1
    assert await names_of(records, ["A1", "nothing"]) == {"A1": "鞋"}


async def test_graphs_and_questions(records: Records) -> None:
    for at, name in enumerate(("g1", "g2")):
        graph = graphs.Graph(id=name, is_whole=True, nodes=[{"a": "\0"}], created_ms=at)
        await graphs.save_graph(records, graph)
        await graphs.save_graph(records, graphs.Graph(id=name, is_whole=False, created_ms=at))
    assert [g.id for g in await graphs.list_graphs(records)] == ["g2", "g1"]
    assert [g.id for g in await graphs.list_graphs(records, before="g2")] == ["g1"]
    asked = {"graph_id": "g1", "question": "why", "is_answered": True, "status": "completed"}
    await graphs.save_question(records, graphs.AskedQuestion(id="q1", created_ms=1, **asked))
    assert await graphs.count_questions(records, "g1") == 1
    await graphs.remove_graph(records, "g1")
    assert await graphs.list_questions(records, "g1") == []
    assert await graphs.count_graphs(records) == 1


async def test_conversations(records: Records) -> None:
    first, second = await add_conversation(records, "Über Uns"), await add_conversation(records, "")
    await save_turn(records, first, 1, ("r1", "x"), parent=0)
    await save_turn(records, first, 2, ("r2", "y"), parent=1)
    await choose_turn(records, first, 1)
    sought = Sought("uns", [])
    listed = await list_conversations(records, before=99, limit=9, sought=sought)
    assert [(c.row.id, c.turns, c.row.current) for c in listed] == [(first, 2, 1)]
    by_run = await list_conversations(records, before=99, limit=9, sought=Sought("-", ["r2"]))
    assert [c.row.id for c in by_run] == [first]
    assert await number_of_turn(records, first, "r2") == 2
    await save_turn(records, 1000, 1, ("r9", "z"), parent=0)
    await remove_conversation(records, second)
    assert await add_conversation(records, "") == second + 1


async def test_what_is_kept_of_runs(records: Records) -> None:
    images = [ImageBytes("image/png", bytes([n]) * 9) for n in range(4)]
    await save_images(records, images)
    await save_images(records, images[::-1])
    digests = [image.sha256 for image in images]
    assert await find_images(records, digests) == dict(zip(digests, images, strict=True))
    assert await forget_images(records, before_ms=1) == 0
    await save_feedback(records, "r1", "up", "gut\0")
    await save_feedback(records, "r1", "down", "")
    assert (await feedback_of(records, ["r1"]))["r1"].verdict == "down"
    await remove_feedback(records, "r1")
    row = {"run_id": "r1", "attempt": 1, "request": "{}", "head": "a\0", "tail": ""}
    for status in (200, 500):
        await save_exchange(records, ExchangeRow(**row, status=status, left_out_bytes=2**40))
    kept = await find_exchange(records, "r1", 1)
    assert kept is not None
    assert (kept.status, kept.left_out_bytes) == (500, 2**40)


async def test_tools(records: Records) -> None:
    values = {"name": "t", "sealed_headers": "", "limit_s": 0.5, "answer": {"kind": "mock"}}
    number = await save_tool(records, values)
    assert number is not None
    assert await save_tool(records, values) is None
    assert await change_tool(records, number, {"description": "d"})
    (tool,) = await find_tools(records, [number, number])
    assert (tool.description, tool.limit_s) == ("d", 0.5)
    assert await remove_tool(records, number)
    assert await list_tools(records) == []


async def test_figures_are_kept_until_the_database_changes_or_for_a_short_time(
    records: Records,
) -> None:
    computed = 0

    async def answer() -> dict[str, Any]:
        nonlocal computed
        computed += 1
        return {"n": computed}

    kept, brief = KeptFigures(records), KeptFigures(records, kept_s=-1)
    assert [await kept.of("q", answer) for _ in range(2)] == [{"n": 1}, {"n": 1}]
    await save_feedback(records, "r1", "up", "")
    assert (await kept.of("q", answer))["n"] == (1 if records.is_shared else 2)
    before = computed
    await brief.of("q", answer)
    await brief.of("q", answer)
    assert computed - before == (2 if records.is_shared else 1)
