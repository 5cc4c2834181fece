"""A run is judged by people, and taken away as a file."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from support.servers import Serve, Served, ServeModel
from support.upstream import Upstream, answer, refusal

from .test_runs import ended, started


async def test_feedback_is_given_changed_listed_and_withdrawn(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    run = (await started(client, served))["id"]
    url = f"{served.url}/v1/runs/{run}/feedback"
    assert (await client.get(url)).json() == {"run": run, "feedback": None}
    bad = {"verdict": "down", "note": "太长"}
    assert (await client.post(url, json=bad)).json()["feedback"].items() >= bad.items()
    good = (await client.post(url, json={"verdict": "up"})).json()
    assert (good["feedback"]["verdict"], good["feedback"]["note"]) == ("up", "")
    assert (await client.get(url)).json() == good
    other = (await started(client, served))["id"]
    listed = (await client.get(f"{served.url}/v1/runs")).json()["runs"]
    assert {each["id"]: each["feedback"] for each in listed} == {
        run: good["feedback"],
        other: None,
    }
    for _ in range(2):
        assert (await client.post(url, json={"verdict": None})).json()["feedback"] is None
    assert (await client.get(url)).json()["feedback"] is None


@pytest.mark.parametrize(
    "wrong",
    [{}, {"verdict": "meh"}, {"verdict": "up", "note": "x" * 2001}, {"verdict": "up", "by": "me"}],
)
async def test_what_is_no_feedback_is_refused_and_stores_nothing(
    client: httpx.AsyncClient, shared_server: Served, wrong: dict[str, Any]
) -> None:
    run = (await started(client, shared_server))["id"]
    url = f"{shared_server.url}/v1/runs/{run}/feedback"
    assert (await client.post(url, json=wrong)).status_code == 422
    assert (await client.get(url)).json()["feedback"] is None


@pytest.mark.parametrize("path", ["feedback", "export"])
async def test_an_unknown_run_has_none(
    client: httpx.AsyncClient, shared_server: Served, path: str
) -> None:
    answered = await client.get(f"{shared_server.url}/v1/runs/01nothing/{path}")
    assert (answered.status_code, answered.json()["error"]["code"]) == (404, "unknown_run")


async def test_a_run_is_exported_as_its_events(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    run = await ended(client, shared_server, (await started(client, shared_server))["id"])
    answered = await client.get(f"{shared_server.url}/v1/runs/{run['id']}/export")
    name = f'filename="unspool-{run["id"]}.jsonl"'
    assert answered.headers["content-disposition"] == f"attachment; {name}"
    events = [json.loads(line) for line in answered.text.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, run["last_seq"] + 1))
    text = "".join(event["data"]["text"] for event in events if event["type"] == "text.delta")
    assert text == run["text"]


async def test_a_run_is_exported_as_text_that_says_how_it_ended(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer("# 你好\n", "世界")]
    served = serve_model()
    run = await ended(client, served, (await started(client, served))["id"])
    url = f"{served.url}/v1/runs/{run['id']}/export?format=md"
    _, front, text = (await client.get(url)).text.split("---\n", 2)
    facts = {
        name: json.loads(value)
        for name, value in (line.split(": ", 1) for line in front.splitlines())
    }
    assert (facts["id"], facts["status"]) == (run["id"], "completed")
    assert facts["input"]["prompt"] == "你好"
    assert text == "\n# 你好\n世界\n"
    upstream.play = [refusal(401)]
    failed = await ended(client, served, (await started(client, served))["id"])
    url = f"{served.url}/v1/runs/{failed['id']}/export?format=md"
    assert '\nstatus: "failed"\n' in (await client.get(url)).text


async def test_the_steps_of_an_export_have_their_names(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    more = {"flow": "copywriting", "input": {"sku": "8WZ01CM1"}, "model": "offline"}
    run = await ended(client, shared_server, (await started(client, shared_server, **more))["id"])
    url = f"{shared_server.url}/v1/runs/{run['id']}/export?format=md"
    text = (await client.get(url)).text
    for step in run["steps"]:
        assert f"\n## {step['name']}\n\n{step['text'].rstrip()}\n" in text
