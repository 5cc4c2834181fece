"""Taking in a file of LiteLLM: what becomes of it, and what is told to stay behind."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from unspool.cli import app
from unspool.models.config_file import read_config

KEY = "sk-planted-0123456789"

pytestmark = pytest.mark.usefixtures("somewhere_else")

numbers = itertools.count()


def cli(*args: str) -> Result:
    return CliRunner().invoke(app, ["models", "import", *args])


def taken(*models: dict[str, Any], **rest: Any) -> tuple[Any, str]:
    """Our file, read again, and what was said about it."""
    source, target = Path(f"litellm-{next(numbers)}.yaml"), Path(f"ours-{next(numbers)}.yaml")
    source.write_text(json.dumps({"model_list": models, **rest}))
    result = cli(str(source), "--output", str(target))
    assert result.exit_code == 0, result.output
    assert KEY not in target.read_text() + result.output
    return read_config(target), result.stderr


def entry(name: str, model: str, **params: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, **params}}


def test_every_field_that_has_a_counterpart_is_taken_over() -> None:
    params = {"api_key": "os.environ/QWEN", "timeout": 60, "stream_timeout": 20, "temperature": 0.2}
    said = entry("qwen", "dashscope/qwen-plus", **params, extra_body={"enable_search": True})
    said["model_info"] = {"input_cost_per_token": 8e-7, "output_cost_per_token": 2e-6}
    said["model_info"]["max_tokens"] = 8192
    config, notes = taken(said)
    (model,) = config.models
    assert (model.name, model.provider, model.upstream_name) == ("qwen", "openai", "qwen-plus")
    assert model.base_url == "https://dashscope.aliyuncs.com/compatible-mode/v1"
    assert model.api_key == "env:QWEN"
    assert (model.limits.first_event_s, model.limits.idle_s) == (20, 20)
    assert (model.prices.prompt, model.prices.completion) == (0.8, 2.0)
    assert model.params == {"temperature": 0.2, "enable_search": True}
    assert (config.routes, notes) == ([], "")


@pytest.mark.parametrize(
    ("model", "more", "provider", "upstream", "address", "key"),
    [
        ("openai/gpt-4o", {}, "openai", "gpt-4o", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("gpt-4o", {}, "openai", "gpt-4o", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("anthropic/c", {}, "anthropic", "c", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
        ("claude-3-opus", {}, "anthropic", "claude-3-opus", "https://api.anthropic.com", None),
        ("ollama/llama3", {}, "ollama", "llama3", "http://127.0.0.1:11434", ""),
        ("ollama_chat/q", {"api_base": "http://gpu:1"}, "ollama", "q", "http://gpu:1", ""),
        ("deepseek/d", {}, "openai", "d", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
        ("moonshot/k", {}, "openai", "k", "https://api.moonshot.cn/v1", "MOONSHOT_API_KEY"),
        ("openrouter/a/b", {}, "openai", "a/b", "https://openrouter.ai/api/v1", None),
        ("mistral/m", {}, "openai", "m", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
        (
            "volcengine/d",
            {},
            "openai",
            "d",
            "https://ark.cn-beijing.volces.com/api/v3",
            "VOLCENGINE_API_KEY",
        ),
        ("groq/l", {}, "openai", "l", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
        ("hosted_vllm/Q/q", {"api_base": "http://v:1/v1"}, "openai", "Q/q", "http://v:1/v1", ""),
        ("Q/q", {"api_base": "http://v:1/v1"}, "openai", "Q/q", "http://v:1/v1", ""),
        (
            "q",
            {"api_base": "http://v:1/v1", "custom_llm_provider": "openai"},
            "openai",
            "q",
            "http://v:1/v1",
            None,
        ),
    ],
)
def test_a_provider_of_theirs_becomes_one_of_ours(
    model: str, more: dict[str, Any], provider: str, upstream: str, address: str, key: str | None
) -> None:
    config, notes = taken(entry("m", model, **more))
    (found,) = config.models
    assert (found.provider, found.upstream_name, found.base_url) == (provider, upstream, address)
    if key is not None:
        assert found.api_key == (f"env:{key}" if key else "")
    assert notes == ""


def test_a_key_that_stood_in_the_file_is_left_there_and_its_place_is_named() -> None:
    config, notes = taken(entry("my-model", "openai/m", api_key=KEY))
    assert config.models[0].api_key == "env:MY_MODEL_API_KEY"
    assert "put it into the variable MY_MODEL_API_KEY" in notes


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            entry("m", "azure/x", api_base="https://x.example"),
            "no provider here supports azure",
        ),
        (entry("m", "bedrock/x"), "no provider here supports bedrock"),
        (entry("m", "strange/x"), "its address is unknown"),
        (entry("m", "hosted_vllm/x"), "its address is unknown"),
        (entry("*", "openai/*"), "write out its models"),
        ({"model_name": "m"}, "it has no litellm_params"),
        ({**entry("m", "openai/e"), "model_info": {"mode": "embedding"}}, "it is for embedding"),
        (entry("m", "openai/x", api_base="http://u:p@h/"), "no user, password"),
        (entry("m", "openai/x", temperature={"deep": [[[]]]}, stream_timeout=-1), ""),
    ],
)
def test_a_model_that_cannot_be_taken_over_is_told(said: dict[str, Any], words: str) -> None:
    config, notes = taken(said, entry("other", "ollama/x"))
    assert config.models[-1].name == "other"
    assert words in notes


def test_what_has_no_counterpart_is_told_and_written_as_a_comment() -> None:
    Path("l.yaml").write_text(
        json.dumps(
            {
                "model_list": [entry("a b", "openai/x", rpm=9, tpm=10)],
                "router_settings": {"num_retries": 2, "redis_password": KEY},
                "general_settings": {"master_key": KEY},
            }
        )
    )
    result = cli("l.yaml")
    assert result.exit_code == 0
    for words in ("rpm has no counterpart", "tpm has", "num_retries", "redis_password", "general"):
        assert words in result.stderr
        assert words in result.stdout
    assert "its new name is a-b" in result.stderr
    assert KEY not in result.output


def strategy_of(config: Any, name: str) -> tuple[str, list[tuple[str, float]]]:
    (route,) = (route for route in config.routes if route.name == name)
    return route.strategy, [(member.model, member.weight) for member in route.models]


def test_several_models_of_one_name_become_a_route() -> None:
    two = entry("m", "ollama/a"), entry("m", "ollama/b")
    assert strategy_of(taken(*two)[0], "m") == ("random", [("m-1", 1), ("m-2", 1)])
    least = taken(*two, router_settings={"routing_strategy": "least-busy"})[0]
    assert strategy_of(least, "m")[0] == "least_loaded"
    config, notes = taken(*two, router_settings={"routing_strategy": "latency-based-routing"})
    assert strategy_of(config, "m")[0] == "least_loaded"
    assert "latency-based-routing" in notes


def test_weights_and_orders_are_kept() -> None:
    weighted = taken(entry("m", "ollama/a", weight=3), entry("m", "ollama/b"))[0]
    assert strategy_of(weighted, "m") == ("weighted", [("m-1", 3), ("m-2", 1)])
    ordered = taken(entry("m", "ollama/a", order=2), entry("m", "ollama/b", order=1))[0]
    assert strategy_of(ordered, "m") == ("ordered", [("m-2", 1), ("m-1", 1)])


def test_fallbacks_become_an_ordered_route_of_models() -> None:
    models = entry("m", "ollama/a"), entry("n", "ollama/b"), entry("n", "ollama/c")
    config, notes = taken(*models, router_settings={"fallbacks": [{"m": ["n"]}, {"x": ["m"]}]})
    assert strategy_of(config, "m") == ("ordered", [("m-1", 1), ("n-1", 1), ("n-2", 1)])
    assert strategy_of(config, "n")[0] == "random"
    assert "fallbacks of x" in notes
    config, notes = taken(*models, litellm_settings={"fallbacks": [{"n": ["m"]}]})
    assert strategy_of(config, "n") == ("ordered", [("n-1", 1), ("n-2", 1), ("m", 1)])
    assert "answer in order, not balanced" in notes


def test_a_name_that_is_taken_is_not_given_again() -> None:
    config, _ = taken(entry("m", "ollama/a"), entry("m", "ollama/b"), entry("m-1", "ollama/c"))
    assert [model.name for model in config.models] == ["m-2", "m-3", "m-1"]


@pytest.mark.parametrize("text", ["", "[]", "models: []", "model_list: 1", "a: !!python/x", "\t"])
def test_what_is_no_file_of_litellm_is_refused(text: str) -> None:
    Path("l.yaml").write_text(text)
    result = cli("l.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "l.yaml" in result.stderr


def test_nothing_is_written_over() -> None:
    Path("l.yaml").write_text(json.dumps({"model_list": [entry("m", "ollama/a")]}))
    Path("unspool.yaml").write_text("mine")
    result = cli("l.yaml", "-o", "unspool.yaml")
    assert result.exit_code == 2
    assert "name another file" in result.stderr
    assert Path("unspool.yaml").read_text() == "mine"
    assert "cannot be read" in cli("absent.yaml").stderr
