"""
Unspool within Django and Django REST framework, under ASGI and under WSGI.

One process has one configuration of Django, so each is a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.readers import look, post
from support.servers import clean_env

EXAMPLES = Path(__file__).parent.parent / "examples"

PROGRAM = """
import asyncio, json, sys, threading
sys.path.insert(0, {examples!r})
import {module} as django_app
from wsgiref.simple_server import WSGIRequestHandler, make_server
from unspool.django import Rewrite, RewriteProcessor, close, unspool
import uvicorn

class Quiet(WSGIRequestHandler):
    def log_message(self, *_): pass

wsgi = make_server("127.0.0.1", 0, django_app.wsgi, handler_class=Quiet)
threading.Thread(target=wsgi.serve_forever, daemon=True).start()

async def rewrite():
    here = unspool()
    from unspool.apps.stories.records import add_project
    made = await here.acall(lambda: add_project(here.core.records, "p", "介绍AI技术的发展历程"))
    processor = RewriteProcessor()
    events = []
    async for chunk in processor.process_stream(made.id, {{"original_text": "从前有座山。"}}):
        events.append(chunk)
    missing = [chunk async for chunk in Rewrite().process_stream(999, None)]
    return events, missing

async def main():
    config = uvicorn.Config(django_app.asgi, port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    events, missing = await rewrite()
    port = server.servers[0].sockets[0].getsockname()[1]
    print(json.dumps({{"asgi": port, "wsgi": wsgi.server_port, "events": events,
                      "missing": missing}}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    server.should_exit = True
    await serving

asyncio.run(main())
wsgi.shutdown()
close()
"""


MODELS = """
models:
  - name: quick
    provider: scripted
    params: {script: [{text: 从前}, {text: 有一座山}, {text: 。}, {finish: stop}]}
"""
"""A model that does not pause between its words."""


@contextmanager
def django(folder: Path, module: str = "django_app") -> Iterator[dict[str, Any]]:
    (folder / "unspool.yaml").write_text(MODELS, encoding="utf-8")
    program = PROGRAM.format(examples=str(EXAMPLES), module=module)
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=folder,
        env=clean_env(UNSPOOL_DATA_DIR=str(folder / "data")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield json.loads(child.stdout.readline())
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


@pytest.mark.slow
async def test_django_streams_runs_under_asgi_and_under_wsgi(
    tmp_path: Path, client: httpx.AsyncClient
) -> None:
    with django(tmp_path) as served:
        for kind, write, runs in (("asgi", "awrite", "aruns"), ("wsgi", "write", "runs")):
            url = f"http://127.0.0.1:{served[kind]}"
            whole = await look(client, f"{url}/{write}?prompt=你好")
            assert whole.headers["content-type"].startswith("text/event-stream"), kind
            assert whole.headers["x-accel-buffering"] == "no"
            assert len(whole.seen.data) == 3
            events = f"{url}/{runs}/{whole.run_id}/events"
            rest = await look(client, events, after=whole.seen.frames[0][0])
            assert rest.seen.data == whole.seen.data[1:], kind
            at_end = await client.get(events, headers={"last-event-id": "999999"})
            assert at_end.status_code in {204, 400}
            wrong = await client.get(f"{url}/{write}?prompt=")
            assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "invalid_request")
            assert (await client.get(f"{url}/{runs}/nothing/events")).status_code == 404
        # The unit test of the seed document, with its own names.
        events = served["events"]
        assert events[-1]["type"] == "done"
        assert "full_text" in events[-1]
        assert served["missing"][-1]["type"] == "error"


@pytest.mark.slow
async def test_s4_8_projects_stages_and_history_are_urls_of_the_django_project(
    tmp_path: Path, client: httpx.AsyncClient
) -> None:
    with django(tmp_path) as served:
        for kind in ("asgi", "wsgi"):
            root = f"http://127.0.0.1:{served[kind]}"
            named = {"name": "一个故事", "original_topic": "一家雨天才开门的书店"}
            made = await client.post(f"{root}/api/v1/projects/", json=named)
            assert made.status_code == 201, made.text
            url = f"{root}/api/v1/projects/{made.json()['id']}"
            view = await post(client, f"{url}/rewrite-stream/", {})
            frames = [json.loads(data) for data in view.seen.data]
            assert frames[-1]["type"] == "done", kind
            assert "一个故事" in (await client.get(f"{root}/api/v1/projects/")).text
            history = (await client.get(f"{url}/history")).json()
            assert "一个故事" in (await client.get(url)).text
            assert frames[-1]["full_text"] in history["results"][0].values()
            rest = await look(client, f"{root}/v1/runs/{view.run_id}/events", after="3")
            assert rest.seen.data
            missing = await client.post(f"{root}/api/v1/projects/999/rewrite-stream/", json={})
            assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_record")
            assert (await client.delete(url)).status_code == 204


@pytest.mark.slow
async def test_a_view_of_the_rest_framework_streams_to_a_client_that_asks_for_a_stream(
    tmp_path: Path, client: httpx.AsyncClient
) -> None:
    with django(tmp_path, "drf_app") as served:
        for kind in ("asgi", "wsgi"):
            root = f"http://127.0.0.1:{served[kind]}"
            named = {"name": "p", "original_topic": "一家雨天才开门的书店"}
            made = (await client.post(f"{root}/api/v1/projects/", json=named)).json()
            url = f"{root}/drf/projects/{made['id']}/rewrite-stream/"
            accept = {"accept": "text/event-stream"}
            answer = await client.post(url, json={}, headers=accept)
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert '"type":"done"' in answer.text.replace(" ", "")
