"""
Messages of a conversation: sent, changed, withdrawn, while they wait for their turn.

`message_turns` begins them. Both keep everybody else out of the messages of a conversation
meanwhile, so a message is changed before it begins, or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from ..errors import KeyReused, MessageBegun, QueueFull
from ..journals import Journal
from ..records.conversations import find_conversation, number_of_turn
from ..records.messages import (
    BEGINNING,
    BEGUN,
    WAITING,
    MessageRow,
    add_message,
    change_message,
    find_asked,
    find_message,
    messages_of,
    note_queue,
    remove_message,
)
from ..records.tenant_records import TenantRecords
from ..runs.options import RunOptions
from ..runs.principal import present
from .admission import Admission, request_digest
from .conversations import Conversations
from .message_turns import MessageTurns, Sender, chat_spec, tenant_now
from .runner import Runner

MAX_WAITING: Final = 20
"""Messages that wait in one conversation: people read no longer list, and a client that loops is
stopped before it has filled the conversation."""


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message as its conversation has it now."""

    row: MessageRow
    place: int = 0
    """From 1, among those that wait; 0: it has begun."""
    turn: int = 0
    """The turn that it became; 0: it waits."""


class Messages:
    """
    Attributes:
        conversations: All of them.
        turns: Begins the messages.
    """

    def __init__(
        self,
        conversations: Conversations,
        turns: MessageTurns,
        records: TenantRecords,
        admission: Admission,
    ) -> None:
        self.turns = turns
        self.conversations = conversations
        self._records = records
        self._admission = admission

    async def waiting(self, number: int) -> list[SentMessage]:
        """
        Return the messages of a conversation that wait, in their order.

        Raises:
            UnknownRecord: The conversation does not exist.
        """
        await find_conversation(self._records, number)
        return placed(await messages_of(self._records, number))

    async def send(
        self, number: int, body: Mapping[str, Any], options: RunOptions, *, steers: bool
    ) -> SentMessage:
        """
        Take a message in: its turn begins at once if no other goes on and none waits.

        `body` is the input of a chat, and `model`. One that `steers` stops the current turn and
        goes before all that wait. A repeated request with the same `Idempotency-Key` returns the
        same message.

        Raises:
            UnknownRecord: The conversation does not exist.
            QueueFull, KeyReused: It was not taken.
            UnspoolError: It is invalid, or its turn should begin now and cannot; it was not taken.
        """
        await find_conversation(self._records, number)
        asked = _asked(options.key, body)
        known = await self._repeated(number, asked)
        if known is None:
            body = await self._checked(body)
            async with self.turns.alone(number):
                known = await self._repeated(number, asked)
                if known is None:
                    known = await self._add_row(number, body, options, asked, steers=steers)
        try:
            refused = await self.turns.advance(number)
        finally:  # not before: most begin at once, and never wait
            self.conversations.bells.ring(number)
        if (error := refused.get(known.id)) is not None and await remove_message(
            self._records, known
        ):
            self.conversations.bells.ring(number)
            raise error
        return await self._shown(number, known.id)

    async def change(
        self, number: int, message: int, fields: Mapping[str, Any], *, steers: bool
    ) -> SentMessage:
        """
        Change fields of a message that waits; it is then of its present sender.

        One that `steers` from now on stops the current turn and goes before the others.

        Raises:
            UnknownRecord: There is no such conversation or message.
            MessageBegun: It does not wait any more.
            SpecError: A field is invalid; nothing has changed.
        """
        async with self.turns.alone(number):
            row = await self._unbegun(number, message)
            values: dict[str, Any] = {"error": {}}
            if fields:
                values["body"] = await self._checked({**row.body, **fields})
                values["sender"] = {**row.sender, "key": present.get().key}
            if steers:
                live = await self.turns.live_run(number)
                values |= {"is_first": True, "cancels": live}
            await note_queue(self._records.operator, tenant_now(), number)
            if await change_message(self._records, row, WAITING, values) is None:
                raise await self._begun(number, message)
        self.conversations.bells.ring(number)
        await self.turns.advance(number)
        return await self._shown(number, message)

    async def withdraw(self, number: int, message: int) -> None:
        """
        Delete a message that waits.

        Raises:
            UnknownRecord: There is no such conversation or message.
            MessageBegun: It does not wait any more.
        """
        async with self.turns.alone(number):
            row = await self._unbegun(number, message)
            if not await remove_message(self._records, row):
                raise await self._begun(number, message)
        self.conversations.bells.ring(number)

    async def _checked(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body that a run would be admitted with now; its images are stored."""
        checked = await self._admission.check(chat_spec(body))
        images = {"images": checked.input["images"]} if body.get("images") else {}
        return {**body, **images}

    async def _repeated(self, number: int, asked: str) -> MessageRow | None:
        """Return the message of an earlier request with the same key; None: it is the first."""
        key = asked.partition(" ")[0]
        found = await find_asked(self._records, number, key) if key else None
        if found is not None and found.asked != asked:
            raise KeyReused(found.run_id, user=f"message {found.id}")
        return found

    async def _add_row(
        self,
        number: int,
        body: Mapping[str, Any],
        options: RunOptions,
        asked: str,
        *,
        steers: bool,
    ) -> MessageRow:
        if len(await messages_of(self._records, number)) >= MAX_WAITING:
            raise QueueFull(
                f"{MAX_WAITING} messages wait in this conversation already; wait until one begins, "
                "or withdraw one"
            )
        sender = {
            "key": present.get().key,
            "user": options.user,
            "traceparent": options.traceparent,
            "cancel_after_s": options.cancel_after_s,
            "continues": options.continues,
        }
        facts = {"body": dict(body), "sender": sender, "asked": asked, "is_first": steers}
        facts["cancels"] = await self.turns.live_run(number) if steers else ""
        await note_queue(self._records.operator, tenant_now(), number)
        return await add_message(self._records, number, facts)

    async def _shown(self, number: int, message: int) -> SentMessage:
        row = await find_message(self._records, number, message)
        if row.state == BEGUN:
            return SentMessage(row, turn=await number_of_turn(self._records, number, row.run_id))
        rows = await messages_of(self._records, number)
        return next((it for it in placed(rows) if it.row.id == message), SentMessage(row))

    async def _unbegun(self, number: int, message: int) -> MessageRow:
        """Return a message that waits; first finish what a dead server began."""
        row = await find_message(self._records, number, message)
        if row.state == BEGINNING:
            await self.turns.step(number, {})
            row = await find_message(self._records, number, message)
        if row.state != WAITING:
            raise await self._begun(number, message)
        return row

    async def _begun(self, number: int, message: int) -> MessageBegun:
        shown = await self._shown(number, message)
        run_id = shown.row.run_id
        became = f"is turn {shown.turn}, run {run_id}" if run_id else "becomes a turn just now"
        return MessageBegun(
            f"the message {message} {became}; follow it by the events of the conversation, cancel "
            "its run, or send another message"
        )


def begin_messages(
    journal: Journal,
    records: TenantRecords,
    admission: Admission,
    runner: Runner,
    sender_of: Sender,
    opened: AsyncExitStack,
) -> Messages:
    """Return what takes messages in; it begins those that wait until `opened` is closed."""
    conversations = Conversations(journal, records, admission)
    turns = MessageTurns(conversations, records, journal, runner, sender_of)
    opened.push_async_callback(turns.aclose)
    turns.watch()
    return Messages(conversations, turns, records, admission)


def placed(rows: list[MessageRow]) -> list[SentMessage]:
    """Return rows, in their order, with their places."""
    return [SentMessage(row, place) for place, row in enumerate(rows, 1)]


def _asked(key: str, body: Mapping[str, Any]) -> str:
    if not key:
        return ""
    return f"{hashlib.sha256(key.encode()).hexdigest()[:24]} {request_digest(chat_spec(body))}"
