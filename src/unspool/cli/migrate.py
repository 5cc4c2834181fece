"""`migrate`: copy the data directory into a PostgreSQL database."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SpecError
from ._bootstrap import read_settings
from ._console import say, stderr, write_json
from ._options import DataDir, Json
from ._progress import bar

if TYPE_CHECKING:
    from ..core.moving import Moved


def migrate(
    url: Annotated[
        str,
        typer.Argument(
            metavar="[URL]",
            help="An empty database, postgresql://…; else UNSPOOL_DATABASE_URL, where other users "
            "of this machine cannot read the password.",
        ),
    ] = "",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """
    Copy all runs and records of a data directory into an empty PostgreSQL database.

    It copies all or nothing, and compares the copy with the original. No server may use either of
    them. Unended runs go on where a server opens the database. Files that wait for their import are
    left out.
    """
    settings = read_settings(data_dir=data_dir, database_url=url or None)
    if settings.database_url is None:
        raise SpecError("Name an empty database: set UNSPOOL_DATABASE_URL=postgresql://…")
    moved = asyncio.run(_migrate(settings.data_dir, settings.database_url.get_secret_value()))
    if as_json:
        write_json(asdict(moved))
        return
    unended = f" ({moved.unended} unended)" if moved.unended else ""
    say(f"Copied and compared: {moved.runs} runs{unended}, {moved.rows} rows of records.")
    say(
        "Serve the database by setting UNSPOOL_DATABASE_URL. The data directory stays as it is.",
        style="dim",
        to=stderr(),
    )
    key = settings.data_dir / "secret.key"
    if key.exists() and settings.secret_key is None:
        say(
            f"Give every server the text of {key} as UNSPOOL_SECRET_KEY: it opens the keys of "
            "models.",
            to=stderr(),
        )


async def _migrate(data_dir: Path, url: str) -> Moved:
    from ..core.moving import migrate as copy

    with bar("migrate") as show:
        return await copy(
            data_dir, url, lambda done, total: show(done / total, f"{done} of {total}")
        )
