"""`backup`: copy the data directory, or the database, into a new data directory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._bootstrap import database_of, read_settings
from ._console import say, stderr, write_json
from ._formatting import size_of
from ._options import DataDir, Json
from ._progress import bar

if TYPE_CHECKING:
    from ..core.backup import CopiedFile


def backup(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory for the copy.")],
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Include secret.key, which seals the models' keys.")
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """
    Copy the data, even while servers use it. Serve the copy to restore it.

    Of a PostgreSQL database too the copy is a data directory; `unspool migrate` restores it into an
    empty database.
    """
    from ..core.backup import KEY, back_up

    settings = read_settings(data_dir=data_dir)
    database = database_of(settings, data_dir)
    if database:
        key = settings.data_dir / KEY if with_key else None
        copied = asyncio.run(_back_up(database, target, key))
    else:
        copied = back_up(settings.data_dir, target, with_key=with_key)
    if as_json:
        write_json([{"name": file.name, "bytes": file.bytes} for file in copied])
        return
    for file in copied:
        say(f"{target / file.name}  {size_of(file.bytes)}")
    if database:
        say(f"Restore it with: unspool migrate --data-dir {target}", style="dim", to=stderr())
    else:
        say(f"Use it with: unspool serve --data-dir {target}", style="dim", to=stderr())
    if any(file.name == KEY for file in copied):
        return
    if settings.secret_key is None:
        say("It does not include secret.key: store that elsewhere, or use --with-key.", to=stderr())
    else:
        say("It does not include UNSPOOL_SECRET_KEY: store that elsewhere.", to=stderr())


async def _back_up(database: str, target: Path, key: Path | None) -> list[CopiedFile]:
    from ..core.moving import back_up_database

    with bar("backup") as show:
        return await back_up_database(
            database, target, lambda done, total: show(done / total, f"{done} of {total}"), key
        )
