"""`prune`: delete old runs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ..errors import SetupError, SpecError
from ._bootstrap import database_of, read_settings
from ._console import say, stderr, write_json
from ._formatting import size_of
from ._options import DEFAULT_URL, DataDir, Json, UrlIfAny

# The journal and the client of a server take a quarter of a second to import: only in the
# commands that need them.

_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_BYTES: Final = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_BYTES.update({"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40})

PRUNE_S: Final = 3600.0
"""For a server to delete and answer: 1 MB takes it 50 ms, because live runs come first."""


def prune(
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Delete runs that ended longer ago: 12h, 30d, 8w.")
    ] = "",
    max_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Delete the oldest above this size: 500MB, 1GB.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report, but delete nothing.")] = False,
    data_dir: DataDir = None,
    url: UrlIfAny = None,
    as_json: Json = False,
) -> None:
    """
    Delete old runs, through the server if one uses the data directory, else in the file.

    In a PostgreSQL database it deletes them itself, unless you name a server.
    """
    settings = read_settings(data_dir=data_dir)
    age_s = parse_age(older_than) if older_than else None
    size = parse_size(max_size) if max_size else None
    if age_s is None and size is None and settings.keep_days is not None:
        age_s = settings.keep_days * _SECONDS["d"]
    if size is None and not older_than:
        size = settings.max_journal_bytes
    if age_s is None and size is None:
        raise SpecError("There is no rule for old runs: give --older-than 30d or --max-size 1GB.")
    rules = {"older_than_s": age_s, "max_bytes": size, "dry_run": dry_run}
    pruned = asyncio.run(_prune(settings.data_dir, database_of(settings, data_dir), url, rules))
    if as_json:
        write_json(pruned)
        return
    word = "Would delete" if dry_run else "Deleted"
    say(f"{word} {pruned['runs']} runs, {size_of(pruned['bytes'])}.")
    say(f"The journal takes {size_of(pruned['used_bytes'])} now.", style="dim", to=stderr())


def parse_age(text: str) -> float:
    """
    Return seconds; `30d` is thirty days.

    Raises:
        SpecError: It is not an age.
    """
    return _parsed(text, _SECONDS, "an age like 12h, 30d or 8w")


def parse_size(text: str) -> int:
    """
    Return bytes; `1GB` is 10⁹ bytes, `1GiB` is 2³⁰.

    Raises:
        SpecError: It is not a size.
    """
    return int(_parsed(text, _BYTES, "a size like 500MB, 1GB or 2GiB"))


def _parsed(text: str, units: Any, wanted: str) -> float:
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([a-z]*)", text.strip().lower())
    if found is None or found[2] not in units:
        raise SpecError(f"{text[:40]!r} is not {wanted}.")
    return float(found[1]) * float(units[found[2]])


async def _prune(
    data_dir: Path, database: str, url: str | None, rules: dict[str, Any]
) -> dict[str, Any]:
    from ..core import InUse, owned
    from ..journals import sqlite_url

    if database:
        if url is not None:
            return await _prune_through(url, rules)
        return await _prune_directly(database, rules)
    if not (data_dir / "journal.db").exists():
        raise SetupError(f"There is no journal.db in {data_dir}; name the directory: --data-dir")
    try:
        with owned(data_dir):
            return await _prune_directly(sqlite_url(data_dir / "journal.db"), rules)
    except InUse:
        return await _prune_through(url or DEFAULT_URL, rules)


async def _prune_through(url: str, rules: dict[str, Any]) -> dict[str, Any]:
    from ._api import reach

    async with reach(url) as server:
        return dict(await server.ask("POST", "/api/prune", body=rules, answer_s=PRUNE_S))


async def _prune_directly(journal_url: str, rules: dict[str, Any]) -> dict[str, Any]:
    import time

    from ..core.retention import Pruning, RetentionRules
    from ..journals import open_journal

    journal = await open_journal(journal_url)
    try:
        pruning = Pruning(journal, is_dry=rules["dry_run"])
        retention = RetentionRules(rules["older_than_s"], rules["max_bytes"])
        pruned = await pruning.apply(retention, now_s=time.time())
        if pruned.runs and not rules["dry_run"]:
            while await journal.give_back(at_rest=True):
                pass
        used = await journal.used_bytes()
    finally:
        await journal.aclose()
    counts = {"runs": pruned.runs, "bytes": pruned.bytes, "dry_run": rules["dry_run"]}
    return {**counts, "used_bytes": used}
