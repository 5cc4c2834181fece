"""Answers a question from a causal graph, and cites the nodes it uses as `[id]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from unspool.flows import Context, Flow

from ..graph_prompts import ANSWER_SYSTEM, answer_prompt, ids_in
from ..graph_reading import CitationReader
from ..records.events import RUN_ID_CHARS
from ..records.graphs import find_graph

if TYPE_CHECKING:
    from unspool.records import Records

STEP: Final = "answer"


class GraphQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    graph_id: str = Field(min_length=1, max_length=RUN_ID_CHARS)
    question: str = Field(min_length=1, max_length=2000)
    graph: dict[str, Any] = Field(default_factory=dict)
    """The server fills in the stored graph, whatever a client sends."""


class GraphQuestionFlow(Flow[GraphQuestion]):
    input_model = GraphQuestion

    async def prepare(self, request: GraphQuestion, records: Records) -> GraphQuestion:
        """
        Fill in the graph.

        Raises:
            UnknownRecord: There is no such graph.
        """
        graph = await find_graph(records, request.graph_id)
        parts = {"nodes": graph.nodes, "edges": graph.edges, "insights": graph.insights}
        return request.model_copy(update={"graph": parts})

    async def run(self, ctx: Context, request: GraphQuestion) -> None:
        nodes = ids_in(request.graph["nodes"])
        ctx.progress(f"正在根据 {len(nodes)} 个节点回答...")
        reader = CitationReader(ctx, STEP, nodes)

        def read() -> CitationReader:
            nonlocal reader
            reader = CitationReader(ctx, STEP, nodes)
            return reader

        prompt = answer_prompt(request.question, request.graph)
        await ctx.generate(prompt, step=STEP, system=ANSWER_SYSTEM, read=read)
        ctx.result({"nodes": reader.cited})


plug = GraphQuestionFlow()
