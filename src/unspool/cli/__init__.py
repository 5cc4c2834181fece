"""
The command line: `unspool …`, or `python -m unspool …`.

To add a command: write a function in a file here and add a line below, or add a line to the
`App` of an application. Import slow modules (FastAPI, SQLAlchemy, aiohttp, pydantic) inside the
commands that need them, so that `--help` appears at once. The result goes to stdout, remarks go
to stderr; `--json` makes stdout pure JSON. `_exit_codes` has the exit codes.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import plugs
from ..errors import UnspoolError
from . import (
    answer,
    backup,
    budgets,
    chat,
    doctor,
    import_,
    keys,
    migrate,
    models,
    prune,
    replay,
    run,
    runs,
    serve,
)
from ._console import complain, say, use_utf8
from ._exit_codes import exit_code_of


class _Commands(TyperGroup):
    """All commands; an `UnspoolError` becomes a sentence and an exit code."""

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

run_list = typer.Typer(invoke_without_command=True)
run_list.callback()(runs.runs)
run_list.command("export")(replay.export)

app.command("serve")(serve.serve)
app.command("run")(run.run)
app.command("tail")(run.tail)
app.command("cancel")(run.cancel)
app.command("answer")(answer.answer)
app.add_typer(run_list, name="runs")
app.command("show")(runs.show)
app.command("chat")(chat.chat)
app.command("replay")(replay.replay)
app.command("prune")(prune.prune)
app.command("backup")(backup.backup)
app.command("migrate")(migrate.migrate)
app.add_typer(budgets.app, name="budgets")
app.add_typer(keys.keys, name="keys")
app.add_typer(keys.tenants, name="tenants")
app.command("audit-log")(keys.audit_log)
app.command("import")(import_.import_file)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")
for command in plugs.names("commands"):
    app.command(command)(plugs.load("commands", command))


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"unspool {version('unspool')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Stream generated text that survives refreshes, restarts and dying providers."""


def main() -> None:
    """Run the command line of this process."""
    use_utf8()
    app(prog_name="unspool")
