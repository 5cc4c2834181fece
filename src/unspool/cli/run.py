"""`run`, `tail`, `cancel`: one run, from its start to its end."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import SpecError
from ._console import say, stderr, write_json
from ._exit_codes import FINE
from ._options import DEFAULT_URL, Json, RunId, Url

# `_api` and `_watch` import aiohttp, which takes a quarter of a second: only the commands that
# talk to a server import them.


def run(  # noqa: PLR0913 - each option is a word of the command line
    *,
    flow: Annotated[str, typer.Argument(help="The flow to run: chat, copywriting …")],
    given: Annotated[
        str,
        typer.Option("--input", metavar="JSON|@FILE|-", help="The flow's input, a JSON object."),
    ],
    model: Annotated[str, typer.Option(help="A model or a route; else the default.")] = "",
    dialect: Annotated[str, typer.Option(help="The dialect of its stream.")] = "native",
    follow: Annotated[bool, typer.Option(help="Show the text as it comes.")] = False,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Start a run; with --follow, show it to its end."""
    body = {"flow": flow, "input": read_input(given), "model": model, "dialect": dialect}
    raise typer.Exit(asyncio.run(_run(url, body, follow=follow, as_json=as_json)))


def tail(
    run_id: RunId,
    start: Annotated[
        int, typer.Option("--from", min=0, metavar="N", help="Start at event N; 0 shows all.")
    ] = 0,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show a run to its end. Ctrl-C leaves it alone."""
    raise typer.Exit(asyncio.run(_tail(url, run_id, after=max(0, start - 1), as_json=as_json)))


def cancel(run_id: RunId, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Cancel a run. Its text so far stays; an ended run stays as it is."""
    asyncio.run(_cancel(url, run_id, as_json=as_json))


def read_input(given: str) -> dict[str, Any]:
    """
    Return the object from `JSON`, `@file` or `-` (standard input).

    Raises:
        SpecError: It cannot be read, or is not a JSON object.
    """
    import msgspec  # only here: the other commands of this file do without

    try:
        if given == "-":
            raw = sys.stdin.buffer.read()
        elif given.startswith("@"):
            raw = Path(given[1:]).read_bytes()
        else:
            raw = given.encode("utf-8", "surrogateescape")
        value: dict[str, Any] = msgspec.json.decode(
            raw.removeprefix(b"\xef\xbb\xbf"), type=dict[str, Any]
        )
    except OSError as error:
        raise SpecError(f"--input: {given[1:]} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise SpecError(
            f'--input is not a JSON object ({error}); give one like \'{{"prompt": "…"}}\', '
            "@file, or - for standard input."
        ) from error
    return value


async def _run(url: str, body: dict[str, Any], *, follow: bool, as_json: bool) -> int:
    from ._api import reach
    from ._watch import RunWatch, come_back

    async with reach(url) as server:
        started = await server.ask("POST", "/v1/runs", body=body)
        run_id = started["id"]
        if follow:
            return await RunWatch(server, run_id, as_json=as_json, is_known=True).show()
        if as_json:
            write_json(started)
        else:
            say(run_id)
            say(f"Follow it with: {come_back(server, run_id)}", style="dim", to=stderr())
        return FINE


async def _tail(url: str, run_id: str, *, after: int, as_json: bool) -> int:
    from ._api import reach
    from ._watch import RunWatch

    async with reach(url) as server:
        return await RunWatch(server, run_id, after=after, as_json=as_json, is_known=False).show()


async def _cancel(url: str, run_id: str, *, as_json: bool) -> None:
    from ._api import reach

    async with reach(url) as server:
        stopped = await server.cancel(run_id)
    if as_json:
        write_json(stopped)
    else:
        say(f"{run_id}: {stopped['status']}")
