"""`import`: products, behaviours and people from a CSV file, straight into the database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SpecError
from ..formats.moments import zone_of
from ._bootstrap import open_records, read_settings, start_logging
from ._console import complain, say, stderr, write_json
from ._exit_codes import FAILED, FINE
from ._options import DataDir, Json
from ._progress import bar

if TYPE_CHECKING:
    from ..records.csv_import.importing import ImportReport
    from ..settings import Settings

MAX_ERRORS_SHOWN = 10
"""Of wrong rows; more of them usually share one reason. `--json` lists further ones."""


class ImportKind(StrEnum):
    PRODUCTS = "products"
    BEHAVIORS = "behaviors"
    PEOPLE = "people"


def import_file(
    kind: Annotated[ImportKind, typer.Argument(help="The kind of the rows.")],
    file: Annotated[Path, typer.Argument(help="A CSV file, with or without gzip.")],
    maps: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OURS=THEIRS", help="Our column for a header: sku=商品ID."),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            help="The shop's time zone, for Unix times and times with a zone: Asia/Shanghai. "
            "Default: UNSPOOL_TIME_ZONE."
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Import a CSV file. Importing it again doubles nothing."""
    mapping = read_mapping(maps or [])
    settings = read_settings(data_dir=data_dir)
    try:
        zone = zone_of(time_zone or settings.time_zone)
    except ValueError as error:
        raise SpecError(f"--time-zone: {error}") from None
    start_logging("WARNING")
    report = asyncio.run(_import(settings, kind, file, mapping, zone))
    if as_json:
        problems = [{"code": c, "column": n, "count": k} for (c, n), k in report.problems.items()]
        write_json(asdict(report) | {"unchanged": report.unchanged, "problems": problems})
    else:
        _print(file, report)
    raise typer.Exit(FINE if report.read > report.skipped else FAILED)


def read_mapping(maps: list[str]) -> dict[str, str]:
    """
    Turn `["sku=商品ID"]` into `{"sku": "商品ID"}`; a header may itself contain `=`.

    Raises:
        SpecError: One of them has another form, or names a column twice.
    """
    mapping: dict[str, str] = {}
    for item in maps:
        ours, _, theirs = (part.strip() for part in item.partition("="))
        if not ours or not theirs:
            raise SpecError(f"--map {item!r}: write our column, =, their header: sku=商品ID")
        if ours in mapping:
            raise SpecError(f"--map names {ours!r} twice; one header gives one column")
        mapping[ours] = theirs
    return mapping


async def _import(
    settings: Settings, kind: ImportKind, file: Path, mapping: Mapping[str, str], zone: tzinfo
) -> ImportReport:
    # SQLAlchemy takes half a second, which `--help` does not wait for.
    from ..records.csv_import.importing import ReadingOptions, import_csv

    records = await open_records(settings)
    try:
        with bar(file.name) as show:
            reading = ReadingOptions(zone)

            def on_progress(report: ImportReport) -> None:
                show(report.done, f"{report.read} rows")

            return await import_csv(records, kind.value, file, mapping, on_progress, reading)
    finally:
        await records.aclose()


def _print(file: Path, report: ImportReport) -> None:
    counts = f"{report.read} rows read, {report.added} added, {report.changed} changed"
    say(f"{file.name} ({report.encoding}): {counts}, {report.unchanged} as before")
    found = ", ".join(f"{ours} = {theirs}" for ours, theirs in report.columns.items())
    say(f"columns: {found}")
    if report.left_out:
        say(f"left out: {', '.join(report.left_out)}")
    if report.lost:
        complain(f"{report.lost} cells left out, their rows stored without them:")
        _list(report.lost_cells, report.lost)
    if not report.skipped:
        return
    complain(f"{report.skipped} rows skipped:")
    _list(report.errors, report.skipped)


def _list(reasons: Sequence[tuple[int, str]], count: int) -> None:
    shown = reasons[:MAX_ERRORS_SHOWN]
    for line, reason in shown:
        say(f"  line {line}: {reason}", to=stderr())
    if count > len(shown):
        say(f"  and {count - len(shown)} more", to=stderr())
