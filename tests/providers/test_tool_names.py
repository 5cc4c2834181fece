"""Tools whose names providers do not take, such as Chinese ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from support.debug_chat import called
from support.provider_probe import TALK, WEATHER, ask
from support.upstream import Upstream
from unspool import Model, Prompt
from unspool.providers.upstream.tool_names import plain_name, plain_names


def renamed(message: dict[str, Any], name: str) -> dict[str, Any]:
    text = json.dumps(message, ensure_ascii=False).replace("get_weather", name)
    return dict(json.loads(text))


NAME = "查天气"
PROMPT = Prompt(tuple(renamed(m, NAME) for m in TALK), tools=(replace(WEATHER, name=NAME),))


async def test_a_tool_with_a_chinese_name_is_asked_for_plainly_and_called_by_its_own(
    upstream: Upstream,
) -> None:
    upstream.play = [called(("c:1", plain_name(NAME), {"city": "北京"}))]
    heard = await ask(Model("m", "openai", "m", upstream.url, "k"), PROMPT)
    assert heard.calls == [(NAME, {"city": "北京"})]
    assert [it.name for it in heard.fragments if it.name] == [NAME]
    body = upstream.requests[0].body
    (tool,) = body["tools"]
    assert tool["function"]["name"].isascii()
    assert tool["function"]["description"] == "查天气: Weather of a city"
    sent = json.dumps(body["messages"], ensure_ascii=False)
    assert NAME not in sent
    assert sent.count(plain_name(NAME)) == 2


def test_names_that_providers_take_stay_as_they_are() -> None:
    plain = Prompt(TALK, tools=(WEATHER,))
    assert plain_names(plain) == (plain, {})
    assert plain_name("名" * 64) != plain_name("名" * 63)
