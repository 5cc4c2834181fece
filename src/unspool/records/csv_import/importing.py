"""
Imports anyone's CSV file into a table.

The importer detects packing, encoding and delimiter. It finds the columns by `mapping`, by our
own names, or by names that many shops use. It skips a wrong row and reports its line; the row
never stops the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal

from unspool.errors import SpecError

from .. import Records
from .columns import OF_PEOPLE, TABLES, ColumnMatch, plain
from .csv_file import MAX_FIELD_CHARS, Row, encoding_of, opened, rows_of

BATCH_ROWS = 500
"""Rows of one transaction: other writers wait a few milliseconds at most."""

MAX_ERRORS_KEPT = 100
"""Wrong rows in the report; more of them usually share one reason."""

MAX_HEADERS_SHOWN = 30
"""Headers listed if one is missing: a screenful."""

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
    encoding: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    done: float = 0.0

    @property
    def unchanged(self) -> int:
        """Rows that equal a stored row or an earlier one."""
        return self.read - self.added - self.changed - self.skipped

    def skip(self, line: int, reason: str) -> None:
        self.skipped += 1
        if len(self.errors) < MAX_ERRORS_KEPT:
            self.errors.append((line, reason))


async def import_csv(
    records: Records,
    kind: Kind,
    path: str | Path,
    mapping: Mapping[str, str] | None = None,
    on_progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """
    Take in a CSV file, packed with gzip or not, reading it as a stream.

    Products are added or changed by their SKU, people by their id; behaviours that are there
    already are left alone. So a file may be imported again, also after an import that was cut
    off: what was committed stays, `BATCH_ROWS` rows at a time.

    `mapping` is our column -> their header. The rest is found by name; what is none of our
    columns goes into `properties`. `on_progress` is called after each commit with the
    report so far.

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
        plan = _Plan(kind, await asyncio.to_thread(next, rows, None), mapping or {})
        report.columns, report.left_out = plan.columns, plan.left_out
        # In threads, so that a running server streams on while it reads a file.
        while batch := await asyncio.to_thread(_next_batch, rows, plan, report):
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


def _next_batch(rows: Iterator[Row], plan: _Plan, report: ImportReport) -> list[dict[str, Any]]:
    """Read up to `BATCH_ROWS` good rows, or to the end."""
    batch: list[dict[str, Any]] = []
    for line, cells in rows:
        report.read += 1
        if isinstance(cells, str):
            report.skip(line, cells)
            continue
        try:
            batch.append(plan.values(cells))
        except ValueError as error:
            report.skip(line, str(error))
        if len(batch) == BATCH_ROWS:
            break
    return batch


class _Plan:
    """
    The column of each cell of a row.

    Attributes:
        columns: Our columns, each with its header in the file.
        left_out: Ignored headers.

    Raises:
        SpecError: The mapping names a missing column, or a required column is missing.
    """

    def __init__(self, kind: Kind, first: Row | None, mapping: Mapping[str, str]) -> None:
        if first is None or isinstance(first[1], str):
            raise SpecError("the file has no header that can be read; its first row names columns")
        self._headers = _headers(first[1])
        self.plain = [plain(header) for header in self._headers]
        table = TABLES[kind].columns
        self._places: dict[str, int] = {}
        for ours, theirs in mapping.items():
            if ours not in table:
                raise SpecError(f"{kind} have no column {ours[:64]!r}; have: {', '.join(table)}")
            self._places[ours] = self._place_of(theirs)
        for ours, column in table.items():
            if ours not in self._places:
                self._look_for(ours, column)
        if "price" in self._places:
            # The sign of a price is its currency if no column names one.
            self._places.setdefault("currency", self._places["price"])
        self.columns = {ours: self._headers[at] for ours, at in self._places.items()}
        self._reading = [(at, ours, table[ours]) for ours, at in self._places.items()]
        rest = sorted(set(range(len(self._headers))) - set(self._places.values()))
        # A list of sales can pass for products; its buyers must not end up in copy.
        foreign = OF_PEOPLE if kind == "products" else frozenset()
        self._rest = [(at, self._headers[at]) for at in rest if self.plain[at] not in foreign]
        self.left_out = [self._headers[at] for at in rest if self.plain[at] in foreign]

    def _place_of(self, theirs: str) -> int:
        for headers, wanted in (
            (self._headers, theirs.strip()),
            (self.plain, plain(theirs)),
        ):
            if wanted and wanted in headers:
                return headers.index(wanted)
        raise SpecError(f"the file has no column {theirs[:64]!r}; {self._listed()}")

    def _look_for(self, ours: str, column: ColumnMatch) -> None:
        places: list[int] = []
        # Our own name wins over another one that may mean the same.
        for names in ([plain(ours)], column.names.split()):
            places = places or [
                at
                for at, header in enumerate(self.plain)
                if header in names and at not in self._places.values()
            ]
        if len(places) == 1:
            self._places[ours] = places[0]
        elif column.required:
            several = " and ".join(repr(self._headers[at][:64]) for at in places)
            reason = (
                f"{several} could each be {ours}" if several else f"no column looks like {ours}"
            )
            raise SpecError(f"{reason}; say which it is with `{ours}=<header>`; {self._listed()}")

    def _listed(self) -> str:
        shown = [header[:64] for header in self._headers[:MAX_HEADERS_SHOWN]]
        more = len(self._headers) - len(shown)
        return f"the file has: {', '.join(shown)}" + (f" and {more} more" if more else "")

    def values(self, cells: list[str]) -> dict[str, Any]:
        """
        Return a row's values by our columns.

        Raises:
            ValueError: The row is wrong; the message is for people.
        """
        if len(cells) != len(self._headers):
            raise ValueError(f"{len(cells)} cells under {len(self._headers)} headers")
        for cell in cells:
            if len(cell) > MAX_FIELD_CHARS:
                raise ValueError(f"a cell is longer than {MAX_FIELD_CHARS:,} characters")
            if "\0" in cell:
                raise ValueError("a cell holds a NUL: this is not text")
        values = {ours: _value(ours, column, cells[at]) for at, ours, column in self._reading}
        values["properties"] = values.get("properties", {}) | {
            header: cells[at].strip() for at, header in self._rest
        }
        return values


def _value(ours: str, column: ColumnMatch, cell: str) -> Any:
    text = cell.strip()
    if column.required and not text:
        raise ValueError(f"{ours} is empty")
    if len(text) > column.max_chars:
        raise ValueError(f"{ours} is longer than {column.max_chars} characters")
    try:
        return column.read(text)
    except ValueError as error:
        shown = text if len(text) <= 40 else f"{text[:39]}…"
        raise ValueError(f"{ours} {shown!r} {error}") from error


def _headers(cells: list[str]) -> list[str]:
    """Return a unique name for each column."""
    if any("\0" in cell for cell in cells):
        raise SpecError("the header is not text (UTF-16 without a mark?); save the file as UTF-8")
    seen: Counter[str] = Counter()
    headers = []
    for number, cell in enumerate(cells, start=1):
        header = cell.strip() or f"column {number}"
        seen[header] += 1
        headers.append(header if seen[header] == 1 else f"{header} ({seen[header]})")
    return headers
