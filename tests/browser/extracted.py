"""People whose events are there at once, and a graph of them: models that say it in one piece."""

from __future__ import annotations

import json
from typing import Any

import httpx

from .stage import Stage, model


def at_once(name: str, text: str) -> dict[str, Any]:
    """A model that says all of it in one piece."""
    return model(name, [{"text": text}, {"finish": "stop"}])


def extracted(stage: Stage, *users: str) -> None:
    """Let a model write an event for each behaviour of these people, at once."""
    names = {
        "visit": "浏览商品",
        "favorite": "收藏商品",
        "share": "分享商品",
        "size_chart": "查看尺码",
        "buy_page": "进入下单页",
        "purchase": "购买",
    }
    with httpx.Client(base_url=stage.url, trust_env=False, timeout=60) as http:
        for user in users:
            if http.get(f"/api/people/{user}").json()["events"]:
                continue
            path = f"/api/people/{user}/behaviors?limit=40"
            did = http.get(path).json()["behaviors"]
            lines = [f"{user}|{names.get(b['action'], '浏览商品')}|{b['at']}|看\n" for b in did]
            stage.register(at_once(f"lines-{user}", "".join(lines)))
            asked = {"model": f"lines-{user}"}
            http.post(f"/api/v1/events/extract/{user}/llm-stream", json=asked)


def graph_of(stage: Stage, name: str) -> str:
    """A graph of the frequent steps of some people, drawn by a model of this name."""
    extracted(stage, "user_0002", "user_0003", "user_0005", "user_0007")
    found = stage.get("/api/v1/patterns?max_length=2&min_support=0.01&limit=60")["patterns"]
    pairs = [one["events"] for one in found if len(set(one["events"])) == 2]
    kinds = list(dict.fromkeys(kind for pair in pairs for kind in pair))
    ids = {kind: f"n{number}" for number, kind in enumerate(kinds)}
    types = {"购买": "result"}
    nodes = [
        {"id": ids[kind], "type": types.get(kind, "event"), "name": kind, "description": ""}
        for kind in kinds
    ]
    edges = [
        {"from": ids[a], "to": ids[b], "relation_type": "sequential", "relation_desc": ""}
        for a, b in pairs
    ]
    drawn = json.dumps({"nodes": nodes, "edges": edges, "insights": ["看了才买"]})
    stage.register(at_once(name, drawn))
    options = {"model": name, "min_support": 0.01}
    with httpx.Client(base_url=stage.url, trust_env=False, timeout=60) as http:
        answer = http.post("/api/v1/causal-graph/generate/llm-stream", json=options)
    return str(answer.headers["x-run-id"])
