"""
Conversations: runs that are turns of one talk.

A conversation has no text of its own. Question and answer of a turn stand in the log of its run,
whatever became of it: a broken turn counts with the text it has. The earlier turns that a model
gets are part of the run's own input, so a crash does not change them.

One turn at a time. The claim of its run is its place in the conversation, in the commit that
creates the run. After a crash before its row is written, the next turn finds the place taken and
writes the row first.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from weakref import WeakValueDictionary

from ..errors import AlreadyRunning, KeyReused, SpecError, UnknownRun
from ..journals import Claim, Head, Journal, read_all, spec_of
from ..records import Records
from ..records.conversations import (
    TurnRow,
    find_conversation,
    rename_conversation,
    save_turn,
    turns_of,
)
from ..runs.options import NO_OPTIONS, RunOptions
from ..runs.run import Run, RunSpec
from .admission import Admission, asked_of

MAX_TURNS: Final = 500
"""Turns of one conversation: users begin longer ones anew, because models get far fewer."""

MAX_TOLD_TURNS: Final = 50
"""Earlier turns that a model gets, the newest ones."""

MAX_TOLD_CHARS: Final = 100_000
"""
Their characters together: some thirty thousand tokens, which leaves room in a model's context.
"""

NAME_CHARS: Final = 40
"""Characters of the first question that name an unnamed conversation."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn, read from its run."""

    number: int
    run_id: str
    head: Head | None
    """None: the run was deleted."""
    prompt: str = ""
    run: Run | None = None


class Conversations:
    def __init__(self, journal: Journal, records: Records, admission: Admission) -> None:
        self._journal = journal
        self._records = records
        self._admission = admission
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def begin_turn(self, number: int, spec: RunSpec, options: RunOptions = NO_OPTIONS) -> str:
        """
        Start the next turn of a conversation and return its run's id.

        The same request under the same `Idempotency-Key` is the same turn.

        Raises:
            UnknownRecord: There is no such conversation.
            AlreadyRunning: Its last turn has not ended.
            SpecError: It cannot be met, or the conversation is full.
        """
        lock = self._locks.setdefault(number, asyncio.Lock())
        async with lock:
            counted = await find_conversation(self._records, number)
            run_id = await self._begin(number, spec, options)
            if not counted.row.name:
                name = " ".join(str(spec.input.get("prompt", "")).split())[:NAME_CHARS]
                await rename_conversation(self._records, number, name)
            return run_id

    async def _begin(self, number: int, spec: RunSpec, options: RunOptions) -> str:
        key = hashlib.sha256(options.key.encode()).hexdigest()[:24] if options.key else ""
        request = f"{key} {asked_of(spec)}" if key else secrets.token_hex(16)
        while True:
            rows = await turns_of(self._records, number)
            if key and (run_id := _same(rows, key, request)):
                return run_id
            if len(rows) >= MAX_TURNS:
                raise SpecError(f"a conversation has at most {MAX_TURNS} turns; begin another")
            if rows:
                await self._check_ended(rows[-1])
            place = len(rows) + 1
            claim = Claim(f"\x1fturn {number} {place}", request)  # no client's key looks like it
            facts = {**spec.input, **await self._told(rows)}
            try:
                run_id = await self._admission.admit(replace(spec, input=facts), options, claim)
            except KeyReused as taken:
                # The server died between that run and its row; now it has a row.
                await save_turn(self._records, number, place, (taken.run_id, "lost"))
            else:
                await save_turn(self._records, number, place, (run_id, request))
                return run_id

    async def _check_ended(self, row: TurnRow) -> None:
        try:
            head = await self._journal.head(row.run_id)
        except UnknownRun:
            return
        if head.ended_ms is None:
            raise AlreadyRunning("the last turn of this conversation", row.run_id)

    async def _told(self, rows: list[TurnRow]) -> dict[str, Any]:
        """Return the messages of these turns for a model: the newest ones that fit."""
        messages: list[Mapping[str, Any]] = []
        chars = told = 0
        for row in reversed(rows[-MAX_TOLD_TURNS:]):
            turn = await self.turn(row)
            answer = turn.run.text if turn.run is not None else ""
            chars += len(turn.prompt) + len(answer)
            if chars > MAX_TOLD_CHARS:
                break
            if answer:  # a question without any answer is left out
                fields = {"role": "assistant", "content": answer}
                messages = [{"role": "user", "content": turn.prompt}, fields, *messages]
            told += turn.head is not None
        return {"talk": messages, "left_out": len(rows) - told}

    async def turns(self, number: int, *, before: int, limit: int) -> list[Turn]:
        """Return turns with a place before `before`, the last `limit` of them, in order."""
        rows = [row for row in await turns_of(self._records, number) if row.number < before]
        return [await self.turn(row) for row in rows[-limit:]]

    async def turn(self, row: TurnRow) -> Turn:
        """Read a turn from the log of its run."""
        try:
            head = await self._journal.head(row.run_id)
            run, prompt = Run(), ""
            async for events in read_all(self._journal, row.run_id):
                if run.seq == 0:
                    prompt = str(spec_of(events[0]).input.get("prompt", ""))
                for event in events:
                    run.apply(event)
        except UnknownRun:
            return Turn(row.number, row.run_id, None)
        return Turn(row.number, row.run_id, head, prompt, run)


def _same(rows: list[TurnRow], key: str, question: str) -> str | None:
    """
    Return the run of the request with this key.

    Raises:
        KeyReused: That was another request.
    """
    for row in rows:
        if row.asked == question:
            return row.run_id
        if row.asked.startswith(f"{key} "):
            raise KeyReused(row.run_id)
    return None
