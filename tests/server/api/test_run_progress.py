"""`/v1/runs/{id}/progress`: an open page costs the server nothing per event already read."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from support.readers import post
from support.servers import ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk
from unspool import Journal
from unspool.journals import Pen
from unspool.runs.events import Draft
from unspool.runs.run import RunSpec
from unspool.server.api.json.progress import ProgressFolds
from unspool.viewing.eta import EtaEstimator

LEFT = ("percent", "left_s", "left_s_low", "left_s_high")


async def written(journal: Journal, words: int) -> Pen:
    pen = await journal.create(RunSpec("chat", {"prompt": "鞋"}))
    pen.append(Draft("step.started", {"step": "answer"}))
    return await more(pen, words)


async def more(pen: Pen, words: int) -> Pen:
    pen.append(*[Draft("text.delta", {"step": "answer", "text": "字"})] * words)
    await pen.commit()
    return pen


@pytest.fixture
def read(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the events that are read from the journal, in order."""
    seqs: list[int] = []
    reading = journal.read

    async def counted(run_id: str, *, after: int, limit: int = 500) -> Any:
        events = await reading(run_id, after=after, limit=limit)
        seqs.extend(event.seq for event in events)
        return events

    monkeypatch.setattr(journal, "read", counted)
    return seqs


async def ask(folds: ProgressFolds, journal: Journal, run_id: str) -> dict[str, Any]:
    return await folds.left_json(await journal.head(run_id), EtaEstimator(journal), 0)


async def test_however_often_pages_ask_each_event_is_read_once(
    journal: Journal, read: list[int]
) -> None:
    folds, pen = ProgressFolds(journal), await written(journal, 1200)
    for _ in range(3):
        await asyncio.gather(*(ask(folds, journal, pen.run_id) for _ in range(4)))
    await more(pen, 7)
    await ask(folds, journal, pen.run_id)
    assert read == list(range(1, 1200 + 7 + 3))


async def test_of_a_run_that_has_ended_no_event_is_read(journal: Journal, read: list[int]) -> None:
    folds, pen = ProgressFolds(journal), await written(journal, 3)
    await pen.end(Draft("run.completed", {}))
    told = await ask(folds, journal, pen.run_id)
    assert told == {"percent": 100.0, "left_s": 0.0, "left_s_low": 0.0, "left_s_high": 0.0}
    assert read == []


async def test_asking_changes_nothing_of_what_is_told_later(journal: Journal) -> None:
    pen = await journal.create(RunSpec("batch", {}))
    pen.append(Draft("progress.made", {"message": "a", "current": 1, "total": 4}))
    await pen.commit()
    often, once = ProgressFolds(journal), ProgressFolds(journal)
    for _ in range(3):
        await ask(often, journal, pen.run_id)
    pen.append(Draft("progress.made", {"message": "b", "current": 2, "total": 4}))
    await pen.commit()
    told = await ask(often, journal, pen.run_id)
    assert told["percent"] == 50.0
    assert told == await ask(once, journal, pen.run_id)


async def test_folds_in_memory_are_bounded(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unspool.server.api.json.progress.MAX_FOLDS", 2)
    folds = ProgressFolds(journal)
    for pen in [await written(journal, 1) for _ in range(4)]:
        await ask(folds, journal, pen.run_id)
    assert len(folds._folds) == 2


async def test_it_says_the_same_as_the_whole_run(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    words = [chunk("今天"), 0.01, chunk("推荐"), 0.01, chunk("这双鞋")]
    upstream.play = [[*words, *answer()]] * 4 + [[*words[:3], SILENCE]]
    served = serve_model()
    url = f"{served.url}/v1/runs"
    for number in "1234":
        ended = await post(client, served.url + "/ai/stream", {"prompt": number})
    live = await post(client, served.url + "/ai/stream", {"prompt": "5"}, frames=2)
    whole = (await client.get(f"{url}/{ended.run_id}")).json()
    light = (await client.get(f"{url}/{ended.run_id}/progress")).json()
    names = ("status", "last_seq", "forks", "viewers")
    wanted = {name: whole["progress"][name] for name in LEFT}
    assert light == {name: whole[name] for name in names} | wanted
    now = (await client.get(f"{url}/{live.run_id}/progress")).json()
    assert now["status"] == "running"
    assert now["left_s_low"] <= now["left_s"] <= now["left_s_high"]
    assert 0 < now["percent"] < 100


async def test_of_an_unknown_run_it_says_so(
    serve_model: ServeModel, client: httpx.AsyncClient
) -> None:
    answered = await client.get(f"{serve_model().url}/v1/runs/unknown/progress")
    assert answered.status_code == 404
    assert answered.json()["error"]["code"] == "unknown_run"
