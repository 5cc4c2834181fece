"""
What the built-in model writes where events of people are asked for.

It reads the data in the question and says nothing that is not in it: visits close to each other
become one event. Recognised by the words of our own prompts (`apps.extraction.event_prompts`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from .text import Messages, question_in

_USER: Final = re.compile(r"^【用户】(.+)$", re.MULTILINE)
_BEHAVIOR: Final = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) ([^；\n]+)(?:；(.*))?$", re.M)

LULL: Final = timedelta(minutes=30)
"""Without a behaviour: what comes after it is another visit of the shop."""

MAX_LINES: Final = 60
"""Events of one user; a model that was told to abstract does not copy."""

WORDS: Final = {
    "visit": "浏览商品",
    "pv": "浏览商品",
    "favorite": "收藏商品",
    "fav": "收藏商品",
    "share": "分享商品",
    "size_chart": "查看尺码",
    "cart": "加购",
    "buy_page": "进入下单页",
    "buy": "购买",
    "purchase": "购买",
}
"""Actions as shops write them, and the event each one is."""


def answer(messages: Messages) -> str | None:
    """Return event lines where the question asks for them; else None."""
    question = question_in(messages)
    if "用户ID|事件类型|时间戳" in question and _USER.search(question):
        return "".join(_lines(question))
    return None


# Events


@dataclass(slots=True)
class _Did:
    at: datetime
    what: str
    product: str


def _lines(question: str) -> Iterator[str]:
    _, *parts = _USER.split(question)
    for user_id, section in zip(parts[::2], parts[1::2], strict=True):
        did = [_did(*found) for found in _BEHAVIOR.findall(section)]
        for line in _abstracted(did)[:MAX_LINES]:
            yield f"{user_id.strip()}|{line}\n"


def _did(when: str, action: str, cells: str) -> _Did:
    facts = dict(cell.split("：", 1) for cell in cells.split("；") if "：" in cell)
    what = WORDS.get(action.strip(), action.strip())
    if "启动" in facts.get("页面", ""):
        what = "启动APP"
    product = facts.get("商品") or facts.get("商品名称") or facts.get("商品编号") or ""
    return _Did(datetime.fromisoformat(when), what, product)


def _abstracted(did: Sequence[_Did]) -> list[str]:
    """What is done again and again within one visit of the shop is one event."""
    lines: list[str] = []
    last: datetime | None = None
    groups: dict[str, list[_Did]] = {}
    for one in [*did, None]:
        if groups and (one is None or (last and one.at - last > LULL)):
            lines += [_line(what, group) for what, group in groups.items()]
            groups = {}
        if one is not None:
            groups.setdefault(one.what, []).append(one)
            last = one.at
    return lines


def _line(what: str, group: Sequence[_Did]) -> str:
    products = list(dict.fromkeys(one.product for one in group if one.product))
    if what == "启动APP" or not products:
        context = f"{_time_of_day(group[0].at)}活跃"
    elif len(products) == 1:
        often = f"，共 {len(group)} 次" if len(group) > 1 else ""
        context = f"{products[0]}{often}"
    else:
        context = f"{products[0]}等 {len(products)} 件商品"
    context = context.replace("|", "/")
    return f"{what.replace('|', '/')}|{group[0].at:%Y-%m-%d %H:%M:%S}|{context}"


def _time_of_day(at: datetime) -> str:
    ends = ((5, "凌晨"), (11, "早间"), (14, "午间"), (18, "下午"), (23, "晚间"))
    return next((word for hour, word in ends if at.hour < hour), "深夜")
