"""
One person's interest in one product: a summary of behaviours.

Shops name actions in their own words, so each kind is a set of words; other actions do not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

from sqlalchemy import select

from unspool.records import Records
from unspool.records.behaviors import Behavior

Kind = Literal["visit", "favorite", "share", "size_chart", "buy_page", "purchase"]

MAX_ROWS: Final = 1000
"""Latest behaviours of one person with one product; more say nothing else."""

_WORDS: Final[dict[Kind, str]] = {
    "visit": "visit view pv browse click detail 浏览 浏览商品 访问 查看 点击 商品详情",
    "favorite": "favorite favourite fav collect wishlist 收藏 收藏商品",
    "share": "share 分享 转发 分享商品",
    "size_chart": "size_chart sizechart size_guide 尺码 尺码表 查看尺码 查看尺码表",
    "buy_page": "buy_page checkout cart add_to_cart 加购 加入购物车 购物车 购买页 下单页 确认订单",
    "purchase": "purchase buy order pay paid 购买 下单 支付 支付完成 付款",
}
"""Words for actions, in lower case, by meaning."""

_MEANINGS: Final[dict[str, Kind]] = {
    word: kind for kind, words in _WORDS.items() for word in words.split()
}


async def interest_in(records: Records, user_id: str, sku: str) -> dict[str, Any]:
    """
    Return what a person did with a product, as JSON; empty where nothing is known.

    `visits`, `longest_s`, `average_s`, `total_s` (stays), and `has_favorited`, `has_shared`,
    `has_seen_sizes`, `has_opened_buy_page`, `has_bought`.
    """
    latest = (
        select(Behavior.action, Behavior.stay_s)
        .where(Behavior.user_id == user_id, Behavior.sku == sku)
        .order_by(Behavior.at.desc())
        .limit(MAX_ROWS)
    )
    async with records.session() as session:
        rows = [(action, stay_s) for action, stay_s in await session.execute(latest)]
    return summary(rows) if rows else {}


def meaning_of(action: str) -> Kind | None:
    """Return the kind of an action in a shop's own word; None: it does not count."""
    return _MEANINGS.get(action.strip().lower())


def summary(rows: Iterable[tuple[str, float | None]]) -> dict[str, Any]:
    """Return the summary of actions and their stays in seconds."""
    kinds = [(meaning_of(action), stay_s) for action, stay_s in rows]
    seen = {kind for kind, _ in kinds}
    stays = [stay_s for kind, stay_s in kinds if kind == "visit" and stay_s is not None]
    total_s = sum(stays)
    return {
        "visits": sum(kind == "visit" for kind, _ in kinds),
        "longest_s": round(max(stays, default=0.0), 1),
        "average_s": round(total_s / len(stays), 1) if stays else 0.0,
        "total_s": round(total_s, 1),
        "has_favorited": "favorite" in seen,
        "has_shared": "share" in seen,
        "has_seen_sizes": "size_chart" in seen,
        "has_opened_buy_page": "buy_page" in seen,
        "has_bought": "purchase" in seen,
    }
