"""
Copies runs from one store into another, and compares the copies with their originals.

All events of a copy are in pages, also those of a live run, which have been in segments. Requests
to owners (`Journal.ask`) stay behind: they are of the moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from zlib import crc32

from unspool.errors import JournalError

FACTS: Final = (
    *("no", "id", "flow", "model", "dialect", "digest", "epoch", "status", "created_ms"),
    *("ended_ms", "parent", "forked_from", "key", "asked", "tenant"),
)
"""Columns that a run has in every store."""

BATCH_RUNS: Final = 200
BATCH_BYTES: Final = 8 * 1024 * 1024
"""A batch ends with the run that reaches one of these; it is in memory."""

Page = tuple[int, bytes]
"""The number of its first event, and a line for each event."""


@dataclass(frozen=True, slots=True)
class CopiedRun:
    """
    Attributes:
        facts: The values of `FACTS`.
        pages: All of its events.
    """

    facts: tuple[Any, ...]
    pages: list[Page]

    @property
    def no(self) -> int:
        return int(self.facts[0])

    @property
    def has_ended(self) -> bool:
        return self.facts[FACTS.index("ended_ms")] is not None

    @property
    def seq(self) -> int:
        return sum(_count(data) for _, data in self.pages)

    @property
    def size(self) -> int:
        """Bytes of the events, without the line breaks between them."""
        return sum(len(data) - _count(data) + 1 for _, data in self.pages)

    def digest(self) -> bytes:
        """Return a digest of the facts and the events, wherever one page ends."""
        found = hashlib.sha256(repr(self.facts).encode("utf-8", "surrogatepass"))
        for _, data in self.pages:
            found.update(data)
            found.update(b"\n")
        return found.digest()


class RunStore(Protocol):
    async def sizes(self) -> list[tuple[int, int]]:
        """Return the number of each run and about the bytes of its events, oldest first."""

    async def read(self, numbers: Sequence[int]) -> list[CopiedRun]:
        """
        Return runs in the order of their numbers.

        Raises:
            JournalError: The store is damaged.
        """

    async def write(self, runs: Sequence[CopiedRun]) -> None:
        """Add runs to a store that has none of them."""


@dataclass(slots=True)
class CopiedRuns:
    """The runs copied so far."""

    runs: int = 0
    unended: int = 0


async def copy_runs(
    source: RunStore, target: RunStore, on_copied: Callable[[int], object]
) -> CopiedRuns:
    """
    Copy all runs; `on_copied` gets the number of each batch.

    Raises:
        JournalError: The source is damaged, or a copy is not as its original.
    """
    done = CopiedRuns()
    for numbers in _batches(await source.sizes()):
        runs = await source.read(numbers)
        await target.write(runs)
        copies = {run.no: run.digest() for run in await target.read(numbers)}
        for run in runs:
            if copies.get(run.no) != run.digest():
                raise JournalError(f"The copy of run {run.facts[1]} differs from it.")
        done.runs += len(runs)
        done.unended += sum(not run.has_ended for run in runs)
        on_copied(len(runs))
    if len(await target.sizes()) != done.runs:
        raise JournalError("The copy has more runs than were copied; somebody writes to it.")
    return done


def _batches(sizes: Iterable[tuple[int, int]]) -> Iterator[list[int]]:
    batch: list[int] = []
    total = 0
    for no, size in sizes:
        batch.append(no)
        total += size
        if len(batch) >= BATCH_RUNS or total >= BATCH_BYTES:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def checked(no: int, rows: Iterable[tuple[int, int, bytes]]) -> list[Page]:
    """
    Return the pages of a run, from rows of first event, checksum and data.

    Raises:
        JournalError: A page is damaged or missing.
    """
    pages: list[Page] = []
    upto = 0
    for first, crc, data in rows:
        if crc32(data) != crc or first != upto + 1:
            raise JournalError(
                f"The journal is damaged: page {first} of run number {no}. Restore it from a "
                "backup."
            )
        pages.append((first, data))
        upto += _count(data)
    return pages


def with_newest(pages: list[Page], lines: Sequence[bytes]) -> list[Page]:
    """Return pages and a last one of the events that are in no page yet."""
    if not lines:
        return pages
    first = 1 + sum(_count(data) for _, data in pages)
    return [*pages, (first, b"\n".join(lines))]


def _count(data: bytes) -> int:
    return data.count(b"\n") + 1
