"""`/metrics`, and the line in the log for each run."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.keys import Keys
from support.runs import left_behind, start, until_ended
from support.servers import Serve, Served, ServeModel
from support.upstream import CUT, Upstream, answer, chunk, refusal
from unspool.core.telemetry.exposition import Exposition
from unspool.core.telemetry.facts import RunSummary
from unspool.core.telemetry.metrics import MAX_VALUES, ServerMetrics
from unspool.runs.events import Event

CHAT = {"flow": "chat", "input": {"prompt": "请介绍运动鞋"}}

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


def figures_of(text: str) -> Figures:
    """The samples of a scrape by name and labels, without `worker`."""
    return {
        (
            each.name,
            frozenset(each.labels.items() - {("worker", each.labels["worker"])}),
        ): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def figure(figures: Figures, name: str, **labels: str) -> float | None:
    return figures.get((f"unspool_{name}", frozenset(labels.items())))


async def scraped(client: httpx.AsyncClient, served: Served, **more: Any) -> Figures:
    await served.call(served.core.telemetry.settled)
    reply = await client.get(f"{served.url}/metrics", **more)
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    return figures_of(reply.text)


async def test_an_ended_run_is_in_the_figures(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [refusal(500), answer("今天", "天气")]
    served = serve_model(retries=1)
    before = await scraped(client, served)
    assert figure(before, "runs_total", flow="chat", status="completed") is None
    await until_ended(client, served, await start(client, served, CHAT))
    figures = await scraped(client, served)
    assert figure(figures, "runs_total", flow="chat", status="completed") == 1
    assert figure(figures, "run_seconds_count", flow="chat") == 1
    assert figure(figures, "attempts_total", model="tested", code="ok") == 1
    assert figure(figures, "attempts_total", model="tested", code="server") == 1
    assert figure(figures, "first_token_seconds_count", model="tested") == 1
    assert figure(figures, "tokens_total", model="tested", direction="output")
    assert figure(figures, "live_runs") == figure(figures, "viewers") == 0
    assert figure(figures, "waiting_runs") == 0
    assert figure(figures, "journal_up") == 1
    assert figure(figures, "journal_commit_failures_total") == 0
    # The clock of the server's loop counts milliseconds, and a commit may take less.
    assert figure(figures, "journal_commit_seconds") is not None


async def test_a_text_that_another_request_continued_is_a_seam(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), chunk("天气"), CUT], answer("很好")]
    served = serve_model(retries=1)
    await until_ended(client, served, await start(client, served, CHAT))
    figures = await scraped(client, served)
    seams = {labels: v for (name, labels), v in figures.items() if name == "unspool_seams_total"}
    assert sum(seams.values()) == 1


async def test_a_run_that_was_taken_over_is_counted(
    serve_with: Serve, quick_model: None, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    served.stop()
    run_id = await left_behind(served)
    served = Served(served.settings).start()
    try:
        await until_ended(client, served, run_id)
        figures = await scraped(client, served)
        assert figure(figures, "recoveries_total", reason="died") == 1
        assert figure(figures, "runs_total", flow="chat", status="completed") == 1
    finally:
        served.stop()


async def test_the_figures_are_for_the_people_who_run_the_server(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    for name, status in {"": 401, "usage:read": 403, "other": 403, "admin": 200}.items():
        headers = keys.of(name) if name else {}
        reply = await client.get(f"{keys.url}/metrics", headers=headers)
        assert reply.status_code == status, name


async def test_labels_have_no_words_of_clients(tmp_path: Any) -> None:
    metrics = ServerMetrics(lambda: ["known"])
    for number in range(2 * MAX_VALUES):
        run = RunSummary(f"r{number}")
        started = {"flow": f"flow {number}", "model": "x", "dialect": "native"}
        asked = {"step": "s", "number": 1, "model": f"m{number}", "strategy": "first"}
        failed = {"step": "s", "number": 1, "code": f"code{number}"}
        run.apply(Event(1, "run.started", 0, started))
        run.apply(Event(2, "attempt.started", 0, asked))
        run.apply(Event(3, "attempt.failed", 0, {**failed, "code": f"my secret {number}"}))
        run.apply(Event(4, "attempt.started", 0, {**asked, "number": 2}))
        run.apply(Event(5, "attempt.failed", 0, {**failed, "number": 2}))
        run.apply(Event(6, "run.failed", 1, {"code": "x"}))
        metrics.count(run)
    text = Exposition(metrics.registry, tmp_path, 0, is_shared=False).text().decode()
    labels = [dict(key[1]) for key in figures_of(text)]
    assert {each["flow"] for each in labels if "flow" in each} == {"other"}
    assert {each["model"] for each in labels if "model" in each} == {"other"}
    assert len({each["code"] for each in labels if "code" in each}) == MAX_VALUES + 1
    assert "secret" not in text


async def test_each_worker_tells_the_figures_of_all(tmp_path: Any) -> None:
    workers = [ServerMetrics(list) for _ in range(2)]
    expositions = [
        Exposition(each.registry, tmp_path, number, is_shared=True)
        for number, each in enumerate(workers)
    ]
    for count, (metrics, exposition) in enumerate(zip(workers, expositions, strict=True), 1):
        metrics.uncounted.inc(count)
        exposition.write()
    texts = [each.text().decode() for each in expositions]
    assert texts[0] == texts[1]
    for worker, count in (("0", 1.0), ("1", 2.0)):
        assert f'unspool_uncounted_runs_total{{worker="{worker}"}} {count}' in texts[0]
    assert texts[0].count("# TYPE unspool_uncounted_runs_total counter") == 1
    (tmp_path / "metrics-1.json").write_text("half a fi")
    assert 'worker="1"' not in expositions[0].text().decode()
    expositions[0].close()
    assert not (tmp_path / "metrics-0.json").exists()


async def test_each_ended_run_has_one_line(
    keys: Keys, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "unspool.core.telemetry.lines")
    headers = keys.of("admin")
    reply = await client.post(f"{keys.url}/v1/runs", json=CHAT, headers=headers)
    run_id = str(reply.json()["id"])
    await until_ended(client, keys.served, run_id, headers)
    await keys.served.call(keys.served.core.telemetry.settled)
    (line,) = [r for r in caplog.records if r.name == "unspool.core.telemetry.lines"]
    assert line.getMessage().startswith(f"Ended: run={run_id} tenant=default key=")
    assert " flow=chat " in line.getMessage()
    facts = vars(line)
    assert (facts["run"], facts["status"], facts["attempts"]) == (run_id, "completed", 1)
    assert facts["completion_tokens"] > 0
