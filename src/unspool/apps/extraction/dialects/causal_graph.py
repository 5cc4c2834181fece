"""
S3.7: a causal graph while it grows, and questions about one, in the frames of S3.

`POST /api/v1/causal-graph/generate/llm-stream`:
`start progress (llm_chunk node* edge* insight* warning*)* progress progress done`, or `error`.
`POST /api/v1/causal-graph/{id}/ask/llm-stream`: `start progress (llm_chunk citation*)* done`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from starlette.responses import Response

from unspool.dialects import Options, RunGateway
from unspool.runs.events import Event
from unspool.runs.run import RunSpec, taken_back

from ..evidence import MAX_WINDOW_DAYS, WINDOW_DAYS
from ..frames import frame

QUESTION = "graph_question"
"""The flow that answers; the encoder shows any other as the making of a graph."""

GraphId = Annotated[str, Path(alias="id", max_length=64)]


class GraphRequest(BaseModel):
    title: str = Field("", max_length=200)
    min_support: float = Field(0.2, gt=0, le=1)
    """Smallest share of users with the pattern."""
    max_length: int = Field(4, ge=2, le=8)
    most: int = Field(30, ge=1, le=200)
    """Frequent patterns that the model gets, besides those around the outcome."""
    outcome: str = Field("", max_length=64)
    """The event type that the graph explains; empty: a purchase, or the commonest last event."""
    window_days: float = Field(WINDOW_DAYS, gt=0, le=MAX_WINDOW_DAYS)
    """Longest time between a step and the next one."""
    query: str = Field("", max_length=200)
    """Only people whose id, name or city contains this."""
    is_acyclic: bool = True
    """Leave out relations that would close a cycle."""
    model: str = Field("", max_length=128)
    force: bool = False
    """Start a new run even if an equal one exists (`Unspool-Cache: refresh`)."""


class QuestionRequest(BaseModel):
    question: str = Field(min_length=1, max_length=2000)
    model: str = Field("", max_length=128)


class GraphEncoder:
    def __init__(self) -> None:
        self._is_question = False
        self._counts = {"node": 0, "edge": 0, "insight": 0}
        self._cited: list[Mapping[str, Any]] = []
        self._is_answered = False

    def encode(self, event: Event) -> Sequence[bytes]:
        data = event.data
        frames: Sequence[bytes] = ()
        match event.type:
            case "run.started":
                self._is_question = data["flow"] == QUESTION
                message = "开始回答..." if self._is_question else "开始生成因果图..."
                frames = (frame("start", message=message),)
            case "text.delta":
                frames = (frame("llm_chunk", content=data["text"]),)
            case "item.found":
                frames = self._found(data["kind"], data["item"])
            case "progress.made":
                frames = (frame("progress", message=data["message"]),)
            case "warning.raised":
                frames = (frame("warning", message=data["message"]),)
            case "result.set":
                result = data["value"]
                self._is_answered = isinstance(result, dict) and bool(result.get("is_answered"))
            case "step.rewound":
                frames = self._rewound(data.get("at", 0))
            case _ if event.is_terminal:
                frames = self._ending(event)
            case _:
                pass
        return frames

    def _found(self, kind: str, item: Mapping[str, Any]) -> Sequence[bytes]:
        match kind:
            case "node" | "edge":
                self._counts[kind] += 1
                return (frame(kind, **{kind: item}),)
            case "insight":
                self._counts[kind] += 1
                return (frame(kind, insight=item.get("text", "")),)
            case "citation":
                self._cited.append(item)
                return (frame(kind, node=item),)
            case _:
                return ()

    def _rewound(self, at: int) -> Sequence[bytes]:
        """Take text back; it happens only in a run of another dialect."""
        if not at:
            self._counts = dict.fromkeys(self._counts, 0)
            self._cited = []
        return (frame("warning", message=taken_back(at)),)

    def _ending(self, event: Event) -> Sequence[bytes]:
        if event.type != "run.completed":
            message = event.data.get("message") or event.type.partition(".")[2]
            return (frame("error", message=message),)
        if self._is_question:
            facts = {"nodes": self._cited, "is_answered": self._is_answered}
            return (frame("done", message="回答完成", **facts),)
        nodes, edges = self._counts["node"], self._counts["edge"]
        saved = f"成功保存 {nodes} 个节点、{edges} 条边" if nodes else "没有可保存的节点"
        counts = {f"{kind}_count": count for kind, count in self._counts.items()}
        return (
            frame("progress", message=saved),
            frame("done", message="因果图生成完成", **counts),
        )


class CausalGraphDialect:
    trailer = b""
    can_rewind = False

    def routes(self, gateway: RunGateway) -> APIRouter:
        router = APIRouter(prefix="/api/v1/causal-graph", tags=["causal graphs (S3)"])

        @router.post("/generate/llm-stream")
        async def generate_graph(options: Options, request: GraphRequest | None = None) -> Response:
            """Draw a causal graph from frequent patterns of events; its id is the run's."""
            request = request or GraphRequest()
            if request.force:
                options = replace(options, cache="refresh")
            body = request.model_dump(exclude={"model", "force"})
            spec = RunSpec("causal_graph", body, request.model, dialect="causal_graph")
            return await gateway.stream(spec, options)

        @router.post("/{id}/ask/llm-stream")
        async def ask_graph(
            graph_id: GraphId, request: QuestionRequest, options: Options
        ) -> Response:
            """Answer a question from a graph, citing its nodes; unknown graph: 404."""
            body = {"graph_id": graph_id, "question": request.question}
            spec = RunSpec(QUESTION, body, request.model, dialect="causal_graph")
            return await gateway.stream(spec, options)

        return router

    def encoder(self) -> GraphEncoder:
        return GraphEncoder()


plug = CausalGraphDialect()
