"""
One person's taste: what they looked at and bought besides this product, and the posts for them
that were adopted.

A taste changes what a post says first: the product's selling points and scenes come in the order
in which the person has shown an interest in such. Each change has its reason, as data, for people
to see why a post is as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select

from unspool.flows.kit.grounding import overlap
from unspool.records import Records
from unspool.records.behaviors import Behavior
from unspool.records.products import Product

from .copies import CopyRow, OutcomeRow
from .interests import meaning_of

MAX_ROWS: Final = 1000
"""Latest behaviours of one person; older ones say what they liked once."""

MAX_PRODUCTS: Final = 100
"""Latest other products among them."""

FEW: Final = 2
"""Other products from which something is a taste; one is chance."""

FEW_PRICES: Final = 3
"""Prices from which there is a band."""

FEW_ADOPTED: Final = 3
"""Adopted runs from which a style is liked, if it has more than half of them."""

MAX_RIVALS: Final = 60
"""Other brands of the shop that a post is held against."""

NEAR: Final = 1.2
"""So many times a price may be beside the band and count as inside: people see no difference."""

SAME: Final = 0.4
"""Overlap of two selling points that say much the same."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Another product that a person looked at."""

    sku: str
    category: str
    brand: str
    price: float | None
    points: Sequence[str]
    scenes: Sequence[str]
    is_bought: bool


async def tasted(
    records: Records, user_id: str, facts: Mapping[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a product's facts in the order for a person, and the reasons; see `reasons`."""
    seen = await _seen(records, user_id, facts["sku"])
    return in_order(facts, seen), reasons(facts, seen)


async def liked_style(
    records: Records, user_id: str, found: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the style that was adopted most for a person, with its reason; empty: none yet."""
    wanted = (
        select(CopyRow.style, func.count())
        .join(OutcomeRow, OutcomeRow.run_id == CopyRow.run_id)
        .where(CopyRow.user_id == user_id, OutcomeRow.is_adopted)
        .group_by(CopyRow.style)
        .order_by(func.count().desc(), CopyRow.style)
    )
    async with records.session() as session:
        rows = [(style, count) for style, count in await session.execute(wanted)]
    total = sum(count for _, count in rows)
    if total < FEW_ADOPTED or 2 * rows[0][1] <= total:
        return {}
    style, count = rows[0]
    reason = {"kind": "style", "value": style, "count": count, "of": total}
    return {"style": style, "reasons": [*found, reason]}


async def rivals_of(records: Records, brand: str) -> list[str]:
    """Return other brands of the shop."""
    wanted = select(Product.brand).where(Product.brand.not_in(["", brand])).distinct()
    wanted = wanted.order_by(Product.brand)
    async with records.session() as session:
        return sorted(await session.scalars(wanted.limit(MAX_RIVALS)))


async def _seen(records: Records, user_id: str, sku: str) -> list[Seen]:
    latest = (
        select(Behavior.sku, Behavior.action)
        .where(Behavior.user_id == user_id, Behavior.sku.is_not(None))
        .order_by(Behavior.at.desc(), Behavior.id.desc())
        .limit(MAX_ROWS)
    )
    async with records.session() as session:
        did: dict[str, set[str]] = {}
        for other, action in await session.execute(latest):
            if other and other != sku and (kind := meaning_of(action)):
                did.setdefault(other, set()).add(kind)
        wanted = select(Product).where(Product.sku.in_(list(did)[:MAX_PRODUCTS]))
        products = {each.sku: each for each in await session.scalars(wanted)}
    return [
        Seen(
            each.sku,
            each.category,
            each.brand,
            None if each.price is None else float(each.price),
            each.selling_points,
            each.scenes,
            "purchase" in did[each.sku],
        )
        for each in (products[other] for other in did if other in products)
    ]


def in_order(facts: Mapping[str, Any], seen: Sequence[Seen]) -> dict[str, Any]:
    """Return the facts, first the scenes and selling points that others seen have too."""
    ordered = dict(facts)
    if scenes := facts.get("scenes"):
        counts = _scenes(seen)
        ordered["scenes"] = sorted(scenes, key=lambda scene: -counts[scene])
    if points := facts.get("selling_points"):
        likes = {point: _likes(point, seen) for point in points}
        ordered["selling_points"] = sorted(points, key=lambda point: -likes[point])
    return ordered


def reasons(facts: Mapping[str, Any], seen: Sequence[Seen]) -> list[dict[str, Any]]:
    """
    Return what a person's other products say about this one.

    `kind` is `category`, `brand` or `scene` (`value`, `count` of products, `bought` among them),
    `price` (`low`, `high`, `count`, and `place`: inside, above or below), or `point` (`value`: the
    selling point that comes first, `count`).
    """
    found: list[dict[str, Any]] = []
    for kind in ("category", "brand"):
        value = facts.get(kind)
        same = [each for each in seen if value and getattr(each, kind) == value]
        if len(same) >= FEW:
            found.append(_reason(kind, str(value), same))
    scenes = _scenes(seen)
    shared = [scene for scene in in_order(facts, seen).get("scenes", []) if scenes[scene] >= FEW]
    if shared:
        found.append(_reason("scene", shared[0], [s for s in seen if shared[0] in s.scenes]))
    if band := _band(facts.get("price"), [each.price for each in seen if each.price is not None]):
        found.append(band)
    points = in_order(facts, seen).get("selling_points", [])
    if points and (likes := _likes(points[0], seen)) >= FEW:
        found.append({"kind": "point", "value": points[0], "count": likes})
    return found


def _reason(kind: str, value: str, same: Sequence[Seen]) -> dict[str, Any]:
    bought = sum(each.is_bought for each in same)
    return {"kind": kind, "value": value, "count": len(same), "bought": bought}


def _scenes(seen: Sequence[Seen]) -> Counter[str]:
    return Counter(scene for each in seen for scene in each.scenes)


def _likes(point: str, seen: Sequence[Seen]) -> int:
    """Return how many other products have a selling point like this one."""
    return sum(any(overlap(point, other, 2) >= SAME for other in each.points) for each in seen)


def _band(price: Any, prices: Sequence[float]) -> dict[str, Any] | None:
    """Return where a price is in the middle half of the prices a person looks at."""
    if len(prices) < FEW_PRICES or not isinstance(price, int | float):
        return None
    ordered = sorted(prices)
    low, high = ordered[len(ordered) // 4], ordered[-(len(ordered) // 4) - 1]
    is_below, is_above = price < low / NEAR, price > high * NEAR
    place = "below" if is_below else "above" if is_above else "inside"
    return {"kind": "price", "low": low, "high": high, "count": len(prices), "place": place}
