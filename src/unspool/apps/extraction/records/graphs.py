"""
Causal graphs, and the questions that were asked of them.

Each comes from the log of one run (`flows.causal_graph`, `flows.graph_question`) and has its id.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, String, Text, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from unspool.errors import UnknownRecord
from unspool.records import Base, Records
from unspool.records.products import MAX_PAGE_ROWS

from .events import RUN_ID_CHARS

MAX_TITLE_CHARS = 200
"""Longest title; lists show it."""

MAX_QUESTION_CHARS = 2000
"""Longest question; it is a sentence or two."""


class Graph(Base):
    __tablename__ = "graphs"

    id: Mapped[str] = mapped_column(String(RUN_ID_CHARS), primary_key=True)
    """The id of its run."""
    title: Mapped[str] = mapped_column(String(MAX_TITLE_CHARS), default="")
    is_whole: Mapped[bool]
    """Whether its run completed; otherwise the graph has the readable parts only."""
    patterns: Mapped[list[Any]] = mapped_column(JSON, default=list)
    """The patterns that the model saw."""
    nodes: Mapped[list[Any]] = mapped_column(JSON, default=list)
    edges: Mapped[list[Any]] = mapped_column(JSON, default=list)
    insights: Mapped[list[Any]] = mapped_column(JSON, default=list)
    created_ms: Mapped[int] = mapped_column(BigInteger)


class AskedQuestion(Base):
    __tablename__ = "graph_questions"

    id: Mapped[str] = mapped_column(String(RUN_ID_CHARS), primary_key=True)
    """The id of its run."""
    graph_id: Mapped[str] = mapped_column(String(RUN_ID_CHARS))
    question: Mapped[str] = mapped_column(String(MAX_QUESTION_CHARS))
    answer: Mapped[str] = mapped_column(Text, default="")
    nodes: Mapped[list[Any]] = mapped_column(JSON, default=list)
    """Ids of the nodes that the answer cites."""
    is_answered: Mapped[bool]
    """Whether the answer stands on the graph."""
    status: Mapped[str] = mapped_column(String(16))
    """How the run ended."""
    created_ms: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index(None, "graph_id", "id"),)


async def save_graph(records: Records, graph: Graph) -> None:
    """Store a graph, replacing one of the same id."""
    async with records.session() as session:
        await session.merge(graph)
        await session.commit()


async def find_graph(records: Records, graph_id: str) -> Graph:
    """
    Return the graph with exactly this id.

    Raises:
        UnknownRecord: There is none.
    """
    async with records.session() as session:
        graph = await session.get(Graph, graph_id)
    if graph is None:
        raise UnknownRecord(
            f"no graph {graph_id[:RUN_ID_CHARS]!r}; `GET /api/v1/graphs` lists the graphs"
        )
    return graph


async def list_graphs(records: Records, *, before: str = "", limit: int = 50) -> list[Graph]:
    """Return graphs, newest first; `before` is the last id of the previous page."""
    wanted = select(Graph).order_by(Graph.id.desc())
    if before:
        wanted = wanted.where(Graph.id < before)
    async with records.session() as session:
        page = await session.scalars(wanted.limit(max(0, min(limit, MAX_PAGE_ROWS))))
        return list(page)


async def count_graphs(records: Records) -> int:
    """Return the number of graphs."""
    async with records.session() as session:
        return await session.scalar(select(func.count()).select_from(Graph)) or 0


async def remove_graph(records: Records, graph_id: str) -> None:
    """
    Delete a graph, and the questions that were asked of it.

    Raises:
        UnknownRecord: There is none.
    """
    async with records.session() as session:
        graph = await session.get(Graph, graph_id)
        if graph is not None:
            await session.execute(delete(AskedQuestion).where(AskedQuestion.graph_id == graph_id))
            await session.delete(graph)
            await session.commit()
            return
    await find_graph(records, graph_id)


async def save_question(records: Records, question: AskedQuestion) -> None:
    """Store a question, replacing one of the same id."""
    async with records.session() as session:
        await session.merge(question)
        await session.commit()


async def list_questions(
    records: Records, graph_id: str, *, before: str = "", limit: int = 50
) -> list[AskedQuestion]:
    """Return the questions of a graph, newest first; `before` is the last id of the page before."""
    wanted = (
        select(AskedQuestion)
        .where(AskedQuestion.graph_id == graph_id)
        .order_by(AskedQuestion.id.desc())
    )
    if before:
        wanted = wanted.where(AskedQuestion.id < before)
    async with records.session() as session:
        page = await session.scalars(wanted.limit(max(0, min(limit, MAX_PAGE_ROWS))))
        return list(page)


async def count_questions(records: Records, graph_id: str) -> int:
    """Return the number of questions that were asked of a graph."""
    of_it = select(func.count()).where(AskedQuestion.graph_id == graph_id)
    async with records.session() as session:
        return await session.scalar(of_it) or 0
