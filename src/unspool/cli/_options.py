"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_URL = "http://127.0.0.1:8000"

Url = Annotated[
    str, typer.Option("--url", envvar="UNSPOOL_URL", help="Address of the server.", metavar="URL")
]

UrlIfAny = Annotated[
    str | None,
    typer.Option("--url", envvar="UNSPOOL_URL", help="Address of the server.", metavar="URL"),
]

Json = Annotated[bool, typer.Option("--json", help="Print only JSON, for programs.")]

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Directory of all data (else UNSPOOL_DATA_DIR, or .data)."),
]

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run.")]
