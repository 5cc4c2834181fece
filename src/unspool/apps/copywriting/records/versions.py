"""
Later versions of posts: what people made of them, and what a run wrote in their place.

The model's own text stays in the log of its run; a version is only added, and the newest one
counts. So each step from the model's words to the published ones can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from sqlalchemy import BigInteger, Index, String, Text, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from unspool.errors import SpecError
from unspool.records import Base, Records, hold, insert_into, now_ms

if TYPE_CHECKING:
    from unspool.runs.run import Step

    from ..request import Rewritten

MAX_VERSION_CHARS: Final = 10_000
"""Of one version: a long article, where a post has some hundred."""

MAX_VERSIONS: Final = 200
"""Of all posts of a run: a person who edits more often keeps a document elsewhere."""


class PostVersion(Base):
    __tablename__ = "post_versions"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    run_id: Mapped[str] = mapped_column(String(64))
    post: Mapped[int]
    """Its number, from 1."""
    text: Mapped[str] = mapped_column(Text)
    source_run: Mapped[str | None] = mapped_column(String(64), default=None)
    """The run that wrote it; None: a person did."""
    model: Mapped[str] = mapped_column(String(260), default="")
    """The writer in that run; empty: a person."""
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)

    __table_args__ = (
        Index(None, "run_id", "post"),
        Index("uq_post_versions_source_run", "source_run", unique=True),
    )


async def keep_edit(records: Records, run_id: str, post: int, text: str) -> None:
    """
    Store a person's text of a post as its newest version.

    Raises:
        SpecError: The run has too many already.
    """
    async with records.session() as session:
        await hold(session, f"versions {run_id}")
        await _check_room(session, run_id)
        session.add(PostVersion(run_id=run_id, post=post, text=text))
        await session.commit()


async def keep_rewrite(records: Records, of: Rewritten, source_run: str, step: Step) -> None:
    """Store what a run wrote as the newest version of a post, once."""
    facts = {"run_id": of.run, "post": of.post, "text": step.text[:MAX_VERSION_CHARS]}
    writer = {"source_run": source_run, "model": step.model or "", "created_ms": now_ms()}
    async with records.session() as session:
        adding = insert_into(session, PostVersion).values(**facts, **writer)
        await session.execute(adding.on_conflict_do_nothing(index_elements=["source_run"]))
        await session.commit()


async def room_for_version(records: Records, run_id: str) -> int:
    """
    Return how many versions the posts of a run have.

    Raises:
        SpecError: These are `MAX_VERSIONS`, and there may be no more.
    """
    async with records.session() as session:
        return await _check_room(session, run_id)


async def _check_room(session: AsyncSession, run_id: str) -> int:
    mine = select(func.count()).where(PostVersion.run_id == run_id)
    count = await session.scalar(mine) or 0
    if count >= MAX_VERSIONS:
        raise SpecError(f"the posts of run {run_id} have {count} versions, and may have no more")
    return count


async def versions_of(
    records: Records, run_ids: Iterable[str]
) -> Mapping[str, Sequence[PostVersion]]:
    """Return the versions of the posts of these runs, by run, newest first."""
    wanted = select(PostVersion).where(PostVersion.run_id.in_(list(run_ids)))
    found: dict[str, list[PostVersion]] = {}
    async with records.session() as session:
        for row in await session.scalars(wanted.order_by(PostVersion.id.desc())):
            found.setdefault(row.run_id, []).append(row)
    return found
