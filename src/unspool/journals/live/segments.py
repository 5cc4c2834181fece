"""
A segment: the new events of many runs, in one commit.

A record in it is a line `run epoch first-seq bytes`, then that many bytes of events, one JSON
document a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Record(NamedTuple):
    """The events of one run in a segment."""

    no: int
    first: int
    """The number of its first event."""
    lines: list[bytes]

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


def records_of(data: bytes) -> Iterator[Record]:
    """Return the records of a segment."""
    offset = 0
    while offset < len(data):
        end = data.index(b"\n", offset)
        no, _, first, size = map(int, data[offset:end].split())
        offset = end + 1 + size + 1
        yield Record(no, first, data[end + 1 : end + 1 + size].split(b"\n"))
