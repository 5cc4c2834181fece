"""
Messages that wait for their delivery, in a file of this process: they outlive it.

A delivered message leaves its id behind for a while, so that none is made twice after a crash.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KEPT: Final = 2000
"""Ids of delivered messages that are remembered."""

MOST: Final = 10_000
"""Messages that wait; more are refused: the receiver has been away for long."""

CLOSED: Final = "closed"
BEGUN: Final = "begun"
"""Ids of rows that are no messages: an end in good order, and when the file was made."""

_FORGET: Final = "delete from messages where id = ?"

_SCHEMA: Final = """
create table if not exists messages (
    id text primary key, body text, made_ms integer not null, tries integer not null default 0,
    due_ms integer not null
) without rowid
"""


@dataclass(frozen=True, slots=True)
class Message:
    """Times are Unix milliseconds."""

    id: str
    body: str
    made_ms: int
    tries: int


class Outbox:
    def __init__(self, path: Path) -> None:
        """
        Raises:
            sqlite3.Error: The file cannot be used.
        """
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = normal")
        self._db.execute(_SCHEMA)
        self.was_closed = bool(self._db.execute(_FORGET, (CLOSED,)).rowcount)
        """The process before this one has ended in good order, or there was none."""
        begun = self._db.execute(
            "insert or ignore into messages values (?, null, ?, 0, 0)", (BEGUN, _now())
        )
        self.was_closed |= bool(begun.rowcount)
        self.waiting = self._count("body is not null")

    def last_made_ms(self) -> int:
        """Return when the newest message was made, or this file."""
        return int(self._db.execute("select max(made_ms) from messages").fetchone()[0])

    def has(self, id: str) -> bool:
        """Whether a message of this id was made, as far as we remember."""
        return bool(self._count("id = ?", id))

    def add(self, id: str, body: str) -> bool:
        """Add a message, once for each id; return whether there is room."""
        if self.waiting >= MOST:
            return False
        now = _now()
        done = self._db.execute(
            "insert or ignore into messages values (?, ?, ?, 0, ?)", (id, body, now, now)
        )
        self.waiting += done.rowcount
        return True

    def next(self) -> tuple[Message | None, float]:
        """Return the message that is due, or the seconds until one is: 3600 if there is none."""
        row = self._db.execute(
            "select id, body, made_ms, tries, due_ms from messages where body is not null "
            "order by due_ms limit 1"
        ).fetchone()
        if row is None:
            return None, 3600.0
        wait_s = (row[4] - _now()) / 1000
        return (None, wait_s) if wait_s > 0 else (Message(*row[:4]), 0.0)

    def put_off(self, message: Message, wait_s: float) -> None:
        """Try a message again after a while."""
        due_ms = _now() + int(wait_s * 1000)
        self._db.execute(
            "update messages set tries = tries + 1, due_ms = ? where id = ?", (due_ms, message.id)
        )

    def done(self, message: Message) -> None:
        """Forget what a message said."""
        self._db.execute("update messages set body = null where id = ?", (message.id,))
        self._db.execute(
            "delete from messages where body is null and id <> ? and id not in (select id "
            "from messages where body is null order by made_ms desc, id desc limit ?)",
            (BEGUN, KEPT),
        )
        self.waiting -= 1

    def close(self) -> None:
        self._db.execute("insert or ignore into messages values (?, null, 0, 0, 0)", (CLOSED,))
        self._db.close()

    def _count(self, where: str, *values: str) -> int:
        query = f"select count(*) from messages where {where}"  # noqa: S608 - our own words
        return int(self._db.execute(query, values).fetchone()[0])


def _now() -> int:
    return int(time.time() * 1000)
