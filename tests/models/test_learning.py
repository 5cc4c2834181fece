"""What is learned of models outlives the process, and is found out while they are idle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from support.patience import within
from support.upstream import Script, Upstream, UpstreamRequest, answer
from unspool import Model
from unspool.models.health import Health
from unspool.models.learning import Learning, load_findings
from unspool.models.prefills import Prefills
from unspool.providers.upstream.http1 import Client
from unspool.records import Records
from unspool.settings import Settings

COUNTED = ", ".join(f"number {n}" for n in range(1, 41))


def counts(asked: UpstreamRequest) -> Script:
    """Go on from a beginning that is marked `partial`; else begin."""
    last = asked.body["messages"][-1]
    return answer(COUNTED[len(last["content"]) :] if last.get("partial") else COUNTED)


async def until(is_true: Callable[[], bool]) -> None:
    async with within(10):
        while not is_true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def learn(
    records: Records, upstream: Upstream, *, probe: str, do: Callable[[Health, Model], object]
) -> Prefills:
    """Let `do` happen, and return what a later process knows."""
    upstream.play = counts
    health, model = Health(), upstream.model()
    async with Client() as http:
        settings = Settings(_env_file=None, probe=probe)
        learning = Learning(records, http, health, settings, probe_after_s=0.01)
        do(health, model)
        if probe != "off":
            await until(lambda: bool(health.prefills.findings(model.name)))
        await learning.aclose()
    later = Prefills()
    await load_findings(records, later)
    return later


@pytest.fixture
async def records(tmp_path: Path):
    opened = await Records.open(tmp_path / "records.db")
    yield opened
    await opened.aclose()


async def test_a_model_is_probed_once_it_has_answered(records: Records, upstream: Upstream) -> None:
    def answered(health: Health, model: Model) -> None:
        health.prefills.answered(model)
        health.prefills.answered(model)

    later = await learn(records, upstream, probe="private", do=answered)
    assert later.forms(upstream.model()) == ("partial",)
    asked_whole = [r for r in upstream.requests if r.body["messages"][-1]["role"] == "user"]
    assert len(asked_whole) <= 2, "one whole answer, and the form whose field is not a message"


async def test_a_probe_waits_while_the_model_answers_somebody(
    records: Records, upstream: Upstream
) -> None:
    def busy(health: Health, model: Model) -> None:
        health.began(model.name)
        health.prefills.answered(model)

        def done() -> None:
            seen.append(len(upstream.requests))
            health.ended(model.name)

        asyncio.get_running_loop().call_later(0.1, done)

    seen: list[int] = []
    await learn(records, upstream, probe="private", do=busy)
    assert seen == [0]


async def test_nothing_is_probed_where_it_is_switched_off(
    records: Records, upstream: Upstream
) -> None:
    later = await learn(
        records, upstream, probe="off", do=lambda health, model: health.prefills.answered(model)
    )
    assert (upstream.requests, later.forms(upstream.model())) == ([], ())


async def test_outcomes_of_attempts_are_stored(records: Records, upstream: Upstream) -> None:
    def tried(health: Health, model: Model) -> None:
        health.prefills.note(model, "assistant", "went_on")
        health.prefills.note(model, "assistant", "went_on")
        health.prefills.note(model, "prefix", "refused")

    later = await learn(records, upstream, probe="off", do=tried)
    assert later.evidence(upstream.model(), "assistant").went_on == 2
    assert later.evidence(upstream.model(), "prefix").refused == 1
