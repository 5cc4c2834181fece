"""
Facts about vendors, as data: their hosts, the names of their keys, and how their models continue
a text that was cut (prefill).

To add a vendor, add a row. Its models then appear wherever its key is set, and users who register
a model at one of its hosts need not repeat these facts.

Sources: the vendors' own documentation, and reports of gateway users where a deployment differs.
Capability belongs to a deployment, so a model's own `prefill` overrides this table, and
`unspool models test` finds it out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from .. import Model

PREFILLS: Final[dict[str, str]] = {
    "none": "it cannot; it is told in words to go on",
    "assistant": "the text is the last message, of the assistant",
    "prefix": 'as `assistant`, marked `"prefix": true`',
    "partial": 'as `assistant`, marked `"partial": true`',
    "body_prefix": "the text is the field `prefix` of the request",
    "continue_final_message": "as `assistant`, and the request says `continue_final_message`",
    "raw": "its engine writes the prompt, and completes that and the text (llama.cpp)",
}
"""All forms in which a model can get the beginning of its answer."""

QUIRKS: Final[dict[str, str]] = {
    "cumulative_content": "every chunk repeats all the text so far",
    "no_stream_options": "it refuses requests that ask for usage",
    "max_completion_tokens": "it wants `max_tokens` under this name",
    "thinks_first": "its answers begin with thoughts that only a closing `</think>` ends",
    "bearer": "its key goes out as `Authorization: Bearer` (Anthropic's tokens)",
    "no_images": "it takes no images, so a route passes it over for a request that has one",
    "background": "answers are kept by the provider and can be read on (OpenAI Responses)",
}
"""Deviations of deployments; a model names its own."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """One row."""

    name: str
    base_url: str
    model: str
    """The model to ask when a key is set and no model is named."""
    provider: str = "openai"
    hosts: tuple[str, ...] = ()
    """Ends of its host names."""
    env: str = ""
    """`DASHSCOPE` means `DASHSCOPE_API_KEY`, `DASHSCOPE_BASE_URL` and `DASHSCOPE_MODEL`."""
    prefills: tuple[tuple[str, str], ...] = ()
    """Patterns of model names with their prefill; the first match counts."""
    prefill_url: str = ""
    """The address that serves prefill, if not `base_url`."""
    quirks: frozenset[str] = frozenset()


VENDORS: Final = (
    Vendor(
        "dashscope",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "qwen-plus",
        hosts=("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"),
        env="DASHSCOPE",
        # help.aliyun.com, "Partial mode": not while thinking.
        prefills=((r"qwq|qvq|thinking|deepseek|glm|kimi", "none"), (r"qwen", "partial")),
    ),
    Vendor(
        "deepseek",
        "https://api.deepseek.com/v1",
        "deepseek-chat",
        hosts=("api.deepseek.com",),
        env="DEEPSEEK",
        # "Chat Prefix Completion (Beta)": only at /beta, and thinking models need more.
        prefills=((r"reasoner|thinking", "none"), (r"", "prefix")),
        prefill_url="https://api.deepseek.com/beta",
    ),
    Vendor(
        "moonshot",
        "https://api.moonshot.cn/v1",
        "kimi-latest",
        hosts=("api.moonshot.cn", "api.moonshot.ai"),
        env="MOONSHOT",
        prefills=((r"thinking", "none"), (r"", "partial")),
    ),
    Vendor(
        "ark",
        "https://ark.cn-beijing.volces.com/api/v3",
        "doubao-seed-1-6-250615",
        hosts=("volces.com", "bytepluses.com"),
        env="ARK",
        # Volcengine Ark, document 1359497: text models that do not think.
        prefills=((r"thinking|seed-[12]|deepseek-r1", "none"), (r"doubao", "assistant")),
    ),
    Vendor(
        "siliconflow",
        "https://api.siliconflow.cn/v1",
        "Qwen/Qwen3-8B",
        hosts=("api.siliconflow.cn", "api.siliconflow.com"),
        env="SILICONFLOW",
        prefills=((r"-r1|qwen3|thinking", "none"), (r"", "body_prefix")),
    ),
    Vendor(
        "mistral",
        "https://api.mistral.ai/v1",
        "mistral-small-latest",
        hosts=("api.mistral.ai",),
        env="MISTRAL",
        prefills=((r"magistral", "none"), (r"", "prefix")),
        # It has answered 422 to `stream_options`, and reports usage without them.
        quirks=frozenset({"no_stream_options"}),
    ),
    Vendor(
        "zhipu",
        "https://open.bigmodel.cn/api/paas/v4",
        "glm-4-flash",
        hosts=("open.bigmodel.cn", "api.z.ai"),
        env="ZHIPUAI",
    ),
    Vendor(
        "openrouter",
        "https://openrouter.ai/api/v1",
        "openrouter/auto",
        hosts=("openrouter.ai",),
        env="OPENROUTER",
        # It depends on the model and on the host behind it, so we assume nothing.
    ),
    Vendor(
        "anthropic",
        "https://api.anthropic.com",
        "claude-haiku-4-5",
        provider="anthropic",
        hosts=("api.anthropic.com",),
        env="ANTHROPIC",
        # Claude 4.6 and later answer 400 to a prefill.
        prefills=(
            (r"claude-(instant|2|3)", "assistant"),
            (r"claude-[a-z]+-4(-[0-5])?(-\d{8})?$", "assistant"),
            (r"claude-[a-z]+-4-[0-5]-latest$", "assistant"),
            (r"", "none"),
        ),
    ),
    Vendor(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        "gemini-2.5-flash",
        provider="gemini",
        hosts=("generativelanguage.googleapis.com",),
        env="GEMINI",
        # Older models continue the model's last turn; newer ones answer 400.
        prefills=((r"gemini-(1\.|2\.0)", "assistant"), (r"", "none")),
    ),
    Vendor(
        "openai",
        "https://api.openai.com/v1",
        "gpt-4o-mini",
        hosts=("api.openai.com",),
        env="OPENAI",
        # The vendor accepts an assistant's last message, and then starts over.
        prefills=((r"", "none"),),
        # Its models that reason refuse `max_tokens`; all take the newer name.
        quirks=frozenset({"max_completion_tokens"}),
    ),
)
"""In the order in which the first one with a key is the default model."""


OURS: Final = frozenset({"offline", "scripted"})
"""Providers without a vendor: they continue any text."""


def vendor_of(base_url: str) -> Vendor | None:
    """Return the vendor whose host an address names; None for any other."""
    host = (urlsplit(base_url).hostname or "").lower()
    for vendor in VENDORS:
        if any(host == end or host.endswith("." + end) for end in vendor.hosts):
            return vendor
    return None


def quirks_of(model: Model) -> frozenset[str]:
    """Return how `model` deviates: its own quirks, and those of the vendor at whose host it is."""
    vendor = vendor_of(model.base_url)
    if vendor is None or vendor.provider != model.provider:
        return model.quirks
    return model.quirks | vendor.quirks


def prefill_of(model: Model) -> str:
    """
    Return how `model` continues a text, one of `PREFILLS`.

    The model's own setting wins. An unknown deployment gets an instruction in words: a prefill
    that it ignores would cost a whole answer before anybody noticed.
    """
    if model.prefill:
        return model.prefill
    if model.provider in OURS:
        return "assistant"
    vendor = vendor_of(model.base_url)
    if vendor is None or vendor.provider != model.provider:
        return "none"
    return next(
        (how for pattern, how in vendor.prefills if re.search(pattern, model.upstream_name, re.I)),
        "none",
    )
