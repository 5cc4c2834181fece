"""
A graph of causes from what people often do one after the other.

The patterns are found when the run is asked for, in the events that extractions have made; a
model draws the graph, of which each part is told while it is written. It is kept under the id
of its run.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from unspool.errors import EmptyInput
from unspool.flows import Context, KeepingFlow

from ..frequent_patterns import MAX_LENGTH, Mined, Pattern, frequent_patterns
from ..graph_prompts import GRAPH_SYSTEM, graph_prompt
from ..graph_reading import EDGE, INSIGHT, NODE, GraphReader
from ..records.events import sequences
from ..records.graphs import MAX_TITLE_CHARS, Graph, save_graph

if TYPE_CHECKING:
    from unspool.records import Records
    from unspool.runs.run import Run

STEP: Final = "graph"

MAX_ASKED: Final = 200
"""Patterns in one prompt; a model draws a dozen nodes from them."""


class CausalGraph(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field("", max_length=MAX_TITLE_CHARS)
    """What it is called in lists."""
    min_support: float = Field(0.2, gt=0, le=1)
    """Share of the users who must have done so."""
    max_length: int = Field(4, ge=2, le=MAX_LENGTH)
    """Events in one pattern."""
    most: int = Field(30, ge=1, le=MAX_ASKED)
    """Patterns that are shown to the model, the most frequent ones."""
    patterns: list[dict[str, Any]] = Field(default_factory=list)
    """Filled in with what was found, whatever is sent: so equal input is the same run."""


class CausalGraphFlow(KeepingFlow[CausalGraph]):
    input_model = CausalGraph

    async def prepare(self, request: CausalGraph, records: Records) -> CausalGraph:
        mined = await patterns_in(
            records,
            min_support=request.min_support,
            max_length=request.max_length,
            most=request.most,
        )
        return request.model_copy(
            update={"patterns": [pattern_json(one) for one in mined.patterns]}
        )

    async def run(self, ctx: Context, request: CausalGraph) -> None:
        count = len(request.patterns)
        if not count:
            raise EmptyInput("没有可用的频繁模式：请先抽象用户事件，或降低最小支持度")
        ctx.progress(f"正在调用LLM分析 {count} 个频繁模式...")
        reader = GraphReader(ctx, STEP)

        def read() -> GraphReader:
            nonlocal reader
            reader = GraphReader(ctx, STEP)
            return reader

        prompt = graph_prompt(request.patterns)
        await ctx.generate(prompt, step=STEP, system=GRAPH_SYSTEM, read=read, is_bound=True)
        counts = {"nodes": len(reader.nodes), "edges": len(reader.edges)}
        ctx.result(counts | {"insights": len(reader.insights)})
        ctx.progress("正在保存因果图到数据库...")

    async def keep(self, run_id: str, request: CausalGraph, run: Run, records: Records) -> None:
        """Keep what could be read, also of a run that has not completed; nothing is no graph."""
        found: dict[str, list[Any]] = {NODE: [], EDGE: [], INSIGHT: []}
        for item in run.items:
            found.get(item["kind"], []).append(item["item"])
        if not found[NODE]:
            return
        graph = Graph(
            id=run_id,
            title=request.title,
            is_whole=run.status == "completed",
            patterns=request.patterns,
            nodes=found[NODE],
            edges=found[EDGE],
            insights=[insight["text"] for insight in found[INSIGHT]],
            created_ms=run.started_ms or 0,
        )
        await save_graph(records, graph)


async def patterns_in(records: Records, **wanted: Any) -> Mined:
    """Return the frequent patterns of all people's events; see `patterns.frequent_patterns`."""
    # In a thread: seconds of work for many people, while everybody's text streams.
    return await asyncio.to_thread(frequent_patterns, await sequences(records), **wanted)


def pattern_json(pattern: Pattern) -> dict[str, Any]:
    return {
        "events": list(pattern.events),
        "users": pattern.users,
        "support": round(pattern.support, 4),
        "confidence": round(pattern.confidence, 4),
    }


plug = CausalGraphFlow()
