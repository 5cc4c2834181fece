"""`replay` and `runs export`: run a log again, or write it out."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import SetupError, SpecError
from ._bootstrap import database_of, read_settings, start_logging
from ._console import say, stderr, write_json
from ._exit_codes import FAILED, FINE
from ._options import DEFAULT_URL, DataDir, Json, RunId, UrlIfAny

if TYPE_CHECKING:
    from ..execution.replay import Replayed


def replay(
    run_id: Annotated[str, typer.Argument(metavar="[RUN]", help="Id of a run.")] = "",
    *,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="LOG", help="A log from `runs export`.")
    ] = None,
    frames: Annotated[
        bool, typer.Option("--frames", help="Print the stream of every dialect, as JSON.")
    ] = False,
    data_dir: DataDir = None,
    url: UrlIfAny = None,
    as_json: Json = False,
) -> None:
    """
    Run a recorded run again, offline, and report the first difference.

    Its models repeat their recorded answers. The log comes from a server, a data directory, the
    database or a file.
    """
    from .. import plugs
    from ..execution.comparison import frames_in
    from ..execution.replay import read_log
    from ..execution.replay import replay as replay_log

    if bool(run_id) == (file is not None):
        raise SpecError("Name a run, or a log with --file.")
    log = read_log(_read(file) if file is not None else _log(run_id, url, data_dir))
    start_logging("ERROR")  # the recorded run has logged its warnings already
    done = asyncio.run(replay_log(log))
    if frames:
        write_json({name: frames_in(name, done.events) for name in plugs.names("dialects")})
    elif as_json:
        write_json(_json(done, len(log)))
    else:
        _print(done, len(log))
    raise typer.Exit(FINE if done.difference is None else FAILED)


def export(run_id: RunId, data_dir: DataDir = None, url: UrlIfAny = None) -> None:
    """Write the log of a run to standard output, one event per line."""
    sys.stdout.buffer.write(_log(run_id, url, data_dir))
    sys.stdout.buffer.flush()


def _json(done: Replayed, count: int) -> dict[str, object]:
    found = done.difference
    difference = found and {
        "where": found.where,
        "recorded": found.recorded,
        "replayed": found.replayed,
    }
    return {"events": count, "same": found is None, "difference": difference}


def _print(done: Replayed, count: int) -> None:
    if (found := done.difference) is None:
        say(f"The same: {count} events, and the stream of every dialect.")
        return
    say(f"Not the same, from {found.where} on.", to=stderr())
    say(f"recorded  {found.recorded or '(nothing)'}")
    say(f"replayed  {found.replayed or '(nothing)'}")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SpecError(f"{file} cannot be read: {error.strerror}.") from error


def _log(run_id: str, url: str | None, data_dir: Path | None) -> bytes:
    database = "" if url else database_of(read_settings(data_dir=data_dir), data_dir)
    if database:
        lines = asyncio.run(_from_journal(database, run_id))
    elif data_dir is None:
        lines = asyncio.run(_from_server(url or DEFAULT_URL, run_id))
    else:
        lines = asyncio.run(_from_directory(data_dir / "journal.db", run_id))
    return b"".join(line + b"\n" for line in lines)


async def _from_server(url: str, run_id: str) -> list[bytes]:
    from ..viewing.remote.connection import NATIVE, run_events_path
    from ._api import reach

    async with reach(url) as server:
        last = (await server.run(run_id))["last_seq"]
        lines: list[bytes] = []
        stream = server.events(run_events_path(run_id), last_id="0", params=NATIVE)
        async with aclosing(stream) as batches:
            async for frames in batches:
                lines += [frame.data for frame in frames]
                if len(lines) >= last:
                    break
    return lines[:last]


async def _from_directory(path: Path, run_id: str) -> list[bytes]:
    from ..journals import sqlite_url

    if not path.exists():  # noqa: ASYNC240 - once, and nothing else runs
        raise SetupError(
            f"There is no journal.db in {path.parent}; name its directory with --data-dir."
        )
    return await _from_journal(sqlite_url(path), run_id)


async def _from_journal(url: str, run_id: str) -> list[bytes]:
    from ..journals import open_journal, read_all
    from ..runs.events import encode_event

    journal = await open_journal(url)
    lines: list[bytes] = []
    try:
        await journal.head(run_id)
        async for events in read_all(journal, run_id):
            lines += map(encode_event, events)
    finally:
        await journal.aclose()
    return lines
