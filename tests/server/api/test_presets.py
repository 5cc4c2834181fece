"""`/api/presets`: prompts that are used again."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from support.debug_chat import made
from support.models import deep, refused
from support.servers import Serve, Served


async def test_a_preset_is_kept_changed_and_forgotten(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    said = {
        "name": "介绍",
        "system_prompt": "简短",
        "prompt": "用{{ count }}句话介绍{{topic}}，{{topic}}是什么，{{}}和{{two words}}不算",
        "params": {"temperature": 0.3},
    }
    preset = await made(client, served, "presets", said)
    assert {name: preset[name] for name in said} == said
    assert preset["variables"] == ["count", "topic"]
    url = f"{served.url}/api/presets/{preset['id']}"
    assert (await client.get(url)).json() == preset
    changed = (await client.patch(url, json={"prompt": "{{a}}", "params": {}})).json()
    assert (changed["variables"], changed["params"]) == (["a"], {})
    assert (changed["name"], changed["system_prompt"]) == ("介绍", "简短")
    assert (await client.patch(url, json={})).json()["prompt"] == "{{a}}"
    listed = (await client.get(f"{served.url}/api/presets")).json()["presets"]
    assert listed[-1]["id"] == preset["id"]
    assert (await client.delete(url)).status_code == 204
    for gone in (client.get(url), client.delete(url), client.patch(url, json={"name": "x"})):
        await refused(await gone, "no preset", status=404)


async def test_a_fresh_start_has_some_in_both_languages(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    presets = (await client.get(f"{shared_server.url}/api/presets")).json()["presets"]
    names = [preset["name"] for preset in presets]
    assert {"翻译成英文", "Explain to a beginner"} <= set(names)
    assert all(preset["variables"] for preset in presets)
    chinese = [name for name in names if not name.isascii()]
    assert 2 <= len(chinese) <= len(names) - 2


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": None}, "name"),
        ({"prompt": 3}, "prompt"),
        ({"params": [1]}, "params"),
        ({"params": {"x": deep(40)}}, "levels"),
        ({"color": "red"}, "color"),
        ({"name": "翻译成英文"}, "exists already"),
    ],
)
async def test_what_cannot_be_a_preset_is_refused(
    client: httpx.AsyncClient, shared_server: Served, wrong: dict[str, Any], word: str
) -> None:
    url = f"{shared_server.url}/api/presets"
    await refused(await client.post(url, json={"name": "fine", **wrong}), word)
    before = (await client.get(f"{url}/2")).json()
    await refused(await client.patch(f"{url}/2", json=wrong), word)
    assert (await client.get(f"{url}/2")).json() == before


async def test_a_preset_keeps_its_earlier_versions(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    said = {"name": "介绍", "prompt": "一句话介绍{{topic}}", "params": {"temperature": 0.3}}
    preset = await made(client, served, "presets", said)
    assert preset["version"] == 1
    url = f"{served.url}/api/presets/{preset['id']}"
    assert (await client.patch(url, json={"name": "新名字"})).json()["version"] == 1
    assert (await client.patch(url, json={"prompt": "两句话介绍{{topic}}"})).json()["version"] == 2
    assert (await client.patch(url, json={"prompt": "两句话介绍{{topic}}"})).json()["version"] == 2
    assert (await client.patch(url, json={"params": {}})).json()["version"] == 3
    versions = (await client.get(f"{url}/versions")).json()["versions"]
    assert [(each["version"], each["prompt"], each["params"]) for each in versions] == [
        (3, "两句话介绍{{topic}}", {}),
        (2, "两句话介绍{{topic}}", {"temperature": 0.3}),
        (1, "一句话介绍{{topic}}", {"temperature": 0.3}),
    ]


async def test_a_preset_is_filled_with_values_in_any_version(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    said = {"name": "介绍", "prompt": "介绍{{ topic }}", "system_prompt": "你是{{role}}"}
    preset = await made(client, served, "presets", said)
    assert preset["variables"] == ["topic", "role"]
    url = f"{served.url}/api/presets/{preset['id']}"
    await client.patch(url, json={"prompt": "请介绍{{topic}}"})
    values = {"topic": r"跑鞋\1{{role}}", "role": "店员"}
    filled = (await client.post(f"{url}/fill", json={"variables": values})).json()
    assert (filled["prompt"], filled["system_prompt"]) == (r"请介绍跑鞋\1{{role}}", "你是店员")
    older = {"variables": values, "version": 1}
    assert (await client.post(f"{url}/fill", json=older)).json()["prompt"].startswith("介绍")
    await refused(await client.post(f"{url}/fill", json={"variables": {"role": "x"}}), "topic")
    unknown = {"variables": values, "version": 9}
    await refused(await client.post(f"{url}/fill", json=unknown), "no version 9", status=404)
