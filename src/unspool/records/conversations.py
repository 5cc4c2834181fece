"""
Conversations: a name, and the runs that are its turns.

The prompts and answers are in the logs of those runs and nowhere else. Each turn follows another
one, so the turns are a tree: a question that is edited, an answer that is made again and the
answers of several models are siblings. One of its turns is current; the path to it is what people
see, and what the next question follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, ForeignKey, String, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from ..errors import UnknownRecord
from . import Base, Records, holds, insert_into, now_ms

MAX_NAME_CHARS = 200


class ConversationRow(Base):
    __tablename__ = "conversations"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's name

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARS), default="")
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    updated_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms, onupdate=now_ms)
    """The latest rename, or the beginning of the latest turn."""
    current: Mapped[int] = mapped_column(default=0)
    """The turn that the next question follows; 0: none yet."""
    changes: Mapped[int] = mapped_column(default=0)
    """Raised when its turns, its current turn or its messages change."""


class TurnRow(Base):
    __tablename__ = "turns"

    conversation_id: Mapped[int] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    """From 1, in the order of the requests."""
    run_id: Mapped[str] = mapped_column(String(32))
    asked: Mapped[str] = mapped_column(String(96))
    """Identifies its request; see `Claim.asked`."""
    parent: Mapped[int] = mapped_column(default=0)
    """The turn that it follows; 0: it begins the conversation."""


@dataclass(frozen=True, slots=True)
class ConversationCount:
    """A conversation and its number of turns."""

    row: ConversationRow
    turns: int


async def add_conversation(records: Records, name: str) -> int:
    """Begin a conversation and return its number."""
    async with records.session() as session:
        row = ConversationRow(name=name)
        session.add(row)
        await session.commit()
        return row.id


@dataclass(frozen=True, slots=True)
class Sought:
    """Words that a name holds, or runs that are turns; either will do."""

    words: str
    runs: Sequence[str]


async def list_conversations(
    records: Records, *, before: int, limit: int, sought: Sought | None = None
) -> list[ConversationCount]:
    """Return conversations with a number below `before`, the newest first."""
    async with records.session() as session:
        turns = select(func.count()).where(TurnRow.conversation_id == ConversationRow.id)
        wanted = select(ConversationRow, turns.scalar_subquery())
        wanted = wanted.where(ConversationRow.id < before).order_by(ConversationRow.id.desc())
        if sought is not None:
            talks = select(TurnRow.conversation_id).where(TurnRow.run_id.in_(sought.runs))
            is_named = holds(ConversationRow.name, sought.words)
            wanted = wanted.where(is_named | ConversationRow.id.in_(talks))
        return [
            ConversationCount(row, count)
            for row, count in await session.execute(wanted.limit(limit))
        ]


async def find_conversation(records: Records, number: int) -> ConversationCount:
    """
    Return the conversation with this number.

    Raises:
        UnknownRecord: There is none.
    """
    found = await list_conversations(records, before=number + 1, limit=1)
    if not found or found[0].row.id != number:
        raise _unknown(number)
    return found[0]


async def rename_conversation(records: Records, number: int, name: str) -> None:
    """
    Rename a conversation.

    Raises:
        UnknownRecord: There is none with this number.
    """
    async with records.session() as session:
        renaming = update(ConversationRow).where(ConversationRow.id == number).values(name=name)
        renamed = await session.scalar(renaming.returning(ConversationRow.id))
        await session.commit()
    if renamed is None:
        raise _unknown(number)


async def remove_conversation(records: Records, number: int) -> None:
    """
    Delete a conversation. Its runs stay until the journal prunes them.

    Raises:
        UnknownRecord: There is none with this number.
    """
    async with records.session() as session:
        removing = delete(ConversationRow).where(ConversationRow.id == number)
        removed = await session.scalar(removing.returning(ConversationRow.id))
        await session.commit()
    if removed is None:
        raise _unknown(number)


async def turns_of(records: Records, number: int) -> list[TurnRow]:
    """Return the turns of a conversation, in order; empty if there is no such conversation."""
    async with records.session() as session:
        wanted = select(TurnRow).where(TurnRow.conversation_id == number)
        return list(await session.scalars(wanted.order_by(TurnRow.number)))


async def current_run(records: Records, number: int) -> str:
    """Return the run of the current turn of a conversation; empty: it has no turn."""
    async with records.session() as session:
        is_current = (TurnRow.number == ConversationRow.current) & (
            TurnRow.conversation_id == ConversationRow.id
        )
        wanted = select(TurnRow.run_id).join(ConversationRow, is_current)
        return await session.scalar(wanted.where(ConversationRow.id == number)) or ""


async def number_of_turn(records: Records, conversation: int, run_id: str) -> int:
    """Return the number of the turn that a run is; 0: it is none of this conversation."""
    async with records.session() as session:
        wanted = select(TurnRow.number).where(TurnRow.conversation_id == conversation)
        return await session.scalar(wanted.where(TurnRow.run_id == run_id)) or 0


async def save_turn(
    records: Records, conversation: int, number: int, run: tuple[str, str], *, parent: int
) -> None:
    """
    Store a run (its id, and the identity of its request) as a turn, which becomes the current one;
    a repeat, also by another server, changes nothing.

    If the conversation is gone meanwhile, it writes nothing.
    """
    run_id, request = run
    values = {
        "conversation_id": conversation,
        "number": number,
        "run_id": run_id,
        "asked": request,
        "parent": parent,
    }
    async with records.session() as session:
        # First, so that writers of one conversation come one after the other.
        touching = update(ConversationRow).where(ConversationRow.id == conversation)
        found = await session.scalar(
            touching.values(updated_ms=now_ms(), changes=ConversationRow.changes + 1).returning(
                ConversationRow.id
            )
        )
        if found is None:
            return
        adding = insert_into(session, TurnRow).values(**values).on_conflict_do_nothing()
        if await session.scalar(adding.returning(TurnRow.number)) is not None:
            await session.execute(touching.values(current=number))
        await session.commit()


async def choose_turn(records: Records, conversation: int, number: int) -> None:
    """Make a turn the current one; that is no change of the conversation's own."""
    async with records.session() as session:
        choosing = update(ConversationRow).where(ConversationRow.id == conversation)
        kept = {"updated_ms": ConversationRow.updated_ms, "changes": ConversationRow.changes + 1}
        await session.execute(choosing.values(current=number, **kept))
        await session.commit()


async def note_change_of(session: AsyncSession, conversation: int) -> bool:
    """Raise `changes` of a conversation; return whether it is there. The caller commits."""
    raising = update(ConversationRow).where(ConversationRow.id == conversation)
    kept = {"updated_ms": ConversationRow.updated_ms, "changes": ConversationRow.changes + 1}
    raised = await session.scalar(raising.values(**kept).returning(ConversationRow.id))
    return raised is not None


async def changes_of(records: Records, numbers: Iterable[int]) -> dict[int, int]:
    """Return how often each of these conversations has changed; those that are gone are missing."""
    async with records.session() as session:
        wanted = select(ConversationRow.id, ConversationRow.changes)
        wanted = wanted.where(ConversationRow.id.in_(list(numbers)))
        return {row.id: row.changes for row in await session.execute(wanted)}


class TurnTree:
    """The turns of a conversation."""

    def __init__(self, rows: Iterable[TurnRow]) -> None:
        self.rows = {row.number: row for row in rows}

    def path(self, number: int) -> list[TurnRow]:
        """Return the turns from the first one to this one; empty if there is none."""
        path: list[TurnRow] = []
        while (row := self.rows.get(number)) is not None:
            path.append(row)
            number = row.parent if row.parent < number else 0
        return path[::-1]

    def siblings(self, row: TurnRow) -> list[int]:
        """Return the turns that follow the same one, itself included, in order."""
        return [other.number for other in self.rows.values() if other.parent == row.parent]

    def newest_below(self, number: int) -> int:
        """Return the end of the branch that goes from a turn to its newest child, and so on."""
        newest: dict[int, int] = {}
        for row in self.rows.values():
            newest[row.parent] = max(row.number, newest.get(row.parent, 0))
        while number in newest:
            number = newest[number]
        return number


def _unknown(number: int) -> UnknownRecord:
    return UnknownRecord(
        f"no conversation with the number {number}; `GET /api/conversations` lists them"
    )


async def named_conversation(records: Records, name: str) -> int | None:
    """Return the oldest conversation of this name; None: there is none."""
    async with records.session() as session:
        wanted = select(ConversationRow.id).where(ConversationRow.name == name)
        number: int | None = await session.scalar(wanted.order_by(ConversationRow.id).limit(1))
        return number
