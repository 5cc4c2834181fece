"""The contract of `POST /ai/generate/copy`, check by check, over a real server."""

from __future__ import annotations

import json
import logging
import re
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.readers import COPY, SHOE, copy_posts, look, post
from support.servers import Serve, Served, ServeModel
from support.upstream import (
    CUT,
    KEY,
    RESET,
    SILENCE,
    Script,
    Upstream,
    UpstreamRequest,
    answer,
    chunk,
    refusal,
)
from unspool import Settings
from unspool.dialects import open_dialect
from unspool.models.environment import model_from
from unspool.runs.events import Event

WHOLE = "今天推荐这款运动鞋，舒适的设计真的很赞！"
BROKEN = "今天推荐这款跑鞋，鞋底"


async def run_of(client: httpx.AsyncClient, served: Served, run_id: str) -> dict[str, Any]:
    return (await client.get(f"{served.url}/v1/runs/{run_id}")).json()


async def told(client: httpx.AsyncClient, served: Served, **more: Any) -> list[Any]:
    view = await post(client, served.url + COPY, {**SHOE, **more})
    assert view.status == 200
    return view.seen.documents


@pytest.mark.parametrize("style", ["natural", "professional", "funny"])
async def test_s0_1_every_style_is_answered_with_a_stream(
    shared_server: Served, client: httpx.AsyncClient, style: str
) -> None:
    view = await post(client, shared_server.url + COPY, {"sku": "8WZ01CM1", "style": style})
    assert view.status == 200
    assert view.headers["content-type"].startswith("text/event-stream")
    assert view.headers["cache-control"] == "no-cache"
    assert view.headers["x-accel-buffering"] == "no"
    assert all(copy_posts(view.seen.documents, style=style))


async def test_s0_1_what_is_optional_may_be_left_out_or_given(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    bare = await post(client, shared_server.url + COPY, {"sku": "8WZ01CM1"})
    assert len(copy_posts(bare.seen.documents)) == 3
    more = {"user_id": "user_0007", "model": "offline", "count": 5}
    full = await post(client, shared_server.url + COPY, {**SHOE, **more})
    assert len(copy_posts(full.seen.documents, total=5)) == 5


@pytest.mark.parametrize(
    "wrong",
    [{"sku": ""}, {"style": "natural"}, {**SHOE, "style": "rude"}, {**SHOE, "count": 0}, [], "x"],
)
async def test_s0_1_a_wrong_body_is_refused_before_anything_streams(
    shared_server: Served, client: httpx.AsyncClient, wrong: object
) -> None:
    answered = await client.post(shared_server.url + COPY, json=wrong)
    assert answered.status_code == 422
    assert answered.json()["error"]["code"] == "invalid_request"


async def test_s0_1_an_unknown_product_is_refused_before_anything_streams(
    server: Served, client: httpx.AsyncClient
) -> None:
    answered = await client.post(server.url + COPY, json={"sku": "no-such-shoe"})
    assert answered.status_code == 404
    assert answered.json()["error"]["code"] == "unknown_record"
    assert (await client.get(server.url + "/v1/runs")).json()["runs"] == []


@pytest.mark.parametrize("style", ["natural", "professional", "funny"])
async def test_s0_2_the_first_frame_is_the_start_and_echoes_the_style(
    shared_server: Served, client: httpx.AsyncClient, style: str
) -> None:
    view = await post(client, shared_server.url + COPY, {**SHOE, "style": style}, frames=1)
    assert view.seen.data == ['{"type":"start","total":3,"style":"' + style + '"}']


async def test_s0_3_each_post_opens_with_its_number_from_one(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    found = await told(client, shared_server)
    opened = [frame for frame in found if frame["type"] == "post_start"]
    assert opened == [{"type": "post_start", "index": n, "total": 3} for n in (1, 2, 3)]


async def test_s0_4_a_position_counts_code_points(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("今天", "👟👟", "e\u0301", "推荐。")]
    found = await told(client, serve_model())
    first = [f for f in found if f["type"] == "token" and f["index"] == 1]
    assert [(f["content"], f["position"]) for f in first] == [
        ("今天", 0),
        ("👟👟", 2),
        ("e\u0301", 4),
        ("推荐。", 6),
    ]


async def test_s0_5_the_content_of_a_post_is_its_tokens_joined(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    found = await told(client, shared_server)
    for index in (1, 2, 3):
        tokens = [f["content"] for f in found if f["type"] == "token" and f["index"] == index]
        (end,) = [f for f in found if f["type"] == "post_end" and f["index"] == index]
        assert len(tokens) > 1
        assert end["content"] == "".join(tokens)


async def test_s0_6_the_last_frame_has_all_posts_in_order_and_no_done_follows(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    view = await post(client, shared_server.url + COPY, SHOE)
    ends = [f["content"] for f in view.seen.documents if f["type"] == "post_end"]
    assert view.seen.documents[-1] == {"type": "complete", "posts": ends}
    assert b"[DONE]" not in view.seen.raw


def event(seq: int, kind: Any, **data: Any) -> Event:
    return Event(seq, kind, 0, data)


def test_s0_7_posts_never_interleave_whatever_order_the_log_has_them_in() -> None:
    log = [event(1, "run.started", input={"count": 3, "style": "natural"})]
    steps = ["post-1", "post-2", "post-3"]
    order = [("step.started", s) for s in steps]
    order += [("text.delta", s) for _ in range(2) for s in reversed(steps)]
    order += [("step.finished", s) for s in ("post-3", "post-1", "post-2")]
    for kind, step in order:
        log.append(event(len(log) + 1, kind, step=step, text=f"字 of {step}"))
    log.append(event(len(log) + 1, "run.completed"))
    encoder = open_dialect("copywriting").encoder()
    found = [json.loads(data) for item in log for data in encoder.encode(item)]
    assert copy_posts(found) == [f"字 of {step}" * 2 for step in steps]


async def test_s0_7_the_grammar_holds_for_every_sample_product(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    for sku in ("8WZ01CM1", "8WZ02CM2", "8WZ03CM3"):
        view = await post(client, shared_server.url + COPY, {"sku": sku})
        if view.status == 200:
            assert len(set(copy_posts(view.seen.documents))) == 3


async def test_s0_8_the_first_frame_comes_while_the_model_has_not_answered_at_all(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[SILENCE]]
    served = serve_model()
    async with client.stream("POST", served.url + COPY, json=SHOE) as response:
        first = await anext(response.aiter_lines())
        await upstream.until(lambda: upstream.open >= 1)  # posts may be asked for at once
    assert first.startswith("id: 1")
    run_id = response.headers["x-run-id"]
    await client.post(f"{served.url}/v1/runs/{run_id}/cancel")


async def test_s0_8_the_first_frame_comes_while_the_model_is_down(
    serve_model: ServeModel, client: httpx.AsyncClient
) -> None:
    served = serve_model(llm_base_url=closed_port(), retries=3)
    view = await post(client, served.url + COPY, SHOE, frames=2)
    assert [frame["type"] for frame in view.seen.documents] == ["start", "post_start"]


@pytest.mark.parametrize("tail", ["", "/", "/chat/completions", "/chat/completions/"])
async def test_s0_9_both_forms_of_the_address_in_a_dotenv_file_reach_the_model(
    serve_with: Serve,
    upstream: Upstream,
    client: httpx.AsyncClient,
    tmp_path: Path,
    tail: str,
) -> None:
    written = f"LLM_API_KEY={KEY}\nLLM_BASE_URL={upstream.url}{tail}\nLLM_MODEL=qwen-max\n"
    (tmp_path / ".env").write_text(written)
    read = model_from(Settings(_env_file=tmp_path / ".env"))
    assert read is not None
    served = serve_with(llm_api_key=KEY, llm_base_url=read.base_url, llm_model=read.upstream_name)
    upstream.play = [answer(WHOLE)]
    assert copy_posts(await told(client, served)) == [WHOLE] * 3
    assert {asked.path for asked in upstream.requests} == {"/v1/chat/completions"}
    assert {asked.headers["authorization"] for asked in upstream.requests} == {f"Bearer {KEY}"}
    assert {asked.body["model"] for asked in upstream.requests} == {"qwen-max"}


async def test_s0_10_without_a_key_templates_write_the_same_frames_and_nobody_is_asked(
    serve_with: Serve, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_with(llm_base_url=upstream.url)
    view = await post(client, served.url + COPY, SHOE)
    assert all(len(text) > 50 for text in copy_posts(view.seen.documents))
    run = await run_of(client, served, view.run_id)
    assert {step["model"] for step in run["steps"]} == {"template"}
    assert upstream.requests == []


def closed_port() -> str:
    """An address where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}/v1"


def patience_s(script: Script) -> float:
    """Short where a limit is what ends the answer; a busy machine must not be what ends another."""
    return 1 if SILENCE in script else 10


FAILURES: dict[str, Script] = {
    "500": refusal(500),
    "503 without a body": refusal(503, ""),
    "401": refusal(401, f"Incorrect API key provided: {KEY}"),
    "404": refusal(404, "no such model"),
    "429": refusal(429, "slow down"),
    "never an answer": [SILENCE],
    "silence after the head": [b"", SILENCE],
    "only comments": [b": wait\n\n", 0.05, b": wait\n\n", SILENCE],
    "closed at once": [CUT],
    "reset at once": [RESET],
    "an error in the stream": [b'data: {"error":{"message":"overloaded"}}\n\n'],
    "nothing but the end": [b"data: [DONE]\n\n"],
    "a page": [b"<html>blocked</html>"],
}


@pytest.mark.parametrize("name", FAILURES)
async def test_s0_11_a_model_that_gives_nothing_is_stood_in_for_by_templates(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, name: str
) -> None:
    upstream.play = [FAILURES[name]]
    served = serve_model(first_event_s=patience_s(FAILURES[name]))
    view = await post(client, served.url + COPY, SHOE)
    assert all(len(text) > 50 for text in copy_posts(view.seen.documents))
    assert len(upstream.requests) == 3, "a failed post must not push the next ones to templates"
    run = await run_of(client, served, view.run_id)
    assert run["status"] == "completed"
    assert {step["model"] for step in run["steps"]} == {"template"}


async def test_s0_11_a_model_that_is_down_is_stood_in_for_by_templates(
    serve_model: ServeModel, client: httpx.AsyncClient
) -> None:
    found = await told(client, serve_model(llm_base_url=closed_port()))
    assert all(len(text) > 50 for text in copy_posts(found))


CUTS: dict[str, Script] = {
    "cut": [CUT],
    "reset": [RESET],
    "ended without an end": [],
    "silent": [SILENCE],
    "an error": [b'data: {"error":{"message":"CUDA"}}\n\n', b"data: [DONE]\n\n"],
    "half a frame": [b'data: {"choices":[{"delta":{"content":"\xe4\xbb', CUT],
}


async def test_s0_11_a_long_post_that_the_model_says_over_is_not_counted_twice(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    whole = "，".join(f"第{number}公里脚感依旧轻快柔软" for number in range(1, 21)) + "。"
    upstream.play = [[chunk(whole[:-9]), CUT], answer(*whole)]
    view = await post(client, serve_model(retries=2).url + COPY, {**SHOE, "count": 1})
    assert 260 < len(whole) < 300
    assert copy_posts(view.seen.documents, total=1) == [whole]


@pytest.mark.parametrize("name", CUTS)
async def test_s0_11_a_post_cut_in_mid_sentence_goes_on_without_a_word_twice(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, name: str
) -> None:
    upstream.play = [[*map(chunk, ("今天推荐", "这款跑鞋，", "鞋底")), 0.05, *CUTS[name]]]
    served = serve_model(idle_s=patience_s(CUTS[name]))
    view = await post(client, served.url + COPY, SHOE)
    for text in copy_posts(view.seen.documents):
        assert text.startswith(BROKEN)
        assert len(text) > len(BROKEN), "a truncated post was reported as whole"
        assert text.count("今天推荐") == text.count("这款跑鞋") == 1
        assert text[-1] in "。！？…～"
    run = await run_of(client, served, view.run_id)
    assert {step["model"] for step in run["steps"]} == {"tested+template"}


async def test_s0_11_a_passing_fault_is_retried_and_leaves_no_trace_in_the_text(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [refusal(503), answer(WHOLE)]
    served = serve_model(retries=1)
    view = await post(client, served.url + COPY, {**SHOE, "count": 1})
    assert copy_posts(view.seen.documents, total=1) == [WHOLE]
    assert len(upstream.requests) == 2


async def test_s0_11_one_failed_post_leaves_the_others_to_the_model(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    def play(asked: UpstreamRequest) -> Script:
        return refusal(500) if "第 2 条" in asked.question else answer(WHOLE)

    upstream.play = play
    served = serve_model()
    view = await post(client, served.url + COPY, SHOE)
    first, second, third = copy_posts(view.seen.documents)
    assert first == third == WHOLE
    assert second != WHOLE
    run = await run_of(client, served, view.run_id)
    assert [step["model"] for step in run["steps"]] == ["tested", "template", "tested"]


async def test_s0_12_every_call_its_failure_and_who_wrote_the_text_are_recorded(
    serve_model: ServeModel,
    upstream: Upstream,
    client: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scripts = {1: refusal(500, "out of order"), 2: answer(WHOLE), 3: refusal(401)}

    def play(asked: UpstreamRequest) -> Script:
        return next(script for n, script in scripts.items() if f"第 {n} 条" in asked.question)

    upstream.play = play
    served = serve_model()
    view = await post(client, served.url + COPY, SHOE)
    run = await run_of(client, served, view.run_id)
    assert [step["model"] for step in run["steps"]] == ["template", "tested", "template"]
    made = sorted(run["attempts"], key=lambda attempt: attempt["step"])
    attempts = [(a["model"], a["status"], a["error"] and a["error"]["status"]) for a in made]
    assert attempts == [
        ("tested", "failed", 500),
        ("tested", "finished", None),
        ("tested", "failed", 401),
    ]
    assert "out of order" in made[0]["error"]["message"]
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    for number, status in ((1, 500), (3, 401)):
        assert any(re.search(f"第 {number} 条.*模板.*{status}", line) for line in warned), warned
    assert len(run["warnings"]) == 2


async def test_s0_12_a_resumed_viewer_reads_the_same_contract_to_the_same_end(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    whole = await post(client, shared_server.url + COPY, SHOE)
    again = await look(client, f"{shared_server.url}/v1/runs/{whole.run_id}/events")
    assert again.seen.raw == whole.seen.raw
