"""`serve`: the server."""

from __future__ import annotations

import ipaddress
import logging
import shlex
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SetupError
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
        bool, typer.Option("--allow-open", help="Listen to other machines too; there are no keys.")
    ] = False,
    no_sample_data: Annotated[
        bool, typer.Option("--no-sample-data", help="Do not fill an empty database with samples.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Serve until Ctrl-C."""
    settings = read_settings(
        host=host,
        port=port,
        data_dir=data_dir,
        sample_data=False if no_sample_data else None,
        flows=",".join(map(str, flows)) if flows else None,
    )
    if not allow_open:
        _refuse_open(settings.host)
    # How a database is made is a dozen lines of its inner life.
    start_logging("INFO", hidden={"alembic": logging.INFO})
    # FastAPI and SQLAlchemy take half a second, which no other command waits for.
    from ..server.app import create_app
    from ..server.uvicorn import listen
    from ..server.uvicorn import serve as serve_app

    sock = listen(settings)
    app = create_app(settings)
    # With port 0, only the socket knows the port.
    url = f"http://{_host_for_url(settings.host)}:{sock.getsockname()[1]}"

    def tell() -> None:
        label = label_of(app.state.core.catalog.models_for("")[0])
        facts = {"url": url, "data_dir": str(settings.data_dir.absolute()), "model": label}
        if as_json:
            write_json(facts)
        else:
            _tell(facts, settings)

    # Ctrl-C is the normal way to end a server.
    with suppress(KeyboardInterrupt):
        serve_app(app, sock, settings, on_ready=tell)


def _refuse_open(host: str) -> None:
    """
    Raises:
        SetupError: Other machines could reach the address.
    """
    if not is_loopback(host):
        raise SetupError(
            f"{host or 'An empty address'} can be reached from other machines, and there are no "
            "keys yet: anybody who reaches the port may spend your model's money. Listen on "
            "127.0.0.1, or say --allow-open if that is meant."
        )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may mean anything tomorrow
        return False


def _host_for_url(host: str) -> str:
    """Return the host name for this machine itself."""
    if host in {"", "0.0.0.0"}:  # noqa: S104 - read, not bound
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def _tell(facts: dict[str, Any], settings: Settings) -> None:
    url = facts["url"]
    out = stdout()
    say(f"Unspool {version('unspool')} listens at {url}", style="bold", to=out)
    if not is_loopback(settings.host):
        say(f"  open     other machines reach it too, through {settings.host}", to=out)
        if not settings.allowed_hosts:
            say("           by address; UNSPOOL_ALLOWED_HOSTS lists names (now: none)", to=out)
    say(f"  data     {facts['data_dir']}", to=out)
    say(f"  model    {facts['model']}", to=out)
    say("\nTry, in another terminal:", to=out)
    body = shlex.quote(COPY_BODY)
    header = '-H "Content-Type: application/json"'
    say(f"  curl -N -X POST {url}/ai/generate/copy {header} -d {body}", to=out)
    say(f'  {_program()} chat "请介绍运动鞋的特点"', to=out)
    say(f"or open {url}", to=out)


def _program() -> str:
    """Return how to call this program here: it may be in no directory of PATH."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m unspool"
    return "unspool" if which("unspool") else str(called)
