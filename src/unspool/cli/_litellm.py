"""
Converts a LiteLLM configuration file into `unspool.yaml`.

A note lists each part without a counterpart; nothing is dropped silently. The converter never
copies a key from the file: a note names the variable to put it into.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeGuard

import yaml
from pydantic import ValidationError

from ..errors import SetupError, SpecError
from ..formats.plain_yaml import read_yaml
from ..models.config_file import MAX_FILE_BYTES, Config, FileModel
from ..providers.upstream.vendors import VENDORS

ENV: Final = "os.environ/"

VENDOR_NAMES: Final = {
    "volcengine": "ark",
    "zai": "zhipu",
    **{vendor.name: vendor.name for vendor in VENDORS},
}
"""LiteLLM's name of a vendor, and ours."""

URLS: Final = {
    "cerebras": "https://api.cerebras.ai/v1",
    "deepinfra": "https://api.deepinfra.com/v1/openai",
    "fireworks_ai": "https://api.fireworks.ai/inference/v1",
    "groq": "https://api.groq.com/openai/v1",
    "nvidia_nim": "https://integrate.api.nvidia.com/v1",
    "perplexity": "https://api.perplexity.ai",
    "together_ai": "https://api.together.xyz/v1",
    "xai": "https://api.x.ai/v1",
}
"""Services that speak OpenAI's Chat Completions; we know nothing else about them."""

ANYWHERE: Final = frozenset(
    {"hosted_vllm", "openai_compatible", "openai_like", "custom_openai", "litellm_proxy"}
    | {"lm_studio", "llamafile", "xinference", "vllm"}
)
"""Prefixes that name an API format; `api_base` has the address."""

OTHERS: Final = frozenset(
    {"azure", "azure_ai", "bedrock", "vertex_ai", "sagemaker", "cohere", "cohere_chat"}
    | {"huggingface", "replicate", "watsonx", "databricks", "palm", "cloudflare"}
)
"""Prefixes of services that no provider here supports."""

PARAMS: Final = frozenset(
    {"temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "stop", "seed"}
    | {"presence_penalty", "frequency_penalty", "response_format", "reasoning_effort", "user"}
)
"""Parameters to copy unchanged."""

TAKEN: Final = frozenset(
    {"model", "api_base", "base_url", "api_key", "custom_llm_provider", "timeout"}
    | {"stream_timeout", "weight", "order", "extra_body"}
    | {"input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost"}
)

STRATEGIES: Final = {"simple-shuffle": "random", "least-busy": "least_loaded"}

PER_MILLION: Final = 1_000_000


def convert(file: Path, variable: Callable[[str], str]) -> tuple[str, list[str]]:
    """
    Return the text of an `unspool.yaml`, and notes on the parts that stay behind.

    Raises:
        SpecError: It is not a file of LiteLLM.
    """
    try:
        raw = file.read_bytes()[: MAX_FILE_BYTES + 1]
        if len(raw) > MAX_FILE_BYTES:
            raise SpecError(f"{file} has more than {MAX_FILE_BYTES} bytes; is it the right file?")
        fields, _ = read_yaml(raw, str(file))
    except OSError as error:
        raise SpecError(f"{file} cannot be read: {error.strerror}; check the path") from error
    except SetupError as error:
        raise SpecError(str(error)) from None
    if not isinstance(fields, dict) or not isinstance(fields.get("model_list"), list):
        raise SpecError(f"{file} has no `model_list`; name a configuration file of LiteLLM")
    conversion = _Conversion(variable)
    config = conversion.config(fields)
    return _written(file.name, config, conversion.notes), conversion.notes


class _Conversion:
    """The conversion of one file; `notes` list the parts that stay behind."""

    def __init__(self, variable: Callable[[str], str]) -> None:
        self.notes: list[str] = []
        self._variable = variable
        self._groups: dict[str, list[dict[str, Any]]] = {}
        self._weights: dict[str, float] = {}
        self._orders: dict[str, float] = {}

    def config(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        for index, entry in enumerate(fields["model_list"]):
            if isinstance(entry, dict) and isinstance(entry.get("litellm_params"), dict):
                self._convert(entry, entry["litellm_params"])
            else:
                self.notes.append(f"model_list[{index}]: it has no litellm_params")
        router = fields.get("router_settings")
        router = router if isinstance(router, dict) else {}
        fallbacks = self._fallbacks(fields, router)
        strategy = str(router.get("routing_strategy") or "simple-shuffle")
        if strategy not in STRATEGIES and any(len(g) > 1 for g in self._groups.values()):
            self.notes.append(f"routing_strategy {strategy}: least_loaded replaces it")
        config: dict[str, Any] = {"models": [], "routes": []}
        for name, group in self._groups.items():
            self._number(name, group, is_route=len(group) > 1 or name in fallbacks)
            config["models"] += group
        for name, group in self._groups.items():
            if len(group) > 1 or name in fallbacks:
                others = [m["name"] for other in fallbacks.get(name, ()) for m in self._of(other)]
                strategy_ = STRATEGIES.get(strategy, "least_loaded")
                config["routes"].append(self._route(name, group, others, strategy_))
        self._rest(fields, router)
        return {word: value for word, value in config.items() if value}

    def _of(self, name: str) -> list[dict[str, Any]]:
        return self._groups.get(name, [])

    def _convert(self, entry: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        old_name = str(entry.get("model_name") or "")
        info = entry.get("model_info") if isinstance(entry.get("model_info"), dict) else {}
        assert isinstance(info, dict)
        if "*" in old_name or not old_name:
            self.notes.append(f"{old_name or 'a model without a name'}: write out its models")
            return
        if info.get("mode", "chat") not in {"chat", "completion", "responses"}:
            self.notes.append(f"{old_name}: it is for {info['mode']}; unspool streams text")
            return
        name = re.sub(r"[^A-Za-z0-9._:/-]+", "-", old_name)[:120]
        if name != old_name:
            self.notes.append(f"the name {old_name!r}: its new name is {name}")
        deployment = self._deployment(name, params)
        if deployment is None:
            return
        model = {"name": name, **deployment, **_more(params, info)}
        try:
            FileModel.model_validate(model)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, problem["loc"]))
            self.notes.append(f"{name}: {where}: {problem['msg']}")
            return
        for word in params:
            if word not in TAKEN | PARAMS:
                self.notes.append(f"{name}: {word} has no counterpart")
        self._groups.setdefault(name, []).append(model)
        model["_weight"], model["_order"] = params.get("weight"), params.get("order")

    def _deployment(self, name: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return provider, upstream name, address and key; None if no provider supports it."""
        whole = str(params.get("model") or "")
        base = self._resolved(name, "api_base", params.get("api_base") or params.get("base_url"))
        prefix, upstream = _parts(whole, str(params.get("custom_llm_provider") or ""))
        vendor = next((v for v in VENDORS if v.name == VENDOR_NAMES.get(prefix)), None)
        if prefix in OTHERS:
            self.notes.append(f"{name}: no provider here supports {prefix}")
            return None
        provider, env = "openai", f"{prefix.upper()}_API_KEY"
        if prefix in {"ollama", "ollama_chat"}:
            provider, env = "ollama", ""
        elif vendor is not None:
            provider = vendor.provider
            base = base or (vendor.base_url if provider == "openai" else "")
        elif prefix in URLS:
            base = base or URLS[prefix]
        else:
            upstream, env = upstream if prefix in ANYWHERE else whole, ""
        if provider == "openai" and not base:
            self.notes.append(f"{name}: {whole}: its address is unknown; give an api_base")
            return None
        deployment = {"provider": provider, "model": upstream, "api_base": base}
        deployment["api_key"] = self._key(name, params.get("api_key"), env)
        return {word: value for word, value in deployment.items() if value}

    def _resolved(self, name: str, word: str, value: Any) -> str:
        text = str(value or "")
        if not text.startswith(ENV):
            return text
        variable = text.removeprefix(ENV)
        if not self._variable(variable):
            self.notes.append(f"{name}: {word}: the variable {variable} is not set here")
        return self._variable(variable)

    def _key(self, name: str, value: Any, env: str) -> str:
        text = str(value or "")
        if text.startswith(ENV):
            return f"env:{text.removeprefix(ENV)}"
        if not text:
            return f"env:{env}" if env else ""
        variable = re.sub(r"\W+", "_", name).upper() + "_API_KEY"
        self.notes.append(f"{name}: the file held its key; put it into the variable {variable}")
        return f"env:{variable}"

    def _number(self, name: str, group: list[dict[str, Any]], *, is_route: bool) -> None:
        """Give each model a name of its own if the route takes their common one."""
        taken = {m["name"] for g in self._groups.values() for m in g} | set(self._groups)
        for first, model in enumerate(group, start=1):
            weight, order = model.pop("_weight"), model.pop("_order")
            if is_route:
                model["name"] = next(
                    f"{name}-{n}" for n in range(first, first + 1000) if f"{name}-{n}" not in taken
                )
                taken.add(model["name"])
            if _is_number(weight) and 0 < weight <= 1000:
                self._weights[model["name"]] = weight
            if _is_number(order):
                self._orders[model["name"]] = order

    def _route(
        self, name: str, group: list[dict[str, Any]], others: list[str], strategy: str
    ) -> dict[str, Any]:
        names = [model["name"] for model in group]
        weights = {n: self._weights[n] for n in names if n in self._weights}
        if any(n in self._orders for n in names):
            names.sort(key=lambda n: self._orders.get(n, float("inf")))
            strategy = "ordered"
        elif others:
            if len(names) > 1:
                self.notes.append(
                    f"{name}: it has fallbacks, so its models answer in order, not balanced"
                )
            strategy = "ordered"
        elif weights and strategy == "random":
            strategy = "weighted"
        members: list[Any] = [
            {"model": n, "weight": weights[n]} if strategy == "weighted" and n in weights else n
            for n in names
        ]
        members += [other for other in dict.fromkeys(others) if other not in names]
        return {"name": name, "strategy": strategy, "models": members}

    def _fallbacks(
        self, fields: Mapping[str, Any], router: Mapping[str, Any]
    ) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        settings = fields.get("litellm_settings")
        for section in (router, settings if isinstance(settings, dict) else {}):
            listed = section.get("fallbacks")
            for entry in listed if isinstance(listed, list) else ():
                for name, others in entry.items() if isinstance(entry, dict) else ():
                    known = [o for o in others or () if isinstance(o, str) and o in self._groups]
                    if name in self._groups and known:
                        found[name] = known
                    else:
                        self.notes.append(f"fallbacks of {name}: some of them are not models here")
        return found

    def _rest(self, fields: Mapping[str, Any], router: Mapping[str, Any]) -> None:
        for word in router:
            if word not in {"fallbacks", "routing_strategy"}:
                self.notes.append(f"router_settings.{word}: see docs/settings.md for ours")
        for section in fields:
            if section not in {"model_list", "router_settings"}:
                self.notes.append(f"{section}: it configures LiteLLM's own server")


def _parts(whole: str, provider: str) -> tuple[str, str]:
    """Split `dashscope/qwen-plus` into vendor and model; guess the vendor of a bare name."""
    prefix, slash, rest = whole.partition("/")
    if provider:
        return provider, rest if slash and prefix == provider else whole
    if slash:
        return prefix, rest
    known = {"claude": "anthropic", "gemini": "vertex_ai"}
    return next((v for begins, v in known.items() if whole.startswith(begins)), "openai"), whole


def _more(fields: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters, limits and prices; the prices may be in either mapping."""
    more: dict[str, Any] = {}
    params = {word: fields[word] for word in sorted(PARAMS) if fields.get(word) is not None}
    if isinstance(fields.get("extra_body"), dict):
        params |= fields["extra_body"]
    if params:
        more["params"] = params
    # Both limit silence, not the whole answer.
    wait = fields.get("stream_timeout") or fields.get("timeout")
    if _is_number(wait):
        more["limits"] = {"first_event_s": wait, "idle_s": wait}
    costs = {**info, **fields}
    into, out = costs.get("input_cost_per_token"), costs.get("output_cost_per_token")
    if _is_number(into) and _is_number(out):
        more["prices"] = {"prompt": _million(into), "completion": _million(out)}
        if _is_number(cached := costs.get("cache_read_input_token_cost")):
            more["prices"]["cached"] = _million(cached)
        if _is_number(written := costs.get("cache_creation_input_token_cost")):
            more["prices"]["written"] = _million(written)
    return more


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _million(cost: float) -> float:
    return round(cost * PER_MILLION, 6)


def _written(source: str, config: Mapping[str, Any], notes: list[str]) -> str:
    Config.model_validate(config)  # it must be readable here
    return "\n".join([*_head(source, notes), _yaml(config)])


def _head(source: str, notes: list[str]) -> Iterator[str]:
    yield "# yaml-language-server: $schema=unspool.schema.json"
    yield f"# Made from {source} by `unspool models import`."
    if notes:
        yield "# Left behind:"
    for note in notes:
        yield f"# - {' '.join(note.split())}"


def _yaml(config: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True, width=100)
