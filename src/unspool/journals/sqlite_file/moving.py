"""Reads and writes whole runs of a journal file that nobody else uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from ..moving import FACTS, CopiedRun, checked, with_newest
from .schema import connect
from .store import Store

_SIZES = """
select no, (select coalesce(sum(length(data)), 0) from pages where run = no) from runs order by no
"""

_FACTS = f"select {', '.join(FACTS)} from runs where no = ?"  # noqa: S608

_PAGES = "select first, crc, data from pages where run = ? order by first"

_INSERT = f"""
insert into runs ({", ".join(FACTS)}, seq) values ({", ".join("?" for _ in FACTS)}, ?)
"""  # noqa: S608


class FileRuns:
    """
    See `moving.RunStore`. Writes are in a transaction up to `commit`.

    Raises:
        SetupError: The file cannot be opened.
        JournalError: It is damaged.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, and create it if it is new."""
        store = Store(path, synchronous="NORMAL")
        try:
            self._newest = {live_run.no: live_run.lines for live_run in store.unended()}
        finally:
            store.close()
        self._db = connect(path)
        self._db.execute("begin")

    async def sizes(self) -> list[tuple[int, int]]:
        return self._db.execute(_SIZES).fetchall()

    async def read(self, numbers: Sequence[int]) -> list[CopiedRun]:
        return [self._read(no) for no in numbers]

    def _read(self, no: int) -> CopiedRun:
        facts = self._db.execute(_FACTS, (no,)).fetchone()
        pages = checked(no, self._db.execute(_PAGES, (no,)))
        # PostgreSQL cannot store NUL, which may be in the name of a model.
        clean = [fact.replace("\0", "\ufffd") if isinstance(fact, str) else fact for fact in facts]
        return CopiedRun(tuple(clean), with_newest(pages, self._newest.get(no, ())))

    async def write(self, runs: Sequence[CopiedRun]) -> None:
        pages = [(run.no, first, crc32(data), data) for run in runs for first, data in run.pages]
        self._db.executemany("insert into pages (run, first, crc, data) values (?, ?, ?, ?)", pages)
        self._db.executemany(_INSERT, [(*run.facts, run.seq) for run in runs])

    def commit(self) -> None:
        self._db.execute("commit")

    def close(self) -> None:
        self._db.close()
