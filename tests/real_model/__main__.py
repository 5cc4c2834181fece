"""`make test-model`: fetch the model, break it, use it; write docs/real-model.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from support.engine import Engine

from .fetching import model_file
from .seams import Row, Table, Way, table_of
from .systems import Result, results_of

PAGE = Path(__file__).parents[2] / "docs" / "real-model.md"

ALL = (7, 23, 61)

WAYS = {
    way.name: way
    for way in (
        Way("nothing said", "auto", "cut", ALL),
        Way("prefill: assistant", "assistant", "cut", ALL),
        Way("prefill: none", "none", "cut", ALL),
        Way("killed", "auto", "killed", ALL[1:2]),
        Way("another engine", "auto", "another", ALL[1:2]),
    )
}

HEAD = (Path(__file__).parent / "page.md").read_text()
"""The page, up to its figures."""


def _lines(tables: list[Table], results: list[Result]) -> Iterator[str]:
    for table in tables:
        counts, rows = table.counts, table.rows
        prefills = sum("prefill" in row.strategies for row in rows)
        restarts = sum("restart" in row.strategies for row in rows)
        figures = len(rows), counts["exact"], counts["plain"], counts["honest"], table.faults
        yield f"| {table.name} | {' | '.join(map(str, figures))} | {prefills} | {restarts} |\n"
    yield "\n*Nothing said*: registered by its address alone. *Killed*: `kill -9` of the engine, "
    yield "which starts again. *Another engine*: the first does not come back.\n"
    if results:
        yield "\n## The five systems\n\n"
        yield "| system | ended | seconds | what came |\n|---|---|---|---|\n"
        for result in results:
            cells = result.system, result.status, f"{result.seconds:.0f}", result.came
            yield f"| {' | '.join(cells)} |\n"


def _report(row: Row) -> None:
    joint = f"…{row.passed[-20:]!r} ‖ {row.text[len(row.passed) :][:40]!r}"
    print(f"  {row.verdict:8} {row.prompt} {row.cut} {row.strategies[1:]} {joint}", flush=True)


async def _run(args: argparse.Namespace, folder: Path) -> int:
    tables: list[Table] = []
    results: list[Result] = []
    async with Engine(model_file()) as engine:
        for name in args.ways:
            print(name, flush=True)
            table = await table_of(WAYS[name], engine, folder / f"{len(tables)}", _report)
            tables.append(table)
            print(f"  {dict(table.counts)}, {table.faults} completed with a fault", flush=True)
        if not args.no_systems:
            results = await results_of(engine, folder / "systems")
    for result in results:
        print(result, flush=True)
    if args.texts:
        rows = [asdict(row) | {"table": table.name} for table in tables for row in table.rows]
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        args.texts.write_text("".join(lines))
    if args.ways == list(WAYS) and results:
        PAGE.write_text(HEAD + "".join(_lines(tables, results)))
        print(f"Written: {PAGE.relative_to(PAGE.parents[1])}")
    return int(any(table.faults for table in tables))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m real_model", description=__doc__)
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--no-systems", action="store_true", help="leave the five systems out")
    parser.add_argument("--texts", type=Path, help="write all texts there, as JSON lines, to read")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="real-model-") as folder:
        return asyncio.run(_run(args, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
