"""
Answers a question from a causal graph, and cites the nodes it uses as `[id]`.

The words of the question choose the edges that the model sees. If the graph has nothing on it,
the answer says so without a model; `is_answered` in the result tells the two apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from unspool.flows import Context, KeepingFlow

from ..graph_checks import patterns_of
from ..graph_prompts import ANSWER_SYSTEM, answer_prompt, declined, ids_in
from ..graph_reading import CITATION, CitationReader
from ..graph_retrieval import retrieve
from ..records.events import RUN_ID_CHARS
from ..records.graphs import MAX_QUESTION_CHARS, AskedQuestion, find_graph, save_question

if TYPE_CHECKING:
    from unspool.records import Records
    from unspool.runs.run import Run

STEP: Final = "answer"


class GraphQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    graph_id: str = Field(min_length=1, max_length=RUN_ID_CHARS)
    question: str = Field(min_length=1, max_length=MAX_QUESTION_CHARS)
    graph: dict[str, Any] = Field(default_factory=dict)
    """The server fills in the parts of the stored graph that the question is about, and
    `unknown`: its words that are in no name of the graph."""


class GraphQuestionFlow(KeepingFlow[GraphQuestion]):
    input_model = GraphQuestion

    async def prepare(self, request: GraphQuestion, records: Records) -> GraphQuestion:
        """
        Fill in what the graph has on the question.

        Raises:
            UnknownRecord: There is no such graph.
        """
        graph = await find_graph(records, request.graph_id)
        whole = {"nodes": graph.nodes, "edges": graph.edges, "insights": graph.insights}
        chosen = retrieve(request.question, whole)
        parts = {**chosen.parts(), "unknown": list(chosen.unknown)}
        return request.model_copy(update={"graph": parts})

    async def run(self, ctx: Context, request: GraphQuestion) -> None:
        nodes, unknown = ids_in(request.graph["nodes"]), request.graph["unknown"]
        if not nodes:
            await ctx.say(declined(unknown), step=STEP)
            ctx.result({"nodes": [], "is_answered": False})
            return
        ctx.progress(f"正在根据 {len(nodes)} 个节点回答...")
        patterns = patterns_of(request.graph)
        reader = CitationReader(ctx, STEP, nodes, patterns)

        def read() -> CitationReader:
            nonlocal reader
            reader = CitationReader(ctx, STEP, nodes, patterns)
            return reader

        prompt = answer_prompt(request.question, request.graph, unknown)
        await ctx.generate(prompt, step=STEP, system=ANSWER_SYSTEM, read=read)
        ctx.result({"nodes": reader.cited, "is_answered": reader.is_answered})

    async def keep(self, run_id: str, request: GraphQuestion, run: Run, records: Records) -> None:
        """Store the question and its answer with the graph."""
        result = run.result if isinstance(run.result, dict) else {}
        asked = AskedQuestion(
            id=run_id,
            graph_id=request.graph_id,
            question=request.question,
            answer=run.text,
            nodes=[item["item"]["id"] for item in run.items if item["kind"] == CITATION],
            is_answered=run.status == "completed" and bool(result.get("is_answered")),
            status=run.status,
            created_ms=run.started_ms or 0,
        )
        await save_question(records, asked)


plug = GraphQuestionFlow()
