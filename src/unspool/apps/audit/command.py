"""`audit`: how much of a code base's talking to models is streamed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ._console import say, stdout, write_json
from ._exit_codes import FAILED, FINE
from ._options import Json


def audit(
    path: Annotated[
        Path, typer.Argument(help="A file or a folder: Python, JavaScript, TypeScript.")
    ],
    as_json: Json = False,
    sarif: Annotated[
        Path | None, typer.Option(help="Write the findings to this file too, as SARIF 2.1.0.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Calls of which nothing can be told fail it too.")
    ] = False,
) -> None:
    """Find calls of models that wait for a whole answer; exits with 1 where there are any."""
    from unspool import __version__

    from .report import json_of, sarif_of, text_of
    from .tree import audit as read_tree

    found = read_tree(path)
    if sarif is not None:
        text = json.dumps(sarif_of(found, __version__), ensure_ascii=False, indent=1)
        sarif.write_text(text + "\n", encoding="utf-8")
    if as_json:
        write_json(json_of(found))
    else:
        say(text_of(found), to=stdout())
    is_failed = found.count("not_streaming") or (strict and found.count("cannot_tell"))
    raise typer.Exit(FAILED if is_failed else FINE)
