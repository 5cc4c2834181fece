"""
Messages of a conversation: each waits until its turn begins.

A message is `waiting`, then `beginning`, then `begun`. Nothing of it changes any more once it is
`beginning`, so that a server which takes over from a dead one begins the same turn. A message that
has begun keeps only the id of its run: the log of the run has the rest.

`queues` names the conversations of all tenants that have messages to begin. It is with the
operator's records, and a hint: a row too many costs one look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, ForeignKey, String, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from ..errors import UnknownRecord
from . import Base, Records, insert_into, now_ms
from .conversations import note_change_of

WAITING: Final = "waiting"
BEGINNING: Final = "beginning"
BEGUN: Final = "begun"


class MessageRow(Base):
    __tablename__ = "messages"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's name

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    conversation_id: Mapped[int] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE"), index=True
    )
    asked: Mapped[str] = mapped_column(String(96), default="")
    """Digests of its `Idempotency-Key` and of the request; empty: it had no key."""
    body: Mapped[dict[str, Any]]
    """The input of its run, and `model`; empty once it has begun."""
    sender: Mapped[dict[str, Any]]
    """Who is charged for its run, and the other options of the request."""
    is_first: Mapped[bool] = mapped_column(default=False)
    """It goes before those that are not."""
    cancels: Mapped[str] = mapped_column(String(32), default="")
    """The run that it stops; empty: none."""
    state: Mapped[str] = mapped_column(String(12), default=WAITING)
    error: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """`code` and `message`: why its turn could not begin; empty: it may begin."""
    run_id: Mapped[str] = mapped_column(String(32), default="")
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


class QueueRow(Base):
    __tablename__ = "queues"

    tenant: Mapped[str] = mapped_column(String(64), primary_key=True)
    conversation_id: Mapped[int] = mapped_column(primary_key=True)


async def add_message(records: Records, conversation: int, values: Mapping[str, Any]) -> MessageRow:
    """
    Store a message that waits. `values` are its other columns.

    Raises:
        UnknownRecord: The conversation is gone.
    """
    async with records.session() as session:
        await _note(session, conversation)
        row = MessageRow(conversation_id=conversation, **values)
        session.add(row)
        await session.commit()
        return row


async def messages_of(records: Records, conversation: int) -> list[MessageRow]:
    """Return the messages that have not begun, in the order in which they will."""
    async with records.session() as session:
        mine = (MessageRow.conversation_id == conversation, MessageRow.state != BEGUN)
        order = (MessageRow.is_first.desc(), MessageRow.id)
        return list(await session.scalars(select(MessageRow).where(*mine).order_by(*order)))


async def find_message(records: Records, conversation: int, number: int) -> MessageRow:
    """
    Return a message, waiting or begun.

    Raises:
        UnknownRecord: There is none.
    """
    async with records.session() as session:
        mine = (MessageRow.conversation_id == conversation, MessageRow.id == number)
        row = await session.scalar(select(MessageRow).where(*mine))
    if row is None:
        raise UnknownRecord(f"the conversation has no message {number}; it may be withdrawn")
    return row


async def find_asked(records: Records, conversation: int, key: str) -> MessageRow | None:
    """Return the message whose `asked` begins with this key; None: there is none."""
    async with records.session() as session:
        mine = MessageRow.conversation_id == conversation
        wanted = select(MessageRow).where(mine, MessageRow.asked.startswith(f"{key} "))
        return await session.scalar(wanted.limit(1))


async def change_message(
    records: Records, row: MessageRow, state: str, values: Mapping[str, Any]
) -> MessageRow | None:
    """
    Change columns of a message if it is in this state, and return it as it is then.

    None: it is in another state by now, or gone. Of several at once, one wins.
    """
    async with records.session() as session:
        mine = (MessageRow.id == row.id, MessageRow.state == state)
        changing = update(MessageRow).where(*mine).values(**values).returning(MessageRow)
        changed = await session.scalar(changing)
        if changed is not None:
            await note_change_of(session, row.conversation_id)
            await session.commit()
    return changed


async def remove_message(records: Records, row: MessageRow) -> bool:
    """Delete a message if it waits; return whether it did."""
    async with records.session() as session:
        mine = (MessageRow.id == row.id, MessageRow.state == WAITING)
        removed = await session.scalar(delete(MessageRow).where(*mine).returning(MessageRow.id))
        if removed is not None:
            await note_change_of(session, row.conversation_id)
            await session.commit()
    return removed is not None


async def _note(session: AsyncSession, conversation: int) -> None:
    if not await note_change_of(session, conversation):
        raise UnknownRecord(f"the conversation {conversation} was deleted")


async def note_queue(operator: Records, tenant: str, conversation: int) -> None:
    """Note that a conversation has messages to begin. Call it before the first is stored."""
    async with operator.session() as session:
        values = {"tenant": tenant, "conversation_id": conversation}
        await session.execute(
            insert_into(session, QueueRow).values(values).on_conflict_do_nothing()
        )
        await session.commit()


async def forget_queue(operator: Records, tenant: str, conversation: int) -> None:
    """Note that a conversation has no message that may begin."""
    mine = (QueueRow.tenant == tenant, QueueRow.conversation_id == conversation)
    async with operator.session() as session:
        if await session.scalar(delete(QueueRow).where(*mine).returning(QueueRow.tenant)):
            await session.commit()


async def list_queues(operator: Records) -> list[tuple[str, int]]:
    """Return tenant and number of the conversations that have messages to begin."""
    async with operator.session() as session:
        wanted = select(QueueRow.tenant, QueueRow.conversation_id)
        return [(tenant, number) for tenant, number in await session.execute(wanted)]
