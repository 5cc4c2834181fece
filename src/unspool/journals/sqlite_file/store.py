"""Writes the journal file, one commit for many runs, and reads it. No asyncio here."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

from unspool.errors import UnknownRun
from unspool.failpoints import point

from .. import Head
from ..live.group_commit import WriteFailed
from ..live.live_run import LiveRun, Strip
from ..live.segments import records_of
from .schema import connect, damaged, open_file

_appended = point("journal.appended")
_inserted = point("journal.inserted")
_paged = point("journal.paged")
_claiming = point("journal.claiming")
_checkpointed = point("journal.checkpointed")

_HEAD = (
    "id, flow, model, dialect, digest, status, seq, epoch, created_ms, ended_ms, "
    "parent, forked_from, tenant"
)

_APPEND = "insert into segments (crc, data) select ?, ? where (select claims from fence) = ?"

DELETED_PER_COMMIT = 256
"""Old segments to delete in one commit: it bounds the cost of a commit."""

CHECKPOINT_S = 1.0
"""Seconds between checkpoints; each copies a page once, after any number of writes."""

WAL_RESTART_PAGES = 16_384
"""At 64 MiB we restart the write-ahead log, and writers pause for a moment."""


class Store:
    """Two connections, one that writes and one that reads, and a thread for checkpoints."""

    def __init__(self, path: Path, *, synchronous: str) -> None:
        self.path = path
        self._db = open_file(path, synchronous=synchronous)
        self._reader = connect(path)
        self._claims = self._count_claims()
        (self._next_no,) = self._db.execute("select coalesce(max(no), 0) + 1 from runs").fetchone()
        self._closing = threading.Event()
        self._checkpoints = threading.Thread(target=self._checkpoint, daemon=True)
        self._checkpoints.start()

    def new_no(self) -> int:
        """Return the number of the next run; a collision with another process fails."""
        no: int = self._next_no
        self._next_no += 1
        return no

    def write(self, strips: Sequence[Strip], keep_from: int | None) -> tuple[int, list[Strip]]:
        """
        Commit strips in one transaction; segments before `keep_from` are no longer needed.

        Returns the id of the segment and the strips that it refused, because their run
        has a newer epoch. The check and the write are one transaction, so no
        writer can be overtaken between them.

        Raises:
            WriteFailed: It wrote nothing.
        """
        db = self._db
        try:
            if keep_from is None and not any(
                strip.page or strip.status or strip.live_run.is_new for strip in strips
            ):
                # Nearly every commit needs only one statement, which is a transaction by itself.
                data = b"".join([strip.record for strip in strips])
                row = db.execute(_APPEND, (crc32(data), data, self._claims))
                if row.rowcount == 1:
                    return row.lastrowid or 0, []
            return self._write_all(strips, keep_from)
        except sqlite3.Error as error:
            raise WriteFailed(error, is_busy=is_busy(error)) from error

    def _write_all(self, strips: Sequence[Strip], keep_from: int | None) -> tuple[int, list[Strip]]:
        db = self._db
        db.execute("begin immediate")
        try:
            stale = self._stale(strips)
            good = [strip for strip in strips if strip not in stale] if stale else strips
            segment = self._write(good, keep_from)
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            raise
        return segment, stale

    def _write(self, strips: Sequence[Strip], keep_from: int | None) -> int:
        db, segment = self._db, 0
        data = b"".join([strip.record for strip in strips])
        if data:
            row = db.execute(_APPEND, (crc32(data), data, self._claims))
            segment = row.lastrowid or 0
        _appended()
        for strip in strips:
            if strip.live_run.is_new:
                self._insert(strip.live_run)
                _inserted()
            if strip.page:
                self._page(strip)
            if strip.status:
                values = (strip.status, strip.live_run.no)
                db.execute("update runs set status = ? where no = ?", values)
        if keep_from is not None:
            # Runs that begin in this commit have no older segment, but they have this one.
            keep_from = min(keep_from, segment or keep_from)
            db.execute(
                "delete from segments where id in "
                "(select id from segments where id < ? order by id limit ?)",
                (keep_from, DELETED_PER_COMMIT),
            )
        return segment

    def claim(self, run_id: str) -> LiveRun:
        """Raise the epoch of a live run and return all its committed lines."""
        db = self._db
        db.execute("begin immediate")
        try:
            row = db.execute(
                "update runs set epoch = epoch + 1 where id = ? and ended_ms is null returning no",
                (run_id,),
            ).fetchone()
            _claiming()
            db.execute("update fence set claims = claims + 1")
            db.execute("commit")
        finally:
            if db.in_transaction:
                db.execute("rollback")
        if row is None:
            raise UnknownRun(run_id)
        return self.unended(run_id)[0]

    def unended(self, run_id: str = "") -> list[LiveRun]:
        """Return the run, or every run, that has no ending."""
        where = "ended_ms is null" + (" and id = ?" if run_id else "")
        rows = self._reader.execute(
            f"select no, {_HEAD} from runs where {where} order by no",  # noqa: S608
            (run_id,) if run_id else (),
        )
        live_runs = {no: LiveRun(no, Head(*head)) for no, *head in rows}
        for no, live_run in live_runs.items():
            for _, page in self._pages(no, after=0):
                live_run.load_page(page)
                live_run.find_questions(page)
        if live_runs:
            self._read_segments(live_runs)
        for live_run in live_runs.values():
            live_run.find_questions(live_run.lines)
        return list(live_runs.values())

    def read(self, run_id: str, after: int, limit: int) -> list[bytes]:
        """Return lines of pages with a number above `after`."""
        row = self._reader.execute("select no from runs where id = ?", (run_id,)).fetchone()
        if row is None:
            raise UnknownRun(run_id)
        lines: list[bytes] = []
        for first, page in self._pages(row[0], after=after):
            lines += page[max(0, after + 1 - first) :]
            if len(lines) >= limit:
                break
        return lines[:limit]

    def heads(self, where: str = "", args: Sequence[object] = (), limit: int = 1) -> list[Head]:
        """Return runs, newest first. `where` must not hold text from clients."""
        rows = self._reader.execute(
            f"select {_HEAD} from runs {where} order by no desc limit ?",  # noqa: S608
            (*args, limit),
        )
        return [Head(*row) for row in rows]

    def latest_ms(self) -> int:
        """Return the latest time that the newest runs have; 0 if there are none."""
        query = (
            "select coalesce(max(max(created_ms, coalesce(ended_ms, 0))), 0) from "
            "(select created_ms, ended_ms from runs order by no desc limit 1000)"
        )
        (at_ms,) = self._reader.execute(query).fetchone()
        return int(at_ms)

    def keyed(self, key: str) -> tuple[str, str] | None:
        """Return the run under a key, and the digest of its request."""
        query = "select id, asked from runs where key = ?"
        row: tuple[str, str] | None = self._reader.execute(query, (key,)).fetchone()
        return row

    def close(self) -> None:
        self._closing.set()
        self._checkpoints.join()
        self._reader.close()
        self._db.close()

    def _count_claims(self) -> int:
        (claims,) = self._db.execute("select claims from fence").fetchone()
        return int(claims)

    def _stale(self, strips: Sequence[Strip]) -> list[Strip]:
        claims = self._count_claims()
        if claims == self._claims:
            return []
        self._claims = claims
        stale = []
        for strip in strips:
            no = strip.live_run.no
            row = self._db.execute("select epoch from runs where no = ?", (no,)).fetchone()
            if row is not None and row[0] != strip.live_run.epoch:
                stale.append(strip)
        return stale

    def _insert(self, live_run: LiveRun) -> None:
        head = live_run.head
        self._db.execute(
            f"insert into runs (no, {_HEAD}, key, asked) "  # noqa: S608
            "values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                *(live_run.no, head.run_id, head.flow, head.model, head.dialect, head.digest),
                *("running", 0, head.epoch, head.created_ms, None),
                *(head.parent, head.forked_from, head.tenant),
                *(
                    (live_run.claim.key, live_run.claim.request_digest)
                    if live_run.claim
                    else (None, None)
                ),
            ),
        )

    def _page(self, strip: Strip) -> None:
        live_run = strip.live_run
        self._db.execute(
            "insert into pages (run, first, crc, data) values (?, ?, ?, ?)",
            (live_run.no, live_run.base, crc32(strip.page), strip.page),
        )
        _paged()
        if strip.ending is not None:
            self._db.execute(
                "update runs set status = ?, seq = ?, ended_ms = ? where no = ?",
                (strip.ending[0], strip.upto, strip.ending[1], live_run.no),
            )

    def _pages(self, no: int, *, after: int) -> Iterator[tuple[int, list[bytes]]]:
        rows = self._reader.execute(
            "select first, crc, data from pages where run = ?1 and first >= coalesce("
            "(select max(first) from pages where run = ?1 and first <= ?2), 0) order by first",
            (no, after + 1),
        )
        for first, crc, data in rows:
            if crc32(data) != crc:
                raise damaged(self.path, f"page {first} of run number {no}")
            yield first, data.split(b"\n")

    def _read_segments(self, live_runs: dict[int, LiveRun]) -> None:
        for segment, crc, data in self._reader.execute(
            "select id, crc, data from segments order by id"
        ):
            if crc32(data) != crc:
                raise damaged(self.path, f"segment {segment}")
            for no, first, lines in records_of(data):
                live_run = live_runs.get(no)
                # Events before the base are in a page already.
                if live_run is None or first < live_run.base:
                    continue
                if first != live_run.seq + 1:
                    raise damaged(self.path, f"run {live_run.head.run_id} lacks {live_run.seq + 1}")
                live_run.load(lines)
                if live_run.first_segment is None:
                    live_run.first_segment = segment

    def _checkpoint(self) -> None:
        """Copy committed pages from the write-ahead log into the file, off the event loop."""
        db = connect(self.path)
        db.execute("pragma busy_timeout=1000")
        while not self._closing.wait(CHECKPOINT_S):
            try:
                _, pages, _ = db.execute("pragma wal_checkpoint(passive)").fetchone()
                if pages > WAL_RESTART_PAGES:
                    db.execute("pragma wal_checkpoint(restart)").fetchone()
                _checkpointed()
            except sqlite3.Error:
                continue  # A full disk or a locked file; commits report it.
        db.close()


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process locks the file for a moment; false for a lasting error."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
