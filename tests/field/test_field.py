"""
Every field report of `conformance/field`, as a run of a real server with its usual limits.

All are played at once. Those that wait as long as their report says are `slow`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from faults.adapter import KEY
from faults.playing import Visit
from field import judging
from field.judging import CHECKS, Played, wrong
from field.playing import FieldStage, cases, is_slow
from support.servers import Served, tuned
from unspool import plugs

pytestmark = pytest.mark.timeout(150)  # the first one waits for all that is played

CASES = cases()
SLOW = [name for name, case in CASES.items() if is_slow(case)]
QUICK = [name for name in CASES if name not in SLOW]
AT_ONCE = 12
MOST_S = 100.0
"""For one run: it has no result if it has not ended by then."""
FLOW = Path(__file__).parent / "recipe.py"

Results = dict[str, Played]


class Table:
    """A server that is asked."""

    def __init__(self, api: httpx.AsyncClient, tools: dict[str, int]) -> None:
        self._api = api
        self._tools = tools

    async def play(self, visit: Visit) -> Played:
        case = visit.fault
        described = {"name": case["id"], "base_url": visit.url, "api_key": KEY}
        described |= case.get("model", {})
        (await self._api.post("/api/models", json=described)).raise_for_status()
        asked = dict(case["input"])
        if "tools" in case:
            asked["tool_ids"] = [self._tools[name] for name in case["tools"]]
        body = {"flow": case["flow"], "model": case["id"], "input": asked}
        began = time.monotonic()
        events = await self._api.post(
            "/v1/runs", json=body, headers={"Accept": "text/event-stream"}
        )
        events.raise_for_status()
        took_s = time.monotonic() - began
        run = (await self._api.get(f"/v1/runs/{events.headers['x-run-id']}")).json()
        return Played(run, _reasoning(events.text), len(visit.heads), took_s)


def _reasoning(stream: str) -> str:
    lines = stream.splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    return "".join(e["data"]["text"] for e in events if e["type"] == "reasoning.delta")


async def all_played(names: Iterable[str], data_dir: Path, filled: Path) -> Results:
    results: Results = {}
    turn = asyncio.Semaphore(AT_ONCE)
    async with FieldStage() as stage, AsyncExitStack() as stack:
        served = await asyncio.to_thread(Served(tuned(data_dir, filled, flows=str(FLOW))).start)
        stack.callback(served.stop)
        client = httpx.AsyncClient(base_url=served.url, timeout=MOST_S * 2, trust_env=False)
        api = await stack.enter_async_context(client)
        listed = (await api.get("/api/tools")).json()["tools"]
        table = Table(api, {tool["name"]: tool["id"] for tool in listed})

        async def one(name: str) -> None:
            with suppress(TimeoutError):
                async with turn, asyncio.timeout(MOST_S):
                    results[name] = await table.play(stage.visit(CASES[name]))

        await asyncio.gather(*map(one, names))
    return results


def playing(names: list[str], factory: pytest.TempPathFactory, filled: Path) -> Iterator[Results]:
    before = dict(plugs._offered)
    yield asyncio.run(all_played(names, factory.mktemp("field"), filled))
    plugs._offered.clear()
    plugs._offered.update(before)
    plugs.names.cache_clear()
    plugs.load.cache_clear()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, filled_records: Path) -> Iterator[Results]:
    yield from playing(QUICK, tmp_path_factory, filled_records)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory, filled_records: Path) -> Iterator[Results]:
    yield from playing(SLOW, tmp_path_factory, filled_records)


def judged(name: str, results: Results) -> None:
    assert name in results, f"the run does not end within {MOST_S} s"
    played = results[name]
    seen = {field: played.run[field] for field in ("status", "text", "result", "usage", "error")}
    faults = wrong(played, CASES[name]["expect"])
    assert faults == [], f"right is: {CASES[name]['right']} Seen: {seen}, calls {played.calls}"


@pytest.mark.parametrize("name", QUICK)
def test_a_field_report_comes_out_right(name: str, quick: Results) -> None:
    judged(name, quick)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_field_report_that_takes_its_time_comes_out_right(name: str, patient: Results) -> None:
    judged(name, patient)


def test_the_reports_are_all_there_and_each_checks_something() -> None:
    assert len(CASES) == 38
    assert len(SLOW) == 3
    for case in CASES.values():
        assert case["expect"].keys() <= CHECKS.keys()
        assert case["expect"]
        assert case["source"]


EMPTY: dict[str, Any] = {
    "status": "failed",
    "text": "",
    "result": None,
    "usage": None,
    "error": None,
    "steps": [],
    "attempts": [],
}


@pytest.mark.parametrize("name", CASES)
def test_no_check_is_content_with_nothing(name: str) -> None:
    none = Played(EMPTY, "", 0, 1000.0)
    is_about_failing = name == "llamacpp-error-field" or "any_of" in CASES[name]["expect"]
    assert bool(wrong(none, CASES[name]["expect"])) is not is_about_failing
    assert judging.wrong(none, {"status": "failed"}) == []
