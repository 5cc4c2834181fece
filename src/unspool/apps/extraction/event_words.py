"""
Finds the names of events, traits and outcomes in what people and models write about them.

`收藏之后为什么没下单` names 收藏商品 and 未购买; what remains of it when all names and all words of
mere grammar are taken away is about something that is not known here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .grammar_words import CHINESE, ENGLISH

ABSENT: Final = "未"
"""Before the name of an outcome: its absence, `未购买`."""

TRAIT_SIGN: Final = "："
"""Between a trait and its value in a name: `价位：高`."""

SAME: Final = (
    (
        *("购买", "下单购买", "下单", "成交", "付款", "支付", "买单", "买下", "转化", "复购", "买"),
        *("purchases", "purchased", "purchase", "buying", "buys", "buy", "bought", "order"),
    ),
    ("收藏商品", "收藏", "favorites", "favorite", "favourites", "favourite", "fav"),
    ("加购", "加入购物车", "加购物车", "放进购物车", "购物车", "add to cart", "cart"),
    (
        *("浏览商品", "浏览", "查看商品", "看商品", "看过商品", "逛"),
        *("views", "view", "visits", "visit", "browsing", "browse", "pv"),
    ),
    ("分享商品", "分享", "转发", "sharing", "shares", "shared", "share"),
    ("查看尺码", "尺码表", "尺码", "size chart", "size_chart"),
    ("进入下单页", "下单页", "购买页", "结算页", "checkout", "buy_page", "buy page"),
    ("启动APP", "打开APP", "启动应用", "打开应用", "启动", "launches", "launch"),
)
"""Words for the same event; the first is what the built-in model writes."""

OUTCOMES: Final = ("购买", "下单购买", "下单", "成交", "付款", "支付", "buy", "purchase", "order")
"""Events that a shop exists for, the best known first."""

_LEFT: Final = (
    "流失",
    "离开",
    "放弃",
    "没买",
    "不买",
    "流失者",
    "drop off",
    "dropped off",
    "leave",
)
_NOT: Final = (
    *("没有", "没能", "并未", "未能", "不再", "没", "未", "不", "无"),
    *("did not", "didn't", "don't", "doesn't", "not", "never", "without"),
)
_BETWEEN_NOT: Final = ("", "去", "再", "进行", "会", "能", "肯", "有", " ", "to ", " a ")

_TRAIT_WORDS: Final = {
    "价位": ("价格", "价钱", "便宜", "贵", "price"),
    "品牌": ("牌子", "brand"),
    "类别": ("品类", "种类", "category"),
    "时段": ("时间段", "几点", "time of day"),
    "性别": ("男女", "gender"),
    "年龄段": ("年龄", "岁数", "age"),
    "城市": ("地区", "地域", "city"),
    "income_level": ("收入水平", "收入", "income"),
}

_ASCII: Final = re.compile(r"[a-z0-9][a-z0-9'_+-]*")
_SIGNS: Final = re.compile(r"[^\w\s]+|_", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Mentions:
    """The names that a text mentions, in their order there, and the words that are none."""

    names: tuple[str, ...]
    unknown: tuple[str, ...]


def plain(text: str) -> str:
    """Return a text in one width and case."""
    return unicodedata.normalize("NFKC", text).casefold()


def mentions(text: str, names: Collection[str]) -> Mentions:
    """Find these names, and their usual other words, in a text."""
    rest = plain(text)
    found: list[tuple[int, str]] = []
    for word, meant in sorted(_surfaces(names).items(), key=lambda one: (-len(one[0]), one[0])):
        pattern = re.escape(word)
        if word.isascii():
            pattern = rf"(?<![a-z0-9]){pattern}(?![a-z0-9])"
        if match := re.search(pattern, rest):
            found += [(match.start(), name) for name in meant]
            # As long as before, so that the places of later words stay right.
            rest = re.sub(pattern, lambda m: "\0" * len(m[0]), rest)
    for name in names:
        rest, at = _loosely(rest, name)
        if at is not None:
            found.append((at, name))
    in_order = dict.fromkeys(name for _, name in sorted(found, key=lambda one: one[0]))
    return Mentions(tuple(in_order), tuple(_unknown(rest)))


def _surfaces(names: Collection[str]) -> dict[str, list[str]]:
    """Return the words for names, each with the names that it stands for."""
    words: dict[str, list[str]] = {}
    for name in names:
        for word in dict.fromkeys(plain(word) for word in _words_for(name, names)):
            words.setdefault(word, []).append(name)
    return words


def _words_for(name: str, names: Collection[str]) -> Iterator[str]:
    yield name
    trait, sign, value = name.partition(TRAIT_SIGN)
    outcome = outcome_of(name, names)
    if sign:
        yield from (value + trait, trait + value, trait, *_TRAIT_WORDS.get(trait, ()))
        if len(value) > 1:
            yield value
    elif outcome is not None:
        yield from _LEFT
        for word in same_as(outcome):
            yield from (no + between + word for no in _NOT for between in _BETWEEN_NOT)
    else:
        yield from same_as(name)


def outcome_of(name: str, names: Collection[str]) -> str | None:
    """Return the outcome that a name says the absence of; None: it is no such name."""
    outcome = name.removeprefix(ABSENT)
    is_absence = name != outcome and TRAIT_SIGN not in name
    return outcome if is_absence and (outcome in names or outcome in OUTCOMES) else None


def same_as(name: str) -> Sequence[str]:
    """Return the words for an event, its name first."""
    for group in SAME:
        if plain(name) in {plain(word) for word in group}:
            return (name, *(word for word in group if word != name))
    return (name,)


def _loosely(rest: str, name: str) -> tuple[str, int | None]:
    """Find a name whose words a text has in another form: `对比了价格` for `对比价格`."""
    han = plain(name)
    pairs = [han[at : at + 2] for at in range(len(han) - 1)]
    if len(han) < 4 or han.isascii() or TRAIT_SIGN in name:
        return rest, None
    there = [pair for pair in pairs if pair in rest]
    if 2 * len(there) < len(pairs) or han[:2] not in there:
        return rest, None
    at = rest.index(there[0])
    for pair in there:
        rest = rest.replace(pair, "\0\0")
    return rest, at


def _unknown(rest: str) -> Iterator[str]:
    rest = _SIGNS.sub(" ", _COUNTED.sub(" ", rest.replace("\0", " ")))
    for word in _ASCII.findall(rest):
        if word not in ENGLISH and len(word) > 1 and not word[0].isdigit():
            yield word
    for word in _LONG_GRAMMAR:
        rest = rest.replace(word, " ")
    for run in _HAN.findall(rest):
        # A single character may be part of another word (`天气`), so only ends lose theirs.
        if len(part := run.strip(_SHORT_GRAMMAR)) > 1:
            yield part


_HAN: Final = re.compile(r"[\u3400-\u9fff]+")
_COUNTED: Final = re.compile(
    r"[\d.几两一二三四五六七八九十]+\s*(?:个?小时|分钟|个?月|[天日周次位秒倍]|%)"
)
_LONG_GRAMMAR: Final = [word for word in CHINESE if len(word) > 1]
_SHORT_GRAMMAR: Final = "".join(word for word in CHINESE if len(word) == 1)
