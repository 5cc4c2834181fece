"""What is sent to endpoints that speak Chat Completions, each as it wants it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.provider_probe import TALK, WEATHER, ask
from support.upstream import Upstream, answer, refusal
from unspool import Model, Prompt
from unspool.errors import ProviderRefused
from unspool.providers import open_provider
from unspool.providers.upstream.openai_request import request_for

ASKED = {"role": "user", "content": "写一首诗"}


def at(base_url: str, model: str, **more: Any) -> Model:
    return Model("m", "openai", model, base_url, "k", **more)


def begun(prefix: str = "春天") -> Prompt:
    return Prompt((ASKED,), prefix=prefix)


def test_messages_with_tools_are_written_as_openai_writes_them() -> None:
    request = request_for(at("http://x/v1", "m"), Prompt(TALK, tools=(WEATHER,)))
    body = request.body or {}
    _, _, call, first, second, thanks = body["messages"]
    assert call == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": f"c:{n}",
                "type": "function",
                "function": {"name": "get_weather", "arguments": f'{{"city": "{city}"}}'},
            }
            for n, city in ((1, "北京"), (2, "上海"))
        ],
    }
    assert first == {"role": "tool", "tool_call_id": "c:1", "content": '{"celsius": 3}'}
    assert second == {"role": "tool", "tool_call_id": "c:2", "content": "雨"}
    assert thanks == TALK[-1]
    (tool,) = body["tools"]
    assert tool == {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city",
            "parameters": WEATHER.parameters,
        },
    }


def test_what_was_asked_is_not_changed_by_asking() -> None:
    prompt = Prompt(({**TALK[2]},), prefix="好", tools=(WEATHER,))
    before = repr(prompt)
    request_for(at("http://x/v1", "m", prefill="partial"), prompt)
    assert repr(prompt) == before


def test_without_tools_none_are_named_and_parameters_are_passed_on() -> None:
    model = at("http://x/v1", "m", params={"top_p": 0.5, "temperature": 0.1})
    prompt = Prompt((ASKED,), params={"temperature": 0.9, "response_format": {"type": "text"}})
    body = request_for(model, prompt).body
    assert body == {
        "stream_options": {"include_usage": True},
        "top_p": 0.5,
        "temperature": 0.9,
        "response_format": {"type": "text"},
        "model": "m",
        "messages": [ASKED],
        "stream": True,
    }


@pytest.mark.parametrize(
    ("quirks", "params", "sent"),
    [
        ({"no_stream_options"}, {}, {}),
        (
            {"no_stream_options", "max_completion_tokens"},
            {"max_tokens": 9},
            {"max_completion_tokens": 9},
        ),
        (
            {"no_stream_options", "max_completion_tokens"},
            {"max_tokens": 9, "max_completion_tokens": 5},
            {"max_completion_tokens": 5},
        ),
        ({"no_stream_options", "cumulative_content"}, {"max_tokens": 9}, {"max_tokens": 9}),
    ],
)
def test_a_deployment_gets_the_parameters_that_it_takes(
    quirks: set[str], params: dict[str, Any], sent: dict[str, Any]
) -> None:
    model = at("http://x/v1", "m", quirks=frozenset(quirks))
    body = dict(request_for(model, Prompt((ASKED,), params=params)).body or {})
    assert [body.pop(name) for name in ("model", "messages", "stream")] == ["m", [ASKED], True]
    assert body == sent


LAST = {"role": "assistant", "content": "春天"}
BEGINNINGS: dict[str, tuple[Model, str, dict[str, Any], dict[str, Any]]] = {
    "DeepSeek": (
        at("https://api.deepseek.com/v1", "deepseek-chat"),
        "https://api.deepseek.com/beta/chat/completions",
        {**LAST, "prefix": True},
        {},
    ),
    "Qwen": (
        at("https://dashscope.aliyuncs.com/compatible-mode/v1", "qwen-plus"),
        "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions",
        {**LAST, "partial": True},
        {},
    ),
    "Kimi": (
        at("https://api.moonshot.cn/v1", "kimi-latest"),
        "https://api.moonshot.cn/v1/chat/completions",
        {**LAST, "partial": True},
        {},
    ),
    "Mistral": (
        at("https://api.mistral.ai/v1", "mistral-small-latest"),
        "https://api.mistral.ai/v1/chat/completions",
        {**LAST, "prefix": True},
        {},
    ),
    "Doubao": (
        at("https://ark.cn-beijing.volces.com/api/v3", "doubao-1-5-pro-32k"),
        "https://ark.cn-beijing.volces.com/api/v3/chat/completions",
        LAST,
        {},
    ),
    "SiliconFlow": (
        at("https://api.siliconflow.cn/v1", "Qwen/Qwen2.5-7B-Instruct"),
        "https://api.siliconflow.cn/v1/chat/completions",
        ASKED,
        {"prefix": "春天"},
    ),
    "vLLM": (
        at("http://127.0.0.1:8000/v1", "m", prefill="continue_final_message"),
        "http://127.0.0.1:8000/v1/chat/completions",
        LAST,
        {"continue_final_message": True, "add_generation_prompt": False},
    ),
    "llama.cpp": (
        at("http://127.0.0.1:8080", "m", prefill="assistant"),
        "http://127.0.0.1:8080/chat/completions",
        LAST,
        {},
    ),
}


@pytest.mark.parametrize("vendor", BEGINNINGS)
def test_each_vendor_gets_the_beginning_of_the_answer_in_its_own_field(vendor: str) -> None:
    model, url, last, more = BEGINNINGS[vendor]
    request = request_for(model, begun())
    body = dict(request.body or {})
    assert request.url == url
    assert body["messages"][-1] == last
    assert len(body["messages"]) == (1 if last is ASKED else 2)
    assert ("stream_options" in body) == (vendor != "Mistral")
    for name in ("stream_options", "model", "messages", "stream"):
        body.pop(name, None)
    assert body == more
    whole = request_for(model, Prompt((ASKED,)))
    assert whole.url.startswith(model.base_url)
    assert (whole.body or {})["messages"] == [ASKED]


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("https://api.openai.com/v1", "gpt-4o-mini"),
        ("https://api.deepseek.com/v1", "deepseek-reasoner"),
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "qwq-plus"),
        ("http://127.0.0.1:8000/v1", "who-knows"),
    ],
)
def test_a_model_that_cannot_go_on_from_a_text_is_not_asked_to(base_url: str, model: str) -> None:
    with pytest.raises(ProviderRefused) as refused:
        request_for(at(base_url, model), begun())
    assert refused.value.code == "prefill"


async def test_only_what_follows_the_beginning_is_the_answer(upstream: Upstream) -> None:
    upstream.play = [answer("来了", "。")]
    heard = await ask(replace(upstream.model(), prefill="assistant"), begun())
    assert (heard.text, heard.finish) == ("来了。", "stop")
    assert upstream.requests[0].body["messages"][-1] == LAST


REFUSALS = [
    (400, "This model does not support assistant message prefill."),
    (400, "The last message must have role 'user'"),
    (422, "extra fields not permitted: partial"),
    (400, "Cannot set both continue_final_message and add_generation_prompt"),
]


@pytest.mark.parametrize(("status", "message"), REFUSALS)
async def test_a_refusal_of_the_beginning_is_told_from_one_of_the_request(
    upstream: Upstream, status: int, message: str
) -> None:
    upstream.play = [refusal(status, message)]
    model = replace(upstream.model(), prefill="assistant")
    assert (await ask(model, begun())).failure == ("refused", "prefill_refused")
    assert (await ask(model)).failure == ("refused", "invalid_request")


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (400, "maximum context length is 8192 tokens", "invalid_request"),
        (401, "the role of this key has no access", "auth"),
        (429, "too many requests for this assistant", "rate_limit"),
    ],
)
async def test_an_error_that_is_not_of_the_beginning_keeps_its_name(
    upstream: Upstream, status: int, message: str, code: str
) -> None:
    upstream.play = [refusal(status, message)]
    heard = await ask(replace(upstream.model(), prefill="assistant"), begun())
    assert heard.failure[1] == code


async def test_a_model_without_prefill_fails_before_anything_is_sent(upstream: Upstream) -> None:
    with pytest.raises(ProviderRefused):
        open_provider("openai").request(upstream.model(), begun())
    assert upstream.requests == []
