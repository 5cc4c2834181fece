"""
Computes the cost of an attempt.

A model's own prices come first, then the published ones of its vendor (genai-prices). If neither
is known, the cost is unknown, which is not zero.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from genai_prices import Usage as PricedUsage
from genai_prices import calc_price

from ..providers import Model, Prices, Usage

log = logging.getLogger(__name__)

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of an attempt; `basis` is `measured` if the provider counted the tokens."""

    amount: float
    currency: str
    basis: Literal["measured", "estimated"]


def cost_of(model: Model, usage: Usage) -> Cost | None:
    """Return the cost of one attempt; None if price or tokens are unknown."""
    amount = None
    currency = "USD"
    if usage.prompt_tokens is not None and usage.completion_tokens is not None:
        if model.prices is not None:
            currency = model.prices.currency
            amount = _at(model.prices, usage.prompt_tokens, usage.completion_tokens, usage)
        else:
            amount = _published(model, usage)
    if amount is None:
        return None
    return Cost(amount, currency, "measured" if usage.measured else "estimated")


def _at(prices: Prices, prompt: int, completion: int, usage: Usage) -> float:
    cached = min(usage.cached_tokens or 0, prompt) if prices.cached is not None else 0
    rest = prompt - cached
    written = min(usage.written_tokens or 0, rest) if prices.written is not None else 0
    full_price = (rest - written) * prices.prompt + completion * prices.completion
    of_cache = cached * (prices.cached or 0.0) + written * (prices.written or 0.0)
    return (full_price + of_cache) / MILLION


def _published(model: Model, usage: Usage) -> float | None:
    if not model.base_url or not _is_published(model.upstream_name, model.base_url):
        return None
    counted = PricedUsage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.written_tokens,
    )
    try:
        price = calc_price(counted, model_ref=model.upstream_name, provider_api_url=model.base_url)
    except (LookupError, ValueError) as error:
        log.debug("No published price of %s: %s", model.name, error)
        return None
    return float(price.total_price)


@lru_cache(maxsize=1000)
def _is_published(name: str, url: str) -> bool:
    """Whether a model has a published price; to find none takes longer than to find one."""
    try:
        calc_price(PricedUsage(input_tokens=1), model_ref=name, provider_api_url=url)
    except LookupError as error:
        log.debug("No published price of %s: %s", name, error)
        return False
    except ValueError:
        return True  # of that usage alone
    return True
