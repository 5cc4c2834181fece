"""
Draws a causal graph from frequent sequences of people's events.

The request finds the patterns in the events of earlier extractions, with their figures. A model
draws the graph, and each node, edge and insight appears while it writes, unless the patterns do
not support it. The graph is stored under the id of its run.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from unspool.errors import AnswerCut, EmptyInput, InvalidAnswer, NothingFound
from unspool.flows import Context, KeepingFlow

from ..evidence import MAX_WINDOW_DAYS, WINDOW_DAYS
from ..frequent_patterns import MAX_LENGTH
from ..graph_facts import facts_of
from ..graph_patterns import PatternSearch, graph_patterns
from ..graph_prompts import GRAPH_SYSTEM, graph_prompt
from ..graph_reading import EDGE, INSIGHT, NODE, GraphReader
from ..records.graphs import MAX_TITLE_CHARS, Graph, save_graph
from ..records.histories import read_histories, read_traits

if TYPE_CHECKING:
    from unspool.records import Records
    from unspool.runs.run import Run

STEP: Final = "graph"

MAX_SHOWN: Final = 200
"""Patterns in one prompt; a model draws a dozen nodes from them."""


class CausalGraph(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field("", max_length=MAX_TITLE_CHARS)
    """Its title in lists."""
    min_support: float = Field(0.2, gt=0, le=1)
    """Smallest share of users with the pattern."""
    max_length: int = Field(4, ge=2, le=MAX_LENGTH)
    """Most events in one pattern."""
    most: int = Field(30, ge=1, le=MAX_SHOWN)
    """Frequent patterns that the model gets, besides those around the outcome."""
    outcome: str = Field("", max_length=64)
    """The event type that the graph explains; empty: a purchase, or the commonest last event."""
    window_days: float = Field(WINDOW_DAYS, gt=0, le=MAX_WINDOW_DAYS)
    """Longest time between a step and the next one."""
    query: str = Field("", max_length=200)
    """Only people whose id, name or city contains this."""
    is_acyclic: bool = True
    """Leave out relations that would close a cycle."""
    patterns: list[dict[str, Any]] = Field(default_factory=list)
    """The server fills in the patterns, whatever a client sends: equal input is the same run."""

    def wanted(self) -> PatternSearch:
        return PatternSearch(
            self.min_support,
            self.max_length,
            self.most,
            self.outcome,
            self.window_days,
            self.is_acyclic,
        )


class CausalGraphFlow(KeepingFlow[CausalGraph]):
    input_model = CausalGraph

    async def prepare(self, request: CausalGraph, records: Records) -> CausalGraph:
        histories = await read_histories(records, query=request.query)
        traits = await read_traits(records, query=request.query)
        # In a thread: for many people it takes seconds, and other runs must stream meanwhile.
        patterns = await asyncio.to_thread(graph_patterns, histories, traits, request.wanted())
        return request.model_copy(update={"patterns": patterns})

    async def run(self, ctx: Context, request: CausalGraph) -> None:
        count = len(request.patterns)
        if not count:
            raise EmptyInput("没有可用的频繁模式：请先抽象用户事件，或降低最小支持度")
        ctx.progress(f"正在调用LLM分析 {count} 个频繁模式...")
        facts = facts_of(request.patterns, is_acyclic=request.is_acyclic)
        reader = GraphReader(ctx, STEP, facts)

        def read() -> GraphReader:
            nonlocal reader
            reader = GraphReader(ctx, STEP, facts, enough=lambda: ctx.enough(STEP))
            return reader

        prompt = graph_prompt(facts)
        await ctx.generate(prompt, step=STEP, system=GRAPH_SYSTEM, read=read, is_bound=True)
        counts = {"nodes": len(reader.nodes), "edges": len(reader.edges)}
        ctx.result(counts | {"insights": len(reader.insights)})
        if ctx.ending(STEP) == "length":
            raise AnswerCut(
                "因果图没有写完：模型的输出达到长度上限。请提高最小支持度，或换一个模型"
            )
        if reader.is_cut:
            raise InvalidAnswer("因果图没有写完：模型的 JSON 没有结尾。请换一个模型再试")
        if not reader.edges:
            raise NothingFound(
                f"没有得到因果图：{len(reader.nodes)} 个节点，没有频繁模式支持的边，请换一个模型"
            )
        ctx.progress("正在保存因果图到数据库...")

    async def keep(self, run_id: str, request: CausalGraph, run: Run, records: Records) -> None:
        """Store the readable parts, even of a run that did not complete; no nodes, no graph."""
        parts: dict[str, list[Any]] = {NODE: [], EDGE: [], INSIGHT: []}
        for item in run.items:
            parts.get(item["kind"], []).append(item["item"])
        if not parts[NODE]:
            return
        graph = Graph(
            id=run_id,
            title=request.title,
            is_whole=run.status == "completed",
            patterns=request.patterns,
            nodes=parts[NODE],
            edges=parts[EDGE],
            insights=[insight["text"] for insight in parts[INSIGHT]],
            created_ms=run.started_ms or 0,
        )
        await save_graph(records, graph)


plug = CausalGraphFlow()
