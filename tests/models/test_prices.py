"""What an attempt cost: a model's own prices, else the published ones, else unknown."""

from __future__ import annotations

from dataclasses import replace

from unspool import Model
from unspool.models.prices import cost_of
from unspool.providers import FREE, Prices, Usage

KNOWN = Model("m", "openai", "gpt-4o-mini", "https://api.openai.com/v1")
NOBODYS = Model("m", "openai", "gpt-4o-mini", "http://127.0.0.1:8080/v1")


def test_published_prices_count_where_nobody_has_set_any() -> None:
    cost = cost_of(KNOWN, Usage(1000, 500))
    assert cost is not None
    assert (cost.currency, cost.basis) == ("USD", "measured")
    more = cost_of(KNOWN, Usage(1000, 1000, measured=False))
    assert more is not None
    assert 0 < cost.amount < more.amount < 0.1
    assert more.basis == "estimated"


def test_a_models_own_prices_go_first_and_what_was_cached_may_be_cheaper() -> None:
    priced = replace(KNOWN, prices=Prices(2.0, 8.0, cached=1.0, currency="CNY"))
    cost = cost_of(priced, Usage(1_000_000, 1_000_000, 500_000))
    assert cost is not None
    assert (cost.amount, cost.currency) == (9.5, "CNY")
    writes = replace(KNOWN, prices=Prices(2.0, 8.0, cached=1.0, written=2.5))
    cost = cost_of(writes, Usage(1_000_000, 0, 500_000, written_tokens=200_000))
    assert cost is not None
    assert cost.amount == 0.5 + 0.5 + 0.6
    free = cost_of(replace(KNOWN, prices=FREE), Usage(10, 10))
    assert free is not None
    assert free.amount == 0


def test_published_prices_know_what_the_cache_costs() -> None:
    claude = Model("m", "anthropic", "claude-haiku-4-5", "https://api.anthropic.com")
    read, plain, written = (
        cost_of(claude, Usage(100_000, 10, cached, written_tokens=to_cache))
        for cached, to_cache in ((90_000, None), (None, None), (None, 90_000))
    )
    assert read is not None
    assert plain is not None
    assert written is not None
    assert read.amount < plain.amount < written.amount


def test_what_is_not_known_is_not_zero() -> None:
    assert cost_of(NOBODYS, Usage(1000, 500)) is None
    assert cost_of(KNOWN, Usage(1000, None)) is None
