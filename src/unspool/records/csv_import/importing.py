"""
Imports anyone's CSV file into a table.

The importer detects packing, encoding and delimiter. It finds the columns by `mapping`, by our
own names, or by names that many shops use. It skips a wrong row and reports its line; the row
never stops the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal

from unspool.errors import SpecError

from .. import Records
from .columns import TABLES
from .csv_file import Row, encoding_of, opened, rows_of
from .plan import BadCell, Plan

BATCH_ROWS = 500
"""Rows of one transaction: other writers wait a few milliseconds at most."""

MAX_ERRORS_KEPT = 100
"""Wrong rows in the report; more of them usually share one reason."""

Kind = Literal["products", "behaviors", "people"]


@dataclass(slots=True)
class ImportReport:
    """
    The result of an import.

    Attributes:
        read: Rows below the header, without blank lines.
        added: Rows that are new in the database.
        changed: Rows that changed a stored one.
        skipped: Wrong rows.
        errors: Line in the file (the first one of the row, from 1) and reason, of the first
            `MAX_ERRORS_KEPT` wrong rows.
        lost: Cells that could not be read; the rest of their rows is stored.
        lost_cells: Line and reason of the first `MAX_ERRORS_KEPT` of them.
        problems: Number of wrong rows and cells by code and column.
        encoding: Encoding of the file.
        columns: Our columns, each with its header in the file.
        left_out: Ignored headers: data about people must not become properties of a product.
        done: Share of the file read so far, 0 to 1.
    """

    read: int = 0
    added: int = 0
    changed: int = 0
    skipped: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)
    lost: int = 0
    lost_cells: list[tuple[int, str]] = field(default_factory=list)
    problems: Counter[tuple[str, str]] = field(default_factory=Counter)
    encoding: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    done: float = 0.0

    @property
    def unchanged(self) -> int:
        """Rows that equal a stored row or an earlier one."""
        return self.read - self.added - self.changed - self.skipped

    def skip(self, line: int, wrong: BadCell) -> None:
        self.skipped += 1
        self.problems[wrong.code, wrong.column] += 1
        if len(self.errors) < MAX_ERRORS_KEPT:
            self.errors.append((line, str(wrong)))

    def lose(self, line: int, wrong: BadCell) -> None:
        self.lost += 1
        self.problems[wrong.code, wrong.column] += 1
        if len(self.lost_cells) < MAX_ERRORS_KEPT:
            self.lost_cells.append((line, str(wrong)))


OnSkipped = Callable[[int, Sequence[str], str], object]
"""Gets the line, the cells (none, if they cannot be told apart) and the reason of a wrong row."""


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """
    How a file is read.

    Attributes:
        zone: The shop's time zone, for times with a zone of their own and Unix times.
        on_skipped: Called for each wrong row, in another thread.
    """

    zone: tzinfo = UTC
    on_skipped: OnSkipped | None = None


async def import_csv(
    records: Records,
    kind: Kind,
    path: str | Path,
    mapping: Mapping[str, str] | None = None,
    on_progress: Callable[[ImportReport], None] | None = None,
    reading: ReadingOptions = ReadingOptions(),
) -> ImportReport:
    """
    Take in a CSV file, packed with gzip or not, reading it as a stream.

    Products are added or changed by their SKU, people by their id; behaviours that are there
    already are left alone. So a file may be imported again, also after an import that was cut
    off: what was committed stays, `BATCH_ROWS` rows at a time.

    `mapping` is our column -> their header. The rest is found by name; what is none of our
    columns goes into `properties`. `on_progress` is called after each commit with the
    report so far.

    A cell of an optional column that cannot be read is lost, and its row is stored without it.

    Raises:
        SpecError: The file or the mapping cannot be used; nothing was imported.
        SetupError: The database cannot be written.
    """
    if kind not in TABLES:
        raise SpecError(f"no kind {kind[:64]!r} of file; have: {', '.join(TABLES)}")
    path = Path(path)
    report = ImportReport(encoding=await asyncio.to_thread(encoding_of, path))
    with (
        opened(path) as (plain, done),
        # Unchanged line ends: those inside quotes belong to the cell.
        TextIOWrapper(plain, encoding=report.encoding, newline="") as text,
    ):
        rows = rows_of(text)
        plan = Plan(kind, await asyncio.to_thread(next, rows, None), mapping or {}, reading.zone)
        report.columns, report.left_out = plan.columns, plan.left_out
        # In threads, so that a running server streams on while it reads a file.
        while batch := await asyncio.to_thread(_next_batch, rows, plan, report, reading):
            async with records.session() as session:
                added, changed = await TABLES[kind].save(session, batch)
                await session.commit()
            report.added += added
            report.changed += changed
            report.done = done()
            if on_progress is not None:
                on_progress(report)
    report.done = 1.0
    return report


def _next_batch(
    rows: Iterator[Row], plan: Plan, report: ImportReport, reading: ReadingOptions
) -> list[dict[str, Any]]:
    """Read up to `BATCH_ROWS` good rows, or to the end."""
    batch: list[dict[str, Any]] = []
    for line, cells in rows:
        report.read += 1
        try:
            if isinstance(cells, str):
                raise BadCell("row", "", cells)
            values, lost = plan.values(cells)
        except BadCell as wrong:
            report.skip(line, wrong)
            if reading.on_skipped is not None:
                reading.on_skipped(line, () if isinstance(cells, str) else cells, str(wrong))
            continue
        for one in lost:
            report.lose(line, one)
        batch.append(values)
        if len(batch) == BATCH_ROWS:
            break
    return batch
