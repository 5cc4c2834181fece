"""Test cases: saved from runs, asked of models again, judged."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from support.debug_chat import called
from support.models import refused
from support.runs import until_ended
from support.servers import Desk, Served
from support.upstream import Upstream, answer, refusal
from unspool.apps.debug_chat.expectations import Expectation, misses_of

CALLS = [
    {"name": "weather", "arguments": {"city": "上海", "days": 3}},
    {"name": "time", "arguments": {}},
]


@pytest.mark.parametrize(
    ("expectation", "text", "misses"),
    [
        ({"text": [{"kind": "equals", "value": "你好"}]}, " 你好\n", []),
        ({"text": [{"kind": "equals", "value": "你好"}]}, "你好！", ["equals"]),
        ({"text": [{"kind": "contains", "value": "shanghai"}]}, "In Shanghai", []),
        ({"text": [{"kind": "lacks", "value": "sorry"}]}, "Sorry, no", ["lacks"]),
        ({"calls": [{"name": "weather", "arguments": {"city": "上海"}}]}, "", []),
        ({"calls": [{"name": "weather", "arguments": {"city": "北京"}}]}, "", ["call"]),
        ({"calls": [{"name": "time"}, {"name": "time"}]}, "", ["call"]),
        ({"calls": []}, "", ["no_calls"]),
        ({"fits": {"type": "object", "required": ["a"]}}, '```json\n{"a": 1}\n```', []),
        ({"fits": {"type": "object", "required": ["a"]}}, '{"b": 1}', ["fits"]),
        ({"fits": {"type": "object"}}, "[" * 9999, ["json"]),
    ],
)
def test_an_answer_is_held_against_every_rule(
    expectation: dict[str, Any], text: str, misses: list[str]
) -> None:
    found = misses_of(Expectation.model_validate(expectation), text, CALLS)
    assert [miss.kind for miss in found] == misses


@pytest.mark.parametrize("nothing", [{}, {"text": []}, {"fits": {"type": 7}}, {"x": 1}])
def test_a_case_that_cannot_fail_is_refused(nothing: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Expectation.model_validate(nothing)


async def evaluated(client: httpx.AsyncClient, served: Served, **input: Any) -> dict[str, Any]:
    body = {"flow": "evaluation", "input": input}
    started = await client.post(f"{served.url}/v1/runs", json=body)
    assert started.status_code == 201, started.text
    return await until_ended(client, served, started.json()["id"])


async def test_a_run_is_saved_as_a_case_and_asked_of_a_model_again(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [answer("晴"), answer("晴"), answer("雨"), refusal(401)]
    asked = {"model_id": desk.model_id, "prompt": "天气？", "system_prompt": "简短"}
    first = await client.post(f"{desk.url}/api/debug/chat", json=asked)
    run_id = first.headers["x-run-id"]
    saved = await client.post(f"{desk.url}/api/cases", json={"run": run_id})
    assert saved.status_code == 201, saved.text
    case = saved.json()
    assert saved.headers["location"] == f"/api/cases/{case['id']}"
    assert case["input"] == {"prompt": "天气？", "system": "简短"}
    assert case["expectation"]["text"] == [{"kind": "equals", "value": "晴"}]
    assert (case["name"], case["run"]) == ("天气？", run_id)
    verdicts = []
    for _ in range(3):
        wanted = {"case_ids": [case["id"]], "models": [desk.model]}
        run = await evaluated(client, desk.served, **wanted)
        assert run["status"] == "completed"
        (verdict,) = run["result"]["verdicts"]
        verdicts.append(verdict["verdict"])
    assert verdicts == ["passed", "failed", "error"]
    body = json.dumps(upstream.requests[1].body["messages"], ensure_ascii=False)
    assert "天气？" in body
    assert "简短" in body
    read = (await client.get(f"{desk.url}/api/cases/{case['id']}")).json()
    assert [each["verdict"] for each in read["verdicts"]] == ["error", "failed", "passed"]
    assert read["verdicts"][1]["misses"] == [{"kind": "equals", "expected": "晴", "seen": "雨"}]
    (listed,) = [
        each
        for each in (await client.get(f"{desk.url}/api/cases")).json()["cases"]
        if each["id"] == case["id"]
    ]
    latest = [(each["verdict"], each["before"]) for each in listed["latest"]]
    assert latest == [("error", "failed")]


async def test_a_run_that_called_tools_becomes_a_case_that_expects_these_calls(
    client: httpx.AsyncClient, desk: Desk, upstream: Upstream
) -> None:
    upstream.play = [called(("c:1", "weather", {"city": "上海"}))]
    tool = {"name": "weather", "description": "天气"}
    body = {"flow": "chat", "model": desk.model, "input": {"prompt": "天气？", "tools": [tool]}}
    started = await client.post(f"{desk.url}/v1/runs", json=body)
    await until_ended(client, desk.served, started.json()["id"])
    saved = await client.post(f"{desk.url}/api/cases", json={"run": started.json()["id"]})
    case = saved.json()
    assert case["expectation"]["calls"] == [{"name": "weather", "arguments": {"city": "上海"}}]
    run = await evaluated(client, desk.served, case_ids=[case["id"]], models=[desk.model])
    assert run["result"]["passed"] == 1
    upstream.play = [answer("晴")]
    run = await evaluated(client, desk.served, case_ids=[case["id"]], models=[desk.model])
    assert run["result"]["failed"] == 1


async def test_a_case_is_changed_and_removed_with_its_verdicts(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    url = f"{shared_server.url}/api/cases"
    input = {"prompt": "你好"}
    expectation = {"text": [{"kind": "contains", "value": "好"}]}
    case = (await client.post(url, json={"input": input, "expectation": expectation})).json()
    one = f"{url}/{case['id']}"
    changed = await client.patch(one, json={"name": "问候", "input": {"prompt": "早"}})
    assert (changed.json()["name"], changed.json()["input"]) == ("问候", {"prompt": "早"})
    assert changed.json()["expectation"] == case["expectation"]
    await refused(await client.patch(one, json={"input": {"prompt": ""}}), "input.prompt")
    await refused(await client.patch(one, json={"expectation": {}}), "nothing is expected")
    assert (await client.delete(one)).status_code == 204
    await refused(await client.get(one), "no case", status=404)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "needs `input`"),
        ({"input": {"prompt": "x"}}, "needs `expectation`"),
        ({"input": {"prompt": "x", "y": 1}, "expectation": {"calls": []}}, "input.y"),
    ],
)
async def test_a_case_that_says_too_little_is_refused(
    client: httpx.AsyncClient, shared_server: Served, wrong: dict[str, Any], words: str
) -> None:
    await refused(await client.post(f"{shared_server.url}/api/cases", json=wrong), words)


async def test_an_unknown_case_or_run_is_not_found(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    answered = await client.post(f"{shared_server.url}/api/cases", json={"run": "nothing"})
    assert answered.status_code == 404
    body = {"flow": "evaluation", "input": {"case_ids": [99999]}}
    answered = await client.post(f"{shared_server.url}/v1/runs", json=body)
    assert answered.status_code == 404
