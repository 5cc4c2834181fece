"""The five systems over a real model: does each run end as it says, and what came out of it?"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.engine import Engine

from .seams import described, finished, serving

MAX_TOKENS = 400
"""Of one answer: a small model loops, and nobody waits for it."""


FIRST_TEXT_S = 120

BEHAVIORS = 12
"""Of one person: the model reads some hundred tokens a second."""


@dataclass
class Result:
    """One run of a system."""

    system: str
    status: str
    seconds: float
    came: str
    """What came out of it, in a few words."""


async def _copy(api: httpx.AsyncClient) -> tuple[dict[str, Any], str]:
    products = (await api.get("/api/products")).json()["products"]
    # A small model on a processor shows its first word later than any shop would wait.
    spec = {"sku": products[0]["sku"], "style": "natural", "first_text_s": FIRST_TEXT_S}
    run = await _ended(api, await api.post("/ai/generate/copy", json=spec))
    posts = [step for step in run["steps"] if step["name"].startswith("post-")]
    writers = ", ".join(sorted({step["model"] for step in posts}))
    chars = sum(len(step["text"]) for step in posts)
    return run, f"{len(posts)} posts by {writers}, {chars} characters, {_findings(run)}"


async def _debug(api: httpx.AsyncClient) -> tuple[dict[str, Any], str]:
    models = (await api.get("/api/models")).json()["models"]
    number = next(model["id"] for model in models if model["is_default"])
    body = {"model_id": number, "prompt": "什么是防水透气膜？两句话回答。", "stream": True}
    run = await _ended(api, await api.post("/api/debug/chat", json=body))
    return run, f"{len(run['text'])} characters"


async def _extraction(api: httpx.AsyncClient) -> tuple[dict[str, Any], str]:
    person = (await api.get("/api/people")).json()["people"][0]["id"]
    path = f"/api/v1/events/extract/{person}/llm-stream"
    run = await _ended(api, await api.post(path, json={"limit": BEHAVIORS}))
    facts = run["result"] or {}
    counts = f"{facts.get('event_count', 0)} events, {facts.get('left_out', 0)} lines left out"
    return run, f"{counts}, {facts.get('ungrounded', 0)} invented"


async def _graph(api: httpx.AsyncClient) -> tuple[dict[str, Any], str]:
    run = await finished(api, {"flow": "causal_graph", "input": {"most": 5}})
    graph = run["result"] or {}
    counts = f"{graph.get('nodes', 0)} nodes, {graph.get('edges', 0)} edges"
    return run, f"{counts}, {_findings(run)}"


async def _story(api: httpx.AsyncClient) -> tuple[dict[str, Any], str]:
    project = {"name": "灯塔", "original_topic": "一座灯塔和看守它的老人"}
    number = (await api.post("/api/v1/projects/", json=project)).json()["id"]
    run = await _ended(api, await api.post(f"/api/v1/projects/{number}/rewrite-stream/", json={}))
    return run, f"{len(run['text'])} characters"


SYSTEMS: dict[str, Callable[[httpx.AsyncClient], Awaitable[tuple[dict[str, Any], str]]]] = {
    "sales copy": _copy,
    "debug chat": _debug,
    "extraction": _extraction,
    "causal graph": _graph,
    "story": _story,
}


async def results_of(engine: Engine, folder: Path) -> list[Result]:
    """Run every system once."""
    model = described("real", engine.url, "auto") | {"params": {"max_tokens": MAX_TOKENS}}
    results: list[Result] = []
    async with serving(folder, [model]) as api:
        api.timeout = 300
        for name, ask in SYSTEMS.items():
            began = time.monotonic()
            run, came = await ask(api)
            took_s = time.monotonic() - began
            results.append(Result(name, _ending(run), took_s, came))
    return results


def _findings(run: dict[str, Any]) -> str:
    return f"{len(run['warnings'])} warnings"


def _ending(run: dict[str, Any]) -> str:
    error = run.get("error") or {}
    return run["status"] + (f" ({error['code']})" if error.get("code") else "")


async def _ended(api: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    answer.raise_for_status()
    return (await api.get(f"/v1/runs/{answer.headers['X-Run-Id']}")).json()
