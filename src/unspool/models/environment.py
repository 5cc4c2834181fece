"""
The models that the environment (or `.env`) describes: the one of `LLM_*`, and one for every
vendor whose key is set.

A key never goes to an address that belongs to another key.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from ..errors import ProviderRefused
from ..providers import Limits, Model
from ..providers.upstream.addresses import check_url
from ..providers.upstream.vendors import VENDORS, Vendor
from ..settings import Settings
from .definitions import OLLAMA_URL

log = logging.getLogger(__name__)

OPENAI_MODEL: Final = "gpt-4o-mini"
"""Used if `OPENAI_API_KEY` is set and `OPENAI_MODEL` is not: cheap and long established."""

OPENAI_URL: Final = "https://api.openai.com/v1"

OLLAMA_MODEL: Final = "llama3.2"
"""Used if `OLLAMA_HOST` is set and `OLLAMA_MODEL` is not: Ollama's guide pulls it first."""


def model_from(settings: Settings) -> Model | None:
    """
    Return the model that `LLM_*` or `OPENAI_*` describe, or None if they describe none.

    `LLM_*` wins over `OPENAI_*`, and the two never mix.
    """
    provider = settings.llm_provider
    if not _is_of_openai(settings):
        key, url = settings.llm_api_key, settings.llm_base_url
        name = settings.llm_model or "default"
    else:
        key = settings.openai_api_key
        url = settings.openai_base_url or settings.openai_api_url or OPENAI_URL
        name = settings.openai_model or OPENAI_MODEL
    if provider == "openai" and not (key and url):
        if key or settings.llm_base_url:
            missing = "LLM_BASE_URL" if key else "LLM_API_KEY"
            log.warning("%s is not set: nothing is sent, the built-in model answers", missing)
        return None
    return Model(
        name=name,
        provider=provider,
        upstream_name=name,
        base_url=url,
        api_key=key.get_secret_value() if key else "",
        limits=limits_from(settings),
    )


def _is_of_openai(settings: Settings) -> bool:
    """Whether no `LLM_*` is set, so that `OPENAI_*` counts."""
    has_llm = settings.llm_api_key or settings.llm_base_url or settings.llm_provider != "openai"
    return not has_llm


def limits_from(settings: Settings) -> Limits:
    return Limits(
        connect_s=settings.connect_s,
        first_event_s=settings.first_event_s,
        idle_s=settings.idle_s,
        progress_s=settings.progress_s,
        silent_s=settings.silent_s,
        total_s=settings.total_s,
        max_event_bytes=settings.max_event_bytes,
    )


def models_beside(first: Model | None, settings: Settings) -> list[Model]:
    """Return the models of all vendors whose key is set, besides the one of `model_from`."""
    taken = set() if first is None else {first.name}
    if first is not None and _is_of_openai(settings):
        taken.add("openai")  # it is `first` already
    return [model for model in _of_vendors(settings) if model.name not in taken]


def _of_vendors(settings: Settings) -> Iterator[Model]:
    for vendor in VENDORS:
        if not vendor.env:
            continue
        key, quirks = settings.variable(f"{vendor.env}_API_KEY"), vendor.quirks
        if vendor.env == "ANTHROPIC" and not key:  # Anthropic's own programs read this one too
            key, quirks = settings.variable("ANTHROPIC_AUTH_TOKEN"), quirks | {"bearer"}
        if key and (url := _url_of(vendor, settings)):
            yield Model(
                name=vendor.name,
                provider=vendor.provider,
                upstream_name=settings.variable(f"{vendor.env}_MODEL") or vendor.model,
                base_url=url,
                api_key=key,
                limits=limits_from(settings),
                quirks=quirks,
            )
    if host := settings.variable("OLLAMA_HOST"):
        yield Model(
            name="ollama",
            provider="ollama",
            upstream_name=settings.variable("OLLAMA_MODEL") or OLLAMA_MODEL,
            base_url=ollama_url(host),
            limits=limits_from(settings),
        )


def _url_of(vendor: Vendor, settings: Settings) -> str:
    """Return the address of a vendor; empty if its variable holds a forbidden address."""
    name = f"{vendor.env}_BASE_URL"
    url = settings.variable(name)
    if not url and vendor.env == "OPENAI":
        url = settings.variable("OPENAI_API_URL")
    if not url:
        return vendor.base_url
    try:
        check_url(url, allow_private=settings.allow_private_upstreams)
    except ProviderRefused as error:
        log.warning("%s and its model are not used: %s", name, error)
        return ""
    return url


def ollama_url(host: str) -> str:
    """
    Return the root URL of `OLLAMA_HOST`: `gpu-box`, `10.0.0.5:11434`, `http://…`.

    Ollama itself reads the variable as the address to listen on, so `0.0.0.0` means this machine.
    """
    try:
        parts = urlsplit(host if "://" in host else f"http://{host}")
        name, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError:
        log.warning("OLLAMA_HOST is not an address; using %s", OLLAMA_URL)
        return OLLAMA_URL
    if name in {"0.0.0.0", "::"}:  # noqa: S104 - read, not bound
        name = "127.0.0.1"
    name = f"[{name}]" if ":" in name else name
    port = port or {"https": 443}.get(parts.scheme, 80 if "://" in host else 11434)
    return f"{parts.scheme}://{name}:{port}{parts.path.rstrip('/')}"
