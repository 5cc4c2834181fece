"""`serve`: runs the server."""

from __future__ import annotations

import gc
import logging
import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SetupError
from ..server.listening import SharedPort, listen
from ..server.worker import Inheritance, inheritance
from ._bootstrap import label_of, read_settings, start_logging
from ._console import say, stdout, write_json
from ._options import DataDir, Json

if TYPE_CHECKING:
    from ..settings import Settings

COPY_BODY = '{"sku": "8WZ01CM1", "style": "natural"}'


def serve(  # noqa: PLR0913 - each option is a word of the command line
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 picks a free one.")] = None,
    data_dir: DataDir = None,
    flows: Annotated[
        list[Path] | None,
        typer.Option("--flows", help="A Python file with flows of your own; may be repeated."),
    ] = None,
    allow_open: Annotated[
        bool,
        typer.Option("--allow-open", help="Let everybody who reaches it use it, without a key."),
    ] = False,
    no_sample_data: Annotated[
        bool, typer.Option("--no-sample-data", help="Do not fill an empty database with samples.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Processes behind the port; several need PostgreSQL."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the server until Ctrl-C."""
    settings = read_settings(
        host=host,
        port=port,
        data_dir=data_dir,
        sample_data=False if no_sample_data else None,
        flows=",".join(map(str, flows)) if flows else None,
        workers=workers,
        access="open" if allow_open else None,
    )
    inherited = inheritance()
    # Creating a database logs a dozen lines that users do not need.
    hidden = {"alembic": logging.INFO}
    start_logging("INFO", hidden=hidden, worker=None if inherited is None else settings.worker)

    def announce(port: int, facts: dict[str, Any]) -> None:
        # With port 0, only the socket knows the number.
        url = f"http://{_host_for_url(settings.host)}:{port}"
        facts = {"url": url, **_places(settings), **facts}
        if as_json:
            write_json(facts)
        else:
            _print(facts, settings)

    if inherited is None and settings.workers > 1:
        _supervise(settings, announce)
    else:
        _serve(settings, inherited, announce)


Announce = Callable[[int, dict[str, Any]], None]
"""Prints, with the port and further facts, that the server is there."""


def _serve(settings: Settings, inherited: Inheritance | None, announce: Announce) -> None:
    """Serve in this process, which may be a worker."""
    # All that is loaded stays: to look through it for garbage takes a tenth of the start.
    gc.disable()
    # FastAPI and SQLAlchemy take half a second, which no other command waits for.
    from ..server.app import create_app
    from ..server.uvicorn import serve

    sock = listen(settings) if inherited is None else inherited.listening
    app = create_app(settings)

    def on_ready() -> None:
        facts = {"model": label_of(app.state.core.catalog.models_for("")[0])}
        if inherited is None:
            announce(sock.getsockname()[1], facts)
        else:
            inherited.say_ready(facts)

    # Ctrl-C is the normal way to stop a server.
    with sock, suppress(KeyboardInterrupt):
        serve(app, sock, settings, on_ready)


def _supervise(settings: Settings, announce: Announce) -> None:
    """Run this command again in several processes."""
    if settings.database_url is None:
        raise SetupError(
            "SQLite belongs to one server: set UNSPOOL_DATABASE_URL to a PostgreSQL database, or "
            "use one worker."
        )
    if sys.platform != "linux":
        raise SetupError(
            "Only Linux spreads connections over several workers: use one, or several servers "
            "behind a proxy."
        )
    from ..server.workers import supervise

    port = SharedPort(settings)
    command = [sys.executable, *sys.orig_argv[1:]]

    def on_ready(facts: dict[str, Any]) -> None:
        announce(port.number, {**facts, "workers": settings.workers})

    code = supervise(command, settings.workers, port.listen, on_ready)
    if code < 0:  # end as a single server does
        signal.signal(-code, signal.SIG_DFL)
        signal.raise_signal(-code)
    # No signal ends the first process of a container.
    raise typer.Exit(max(code, 0))


def _host_for_url(host: str) -> str:
    """Return the host under which this machine itself reaches the server."""
    if host in {"", "0.0.0.0"}:  # noqa: S104 - read, not bound
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def _places(settings: Settings) -> dict[str, str]:
    """Return where the data is, without a password."""
    places = {"data_dir": str(settings.data_dir.absolute())}
    if settings.database_url is not None:
        from ..journals.postgresql_database.connections import where_of

        places["database"] = where_of(settings.database_url.get_secret_value())
    return places


def _print(facts: dict[str, Any], settings: Settings) -> None:
    from ..settings import is_loopback

    url = facts["url"]
    out = stdout()
    say(f"Unspool {version('unspool')} listens at {url}", style="bold", to=out)
    if not is_loopback(settings.host):
        say(f"  address  other machines can reach it too, at {settings.host}", to=out)
        if not settings.allowed_hosts:
            say("           by address; UNSPOOL_ALLOWED_HOSTS lists names (now: none)", to=out)
    say(f"  data     {facts.get('database', facts['data_dir'])}", to=out)
    say(f"  model    {facts['model']}", to=out)
    if not settings.is_open:
        say("  access   with a key; `unspool keys add` makes one", to=out)
    elif not is_loopback(settings.host):
        say("  access   open: everybody who reaches it may use it", to=out)
    if settings.workers > 1:
        say(f"  workers  {settings.workers}", to=out)
    say("\nTry, in another terminal:", to=out)
    body = shlex.quote(COPY_BODY)
    header = '-H "Content-Type: application/json"'
    say(f"  curl -N -X POST {url}/ai/generate/copy {header} -d {body}", to=out)
    say(f'  {_program()} chat "请介绍运动鞋的特点"', to=out)
    say(f"or open {url}", to=out)


def _program() -> str:
    """Return the command that starts this program; it may be outside PATH."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m unspool"
    return "unspool" if which("unspool") else str(called)
