"""
Begins the messages of conversations, one after the other.

A message begins when the current turn has ended, however it ended. It becomes exactly one turn: it
is `beginning` before its run is written, its id is the key of that run, and a server that finds it
so begins it again, which finds the same run. Any server may begin any message; a section of the
journal keeps the others out, and where that fails, the key decides.

The server that carried a turn begins the next one at once. All look at the start, and then every
second where other servers may have died, for what nobody has begun.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from ..errors import (
    AlreadyRunning,
    JournalError,
    KeyReused,
    RateLimited,
    RecordsError,
    TooBusy,
    UnknownRun,
    UnspoolError,
)
from ..formats.tenancy import DEFAULT, present_tenant, working_for
from ..journals import Journal
from ..records.conversations import current_run
from ..records.messages import (
    BEGINNING,
    BEGUN,
    WAITING,
    MessageRow,
    change_message,
    forget_queue,
    list_queues,
    messages_of,
)
from ..records.tenant_records import TenantRecords
from ..runs.options import RunOptions
from ..runs.principal import OPEN, Principal, acting_as
from ..runs.run import RunSpec
from .conversations import Conversations
from .runner import Runner

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
"""Seconds between two looks for what a dead server left, or what found no room."""

AT_ONCE: Final = 4
"""Conversations to look at side by side: connections to the database are few."""

STEERED: Final = "a message takes its place"

FOR_NOW: Final = (TooBusy, RateLimited)
"""There is no room now; the message keeps its place, and is tried again."""

Sender = Callable[[RunSpec], Awaitable[Principal]]


class MessageTurns:
    """
    Args:
        sender_of: Returns the principal of a request (`tenant`, `key`), if it may still begin runs;
            else raises an error that the message gets.
    """

    def __init__(
        self,
        conversations: Conversations,
        records: TenantRecords,
        journal: Journal,
        runner: Runner,
        sender_of: Sender,
    ) -> None:
        self._conversations = conversations
        self._records = records
        self._journal = journal
        self._runner = runner
        self._sender_of = sender_of
        self._ends: dict[str, tuple[str, int]] = {}
        """Live runs after whose end a conversation goes on: its tenant and number."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._few = asyncio.Semaphore(AT_ONCE)
        self._is_closed = False
        self._is_late = asyncio.Event()
        """Something may begin without an end of a run to wait for."""
        runner.on_ended.append(self._note_ended)

    def watch(self) -> None:
        """Begin messages, until `aclose`, whose turn has come."""
        self._add(self._look(), "messages")

    async def aclose(self) -> None:
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._conversations.bells.aclose()

    def alone(self, number: int) -> AbstractAsyncContextManager[None]:
        """Keep everybody else, at whatever server, from the messages of a conversation."""
        return self._journal.exclusive(f"messages {number}")

    async def advance(self, number: int) -> dict[int, UnspoolError]:
        """
        Begin what may begin in a conversation of the present tenant.

        Return why messages could not begin, by their ids.
        """
        refused: dict[int, UnspoolError] = {}
        while True:
            async with self.alone(number):
                stopped = await self.step(number, refused)
            if not stopped:
                return refused
            # Outside of the section: another server may take seconds to end its run.
            try:
                await self._runner.cancel(stopped, reason=STEERED)
            except JournalError as error:
                log.warning("Run %s is not stopped yet: %s", stopped, error)
                self._is_late.set()
                return refused

    async def step(self, number: int, refused: dict[int, UnspoolError]) -> str:
        """Begin messages until a turn goes on; return the run that must stop first, or ''."""
        while True:
            rows = await messages_of(self._records, number)
            row = next((row for row in rows if row.state == BEGINNING), None)
            is_fresh = row is None
            if row is None:
                row = next((row for row in rows if not row.error), None)
                if row is None:
                    await forget_queue(self._records.operator, tenant_now(), number)
                    return ""
                if live := await self.live_run(number):
                    return live if row.cancels == live else ""
                row = await change_message(self._records, row, WAITING, {"state": BEGINNING})
            if row is not None and not await self._begin(row, refused, is_fresh=is_fresh):
                return ""

    async def _begin(
        self, row: MessageRow, refused: dict[int, UnspoolError], *, is_fresh: bool
    ) -> bool:
        """Begin the turn of a message; return whether to look for the next one."""
        try:
            run_id = await self._begin_turn(row)
        except KeyReused as taken:  # it was changed after a dead server had begun it
            run_id = taken.run_id
        except (JournalError, RecordsError) as error:
            # Its run may be written: it stays as it is until somebody knows.
            log.warning("Message %d waits: %s", row.id, error)
            self._is_late.set()
            return False
        except AlreadyRunning:  # a turn that was no message came between; nobody waits for its end
            self._is_late.set()
            return await self._put_back(row, {}) if is_fresh else False
        except FOR_NOW:
            self._is_late.set()
            return await self._put_back(row, {})
        except UnspoolError as error:
            refused[row.id] = error
            await self._put_back(row, {"code": error.code, "message": str(error)})
            return True
        facts = {"state": BEGUN, "run_id": run_id, "body": {}, "sender": {}, "error": {}}
        await change_message(self._records, row, BEGINNING, facts)
        self._conversations.bells.ring(row.conversation_id)
        return True

    async def _put_back(self, row: MessageRow, error: Mapping[str, str]) -> bool:
        values = {"state": WAITING, "error": dict(error)}
        await change_message(self._records, row, BEGINNING, values)
        self._conversations.bells.ring(row.conversation_id)
        return False

    async def _begin_turn(self, row: MessageRow) -> str:
        sender = row.sender
        spec = chat_spec(row.body, tenant=tenant_now(), key=sender["key"])
        options = RunOptions(
            key=f"\x1fmessage {row.id}",  # no client's key looks like it
            user=sender["user"],
            traceparent=sender["traceparent"],
            cancel_after_s=sender["cancel_after_s"],
            continues=sender["continues"],
        )
        with acting_as(await self._sender_of(spec)):
            return await self._conversations.begin_turn(row.conversation_id, spec, options)

    async def live_run(self, number: int) -> str:
        """Return the run of the current turn if it is live, and go on after its end; else ''."""
        run_id = await current_run(self._records, number)
        if not run_id:
            return ""
        self._ends[run_id] = (tenant_now(), number)  # first, or its end could be missed
        try:
            head = await self._journal.head(run_id)
        except UnknownRun:
            head = None
        if head is not None and head.ended_ms is None:
            if self._records.is_shared and not self._runner.is_live(run_id):
                self._ends.pop(
                    run_id, None
                )  # another server hears its end; here the next look finds it
            return run_id
        self._ends.pop(run_id, None)
        return ""

    def _note_ended(self, run_id: str, _: RunSpec) -> None:
        if (place := self._ends.pop(run_id, None)) is not None and not self._is_closed:
            self._add(self._go_on(*place), f"messages after {run_id}")

    def _add(self, work: Any, name: str) -> None:
        with acting_as(OPEN), working_for(None):
            task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self) -> None:
        while True:
            self._is_late.clear()
            try:
                places = await list_queues(self._records.operator)
            except RecordsError as error:
                log.warning("Waiting messages cannot be seen: %s", error)
                self._is_late.set()
            else:
                await asyncio.gather(*(self._go_on(*place) for place in places))
            if not self._records.is_shared:
                await self._is_late.wait()
            await asyncio.sleep(EVERY_S)

    async def _go_on(self, tenant: str, number: int) -> None:
        async with self._few:
            with working_for(tenant):
                try:
                    if await self._may_begin(number):
                        await self.advance(number)
                except (JournalError, RecordsError) as error:
                    log.warning("Messages of conversation %d wait: %s", number, error)
                    self._is_late.set()
                except Exception:
                    log.exception("Messages of conversation %d wait", number)
                    self._is_late.set()

    async def _may_begin(self, number: int) -> bool:
        """Look without keeping others out: nearly always the current turn goes on."""
        rows = await messages_of(self._records, number)
        live = await self.live_run(number)
        if not live or not rows:
            return True
        return any(row.state == BEGINNING or row.cancels == live for row in rows)


def chat_spec(body: Mapping[str, Any], *, tenant: str = DEFAULT, key: str = "") -> RunSpec:
    """Return the request of a chat with the body of a message."""
    asked = {name: value for name, value in body.items() if name != "model"}
    return RunSpec("chat", asked, model=body.get("model", ""), tenant=tenant, key=key)


def tenant_now() -> str:
    """Return the present tenant, as `queues` names it."""
    return present_tenant() or DEFAULT
