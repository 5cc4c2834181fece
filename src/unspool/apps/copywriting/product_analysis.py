"""
Selling points, style, scenes, people and pain points of a product, by rules alone.

They come from the product's own words; nothing is invented. Each rule is a word among the facts,
and its consequence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

MAX_EACH: Final = 8
"""Of each list: what a person reads at a glance."""

_STYLES: Final = {
    "休闲|百搭|日常": "休闲",
    "通勤|西装|衬衫|乐福": "通勤",
    "运动|跑|健身|缓震": "运动",
    "复古|做旧|怀旧": "复古",
    "简约|纯色|素色|基础": "简约",
    "户外|登山|徒步|冲锋": "户外",
    "甜|蝴蝶结|樱花|粉": "甜美",
    "商务|正装|牛皮": "商务",
}
_PEOPLE: Final = {
    "通勤|上班|办公": "上班族",
    "跑|健身|健走": "爱运动的人",
    "学生|校园|书包|双肩": "学生",
    "亲子|儿童|遛娃|童": "带孩子的家庭",
    "户外|登山|徒步|露营": "户外爱好者",
    "旅行|出差|行李": "常出门的人",
    "宽楦|脚背高|加宽": "脚背高、脚宽的人",
    "老人|爸妈|防滑": "长辈",
}
_PAINS: Final = {
    "透气|不闷": "闷热、捂汗",
    "缓震|回弹|软底|柔软": "久站久走脚累",
    "防滑|抓地": "雨天地滑",
    "不磨|软垫|后跟加厚": "磨脚、打脚",
    "轻量|轻便|重 ?\\d+ ?克": "太重、携带不便",
    "防水|防泼": "淋湿、难打理",
    "耐脏|可拆洗|机洗|免烫": "难清洗、难打理",
    "保暖|加绒|羽绒": "怕冷",
    "宽楦|加宽|不勒|不挤": "尺码挤脚、勒脚",
    "大容量|收纳|隔层": "装不下、找不到",
    "防晒|UPF": "日晒",
    "保温": "凉得快",
}


def analysis(product: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return five lists of short texts; an unknown one is empty."""
    said = " ".join(_texts(product))
    people = _listed(product.get("properties", {}).get("适用人群"))
    return {
        "selling_points": _few(product.get("selling_points") or _clauses(product)),
        "style_tags": _few(_following(_STYLES, said)),
        "scenes": _few(product.get("scenes") or []),
        "people": _few([*people, *_following(_PEOPLE, said)]),
        "pain_points": _few(_following(_PAINS, said)),
    }


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif value is not None:
        yield str(value)


def _following(rules: Mapping[str, str], text: str) -> list[str]:
    return [result for words, result in rules.items() if re.search(words, text)]


def _clauses(product: Mapping[str, Any]) -> list[str]:
    """A product without selling points has at least a material and a season."""
    facts = {"material": "材质：{}", "season": "适合{}", "color": "颜色：{}"}
    return [said.format(product[name]) for name, said in facts.items() if product.get(name)]


def _listed(value: Any) -> list[str]:
    return [part for part in re.split(r"[、，,/；;\s]+", str(value or "")) if part]


def _few(texts: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(text) for text in texts))[:MAX_EACH]
