"""
The reader of a post: their behaviour decides what to say first.

The model learns what the reader did, never who they are, and that none of it may appear in the
text: nobody wants to read that they were watched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

Leaning = Literal["", "bought", "deciding", "sizing", "keen", "lingering", "browsing"]
"""How close to buying a reader is; empty: unknown."""

LINGERS_S: Final = 60.0
"""Seconds; so long a look at one product is no accident."""

MANY_VISITS: Final = 3
"""A reader who comes back twice is comparing."""

WISHES: Final[Mapping[Leaning, str]] = {
    "bought": "读者已经买过这款：不要当作第一次介绍，写一个继续用好它的场景",
    "deciding": "读者到过购买页还没有下单：写一个能让人放心的具体事实，不要催促",
    "sizing": "读者看过尺码表：如果给出了规格、版型或脚感，就把它写在前面",
    "keen": "读者收藏或分享过：写一个现在就用得上的场景",
    "lingering": "读者看了很久或看过多次：写一个细节，不要泛泛介绍",
    "browsing": "读者只看过一两眼：第一句就写最有辨识度的一点",
}
"""The request to the model, by leaning."""

CLOSINGS: Final[Mapping[Leaning, tuple[str, ...]]] = {
    "bought": ("家里那一份用着顺手的话，再看看别的颜色也好。",),
    "deciding": ("该看的都看过了，合适就定下来吧。", "要是还差一个理由，就把上面几条再读一遍。"),
    "sizing": ("尺码拿不准，对照尺码表量一量再选。",),
    "keen": ("放在收藏夹里的，今天可以拿出来再看一眼。",),
    "lingering": ("细节都在详情页里，想再比一比也不着急。",),
    "browsing": ("有空点进来，多看一眼再说。",),
}
"""The template's end of the first post, by leaning."""


PLACES: Final = {
    "inside": "这款正在其中",
    "above": "这款更贵，写清楚它多出来的是什么",
    "below": "这款更便宜，价格可以写在前面",
}
"""What to do with a price, by its place among those that the reader looks at."""


def leaning_of(interest: Mapping[str, Any]) -> Leaning:
    """Return how close to buying the reader is, from a summary (`records.interests`)."""
    if not interest:
        return ""
    ranked: tuple[tuple[Leaning, bool], ...] = (
        ("bought", interest["has_bought"]),
        ("deciding", interest["has_opened_buy_page"]),
        ("sizing", interest["has_seen_sizes"]),
        ("keen", interest["has_favorited"] or interest["has_shared"]),
        (
            "lingering",
            interest["longest_s"] >= LINGERS_S or interest["visits"] >= MANY_VISITS,
        ),
        ("browsing", interest["visits"] > 0),
    )
    return next((leaning for leaning, is_so in ranked if is_so), "")


def reader_lines(
    interest: Mapping[str, Any], reasons: Sequence[Mapping[str, Any]] = ()
) -> list[str]:
    """Return the part of a prompt about the reader; empty if nothing is known."""
    said = [*_interest_lines(interest), *_taste_lines(reasons)]
    return ["", "读者情况（只用来决定写什么，不要写进正文）：", *said] if said else []


def _taste_lines(reasons: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what the reader's other products have in common with this one (`records.tastes`)."""
    said = []
    for each in reasons:
        match each["kind"]:
            case "category" | "brand":
                said.append(f"还看过 {each['count']} 款{each['value']}")
            case "scene":
                said.append(f"看过的商品里有 {each['count']} 款适合{each['value']}")
            case "price":
                low, high = f"{each['low']:g}", f"{each['high']:g}"
                said.append(f"常看 {low} 到 {high} 元的商品，{PLACES[each['place']]}")
            case "point":
                said.append(f"留意“{each['value']}”这样的卖点")
    return [f"{'；'.join(said)}。排在前面的卖点和场景更合这位读者。"] if said else []


def _interest_lines(interest: Mapping[str, Any]) -> list[str]:
    leaning = leaning_of(interest)
    if not leaning:
        return []
    did = [f"看过 {interest['visits']} 次"] if interest["visits"] else []
    if interest["total_s"]:
        did.append(
            f"最长停留 {interest['longest_s']:g} 秒，平均 {interest['average_s']:g} 秒，"
            f"合计 {interest['total_s']:g} 秒"
        )
    done = {
        "has_favorited": "收藏过",
        "has_shared": "分享过",
        "has_seen_sizes": "看过尺码表",
        "has_opened_buy_page": "到过购买页",
        "has_bought": "买过",
    }
    did += [said for name, said in done.items() if interest[name]]
    return [f"{'；'.join(did)}。", f"{WISHES[leaning]}。"]
