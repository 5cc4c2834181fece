"""
Conversations: each turn of a talk is a run.

A conversation stores no text: the log of a run holds the question and the answer of its turn. A
broken turn counts with the text it has. The input of a run holds the earlier turns for the model,
so a crash does not change them.

Turns run one at a time. The commit that creates a run claims its position in the conversation. If
the server dies before it writes the row, the next turn finds the position claimed and writes that
row first.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from weakref import WeakValueDictionary

import msgspec

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
from .admission import Admission, request_digest

MAX_TURNS: Final = 500
"""Turns of one conversation: models get far fewer, so a longer one gains nothing."""

MAX_CONTEXT_TURNS: Final = 50
"""Earlier turns that a model gets, the newest ones."""

MAX_CONTEXT_CHARS: Final = 100_000
"""
Their characters together: some thirty thousand tokens, which leaves room in a model's context.
"""

MAX_STATE_CHARS: Final = 500_000
"""Of what the providers want back with those turns, from the newest one on."""

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

        A repeated request with the same `Idempotency-Key` returns the same turn.

        Raises:
            UnknownRecord: The conversation does not exist.
            AlreadyRunning: Its last turn has not ended.
            SpecError: The request is invalid, or the conversation is full.
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
        request = f"{key} {request_digest(spec)}" if key else secrets.token_hex(16)
        while True:
            rows = await turns_of(self._records, number)
            if key and (run_id := _run_of(rows, key, request)):
                return run_id
            if len(rows) >= MAX_TURNS:
                raise SpecError(f"a conversation has at most {MAX_TURNS} turns; begin another")
            if rows:
                await self._check_ended(rows[-1])
            position = len(rows) + 1
            claim = Claim(f"\x1fturn {number} {position}", request)  # no client's key looks like it
            facts = {**spec.input, **await self._context(rows)}
            try:
                run_id = await self._admission.admit(replace(spec, input=facts), options, claim)
            except KeyReused as taken:
                # The server died after it created that run and before it wrote the row.
                await save_turn(self._records, number, position, (taken.run_id, "lost"))
            else:
                await save_turn(self._records, number, position, (run_id, request))
                return run_id

    async def _check_ended(self, row: TurnRow) -> None:
        try:
            head = await self._journal.head(row.run_id)
        except UnknownRun:
            return
        if head.ended_ms is None:
            raise AlreadyRunning("the last turn of this conversation", row.run_id)

    async def _context(self, rows: list[TurnRow]) -> dict[str, Any]:
        """Return the newest turns that fit, as messages for a model, and how many are left out."""
        messages: list[Mapping[str, Any]] = []
        chars = included = state_chars = 0
        for row in reversed(rows[-MAX_CONTEXT_TURNS:]):
            turn = await self.turn(row)
            answer = turn.run.text if turn.run is not None else ""
            chars += len(turn.prompt) + len(answer)
            if chars > MAX_CONTEXT_CHARS:
                break
            if answer:  # we leave out a question without an answer
                fields: dict[str, Any] = {"role": "assistant", "content": answer}
                if (state := _turn_state(turn)) is not None:
                    state_chars += len(msgspec.json.encode(state))
                    if state_chars <= MAX_STATE_CHARS:
                        fields["turn_state"] = state
                messages = [{"role": "user", "content": turn.prompt}, fields, *messages]
            included += turn.head is not None
        return {"talk": messages, "left_out": len(rows) - included}

    async def turns(self, number: int, *, before: int, limit: int) -> list[Turn]:
        """Return the last `limit` turns with a number below `before`, in order."""
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


def _turn_state(turn: Turn) -> Mapping[str, Any] | None:
    """Return what the provider wants back with the answer: that of its last shown step."""
    steps = turn.run.steps.values() if turn.run is not None else ()
    last = next((step for step in reversed(steps) if not step.is_unseen), None)
    return None if last is None or not last.text else last.turn_state


def _run_of(rows: list[TurnRow], key: str, question: str) -> str | None:
    """
    Return the run of the earlier request with this key, or None.

    Raises:
        KeyReused: The earlier request was a different one.
    """
    for row in rows:
        if row.asked == question:
            return row.run_id
        if row.asked.startswith(f"{key} "):
            raise KeyReused(row.run_id)
    return None
