"""
The command line: `unspool …`, or `python -m unspool …`.

To add a command: a function in a file here and a line below. It is up at once, because
modules that take long to import (FastAPI, SQLAlchemy, aiohttp, pydantic) are imported
inside the commands that need them. Stdout is for what was asked for, stderr for
everything said about it; `--json` makes stdout JSON alone. `_exits` has the exit codes.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ..errors import UnspoolError
from . import audit as auditing
from . import chat, doctor, models, replay, serve
from . import import_ as importing
from . import prune as keeping
from . import run as running
from . import runs as listing
from ._console import complain, say, use_utf8
from ._exit_codes import exit_code_of


class _Commands(TyperGroup):
    """All commands; an error of ours becomes a sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UnspoolError as error:
            complain(str(error))
            raise typer.Exit(exit_code_of(error)) from None


app = typer.Typer(
    name="unspool",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    # A traceback with local variables would show keys.
    pretty_exceptions_enable=False,
)

runs = typer.Typer(invoke_without_command=True)
runs.callback()(listing.runs)
runs.command("export")(replay.export)

app.command("serve")(serve.serve)
app.command("run")(running.run)
app.command("tail")(running.tail)
app.command("cancel")(running.cancel)
app.add_typer(runs, name="runs")
app.command("show")(listing.show)
app.command("chat")(chat.chat)
app.command("replay")(replay.replay)
app.command("prune")(keeping.prune)
app.command("backup")(keeping.backup)
app.command("import")(importing.import_file)
app.command("audit")(auditing.audit)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")


def _tell_version(asked: bool) -> None:
    if asked:
        from .. import __version__

        say(f"unspool {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Tell the version.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    """Streams of generated text that survive refreshes, restarts and dying providers."""


def main() -> None:
    """Run the command line of this process."""
    use_utf8()
    app(prog_name="unspool")
