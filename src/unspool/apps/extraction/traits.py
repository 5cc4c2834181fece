"""
Sorts people by what is known of them: price band, brand, category, time of day, profile.

A behaviour's own columns and those of its product say what a person looks at; the value that is
most common among a person's behaviours is that person's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from statistics import median, quantiles
from typing import Any, Final

from unspool.records.products import read_price

MAX_VALUES: Final = 60
"""Values of one trait; more of them tell people apart instead of grouping them."""

MAX_VALUE_CHARS: Final = 40

PRICE, BRAND, CATEGORY, TIME_OF_DAY = "价位", "品牌", "类别", "时段"
GENDER, AGE, CITY = "性别", "年龄段", "城市"

_BRANDS: Final = ("品牌", "品牌名称", "brand", "brand_name")
_CATEGORIES: Final = ("商品类别", "类别", "品类", "分类", "商品分类", "category", "category_name")
_PRICES: Final = ("售价", "价格", "单价", "商品价格", "销售价", "price", "unit_price")

_HOURS: Final = ((5, "凌晨"), (11, "早间"), (14, "午间"), (18, "下午"), (23, "晚间"), (24, "深夜"))
_AGES: Final = ((18, "18 岁以下"), (25, "18–24 岁"), (35, "25–34 岁"), (45, "35–44 岁"))
_OLDER: Final = "45 岁以上"


class TraitFold:
    """Takes in behaviours and profiles one by one, and then gives the traits of each person."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, Counter[str]]] = {}
        self._prices: dict[str, list[float]] = {}
        self._profiles: dict[str, dict[str, str]] = {}

    def behavior(self, user_id: str, at: datetime, product: Mapping[str, Any]) -> None:
        """Take in a behaviour at a time by the shop's clocks, with the columns of its product."""
        seen = self._seen.setdefault(user_id, {})
        facts = {
            BRAND: _first(product, _BRANDS),
            CATEGORY: _first(product, _CATEGORIES),
            TIME_OF_DAY: time_of_day(at.hour),
        }
        for trait, value in facts.items():
            if value:
                seen.setdefault(trait, Counter())[value] += 1
        if (price := _price(product)) is not None:
            self._prices.setdefault(user_id, []).append(price)

    def profile(self, user_id: str, profile: Mapping[str, Any]) -> None:
        """Take in what is known of a person, in the form of `Person.profile`."""
        facts = {
            GENDER: profile.get("gender"),
            AGE: _age_band(profile.get("age")),
            CITY: profile.get("city"),
        }
        known = {"name", "gender", "age", "city"}
        facts |= {key: value for key, value in profile.items() if key not in known}
        texts = {trait: _text(value) for trait, value in facts.items()}
        self._profiles[user_id] = {trait: value for trait, value in texts.items() if value}

    def traits(self) -> dict[str, dict[str, str]]:
        """Return the traits of each person, without those that group nobody."""
        bands = self._bands()
        found: dict[str, dict[str, str]] = {}
        for user_id in self._seen.keys() | self._profiles.keys():
            theirs = dict(self._profiles.get(user_id, {}))
            for trait, counts in self._seen.get(user_id, {}).items():
                theirs[trait] = min(counts, key=lambda value: (-counts[value], value))
            if user_id in bands:
                theirs[PRICE] = bands[user_id]
            found[user_id] = theirs
        values: dict[str, set[str]] = {}
        for theirs in found.values():
            for trait, value in theirs.items():
                values.setdefault(trait, set()).add(value)
        useful = {trait for trait, known in values.items() if 1 < len(known) <= MAX_VALUES}
        return {
            user_id: {trait: value for trait, value in theirs.items() if trait in useful}
            for user_id, theirs in found.items()
        }

    def _bands(self) -> dict[str, str]:
        """Return each person's price band: the third of all people that the median falls in."""
        medians = {user_id: median(prices) for user_id, prices in self._prices.items()}
        if len(medians) < 3:
            return {}
        low, high = quantiles(medians.values(), n=3)
        return {
            user_id: "低" if price <= low else "中" if price <= high else "高"
            for user_id, price in medians.items()
        }


def time_of_day(hour: int) -> str:
    """Return the part of the day that an hour (0 to 23) belongs to."""
    return next(word for end, word in _HOURS if hour < end)


def _age_band(age: object) -> str:
    if isinstance(age, bool) or not isinstance(age, int):
        return ""
    return next((band for end, band in _AGES if age < end), _OLDER)


def _first(product: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((text for name in names if (text := _text(product.get(name)))), "")


def _price(product: Mapping[str, Any]) -> float | None:
    for name in _PRICES:
        value = product.get(name)
        if value in (None, ""):
            continue
        try:
            price = read_price(str(value))
        except ValueError:
            continue
        if price is not None:
            return float(price)
    return None


def _text(value: object) -> str:
    """Return a short word; other values group nobody."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = " ".join(str(value).split())
    return text if len(text) <= MAX_VALUE_CHARS else ""
