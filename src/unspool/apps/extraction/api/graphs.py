"""`/api/v1/graphs`: list, read, export and delete causal graphs, and list their questions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from unspool.core import Core

from ..records.graphs import (
    count_graphs,
    count_questions,
    find_graph,
    list_graphs,
    list_questions,
    remove_graph,
)
from .graph_files import FORMS, graph_json, question_json

GraphId = Annotated[str, Path(alias="id", max_length=64)]


def plug(core: Core) -> APIRouter:
    router = APIRouter(prefix="/api/v1/graphs", tags=["causal graphs (S3)"])
    records = core.records

    @router.get("")
    async def list_all(
        before: Annotated[str, Query(max_length=64)] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """List graphs, newest first; `next` is the `before` of the next page."""
        graphs = await list_graphs(records, before=before, limit=limit)
        return {
            "graphs": [graph_json(graph, is_short=True) for graph in graphs],
            "total": await count_graphs(records),
            "next": graphs[-1].id if len(graphs) == limit else None,
        }

    @router.get("/{id}")
    async def read_graph(graph_id: GraphId) -> dict[str, Any]:
        return graph_json(await find_graph(records, graph_id))

    @router.get("/{id}/export")
    async def export_graph(
        graph_id: GraphId,
        form: Annotated[Literal["json", "graphml", "mermaid"], Query(alias="format")] = "json",
    ) -> Response:
        """Download the graph as a file for another program."""
        graph = await find_graph(records, graph_id)
        chosen = FORMS[form]
        name = f'attachment; filename="graph-{graph.id}.{chosen.ending}"'
        headers = {"Content-Disposition": name}
        return Response(chosen.write(graph), media_type=chosen.media_type, headers=headers)

    @router.get("/{id}/questions")
    async def read_questions(
        graph_id: GraphId,
        before: Annotated[str, Query(max_length=64)] = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        """List the questions that were asked of the graph, newest first, with their answers."""
        await find_graph(records, graph_id)
        asked = await list_questions(records, graph_id, before=before, limit=limit)
        return {
            "questions": [question_json(one) for one in asked],
            "total": await count_questions(records, graph_id),
            "next": asked[-1].id if len(asked) == limit else None,
        }

    @router.delete("/{id}", status_code=204)
    async def forget_graph(graph_id: GraphId) -> Response:
        """Delete the graph and its questions; their runs stay until they are pruned."""
        await remove_graph(records, graph_id)
        return Response(status_code=204)

    return router
