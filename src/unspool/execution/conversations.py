"""
Conversations: each turn of a talk is a run.

A conversation stores no text: the log of a run holds the question and the answer of its turn. A
broken turn counts with the text it has. The input of a run holds the earlier turns for the model,
so a crash does not change them.

A turn follows another one that has ended; where nobody says which, the current one. Several may
follow the same turn, also at once: an edited question, an answer made again, answers of several
models. The commit that creates a run claims its number in the conversation. If the server dies
before it writes the row, the next turn finds the number claimed and writes that row first.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from weakref import WeakValueDictionary

import msgspec

from ..errors import AlreadyRunning, KeyReused, SpecError, UnknownRecord, UnknownRun
from ..journals import Claim, Head, Journal, read_all
from ..records import Records
from ..records.conversation_bells import ConversationBells
from ..records.conversations import (
    ConversationRow,
    TurnRow,
    TurnTree,
    choose_turn,
    find_conversation,
    rename_conversation,
    save_turn,
    turns_of,
)
from ..runs.beginning import spec_of
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

MAX_CONTEXT_IMAGES: Final = 8
"""Images of earlier turns that a model gets again, the newest ones."""

MAX_CONTEXT_IMAGE_BYTES: Final = 10 * 1024 * 1024
"""Theirs together: with new ones a request mostly stays below the 32 MB that vendors take."""

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
    images: Sequence[Mapping[str, Any]] = ()
    """Of the question: `sha256`, `type`, `bytes`."""
    parent: int = 0
    siblings: Sequence[int] = ()
    """Turns that follow the same one, this one included."""


class Conversations:
    def __init__(self, journal: Journal, records: Records, admission: Admission) -> None:
        self._journal = journal
        self._records = records
        self._admission = admission
        self.bells = ConversationBells(records)
        """They ring when a conversation has changed."""
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
            run_id = await self._begin(counted.row, spec, options)
            if not counted.row.name:
                name = " ".join(str(spec.input.get("prompt", "")).split())[:NAME_CHARS]
                await rename_conversation(self._records, number, name)
            self.bells.ring(number)
            return run_id

    async def _begin(self, row: ConversationRow, spec: RunSpec, options: RunOptions) -> str:
        number, current = row.id, row.current
        key = hashlib.sha256(options.key.encode()).hexdigest()[:24] if options.key else ""
        request = f"{key} {request_digest(spec)}" if key else secrets.token_hex(16)
        while True:
            rows = await turns_of(self._records, number)
            if key and (run_id := _run_of(rows, key, request)):
                return run_id
            if len(rows) >= MAX_TURNS:
                raise SpecError(f"a conversation has at most {MAX_TURNS} turns; begin another")
            parent = current if options.after_turn is None else options.after_turn
            path = TurnTree(rows).path(parent)
            if path:
                await self._check_ended(path[-1])
            elif parent:
                raise SpecError(f"the conversation has no turn {parent}")
            position = len(rows) + 1
            claim = Claim(f"\x1fturn {number} {position}", request)  # no client's key looks like it
            # A client that keeps its talk itself sends it, and that counts.
            talk = {} if "talk" in spec.input else await self._context(path)
            facts = {**spec.input, **talk, "after_turn": parent}
            try:
                run_id = await self._admission.admit(replace(spec, input=facts), options, claim)
            except KeyReused as taken:
                # The server died after it created that run and before it wrote the row.
                run, parent = (taken.run_id, taken.asked), await self._parent_of(taken.run_id)
                await save_turn(self._records, number, position, run, parent=parent)
                current = position
            else:
                run = (run_id, request)
                # With a key it may be that of a dead server, from when another turn was current.
                parent = await self._parent_of(run_id) if key else parent
                await save_turn(self._records, number, position, run, parent=parent)
                return run_id

    async def _parent_of(self, run_id: str) -> int:
        """Return the turn that a run follows, by its log."""
        first = await self._journal.read(run_id, after=0, limit=1)
        return int(spec_of(first[0]).input.get("after_turn", 0))

    async def _check_ended(self, row: TurnRow) -> None:
        try:
            head = await self._journal.head(row.run_id)
        except UnknownRun:
            return
        if head.ended_ms is None:
            raise AlreadyRunning("the last turn of this conversation", row.run_id)

    async def _context(self, rows: list[TurnRow]) -> dict[str, Any]:
        """Return the newest turns that fit, as messages for a model, and what is left out."""
        messages: list[Mapping[str, Any]] = []
        images = _ImageRoom()
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
                asked: dict[str, Any] = {"role": "user", "content": turn.prompt}
                if shown := images.take(turn.images):
                    asked["images"] = shown
                messages = [asked, fields, *messages]
            included += turn.head is not None
        left_out = {"left_out": len(rows) - included, "unshown": images.unshown}
        return {"talk": messages, **left_out}

    async def turns(
        self, number: int, *, before: int, limit: int, upto: int | None = None
    ) -> list[Turn]:
        """
        Return the last `limit` turns with a number below `before`, in order, on the path to the
        turn `upto`; None: to the current one.
        """
        tree = TurnTree(await turns_of(self._records, number))
        if upto is None:
            upto = (await find_conversation(self._records, number)).row.current
        path = [row for row in tree.path(upto) if row.number < before]
        return [replace(await self.turn(row), siblings=tree.siblings(row)) for row in path[-limit:]]

    async def choose(self, number: int, turn: int) -> None:
        """
        Make the branch through a turn the current one, up to its newest turn.

        Raises:
            UnknownRecord: There is no such conversation or turn.
        """
        await find_conversation(self._records, number)
        tree = TurnTree(await turns_of(self._records, number))
        if turn not in tree.rows:
            raise UnknownRecord(f"the conversation has no turn {turn}")
        await choose_turn(self._records, number, tree.newest_below(turn))
        self.bells.ring(number)

    async def turn(self, row: TurnRow) -> Turn:
        """Read a turn from the log of its run."""
        gone = Turn(row.number, row.run_id, None, parent=row.parent)
        try:
            head = await self._journal.head(row.run_id)
            run, asked = Run(), dict[str, Any]()
            async for events in read_all(self._journal, row.run_id):
                if run.seq == 0:
                    asked = dict(spec_of(events[0]).input)
                for event in events:
                    run.apply(event)
        except UnknownRun:
            return gone
        prompt, images = str(asked.get("prompt", "")), asked.get("images") or ()
        return replace(gone, head=head, prompt=prompt, run=run, images=images)


class _ImageRoom:
    """Chooses the images that a model gets again; give it the newest turn first."""

    def __init__(self) -> None:
        self._images = self._bytes = self.unshown = 0

    def take(self, images: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return those of a question, all of them or none."""
        count = self._images + len(images)
        size = self._bytes + sum(image["bytes"] for image in images)
        if count > MAX_CONTEXT_IMAGES or size > MAX_CONTEXT_IMAGE_BYTES:
            self.unshown += len(images)
            return []
        self._images, self._bytes = count, size
        return list(images)


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
