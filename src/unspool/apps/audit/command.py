"""`audit`: how much of a code base's calls to models is streamed."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer

from unspool.formats.terminal import clean, json_line

FINE: Final = 0
FAILED: Final = 1
"""A call does not stream or lacks `await`; with `--strict`, also if nobody can tell."""


def audit(
    path: Annotated[
        Path, typer.Argument(help="A file or a folder: Python, JavaScript, TypeScript.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: JSON and nothing else.")
    ] = False,
    sarif: Annotated[
        Path | None, typer.Option(help="Write the findings to this file too, as SARIF 2.1.0.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Calls of which nothing can be told fail it too.")
    ] = False,
) -> None:
    """Find calls to models that wait for a whole answer; exits with 1 if there are any."""
    from .report import json_of, sarif_of, text_of
    from .tree import audit as read_tree

    found = read_tree(path)
    if sarif is not None:
        text = json.dumps(sarif_of(found, version("unspool")), ensure_ascii=False, indent=1)
        sarif.write_text(text + "\n", encoding="utf-8")
    typer.echo(json_line(json_of(found)) if as_json else clean(text_of(found)))
    is_wrong = found.count("not_streaming") or found.count("not_awaited")
    is_failed = is_wrong or (strict and found.count("cannot_tell"))
    raise typer.Exit(FAILED if is_failed else FINE)


plug = audit
