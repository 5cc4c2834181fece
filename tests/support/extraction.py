"""Asking for the events of people, and what is heard."""

from __future__ import annotations

import json
from typing import Any

import httpx

from support.readers import View, look
from support.servers import Served
from support.upstream import chunk

USER = "user_0007"

LINES = [
    f"{USER}|启动APP|2025-11-24 09:50:50|早间活跃\n",
    f"{USER}|启动APP|2025-11-24 15:50:50|下午活跃\n",
    f"{USER}|浏览商品|2025-11-24 15:51:07|对比两款跑鞋\n",
    f"{USER}|购买|2025-11-30 09:18:00|云感透气运动鞋\n",
]
WHOLE = "".join(LINES)


def url_of(served: Served, user_id: str = USER) -> str:
    return f"{served.url}/api/v1/events/extract/{user_id}/llm-stream"


async def extract(
    client: httpx.AsyncClient, served: Served, user_id: str = USER, **how: Any
) -> View:
    """As the `curl` line does: no body."""
    return await look(client, url_of(served, user_id), method="POST", **how)


async def events_of(
    client: httpx.AsyncClient, served: Served, user_id: str = USER
) -> list[dict[str, Any]]:
    """What is kept of a person."""
    answer = await client.get(f"{served.url}/api/people/{user_id}/events?limit=1000")
    assert answer.status_code == 200
    return list(answer.json()["events"])


def content(view: View) -> str:
    frames = view.seen.documents
    return "".join(frame["content"] for frame in frames if frame["type"] == "llm_chunk")


def kinds(view: View) -> list[str]:
    return [frame["type"] for frame in view.seen.documents]


def frame(kind: str, **facts: Any) -> str:
    """To the letter of the seed document."""
    return json.dumps({"type": kind, **facts}, ensure_ascii=False)


def cut_after(text: str, *, size: int = 7) -> list[bytes]:
    """An answer that ends in mid-stream after so much."""
    return [chunk(text[at : at + size]) for at in range(0, len(text), size)]


GRAPH = {
    "nodes": [
        {"id": "n1", "type": "event", "name": "启动APP", "description": "打开"},
        {"id": "n2", "type": "feature", "name": '"查看尺码"', "description": "a < b & c\u0001"},
        {"id": "n3", "type": "result", "name": "购买", "description": ""},
        {"id": "n4", "type": "result", "name": "离开", "description": ""},
    ],
    "edges": [
        {"from": "n1", "to": "n3", "relation_type": "sequential", "relation_desc": "常常"},
        {"from": "n2", "to": "n3", "relation_type": "sequential", "relation_desc": "若<看>"},
        {"from": "n2", "to": "n4", "relation_type": "sequential", "relation_desc": ""},
    ],
    "insights": ["查看尺码的用户更常购买", "其余的离开"],
}
