"""The client of Durable Streams for Python, on the log of a run."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import durable_streams
import pytest
from killable import SLOW, WORDS

from conftest import Scripted


def started(url: str, model: str) -> str:
    body = {"flow": "chat", "input": {"prompt": "hello"}, "model": model}
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/runs", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return str(json.loads(reply.read())["id"])


@pytest.mark.parametrize("live", ["sse", "long-poll", True])
def test_it_follows_a_run_to_its_end(url: str, scripted: Scripted, live: Any) -> None:
    address = f"{url}/v1/streams/{started(url, scripted(SLOW))}"
    found: list[Any] = []
    with durable_streams.stream(address, offset="-1", live=live) as reading:
        for event in reading.iter_json():
            found.append(event)
            if event["type"] == "run.completed":
                break
    assert [event["seq"] for event in found] == list(range(1, len(found) + 1))
    text = [event["data"]["text"] for event in found if event["type"] == "text.delta"]
    assert "".join(text) == "".join(WORDS)
    with durable_streams.stream(address, offset="-1", live=False) as reading:
        assert list(reading.iter_json()) == found
