"""
How long a model may be silent, by what it is, where no limit is set.

Breaking off is a second paid request, so these are times after which an answer hardly ever comes.
Sources: mezmo/aura#62 (nothing for 35 s while a model thinks), anthropics/anthropic-sdk-python#1456
(50 to 330 s without a byte inside the arguments of a call), mostlygeek/llama-swap#146 (minutes to
load a model).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from .. import Model

USUAL_S: Final = 120.0
"""A quick model; it may read a long prompt for a minute."""

PATIENT_S: Final = 600.0
"""A model that thinks, one on our own machines that may have to be loaded, or half a call."""

_THINKS: Final = re.compile(
    r"think|reason|(^|[/_-])(o[134]|gpt-5|gpt-oss|r1|qwq|qvq|magistral|grok-[34])([._:/-]|$)|"
    r"deepseek-v[4-9]|gemini-([3-9]|2\.5)|glm-(4\.[5-9]|[5-9])|seed-[12]|minimax-m|fable|qwen3"
)
"""Names of models that think before they write, in lower case."""

_ASKED: Final = ("thinking", "reasoning", "reasoning_effort", "enable_thinking", "thinking_config")
"""Parameters that ask a model to think."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds; see `settings.Settings` for the meaning of each."""

    first_event_s: float
    idle_s: float
    progress_s: float
    calling_s: float
    """Without a byte or output inside a tool call, which vendors hold back until it is whole."""


def patience_with(model: Model) -> Patience:
    """Return the limits of a request to `model`: its own, else those that suit it."""
    limits = model.limits
    is_slow = is_private(model.base_url) or thinks(model)
    usual_s = PATIENT_S if is_slow else USUAL_S
    return Patience(
        limits.first_event_s or usual_s,
        limits.idle_s or usual_s,
        limits.progress_s or PATIENT_S,
        limits.idle_s or PATIENT_S,
    )


def thinks(model: Model) -> bool:
    """Whether a model thinks before it writes, by its name or its parameters."""
    if _THINKS.search((model.upstream_name or model.name).lower()):
        return True
    return any(model.params.get(name) for name in _ASKED)


def is_private(base_url: str) -> bool:
    """Whether an address looks like this machine or a private network; resolves no name."""
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal", ".lan"))
    return address.is_private or address.is_loopback
