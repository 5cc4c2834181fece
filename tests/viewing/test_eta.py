"""Time left is told from earlier runs; what is not known is not told; the errors are published."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.readers import post
from support.servers import Serve, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk
from unspool import Draft, Journal, RunSpec, open_journal
from unspool.journals import Tuning, sqlite_url
from unspool.runs.durations import ENOUGH, PastRuns, RunShape, estimate
from unspool.runs.events import Event
from unspool.viewing.eta import AT_ONCE, MOMENTS, REMEMBERED, EtaEstimator

Told = tuple[float, str, dict[str, Any]]


def step(
    name: str, at_s: float, pieces: int, *, wait_s: float = 0.5, each_s: float = 0.1
) -> list[Told]:
    """A step of so many pieces of one token each, from its beginning to its end."""
    first_s = at_s + wait_s
    said = [
        (first_s + n * each_s, "text.delta", {"step": name, "text": "four"}) for n in range(pieces)
    ]
    end = (first_s + (pieces - 1) * each_s, "step.finished", {"step": name})
    return [(at_s, "step.started", {"step": name}), *said, end]


def length_s(told: list[Told]) -> float:
    return max(at_s for at_s, *_ in told)


def shape_of(*told: list[Told], until_s: float = 1e9) -> RunShape:
    shape = RunShape()
    shape.apply(Event(1, "run.started", 0, {}))
    events = sorted((t for part in told for t in part), key=lambda t: t[0])
    for seq, (at_s, kind, data) in enumerate((t for t in events if t[0] <= until_s), start=2):
        shape.apply(Event(seq, kind, round(at_s * 1000), data))  # type: ignore[arg-type]
    return shape


def past(*told: list[Told]) -> PastRuns:
    found = PastRuns.of(shape_of(*told))
    assert found is not None
    return found


def left(pasts: list[PastRuns], shape: RunShape, now_s: float) -> float:
    told = estimate(pasts, shape, round(now_s * 1000))
    assert told is not None
    assert told.low_s <= told.left_s <= told.high_s
    return told.left_s


# What is told


def test_nothing_is_told_before_enough_is_known() -> None:
    one = past(step("answer", 0, 50))
    now = shape_of(step("answer", 0, 50), until_s=2)
    for count in range(ENOUGH):
        assert estimate([one] * count, now, 2000) is None
    assert estimate([one] * ENOUGH, now, 2000) is not None


@pytest.mark.parametrize("now_s", [0.0, 0.3, 0.5, 1.0, 2.5, 4.0, 5.4])
def test_a_run_like_those_before_it_takes_as_long_as_they_did(now_s: float) -> None:
    told = step("answer", 0, 50)
    now = shape_of(told, until_s=now_s)
    assert left([past(told)] * 3, now, now_s) == pytest.approx(length_s(told) - now_s, abs=0.15)


@pytest.mark.parametrize("now_s", [0.2, 1.0, 2.0, 2.6, 4.0])
def test_steps_one_after_another_are_all_counted(now_s: float) -> None:
    told = [*step("a", 0, 20), *step("b", 2.5, 20), *step("c", 5.0, 20)]
    now = shape_of(told, until_s=now_s)
    assert left([past(told)] * 3, now, now_s) == pytest.approx(length_s(told) - now_s, abs=0.15)


@pytest.mark.parametrize("now_s", [0.2, 1.0, 2.0, 3.0, 6.0])
def test_of_two_steps_at_a_time_the_longer_one_counts_and_not_their_sum(now_s: float) -> None:
    told = step("long", 0, 60), step("short", 0, 20)
    now = shape_of(*told, until_s=now_s)
    assert left([past(*told)] * 3, now, now_s) == pytest.approx(6.4 - now_s, abs=0.15)


def test_a_slower_run_is_told_to_take_longer() -> None:
    usual = past(step("answer", 0, 100))
    slow = shape_of(step("answer", 0, 100, each_s=0.3), until_s=15)
    assert left([usual] * 3, slow, 15) == pytest.approx(15.2, rel=0.35)
    assert left([usual] * 3, slow, 15) > 1.5 * 5


def test_a_step_longer_than_all_before_it_is_not_told_to_be_over() -> None:
    short = past(step("answer", 0, 10))
    now = shape_of(step("answer", 0, 100), until_s=5)
    assert left([short] * 3, now, 5) > 0


def test_the_band_is_as_wide_as_the_runs_before_differ() -> None:
    same = [past(step("answer", 0, 50))] * 9
    mixed = [past(step("answer", 0, pieces)) for pieces in range(20, 110, 10)]
    now = shape_of(step("answer", 0, 50), until_s=1)
    narrow, wide = estimate(same, now, 1000), estimate(mixed, now, 1000)
    assert narrow is not None
    assert wide is not None
    assert narrow.high_s - narrow.low_s < 1.1
    assert wide.high_s - wide.low_s > 4


def test_a_step_that_no_run_before_had_makes_the_rest_unknown() -> None:
    now = shape_of(step("other", 0, 50), until_s=1)
    assert estimate([past(step("answer", 0, 50))] * 5, now, 1000) is None


def test_the_time_between_two_servers_is_no_time_of_the_run_and_nothing_to_learn() -> None:
    told = step("answer", 0, 50)
    usual = past(told)
    cut = [t for t in told if t[0] <= 2.0]
    rest = [(at_s + 3600, kind, data) for at_s, kind, data in told if at_s > 2.0]
    taken = [(3602.0, "run.recovered", {"epoch": 2, "reason": "died"})]
    now = shape_of(cut, taken, rest, until_s=3603.5)
    assert left([usual] * 3, now, 3603.5) == pytest.approx(length_s(told) - 3.5, abs=0.2)
    assert PastRuns.of(shape_of(cut, taken, rest)) is None


# What is learned


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


async def run_of(
    journal: Journal, clock: Clock, pieces: int, *, flow: str = "chat", model: str = "m"
) -> str:
    pen = await journal.create(RunSpec(flow, {"prompt": "你好"}))
    began_s = clock.now_s
    first = {"number": 1, "model": model, "provider": "p", "strategy": "first", "step": "answer"}
    pen.append(Draft("attempt.started", first))
    for at_s, kind, data in step("answer", 0, pieces):
        clock.now_s = began_s + at_s
        pen.append(Draft(kind, data))  # type: ignore[arg-type]
    await pen.end(Draft("run.completed"))
    return pen.run_id


async def test_what_was_learned_is_told_with_its_errors(tmp_path: Path) -> None:
    clock, dice = Clock(), random.Random(7)
    journal = await open_journal(sqlite_url(tmp_path / "journal.db"), Tuning(clock=clock))
    for _ in range(20):
        await run_of(journal, clock, dice.randint(95, 105))
    await run_of(journal, clock, 100, model="other")
    eta = EtaEstimator(journal)
    await eta.learn("chat", at_most=100)
    one, other = eta.quality()
    assert (one.flow, one.model, one.runs, one.foretold) == ("chat", "m", 20, 20 - ENOUGH)
    assert (other.model, other.runs, other.foretold) == ("other", 1, 0)
    assert other.share == (None,) * len(MOMENTS)
    assert all(share is not None and share < 0.35 for share in one.share)
    assert one.in_band is not None
    assert one.in_band > 0.5
    await journal.aclose()


async def test_only_so_much_is_read_at_once_and_only_so_much_is_remembered(tmp_path: Path) -> None:
    clock = Clock()
    journal = await open_journal(sqlite_url(tmp_path / "journal.db"), Tuning(clock=clock))
    runs = [await run_of(journal, clock, 5) for _ in range(REMEMBERED + 10)]
    eta = EtaEstimator(journal)
    for run_id in runs:
        eta.note(run_id)
    await eta.learn(at_most=4)
    assert [kind.runs for kind in eta.quality()] == [4]
    await eta.learn(at_most=1000)
    assert [kind.runs for kind in eta.quality()] == [REMEMBERED]
    await journal.aclose()


async def test_a_flow_is_known_after_a_restart_however_many_runs_of_others_came_since(
    tmp_path: Path,
) -> None:
    clock = Clock()
    journal = await open_journal(sqlite_url(tmp_path / "journal.db"), Tuning(clock=clock))
    for _ in range(25):
        await run_of(journal, clock, 5, flow="extraction")
    for _ in range(REMEMBERED * 2):
        await run_of(journal, clock, 5)
    eta = EtaEstimator(journal)
    await eta.learn("extraction")
    assert [(kind.flow, kind.runs) for kind in eta.quality()] == [("extraction", AT_ONCE)]
    await eta.learn("extraction", "chat", at_most=1000)
    assert [(kind.flow, kind.runs) for kind in eta.quality()] == [
        ("chat", REMEMBERED),
        ("extraction", 25),
    ]
    await journal.aclose()


async def test_a_run_that_was_deleted_before_it_was_learned_from_is_passed_over(
    tmp_path: Path,
) -> None:
    clock = Clock()
    journal = await open_journal(sqlite_url(tmp_path / "journal.db"), Tuning(clock=clock))
    eta = EtaEstimator(journal)
    eta.note("unknown")
    eta.note(await run_of(journal, clock, 5))
    await eta.learn()
    assert [kind.runs for kind in eta.quality()] == [1]
    await journal.aclose()


# A server


async def test_a_run_tells_how_far_it_is_and_the_server_how_good_that_is(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    pieces = ["今天", 0.01, "推荐", 0.01, "这双鞋", 0.01, "，轻便"]
    told = [chunk(p) if isinstance(p, str) else p for p in pieces]
    whole = [*told, *answer()]
    upstream.play = [whole, whole, whole, whole, [*told[:3], SILENCE]]
    served = serve_model()
    first = await post(client, served.url + "/ai/stream", {"prompt": "1"})
    one = (await client.get(f"{served.url}/v1/runs/{first.run_id}")).json()["progress"]
    assert one.pop("tokens_per_s") > 0
    assert one == {
        "tokens": 7,
        "percent": 100.0,
        "left_s": 0.0,
        "left_s_low": 0.0,
        "left_s_high": 0.0,
    }
    for number in "234":
        await post(client, served.url + "/ai/stream", {"prompt": number})
    live = await post(client, served.url + "/ai/stream", {"prompt": "5"}, frames=2)
    facts = (await client.get(f"{served.url}/v1/runs/{live.run_id}")).json()
    progress = facts["progress"]
    assert facts["status"] == "running"
    assert progress["left_s_low"] <= progress["left_s"] <= progress["left_s_high"]
    assert 0 < progress["percent"] < 100
    assert progress["tokens"] == 3
    (known,) = (await client.get(served.url + "/api/progress")).json()["flows"]
    assert (known["flow"], known["model"], known["runs"]) == ("chat", "tested", 4)
    assert set(known["median_error"]) == {"25%", "50%", "75%"}


async def test_what_is_not_known_is_null(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    served = serve_model()
    live = await post(client, served.url + "/ai/stream", {"prompt": "1"}, frames=1)
    progress = (await client.get(f"{served.url}/v1/runs/{live.run_id}")).json()["progress"]
    assert progress["tokens"] == 2
    assert [progress[name] for name in ("percent", "left_s", "left_s_low", "left_s_high")] == [
        None
    ] * 4


async def test_an_answer_that_is_shared_is_learned_from_once(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with(cache="read")
    for _ in range(5):
        await post(client, served.url + "/ai/stream", {"prompt": "你好"})
    (known,) = (await client.get(served.url + "/api/progress")).json()["flows"]
    assert known["runs"] == 1
