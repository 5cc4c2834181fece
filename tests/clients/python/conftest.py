"""
A server for other people's clients, in a process of its own.

These tests run in an environment with the clients and without us: `make test-clients`.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import count
from typing import Any

import pytest

Scripted = Callable[..., str]

FRAMEWORKS = ["test_openai_agents.py", "test_pydantic_ai.py"]
collect_ignore = [] if find_spec("pydantic_ai") else FRAMEWORKS
"""They want other versions of the clients below them: `requirements-frameworks.txt`."""

END: list[Any] = [
    {"usage": {"prompt_tokens": 3, "completion_tokens": 5}},
    {"finish": "stop"},
]


def called(name: str, arguments: dict[str, Any]) -> list[Any]:
    """A script that calls a tool."""
    call = {"index": 0, "id": "c1", "name": name, "arguments": json.dumps(arguments)}
    return [{"tool": call}, END[0], {"finish": "tool_calls"}]


def called_at_once(*calls: tuple[str, str]) -> list[Any]:
    """A script that calls several tools in one answer; their arguments are as a model writes."""
    pieces = [
        {"tool": {"index": place, "id": f"c{place}", "name": name, "arguments": arguments}}
        for place, (name, arguments) in enumerate(calls)
    ]
    return [{"text": "Let me see."}, *pieces, END[0], {"finish": "tool_calls"}]


def said(*pieces: str) -> list[Any]:
    """A script of a whole answer."""
    return [*({"text": piece} for piece in pieces), *END]


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("data")
    kept = ("UNSPOOL_", "LLM_", "OPENAI_", "OLLAMA_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(kept)}
    command = [os.environ["UNSPOOL"], "serve", "--port", "0", "--data-dir", str(folder), "--json"]
    with (
        (folder.parent / "server.log").open("wb") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env={**env, "UNSPOOL_RETRIES": "0"}
        ) as server,
    ):
        assert server.stdout is not None
        yield str(json.loads(server.stdout.readline())["url"])
        server.terminate()


@pytest.fixture(scope="session")
def scripted(url: str) -> Scripted:
    """Register a model that plays scripts, the n-th at its n-th request; return its name."""
    numbers = count(1)

    def register(*scripts: list[Any]) -> str:
        name = f"scripted-{next(numbers)}"
        script = {"attempts": list(scripts)}
        body = {"name": name, "provider": "scripted", "params": {"script": script}}
        request = urllib.request.Request(
            f"{url}/api/models",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 201
        return name

    return register


def read(url: str, body: Any = None) -> bytes:
    """Send a request, a POST if it has a body, and return the answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=40) as answer:
        return bytes(answer.read())


def newest_run(url: str) -> list[dict[str, Any]]:
    """Wait for the end of the newest run, and return its events."""
    run = json.loads(read(f"{url}/v1/runs?limit=1"))["runs"][0]["id"]
    lines = read(f"{url}/v1/runs/{run}/events?dialect=native").decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


@pytest.fixture
def dying(url: str, scripted: Scripted) -> str:
    """A route whose first model dies in mid-word; the second one goes on."""
    first = scripted([{"text": "Rome is "}, {"text": "ol"}, {"fail": "interrupted"}])
    models = [first, scripted(said("d now."))]
    read(f"{url}/api/routes", {"name": f"route-{first}", "models": models})
    return f"route-{first}"
