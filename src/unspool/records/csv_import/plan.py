"""Which column of a file is which of ours, and the values of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, tzinfo
from functools import partial
from typing import Any

from unspool.errors import SpecError

from ...formats.moments import read_moment
from .columns import OF_PEOPLE, TABLES, ColumnMatch, plain
from .csv_file import MAX_FIELD_CHARS, Row

MAX_HEADERS_SHOWN = 30
"""Headers listed if one is missing: a screenful."""


class BadCell(ValueError):
    """
    A cell, or a whole row, that cannot be used; the message is for people.

    Attributes:
        code: `empty`, `too_long`, `unreadable`, `nul` of a cell; `cells`, `row` of a row.
        column: Our column, or the header; empty for a row.
    """

    def __init__(self, code: str, column: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.column = column


class Plan:
    """
    The column of each cell of a row.

    Attributes:
        columns: Our columns, each with its header in the file.
        left_out: Ignored headers.

    Raises:
        SpecError: The mapping names a missing column, or a required column is missing.
    """

    def __init__(
        self, kind: str, first: Row | None, mapping: Mapping[str, str], zone: tzinfo = UTC
    ) -> None:
        if first is None or isinstance(first[1], str):
            raise SpecError("the file has no header that can be read; its first row names columns")
        self._headers = headers_in(first[1])
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
        self._reading = [
            (at, ours, _in_zone(table[ours], zone)) for ours, at in self._places.items()
        ]
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

    def values(self, cells: list[str]) -> tuple[dict[str, Any], list[BadCell]]:
        """
        Return a row's values by our columns, and the cells that it has to do without.

        Raises:
            BadCell: The row is wrong; the message is for people.
        """
        if len(cells) != len(self._headers):
            text = f"{len(cells)} cells under {len(self._headers)} headers"
            raise BadCell("cells", "", text)
        lost: list[BadCell] = []
        values: dict[str, Any] = {}
        for at, ours, column in self._reading:
            try:
                values[ours] = _value(ours, column, cells[at])
            except BadCell as wrong:
                if column.required or wrong.code == "nul":
                    raise
                # A price and its currency may be one cell.
                if all(self._places[ours] != self._places.get(one.column) for one in lost):
                    lost.append(wrong)
        rest: dict[str, str] = {}
        for at, header in self._rest:
            try:
                rest[header] = _text(header, cells[at])
            except BadCell as wrong:
                if wrong.code == "nul":
                    raise
                lost.append(wrong)
        values["properties"] = values.get("properties", {}) | rest
        return values, lost


def _in_zone(column: ColumnMatch, zone: tzinfo) -> ColumnMatch:
    if column.read is not read_moment:
        return column
    return replace(column, read=partial(read_moment, zone=zone))


def _text(name: str, cell: str) -> str:
    if "\0" in cell:
        raise BadCell("nul", name, "a cell holds a NUL: this is not text")
    if len(cell) > MAX_FIELD_CHARS:
        raise BadCell("too_long", name, f"a cell is longer than {MAX_FIELD_CHARS:,} characters")
    return cell.strip()


def _value(ours: str, column: ColumnMatch, cell: str) -> Any:
    text = _text(ours, cell)
    if column.required and not text:
        raise BadCell("empty", ours, f"{ours} is empty")
    if len(text) > column.max_chars:
        message = f"{ours} is longer than {column.max_chars} characters"
        raise BadCell("too_long", ours, message)
    try:
        return column.read(text)
    except ValueError as error:
        shown = text if len(text) <= 40 else f"{text[:39]}…"
        raise BadCell("unreadable", ours, f"{ours} {shown!r} {error}") from error


def headers_in(cells: list[str]) -> list[str]:
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
