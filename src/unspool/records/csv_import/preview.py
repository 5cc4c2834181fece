"""What a file holds, shown before its import: its first rows, and what they could be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, Final

from unspool.errors import SpecError

from .columns import TABLES
from .csv_file import encoding_of, opened, rows_of
from .plan import BadCell, Plan, headers_in

PREVIEW_ROWS: Final = 20
"""Shown before an import: enough to see what a column holds."""

MAX_SHOWN_CHARS: Final = 200
"""Of a cell in a preview."""


def look_at(path: Path, mapping: Mapping[str, Mapping[str, str]], zone: tzinfo) -> dict[str, Any]:
    encoding = encoding_of(path)
    with opened(path) as (plain, _), TextIOWrapper(plain, encoding=encoding, newline="") as text:
        rows = rows_of(text)
        first = next(rows, None)
        if first is None or isinstance(first[1], str):
            raise SpecError("the file has no header that can be read; its first row names columns")
        head = [(line, cells) for line, cells in islice(rows, PREVIEW_ROWS) if cells]
    kinds: dict[str, Any] = {}
    for kind, table in TABLES.items():
        ours = {name: column.required for name, column in table.columns.items()}
        try:
            plan = Plan(kind, first, mapping.get(kind, {}), zone)
        except SpecError as error:
            kinds[kind] = {"fits": False, "reason": str(error), "ours": ours, "columns": {}}
            continue
        kinds[kind] = {
            "fits": True,
            "ours": ours,
            "columns": plan.columns,
            "left_out": plan.left_out,
            "rows": [_read(plan, cells) for _, cells in head[:5]],
        }
    return {
        "encoding": encoding,
        "headers": headers_in(first[1]),
        "rows": [
            [cell[:MAX_SHOWN_CHARS] for cell in cells]
            for _, cells in head
            if not isinstance(cells, str)
        ],
        "kinds": kinds,
        "suggested": _suggested(kinds),
    }


def _read(plan: Plan, cells: list[str] | str) -> dict[str, Any]:
    """Return how a row would be stored, or why it would not."""
    if isinstance(cells, str):
        return {"reason": cells}
    try:
        values, lost = plan.values(cells)
    except BadCell as wrong:
        return {"reason": str(wrong)}
    values.pop("properties", None)
    shown = {name: str(value)[:MAX_SHOWN_CHARS] for name, value in values.items() if value}
    if "at" in values:
        shown["at"] = f"{values['at']:%Y-%m-%d %H:%M:%S}"
    return {"values": shown, "lost": [wrong.column for wrong in lost]}


def _suggested(kinds: Mapping[str, Any]) -> list[str]:
    """Anything with an id fits people, so that needs a column that only people have."""
    fitting = [kind for kind in ("products", "behaviors") if kinds[kind]["fits"]]
    of_people = {"name", "gender", "age", "city"} & set(kinds["people"]["columns"])
    return fitting or (["people"] if of_people else [])
