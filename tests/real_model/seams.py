"""Breaks the answers of a real model in the middle, and looks at how they are continued."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

from browser.serving import Program
from support.engine import Engine

from .breaking import Breaker
from .judging import FAULTS, verdict_of

PROMPTS = {
    "lake": "请写一段大约120字的文字，介绍西湖的四季。",
    "cat": "用中文写一个关于小猫的短故事，大约150字。",
    "python": "请列出学习Python的五个建议，每条一句话。",
    "shoes": "给一款防水登山鞋写一段小红书文案。",
    "sea": "Write a paragraph of about 100 words about the sea.",
    "fridge": "Explain how a refrigerator works in five sentences.",
    "tips": "List six tips for writing clean code, one sentence each.",
    "keeper": "Tell a short story about a lighthouse keeper.",
    "code": "Write a Python function that merges two sorted lists, with comments.",
    "table": "Write a markdown table of four planets with their diameter and moons.",
}
RUN_S = 240.0
"""Longest run: a small model on a busy machine."""


@dataclass
class Row:
    """One broken answer."""

    prompt: str
    cut: int
    verdict: str
    strategies: list[str]
    passed: str
    text: str
    whole: str


@dataclass(frozen=True)
class Way:
    """A way to break answers and to continue them."""

    name: str
    prefill: str
    """That the model is registered with; `auto`: nothing is said."""
    how: Literal["cut", "killed", "another"]
    """
    The connection is cut, the engine is killed and started again, or another takes its place.
    """
    cuts: tuple[int, ...]
    """Chunks of text that pass before the break."""


@dataclass
class Table:
    """All broken answers of one way to break and to continue them."""

    name: str
    rows: list[Row] = field(default_factory=list)

    @property
    def counts(self) -> Counter[str]:
        return Counter(row.verdict for row in self.rows)

    @property
    def faults(self) -> int:
        return sum(self.counts[fault] for fault in FAULTS)


@asynccontextmanager
async def serving(folder: Path, models: list[dict[str, Any]]) -> AsyncIterator[httpx.AsyncClient]:
    """Serve these models, the first of them or a route over all by default."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    names = [model["name"] for model in models]
    routes = [{"name": "all", "models": names}] if len(names) > 1 else []
    config = {"default": "all" if routes else names[0], "models": models, "routes": routes}
    (folder / "unspool.yaml").write_text(json.dumps(config))
    program = Program(folder / "data")
    await asyncio.to_thread(program.start)
    try:
        async with httpx.AsyncClient(base_url=program.url, timeout=60, trust_env=False) as api:
            yield api
    finally:
        await asyncio.to_thread(program.stop)


async def finished(api: httpx.AsyncClient, spec: dict[str, Any]) -> dict[str, Any]:
    """Start a run and return it when it has ended."""
    started = await api.post("/v1/runs", json=spec)
    started.raise_for_status()
    path = f"/v1/runs/{started.json()['id']}"
    async with asyncio.timeout(RUN_S):
        while True:
            run = (await api.get(path)).json()
            if run["status"] not in {"running", "waiting"}:
                return run
            await asyncio.sleep(0.3)


def described(name: str, url: str, prefill: str) -> dict[str, Any]:
    model = {
        "name": name,
        "model": "real",
        "api_base": f"{url}/v1",
        "api_key": "sk-local-00000000",
        "limits": {"first_event_s": 120, "idle_s": 60},
    }
    return model | ({} if prefill == "auto" else {"prefill": prefill})


async def table_of(way: Way, engine: Engine, folder: Path, report: Callable[[Row], None]) -> Table:
    """Break all answers in this way."""
    table = Table(way.name)
    async with AsyncExitStack() as stack:
        breaker = Breaker(engine.url)
        models = [described("real", await breaker.start(), way.prefill)]
        stack.callback(breaker.close)
        if way.how == "killed":
            breaker.on_break = engine.restart
        if way.how == "another":
            breaker.is_down = True
            other = await stack.enter_async_context(Engine(engine.model))
            models.append(described("other", other.url, way.prefill))
        api = await stack.enter_async_context(serving(folder, models))
        for prompt, question in PROMPTS.items():
            spec = {"flow": "chat", "input": {"prompt": question + " "}}
            whole = (await finished(api, spec))["text"]
            for cut in way.cuts:
                row = await _broken(api, breaker, prompt, cut, whole)
                if row is not None:
                    table.rows.append(row)
                    report(row)
    return table


async def _broken(
    api: httpx.AsyncClient, breaker: Breaker, prompt: str, cut: int, whole: str
) -> Row | None:
    question = PROMPTS[prompt] + " " * (cut + 2)
    breaker.break_next(question, cut)
    run = await finished(api, {"flow": "chat", "input": {"prompt": question}})
    if len(run["attempts"]) == 1 or question not in breaker.asked:
        return None  # the answer was shorter, or the engine that breaks was resting
    verdict = verdict_of(run, breaker.passed(question), whole, breaker.asked[question])
    strategies = [attempt["strategy"] for attempt in run["attempts"]]
    return Row(prompt, cut, verdict, strategies, breaker.passed(question), run["text"], whole)
