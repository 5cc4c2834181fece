"""`/v1/runs`: a run is started, listed, read, watched, cancelled, and outlives its viewers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from support.readers import COPY, look, post
from support.servers import Serve, Served, ServeModel
from support.upstream import SILENCE, Upstream, answer, chunk, refusal

ASKED: dict[str, Any] = {"flow": "chat", "input": {"prompt": "你好"}}


async def started(client: httpx.AsyncClient, served: Served, **more: Any) -> dict[str, Any]:
    answered = await client.post(f"{served.url}/v1/runs", json={**ASKED, **more})
    assert answered.status_code == 201, answered.text
    return answered.json()


async def read(client: httpx.AsyncClient, served: Served, run_id: str) -> dict[str, Any]:
    answered = await client.get(f"{served.url}/v1/runs/{run_id}")
    assert answered.status_code == 200, answered.text
    return answered.json()


async def ended(client: httpx.AsyncClient, served: Served, run_id: str) -> dict[str, Any]:
    """The run once it has ended; its own stream tells when."""
    await look(client, f"{served.url}/v1/runs/{run_id}/events?dialect=native")
    return await read(client, served, run_id)


async def test_a_run_is_started_with_201_and_where_it_is(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    answered = await client.post(f"{shared_server.url}/v1/runs", json=ASKED)
    assert answered.status_code == 201
    run = answered.json()
    assert answered.headers["location"] == f"/v1/runs/{run['id']}"
    assert answered.headers["x-run-id"] == run["id"]
    assert answered.headers["cache-control"] == "no-store"
    assert (run["flow"], run["dialect"]) == ("chat", "native")
    assert run["status"] in {"running", "completed"}


async def test_a_run_is_started_with_its_stream_where_that_is_accepted(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    headers = {"accept": "text/event-stream"}
    view = await post(client, f"{shared_server.url}/v1/runs", ASKED, headers=headers)
    assert view.status == 200
    events = view.seen.documents
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [id_ for id_, _ in view.seen.frames] == [str(event["seq"]) for event in events]
    assert (events[0]["type"], events[-1]["type"]) == ("run.started", "run.completed")
    text = "".join(e["data"]["text"] for e in events if e["type"] == "text.delta")
    assert text == (await read(client, shared_server, view.run_id))["text"]


async def test_a_finished_run_tells_what_it_is(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("你", "好")]
    served = serve_model()
    run = await ended(client, served, (await started(client, served))["id"])
    assert (run["status"], run["text"], run["error"]) == ("completed", "你好", None)
    assert (run["steps"][0]["name"], run["steps"][0]["model"]) == ("answer", "tested")
    assert (run["steps"][0]["status"], run["steps"][0]["finish_reason"]) == ("finished", "stop")
    assert run["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "total_tokens": 30,
        "basis": "measured",
    }
    assert run["cost"] is None, "a price that nobody told is unknown, not zero"
    assert 0 <= run["first_token_ms"] <= run["total_ms"]
    assert run["created_at"] <= run["ended_at"]
    assert run["created_at"].endswith("Z")
    assert run["viewers"] == 0


async def test_a_run_that_no_model_could_write_says_why(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [refusal(401, "who are you")]
    served = serve_model()
    run = await ended(client, served, (await started(client, served))["id"])
    assert run["status"] == "failed"
    assert run["error"]["code"] == "auth"
    assert "who are you" in run["error"]["message"]
    assert run["attempts"][0]["error"]["status"] == 401


async def test_the_list_is_newest_first_in_pages_and_by_status(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    ids = [(await started(client, served))["id"] for _ in range(5)]
    for run_id in ids:
        await ended(client, served, run_id)
    url = f"{served.url}/v1/runs"
    pages, before = [], ""
    while True:
        page = (await client.get(url, params={"limit": 2, "before": before})).json()
        pages.append([run["id"] for run in page["runs"]])
        if page["next"] is None:
            break
        before = page["next"]
    assert [run_id for page in pages for run_id in page] == ids[::-1]
    done = (await client.get(url, params={"status": "completed"})).json()["runs"]
    assert {run["id"] for run in done} == set(ids)
    assert {"id", "flow", "model", "status", "last_seq", "created_at", "total_ms"} <= set(done[0])
    for nothing in ({"status": "failed"}, {"flow": "copywriting"}, {"before": ids[0]}):
        assert (await client.get(url, params=nothing)).json() == {"runs": [], "next": None}
    assert (await client.get(url, params={"limit": 0})).status_code == 422
    assert (await client.get(url, params={"limit": 501})).status_code == 422


async def test_a_run_goes_on_when_its_viewer_leaves(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[*[s for n in range(20) for s in (chunk(f"{n}，"), 0.01)], *answer("完")]]
    served = serve_model()
    first = await post(client, served.url + "/ai/stream", {"prompt": "你好"}, frames=2)
    run = await ended(client, served, first.run_id)
    assert run["status"] == "completed"
    assert run["text"] == "".join(f"{n}，" for n in range(20)) + "完"
    assert upstream.left == 0


async def test_viewers_are_counted_while_they_are_there(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("好"), SILENCE]]
    served = serve_model()
    run_id = (await started(client, served))["id"]
    url = f"{served.url}/v1/runs/{run_id}/events"
    async with client.stream("GET", url), client.stream("GET", url):
        assert (await read(client, served, run_id))["viewers"] == 2
    for _ in range(100):
        if (await read(client, served, run_id))["viewers"] == 0:
            return
        await asyncio.sleep(0.02)
    pytest.fail("a viewer who left is still counted")


async def test_a_cancel_is_quick_and_closes_the_connection_to_the_provider(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), SILENCE]]
    served = serve_model()
    run_id = (await started(client, served))["id"]
    await look(client, f"{served.url}/v1/runs/{run_id}/events?dialect=plain", frames=1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    answered = await client.post(f"{served.url}/v1/runs/{run_id}/cancel")
    await upstream.until(lambda: upstream.left == 1, within_s=1)
    assert loop.time() - began < 1
    run = answered.json()
    assert (answered.status_code, run["status"], run["text"]) == (200, "cancelled", "今天")
    assert run["error"]["code"] == "cancelled"


async def test_a_cancel_before_the_provider_has_answered_closes_the_connection_too(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[SILENCE]]
    served = serve_model()
    run_id = (await started(client, served))["id"]
    await upstream.until(lambda: upstream.open == 1)
    await client.post(f"{served.url}/v1/runs/{run_id}/cancel")
    await upstream.until(lambda: upstream.left == 1, within_s=1)


async def test_a_cancel_may_be_repeated_and_leaves_an_ended_run_as_it_is(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    run = await ended(client, shared_server, (await started(client, shared_server))["id"])
    for _ in range(2):
        answered = await client.post(f"{shared_server.url}/v1/runs/{run['id']}/cancel")
        assert answered.status_code == 200
        assert answered.json()["status"] == "completed"


async def test_many_cancels_at_once_make_one_ending(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[*[s for n in range(30) for s in (chunk(f"{n}，"), 0.002)], *answer("完")]]
    served = serve_model()
    for _ in range(5):
        run_id = (await started(client, served))["id"]
        url = f"{served.url}/v1/runs/{run_id}/cancel"
        answers = await asyncio.gather(*(client.post(url) for _ in range(10)))
        assert {a.json()["status"] for a in answers} == {"cancelled"}
        view = await look(client, f"{served.url}/v1/runs/{run_id}/events")
        kinds = [event["type"] for event in view.seen.documents]
        assert kinds[-1] == "run.cancelled"
        assert sum(kind.startswith("run.") for kind in kinds) == 2


@pytest.mark.parametrize(
    ("method", "tail"),
    [("GET", ""), ("GET", "/events"), ("GET", "/events?after=3"), ("POST", "/cancel")],
)
async def test_an_unknown_run_is_404_and_says_where_to_look(
    shared_server: Served, client: httpx.AsyncClient, method: str, tail: str
) -> None:
    for run_id in ("does-not-exist", "0" * 26, "..%2f..%2fetc%2fpasswd", "%00", "x" * 500):
        answered = await client.request(method, f"{shared_server.url}/v1/runs/{run_id}{tail}")
        assert answered.status_code == 404
    assert answered.json()["error"]["code"] == "unknown_run"


REFUSED: dict[str, str] = {
    "no prompt": '{"flow":"chat","input":{}}',
    "an empty prompt": '{"flow":"chat","input":{"prompt":""}}',
    "an unknown flow": '{"flow":"dance","input":{}}',
    "an unknown dialect": '{"flow":"chat","input":{"prompt":"x"},"dialect":"morse"}',
    "an unknown field": '{"flow":"chat","input":{"prompt":"x"},"colour":"red"}',
    "an unknown field of the flow": '{"flow":"chat","input":{"prompt":"x","colour":"red"}}',
    "NaN": '{"flow":"chat","input":{"prompt":NaN}}',
    "NaN deep inside": '{"flow":"chat","input":{"prompt":"x","params":{"temperature":NaN}}}',
    "Infinity deep inside": '{"flow":"chat","input":{"prompt":"x","params":{"a":[-Infinity]}}}',
    "half a surrogate pair": '{"flow":"chat","input":{"prompt":"\\ud800"}}',
    "half a pair as a flow": '{"flow":"\\ud800","input":{"prompt":"x"}}',
    "half a pair as a model": '{"flow":"chat","input":{"prompt":"x"},"model":"\\udfff"}',
    "half a pair as a name": '{"flow":"chat","input":{"prompt":"x","\\ud800":1}}',
    "half a pair deep inside": '{"flow":"chat","input":{"prompt":"x","params":{"a":"\\ud800"}}}',
    "half a pair as a name inside": '{"flow":"chat","input":{"prompt":"x","params":{"\\ud800":1}}}',
    "nested without end": '{"flow":"chat","input":{"prompt":' + "[" * 100_000,
    "not JSON": '{"flow":',
    "nothing": "",
    "a list": "[]",
    "null": "null",
    "wrong types": '{"flow":5,"input":"x"}',
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_run_is_refused_and_nothing_is_started(
    shared_server: Served, client: httpx.AsyncClient, name: str
) -> None:
    url = f"{shared_server.url}/v1/runs"
    before = (await client.get(url)).json()
    answered = await client.post(
        url, content=REFUSED[name], headers={"content-type": "application/json"}
    )
    assert answered.status_code in {400, 422}, answered.text
    assert answered.json()["error"]["message"]
    assert (await client.get(url)).json() == before


async def test_nesting_is_refused_or_can_be_read_again_and_is_never_a_fault(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    url = f"{shared_server.url}/v1/runs"
    statuses = []
    for depth in (100, 198, 199, *range(900, 1000, 9), 1500, 5000):
        nested = "[" * depth + "]" * depth
        body = f'{{"flow":"chat","input":{{"prompt":"x","params":{{"a":{nested}}}}}}}'
        answered = await client.post(
            url, content=body, headers={"content-type": "application/json"}
        )
        statuses.append(answered.status_code)
        if answered.status_code == 201:
            view = await look(client, f"{url}/{answered.json()['id']}/events")
            assert nested in view.seen.data[0]
    assert set(statuses) <= {201, 400, 422}, statuses
    assert statuses[:2] == [201, 201]
    assert 201 not in statuses[2:], "where it is refused depends on nobody's stack"


async def test_an_unknown_model_is_404(shared_server: Served, client: httpx.AsyncClient) -> None:
    answered = await client.post(f"{shared_server.url}/v1/runs", json={**ASKED, "model": "none"})
    assert answered.status_code == 404
    assert "offline" in answered.json()["error"]["message"]


async def test_a_refusal_does_not_repeat_what_was_sent(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    secret = {"flow": "chat", "input": {"prompt": ["secret-7Q"]}, "model": 7, "dialect": []}
    answered = await client.post(f"{shared_server.url}/v1/runs", json=secret)
    assert answered.status_code == 422
    assert "secret-7Q" not in answered.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil", 421),
        ("[x]", 400),
        ("127.0.0.1:evil.com", 400),
        ("localhost:80@evil.com", 400),
        ("evil.com@localhost", 400),
        ("localhost/evil.com", 400),
        ("localhost evil.com", 400),
        ("127.0.0.1:80:evil.com", 400),
    ],
)
async def test_a_foreign_host_is_refused(
    shared_server: Served, client: httpx.AsyncClient, host: str, status: int
) -> None:
    for path in ("/v1/runs", "/healthz", "/docs", "/nowhere"):
        answered = await client.get(shared_server.url + path, headers={"host": host})
        assert answered.status_code == status
        assert "evil" not in answered.text


async def test_a_host_that_is_known_is_let_in(serve_with: Serve, client: httpx.AsyncClient) -> None:
    served = serve_with(allowed_hosts="box.lan, other.lan")
    names = ("box.lan", "OTHER.lan:8000", "localhost", "127.0.0.1:1", "[::1]:8000")
    for host in (*names, "backend", "unspool_app:8000"):  # as nginx names its upstream
        answered = await client.get(f"{served.url}/healthz", headers={"host": host})
        assert answered.status_code == 200, host


async def status_of(served: Served, path: str, body: bytes, *, chunked: bool) -> int:
    """The answer to a body that is sent at once, so that none of it comes after the refusal."""
    framing = b"content-length: %d" % len(body)
    if chunked:
        framing, body = b"transfer-encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    head = b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n%b\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(head % (path.encode(), framing) + body)
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/ai/stream", "/v1/runs", COPY])
async def test_a_body_that_is_too_large_is_refused_however_it_comes(
    serve_with: Serve, caplog: pytest.LogCaptureFixture, path: str, chunked: bool
) -> None:
    served = serve_with(max_body_bytes=20_000)
    large, small = (b'{"prompt":"%b"}' % (b"x" * size) for size in (30_000, 4_000))
    assert await status_of(served, path, large, chunked=chunked) == 413
    assert await status_of(served, path, small, chunked=chunked) in {200, 422}
    assert "Traceback" not in caplog.text


async def test_a_target_and_a_head_that_are_too_long_are_refused(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    long = await client.get(f"{shared_server.url}/v1/runs?status={'x' * 9000}")
    assert long.status_code in {414, 431}
    fat = await client.get(f"{shared_server.url}/healthz", headers={"x-fat": "y" * 20_000})
    assert fat.status_code == 431


async def test_no_more_runs_than_allowed_go_on_and_the_refusal_says_when_to_come_back(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[SILENCE]]
    served = serve_model(max_live_runs=2)
    ids = [(await started(client, served))["id"] for _ in range(2)]
    answered = await client.post(f"{served.url}/v1/runs", json=ASKED)
    assert answered.status_code == 503
    assert answered.headers["retry-after"] == "1"
    await client.post(f"{served.url}/v1/runs/{ids[0]}/cancel")
    await started(client, served)


async def test_the_schema_names_every_path_and_is_shown_as_a_page(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    schema = (await client.get(f"{shared_server.url}/openapi.json")).json()
    assert {COPY, "/ai/stream", "/v1/runs", "/v1/runs/{run_id}/events"} <= set(schema["paths"])
    assert json.dumps(schema)
    assert (await client.get(f"{shared_server.url}/docs")).status_code == 200


async def test_health_and_readiness_answer(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    assert (await client.get(f"{shared_server.url}/healthz")).json() == {"status": "ok"}
    ready = (await client.get(f"{shared_server.url}/readyz")).json()
    assert (ready["status"], ready["models"]) == ("ok", ["offline"])
    assert ready["access"] == "open"
