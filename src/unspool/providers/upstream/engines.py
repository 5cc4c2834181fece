"""
Facts about engines that people run themselves: how each continues a text that was cut.

An engine names itself in the header `Server` of its answers, or by its usual port. A vendor's
table (`vendors`) says which models can continue; an engine can for every model, because it writes
the prompt itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from .. import Model, Prompt
from .vendors import OURS, prefill_of, vendor_of

ENGINES: Final[Mapping[str, tuple[str, ...]]] = {
    # Its own template writes the prompt (`POST /apply-template`) and the text stands behind it: so
    # it continues exactly, whatever the template. Chat with a last message of the assistant does
    # the same unless it was started with `--no-prefill-assistant` (ggml-org/llama.cpp#13174).
    "llama.cpp": ("raw", "assistant"),
    # A last message of the assistant stays open (ollama/ollama, `docs/api.md`).
    "ollama": ("assistant",),
}
"""Engines, and the forms of prefill to try, the best first."""

OLLAMA_PORT: Final = 11434


def engine_in(server: str) -> str:
    """Return the engine that a `Server` header names; empty for any other."""
    name = server.partition("/")[0].strip().lower()
    return name if name in ENGINES else ""


def engine_of(model: Model, named: str = "") -> str:
    """Return the engine that serves `model`; empty if unknown. `named`: it has named itself."""
    if model.provider == "ollama" or urlsplit(model.base_url).port == OLLAMA_PORT:
        return "ollama"
    return named if model.provider == "openai" else ""


def forms_of(model: Model, named: str = "") -> tuple[str, ...]:
    """
    Return the forms of prefill (`vendors.PREFILLS`) to try with `model`, the best first.

    The model's own setting wins, then its vendor's row, then its engine. An unknown deployment has
    none: a prefill that it ignores would be answered by another message of the assistant.
    """
    if model.prefill or model.provider in OURS or vendor_of(model.base_url) is not None:
        form = prefill_of(model)
        return () if form == "none" else (form,)
    return ENGINES.get(engine_of(model, named), ())


def can_render(prompt: Prompt) -> bool:
    """
    Whether `raw` fits a request: its answer is read as text alone, so no tool may be called, and
    its messages hold text alone.
    """
    is_text = all(isinstance(m.get("content"), str | None) for m in prompt.messages)
    is_text = is_text and not prompt.has_images
    has_calls = any(m.get("tool_calls") or m["role"] == "tool" for m in prompt.messages)
    return is_text and not has_calls and not prompt.tools
