"""A reader waits for a model so long and no longer, and no post goes on without end."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from support.copywriting import LONG
from support.patience import within
from support.readers import COPY, SHOE, copy_posts, post
from support.servers import Served, ServeModel
from support.upstream import SILENCE, Script, Upstream, UpstreamRequest, answer, chunk, refusal
from unspool.execution.context import carried_s
from unspool.runs.events import Event
from unspool.runs.run import Run

BUDGET_S = 1.0


async def run_of(client: httpx.AsyncClient, served: Served, run_id: str) -> dict[str, Any]:
    return dict((await client.get(f"{served.url}/v1/runs/{run_id}")).json())


HANGS: dict[str, Script] = {
    "never an answer": [SILENCE],
    "a head alone": [b"", SILENCE],
    "comments without end": [b": wait\n\n", *[0.2, b": wait\n\n"] * 40],
    "thoughts without end": [
        *[b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n', 0.1] * 80
    ],
}


@pytest.mark.parametrize("reveal", ["live", "checked"])
@pytest.mark.parametrize("name", HANGS)
async def test_where_a_provider_hangs_the_template_writes_within_the_budget(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, name: str, reveal: str
) -> None:
    upstream.play = [HANGS[name]]
    served = serve_model(first_text_s=BUDGET_S)
    async with within(BUDGET_S + 2):
        done = await post(client, served.url + COPY, {**SHOE, "reveal": reveal})
    assert all(len(text) > 50 for text in copy_posts(done.seen.documents))
    run = await run_of(client, served, done.run_id)
    assert {s["model"] for s in run["steps"] if not s["is_unseen"]} == {"template"}
    assert {a["error"]["code"] for a in run["attempts"]} == {"out_of_time"}
    await upstream.until(lambda: upstream.open == 0, within_s=2)  # the requests are closed
    assert len(upstream.requests) == 3, "nobody is asked, and paid, twice"


async def test_a_budget_of_one_request_goes_before_the_setting(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[SILENCE]]
    served = serve_model(first_text_s=600)
    done = await post(client, served.url + COPY, {**SHOE, "count": 1, "first_text_s": 0.2})
    assert len(copy_posts(done.seen.documents, total=1)[0]) > 50
    for wrong in (0, -1, "soon", 1e9):
        refused = await client.post(served.url + COPY, json={**SHOE, "first_text_s": wrong})
        assert refused.status_code == 422


async def test_a_model_that_falls_silent_in_the_middle_is_finished_by_the_template(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天推荐这款跑鞋，鞋底"), SILENCE]]
    served = serve_model(first_text_s=0.5)
    done = await post(client, served.url + COPY, {**SHOE, "count": 1})
    (text,) = copy_posts(done.seen.documents, total=1)
    assert text.startswith("今天推荐这款跑鞋，鞋底")
    assert text[-1] in "。！？"
    run = await run_of(client, served, done.run_id)
    assert [step["model"] for step in run["steps"]] == ["tested+template"]
    assert run["attempts"][0]["usage"]["basis"] == "estimated"
    assert len(upstream.requests) == 1


async def test_a_slow_model_that_keeps_writing_is_not_broken_off(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    words = ["这双鞋", "走一天", "也不", "闷脚", "，回弹", "中底", "柔软", "不塌", "。"]
    slowly = [step for word in words for step in (chunk(word), 0.25)]
    upstream.play = [[*slowly, *answer("合适就看看。")]]
    served = serve_model(first_text_s=2)
    done = await post(client, served.url + COPY, {**SHOE, "count": 1})
    assert copy_posts(done.seen.documents, total=1) == ["".join(words) + "合适就看看。"]


async def test_retries_and_waits_between_them_are_part_of_the_budget(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [refusal(503, "busy")]
    served = serve_model(first_text_s=0.8, retries=10, retry_budget_s=120)
    async with within(2.8):
        done = await post(client, served.url + COPY, {**SHOE, "count": 1})
    run = await run_of(client, served, done.run_id)
    assert run["steps"][0]["model"] == "template"
    assert run["status"] == "completed"


async def test_after_a_restart_the_budget_does_not_begin_anew(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[SILENCE]]
    served = serve_model(first_text_s=1.5)
    first = await post(client, served.url + COPY, {**SHOE, "count": 1}, frames=2)
    await upstream.until(lambda: upstream.open == 1)
    served.stop()
    again = serve_model(first_text_s=0.01)  # a run that is older than its budget
    seen = await client.get(f"{again.url}/v1/runs/{first.run_id}/events?after=0")
    assert '"complete"' in seen.text
    assert len(upstream.requests) == 1, "no second request is paid for"


async def test_every_request_for_a_post_has_a_limit_of_tokens(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer(LONG)]
    served = serve_model()
    for more in ({}, {"reveal": "checked"}, {"max_tokens": 4000}):
        await post(client, served.url + COPY, {**SHOE, "count": 1, **more})
    assert [asked.body["max_tokens"] for asked in upstream.requests] == [1024, 1024, 4000]


async def test_a_live_post_without_end_stops_with_its_sentence(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    numbers = iter(range(10_000))

    def play(_: UpstreamRequest) -> Script:
        return [chunk(f"第{next(numbers)}次穿它出门，还是一样轻。接着") for _ in range(300)]

    upstream.play = play
    served = serve_model()
    done = await post(client, served.url + COPY, {**SHOE, "count": 1})
    (text,) = copy_posts(done.seen.documents, total=1)
    assert 300 <= len(text) < 340
    assert text.endswith("还是一样轻。")
    run = await run_of(client, served, done.run_id)
    assert [step["model"] for step in run["steps"]] == ["tested"]
    assert run["attempts"][0]["status"] == "finished"


@pytest.mark.parametrize("reveal", ["live", "checked"])
async def test_a_sentence_without_end_is_ended_by_the_template(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, reveal: str
) -> None:
    words = "东西南北中发白红黄蓝绿青紫黑灰棕上下左右前后里外高低长短"
    mixed = [chunk(f"{words[a]}{words[b]}{a}{b}，") for a in range(28) for b in range(28)]
    upstream.play = [mixed]
    served = serve_model()
    done = await post(client, served.url + COPY, {**SHOE, "count": 1, "reveal": reveal})
    (text,) = copy_posts(done.seen.documents, total=1)
    assert len(text) < 500
    assert text[-1] in "。！？"
    run = await run_of(client, served, done.run_id)
    shown = next(step for step in run["steps"] if step["name"] == "post-1")
    assert shown["model"] == ("tested+template" if reveal == "live" else "template")
    assert run["attempts"][0]["error"]["code"] == "no_end"


async def test_a_post_that_the_limit_of_tokens_cut_is_finished(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    cut = b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n'
    upstream.play = [[chunk("这双鞋走一天也不闷"), cut, b"data: [DONE]\n\n"]]
    served = serve_model()
    done = await post(client, served.url + COPY, {**SHOE, "count": 1})
    (text,) = copy_posts(done.seen.documents, total=1)
    assert text.startswith("这双鞋走一天也不闷")
    assert text[-1] in "。！？"


async def test_a_checked_post_that_is_too_long_is_cut_after_a_whole_sentence(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [
        answer("鞋面是飞织的，走一天也不闷脚。", "下班顺路走两站刚刚好，", "回弹也明显。")
    ]
    served = serve_model()
    rules = {"min_chars": 10, "max_chars": 20}
    body = {**SHOE, "count": 1, "reveal": "checked", "rules": rules}
    done = await post(client, served.url + COPY, body)
    assert copy_posts(done.seen.documents, total=1) == ["鞋面是飞织的，走一天也不闷脚。"]
    assert len(upstream.requests) == 1


def test_the_time_without_a_server_does_not_count_against_the_budget() -> None:
    run = Run()
    began = {"flow": "copywriting", "input": {}}
    told = [
        ("run.started", 0, began),
        ("step.started", 1_000, {"step": "post-1"}),
        ("run.recovered", 61_000, {"epoch": 2, "reason": "died"}),
        ("step.started", 62_000, {"step": "post-2"}),
    ]
    for seq, (kind, at_ms, data) in enumerate(told, start=1):
        run.apply(Event(seq, kind, at_ms, data))  # type: ignore[arg-type]
    assert carried_s(run) == 2
