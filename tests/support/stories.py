"""Story projects: making one, and what models answer for each stage."""

from __future__ import annotations

import json
from typing import Any

import httpx

from support.readers import post
from support.servers import Served
from support.upstream import Upstream, answer

TOPIC = "介绍AI技术的发展历程"
TEXT = "很久以前，有人想让机器思考。后来，机器学会了下棋。今天，机器会写文章。"

BOARD = {
    "characters": [{"name": "老人", "look": "白胡子，旧大衣"}],
    "scenes": [
        {"number": 1, "title": "灯塔", "description": "海边的灯塔", "characters": ["老人"]},
        {"number": 2, "title": "小船", "description": "浪里的小船", "duration_s": 4},
        {"number": 3, "title": "靠岸", "description": "天亮了", "shot_size": "全景"},
    ],
}


def board(**more: Any) -> str:
    """A storyboard of three scenes, as a model answers it."""
    return json.dumps({**BOARD, **more}, ensure_ascii=False)


async def project(client: httpx.AsyncClient, served: Served, **more: Any) -> str:
    body = {"name": "测试项目", "original_topic": TOPIC, **more}
    made = await client.post(f"{served.url}/api/v1/projects/", json=body)
    assert made.status_code == 201
    return f"{served.url}/api/v1/projects/{made.json()['id']}"


async def told(client: httpx.AsyncClient, url: str, body: Any = None) -> list[dict[str, Any]]:
    view = await post(client, url, {} if body is None else body)
    assert view.status == 200
    return view.seen.documents


def scenes(*descriptions: str) -> str:
    listed = [{"number": n, "description": d} for n, d in enumerate(descriptions, start=1)]
    return json.dumps({"scenes": listed}, ensure_ascii=False)


def cameras(*movements: str) -> str:
    listed = [{"scene": n, "movement": m} for n, m in enumerate(movements, start=1)]
    return json.dumps({"cameras": listed}, ensure_ascii=False)


async def stage(client: httpx.AsyncClient, place: str, kind: str) -> dict[str, Any]:
    return dict((await client.get(f"{place}/stages/{kind}")).json())


async def written(client: httpx.AsyncClient, served: Served, upstream: Upstream) -> str:
    """Make a project with a rewritten text and a storyboard; return its place."""
    upstream.play = [answer(TEXT), answer(board())]
    place = await project(client, served)
    await told(client, f"{place}/rewrite-stream/")
    await told(client, f"{place}/storyboard-stream/")
    return place
