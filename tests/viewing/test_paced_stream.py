"""A run told again at its own pace."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from support.readers import look, post
from support.servers import Served, ServeModel
from support.upstream import Upstream, answer, chunk


async def test_a_run_told_again_takes_as_long_as_it_took_and_says_the_same(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("今天"), 0.4, *answer("推荐")]]
    served = serve_model()
    first = await post(client, f"{served.url}/ai/stream", {"prompt": "你好"})
    url = f"{served.url}/v1/runs/{first.run_id}/events"
    loop = asyncio.get_running_loop()
    took = {}
    for pace in ("", "?pace=1", "?pace=4"):
        began = loop.time()
        again = await look(client, url + pace)
        took[pace] = loop.time() - began
        assert again.seen.raw == first.seen.raw
    assert took["?pace=1"] >= 0.399, "times in the log are whole milliseconds"
    assert 0.1 <= took["?pace=4"] < took["?pace=1"]


async def test_a_shared_answer_appears_as_ones_own_would_have(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk("今天"), 0.4, *answer("推荐")]]
    served = serve_model(cache="read", heartbeat_s=0.05)
    first = await post(client, f"{served.url}/ai/stream", {"prompt": "你好"})
    loop = asyncio.get_running_loop()
    began = loop.time()
    asked = {"Unspool-Pace": "1"}
    again = await post(client, f"{served.url}/ai/stream", {"prompt": "你好"}, headers=asked)
    assert loop.time() - began >= 0.4
    assert (again.run_id, again.seen.frames) == (first.run_id, first.seen.frames)
    assert again.seen.comments, "silence is told of"


@pytest.mark.parametrize("dialect", ["native", "plain", "copywriting", "debug_chat"])
async def test_a_paced_viewer_who_is_cut_off_goes_on_where_it_was(
    client: httpx.AsyncClient, shared_server: Served, dialect: str
) -> None:
    run_id = (await post(client, f"{shared_server.url}/ai/stream", {"prompt": "你好"})).run_id
    url = f"{shared_server.url}/v1/runs/{run_id}/events?dialect={dialect}"
    whole = await look(client, url)
    for cut in (1, len(whole.seen.frames) // 2):
        rest = await look(client, f"{url}&pace=100", after=whole.seen.frames[cut - 1][0])
        assert rest.seen.frames == whole.seen.frames[cut:]


@pytest.mark.parametrize("pace", ["0", "-1", "1000", "nan", "x"])
async def test_a_pace_that_cannot_be_is_refused(
    client: httpx.AsyncClient, shared_server: Served, pace: str
) -> None:
    run_id = (await post(client, f"{shared_server.url}/ai/stream", {"prompt": "你好"})).run_id
    url = f"{shared_server.url}/v1/runs/{run_id}/events"
    assert (await client.get(f"{url}?pace={pace}")).status_code == 422
    assert (await client.get(url, headers={"Unspool-Pace": pace})).status_code == 422
