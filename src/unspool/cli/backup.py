"""`backup`: copy the data directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._bootstrap import read_settings
from ._console import say, stderr, write_json
from ._formatting import size_of
from ._options import DataDir, Json


def backup(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory for the copy.")],
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Include secret.key, which seals the models' keys.")
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Copy the data directory, even while a server uses it. Serve the copy to restore it."""
    from ..core.backup import back_up

    settings = read_settings(data_dir=data_dir)
    copied = back_up(settings.data_dir, target, with_key=with_key)
    if as_json:
        write_json([{"name": file.name, "bytes": file.bytes} for file in copied])
        return
    for file in copied:
        say(f"{target / file.name}  {size_of(file.bytes)}")
    say(f"Use it with: unspool serve --data-dir {target}", style="dim", to=stderr())
    if not with_key:
        say("It does not include secret.key: store that elsewhere, or use --with-key.", to=stderr())
