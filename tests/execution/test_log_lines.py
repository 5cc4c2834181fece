"""The server's log: one line for each request to a model, in every contract."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import httpx
import pytest

from support.readers import until
from support.servers import ServeModel
from support.upstream import Upstream, answer, refusal

CALLS = [
    ("/ai/generate/copy", {"sku": "8WZ01CM1", "count": 1}, "copywriting"),
    ("/ai/stream", {"prompt": "你好"}, "plain"),
    ("/api/debug/chat", {"model_id": 1, "prompt": "你好", "stream": True}, "debug_chat"),
    ("/api/v1/events/extract/user_0007/llm-stream", None, "extraction"),
    ("/v1/runs", {"input": {"prompt": "你好"}}, "native"),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[2])
async def test_each_request_to_a_model_has_one_line(
    serve_model: ServeModel,
    upstream: Upstream,
    client: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    call: tuple[str, object, str],
) -> None:
    path, body, contract = call
    caplog.set_level(logging.INFO)
    upstream.play = [refusal(500), answer("今天")]
    served = serve_model(retries=1)
    accept = {"accept": "text/event-stream"}
    await client.post(served.url + path, json=body, headers=accept)

    def lines() -> list[str]:
        messages = [record.getMessage() for record in caplog.records]
        return [message for message in messages if message.startswith("Attempt ")]

    await until(lambda: len(lines()) >= 2)
    failed, finished = lines()[:2]
    assert failed.startswith("Attempt 1 at tested failed: ")
    assert finished.startswith("Attempt 2 at tested finished (stop); ")
    assert all(f", {contract}, " in line for line in (failed, finished))
    assert len(lines()) == len(upstream.requests)


PROGRAM = """
import logging
from unspool.cli._bootstrap import start_logging
start_logging("INFO")
logging.getLogger("unspool.x").info("📡 调用 OpenAI API")
"""


@pytest.mark.parametrize("form", ["text", "json", "yaml"])
def test_a_line_has_a_date_and_may_be_json(form: str) -> None:
    env = {"UNSPOOL_LOG_FORMAT": form, "PYTHONPATH": ":".join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False
    )
    if form == "yaml":
        assert "UNSPOOL_LOG_FORMAT is wrong" in run.stderr
    elif form == "json":
        line = json.loads(run.stderr)
        assert line.pop("at")[:2] == "20"
        assert line == {"level": "INFO", "logger": "unspool.x", "message": "📡 调用 OpenAI API"}
    else:
        date, *rest = run.stderr.strip().split(" - ")
        assert len(date) == len("2025-10-27 10:57:00,000")
        assert rest == ["unspool.x", "INFO", "📡 调用 OpenAI API"]
