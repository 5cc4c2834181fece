"""
What the built-in model writes where events, a graph of causes or an answer from one is asked for.

It reads the data in the question and says nothing that is not in it: visits close to each other
become one event, patterns become nodes and edges, an answer names the nodes whose words stand in
the question. Recognised by the words of our own prompts (`flows._event_prompts`,
`flows._graph_prompts`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from .text import Messages, question_in

_USER: Final = re.compile(r"^【用户】(.+)$", re.MULTILINE)
_BEHAVIOR: Final = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) ([^；\n]+)(?:；(.*))?$", re.M)
_PATTERN: Final = re.compile(r"^\d+\. (.+?)（支持度 (\d+)%，置信度 (\d+)%）$", re.MULTILINE)
_GRAPH: Final = re.compile(r"^【因果图】\n(\{.*\})$", re.MULTILINE)
_QUESTION: Final = re.compile(r"^【问题】(.+)$", re.MULTILINE)

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

RESULTS: Final[tuple[str, ...]] = ("购买", "分享商品", "加购", "收藏商品", "进入下单页")
"""Events that something was done for, the best one first."""


def answer(messages: Messages) -> str | None:
    """Return lines, a graph or an answer where the question asks for one; else None."""
    question = question_in(messages)
    if "用户ID|事件类型|时间戳" in question and _USER.search(question):
        return "".join(_lines(question))
    if "frequent_patterns" in question and (patterns := _PATTERN.findall(question)):
        return json.dumps(_graph(patterns), ensure_ascii=False, indent=1)
    graph, request = _GRAPH.search(question), _QUESTION.search(question)
    return _from_graph(graph[1], request[1]) if graph and request else None


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


# A graph from patterns, and an answer from a graph


def _graph(patterns: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    steps = [(found.split(" → "), int(share), int(sure)) for found, share, sure in patterns]
    kinds = list(dict.fromkeys(kind for chain, _, _ in steps for kind in chain))
    results: list[str] = [kind for kind in RESULTS if kind in kinds][:3]
    results += [kind for kind in reversed(kinds) if kind not in results][: max(0, 2 - len(results))]
    ids = {kind: f"n{number}" for number, kind in enumerate(kinds, start=1)}
    nodes = [
        {
            "id": ids[kind],
            "type": "result" if kind in results else "event",
            "name": kind,
            "description": f"出现在 {sum(kind in chain for chain, _, _ in steps)} 个频繁模式里",
        }
        for kind in kinds
    ]
    edges: dict[tuple[str, str], dict[str, Any]] = {}
    for chain, share, sure in steps:
        for before, after in pairwise(chain[:2] if len(chain) == 2 else ()):
            if before != after:
                edges.setdefault((before, after), _edge(ids, before, after, share, sure))
    if len(results) < 2:  # one kind of event alone has no second outcome but its absence
        nodes.append(_absence(len(nodes) + 1))
    insights = [
        f"{found.replace(' → ', '之后')}：{share}% 的用户如此，其中把握为 {sure}%"
        for found, share, sure in patterns[:5]
    ]
    return {"nodes": nodes, "edges": list(edges.values()), "insights": insights}


def _absence(number: int) -> dict[str, Any]:
    return {"id": f"n{number}", "type": "result", "name": "离开", "description": "没有后续行为"}


def _edge(ids: dict[str, str], before: str, after: str, share: int, sure: int) -> dict[str, Any]:
    relation = "causal" if sure >= 80 else "conditional" if sure < 50 else "sequential"
    told = f"{share}% 的用户在{before}之后{after}，置信度 {sure}%"
    return {
        "from": ids[before],
        "to": ids[after],
        "relation_type": relation,
        "relation_desc": told,
    }


MAX_NAMED: Final = 4
"""Nodes that an answer stands on."""


def _from_graph(raw: str, question: str) -> str | None:
    try:
        graph = json.loads(raw)
        nodes = {node["id"]: node["name"] for node in graph["nodes"]}
        edges = [(edge["from"], edge["to"], edge["relation_desc"]) for edge in graph["edges"]]
    except (ValueError, KeyError, TypeError):
        return None
    named = [one for one, name in nodes.items() if set(name[:2]) <= set(question)]
    touched = [edge for edge in edges if edge[0] in named or edge[1] in named] or edges
    said = [
        f"{nodes[start]} [{start}] 指向 {nodes[end]} [{end}]：{told}。"
        for start, end, told in touched[:MAX_NAMED]
        if start in nodes and end in nodes
    ]
    if not said:
        said = [f"图中有 {name} [{one}]。" for one, name in list(nodes.items())[:MAX_NAMED]]
    return f"关于“{question.strip()}”，从图中可以看到：\n" + "\n".join(said)
