"""
Every upstream fault of `conformance/faults`, one attempt each, over real sockets.

All are played at once, a few seconds for the lot: many do nothing but wait for a limit.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from faults.adapter import call, provider_of
from faults.judging import faults_of
from faults.playing import Fault, Stage, Visit, faults, patient
from unspool import plugs

FAULTS = faults()
AT_ONCE = 12
"""Played side by side: more would take time from those that measure it."""

Results = dict[str, list[dict[str, Any]]]


def test_the_faults_are_all_there_and_each_has_its_provider() -> None:
    assert len(FAULTS) == 130
    assert {provider_of(fault) for fault in FAULTS.values()} <= set(plugs.names("providers"))


async def played(stage: Stage, fault: Fault) -> list[dict[str, Any]]:
    """What the first attempt came to, and the second, where the fault says what that is."""
    visit = stage.visit(fault)
    results = [await ask(visit)]
    if "expected_with_retry" in fault:
        results.append(await ask(visit))
    return results


async def ask(visit: Visit) -> dict[str, Any]:
    before = len(visit.heads)
    result = await call(visit.url, patient(visit.fault))
    return {**result, "requests": len(visit.heads) - before}


async def all_played() -> Results:
    results: Results = {}
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(fault: Fault) -> None:
        async with turn:
            results[fault["id"]] = await played(stage, fault)

    async with Stage() as stage:
        # Those that are large keep the processor from all others.
        large = [fault for fault in FAULTS.values() if fault["category"] == "size"]
        for fault in large:
            await one(fault)
        await asyncio.gather(*(one(fault) for fault in FAULTS.values() if fault not in large))
    return results


@pytest.fixture(scope="module")
def results() -> Results:
    return asyncio.run(all_played())


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_as_what_it_is(name: str, results: Results) -> None:
    assert faults_of(results[name][0], FAULTS[name]) == []


@pytest.mark.parametrize("name", [n for n, f in FAULTS.items() if "expected_with_retry" in f])
def test_a_fault_that_passes_is_over_with_the_next_request(name: str, results: Results) -> None:
    assert results[name][0]["outcome"] in {"retryable_error", "truncated"}
    assert faults_of(results[name][1], FAULTS[name], by="expected_with_retry") == []


@pytest.mark.parametrize("name", [n for n, f in FAULTS.items() if "must_not_leak" in f])
async def test_a_secret_that_a_fault_repeats_is_in_no_log(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Stage() as stage:
        result = await ask(stage.visit(FAULTS[name]))
    for secret in FAULTS[name]["must_not_leak"]:
        assert secret not in caplog.text + str(result)


async def test_a_redirect_within_the_origin_takes_the_request_along_and_no_other_does() -> None:
    async with Stage() as stage:
        visit = stage.visit(FAULTS["redirect-same-origin.g"])
        await ask(visit)
        _, second = visit.heads
        assert second.startswith("POST ")
        assert "Authorization: Bearer " in second
        assert visit.bodies[0] == visit.bodies[1] != b""
        loop = stage.visit(FAULTS["redirect-loop.g"])
        assert (await ask(loop))["requests"] == 4
