"""Whoever the provider is, a model is told of its tools, its calls, and what came back."""

from __future__ import annotations

import json

import pytest

from support.provider_probe import TALK, WEATHER, ask, at
from support.upstream import Upstream, refusal
from unspool import Prompt, plugs
from unspool.providers.upstream.vendors import OURS

PROVIDERS = [name for name in plugs.names("providers") if name not in OURS]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_tools_calls_and_answers_go_out_in_their_order(
    provider: str, upstream: Upstream
) -> None:
    upstream.play = [refusal(400)]
    await ask(at(upstream, provider, "/v1"), Prompt(TALK, tools=(WEATHER,)))
    body = upstream.requests[0].body
    told = json.dumps(body["tools"])
    assert WEATHER.name in told
    assert WEATHER.description in told
    assert '"required": ["city"]' in told
    rest = json.dumps({k: v for k, v in body.items() if k != "tools"}, ensure_ascii=False)
    order = ["天气？", "北京", "上海", "celsius", "雨", "谢谢"]
    places = [rest.rindex(word) for word in order]
    assert places == sorted(places)
    # Once as arguments each, in whatever form; the question names both cities before.
    assert [rest.count(word) for word in ("北京", "上海")] == [2, 2]
    assert "be brief" in rest


def test_there_are_five_of_them() -> None:
    assert len(PROVIDERS) >= 5
