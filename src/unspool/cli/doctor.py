"""`doctor`: checks this installation, and advises on each problem."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from ..errors import UnspoolError
from . import _checks, _database_checks
from ._bootstrap import read_settings, start_logging
from ._checks import Check
from ._console import say, stdout, write_json
from ._exit_codes import FAILED, FINE
from ._options import DEFAULT_URL, DataDir, Json

if TYPE_CHECKING:
    from ..settings import Settings

MARKS = {"ok": ("✓", "green"), "broken": ("✗", "red"), "unset": ("–", "yellow")}


def doctor(
    url: Annotated[
        str | None,
        typer.Option("--url", envvar="UNSPOOL_URL", metavar="URL", help="Address of the server."),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Check this installation: data or database, model, server, stream, port."""
    start_logging("ERROR")  # the findings include the warnings
    findings = asyncio.run(_examine(url, data_dir, as_json=as_json))
    if as_json:
        write_json([asdict(finding) for finding in findings])
    broken = any(finding.state == "broken" for finding in findings)
    raise typer.Exit(FAILED if broken else FINE)


async def _examine(url: str | None, data_dir: object, *, as_json: bool) -> list[Check]:
    """Return all findings; print each at once unless `as_json`."""
    findings = []
    async with aclosing(_findings(url, data_dir)) as checks:
        async for finding in checks:
            findings.append(finding)
            if not as_json:
                _print(finding)
    return findings


async def _findings(url: str | None, data_dir: object) -> AsyncGenerator[Check]:
    yield _checks.versions()
    try:
        settings = read_settings(data_dir=data_dir)
    except UnspoolError as error:
        yield Check("broken", "settings", str(error))
        return
    for finding in _checks.data_dir(settings):
        yield finding
    async with aclosing(_stores(settings)) as checks:
        async for finding in checks:
            yield finding
    yield _checks.model(settings)
    for finding in _checks.telemetry(settings):
        yield finding
    # aiohttp takes a quarter of a second, which `--help` does not wait for.
    from ._api import reach

    try:
        async with reach(url or DEFAULT_URL) as server:
            answering = await _checks.server(server, is_named=url is not None)
            yield answering
            if answering.state == "ok":
                yield await _checks.streaming(server)
    except UnspoolError as error:
        yield Check("broken", "server", str(error))
        return
    is_ours = answering.state == "ok" and _is_own(url or DEFAULT_URL, settings)
    yield _checks.port(settings, is_ours=is_ours)


async def _stores(settings: Settings) -> AsyncGenerator[Check]:
    if settings.database_url is None:
        yield _checks.database(settings.data_dir / "journal.db", "journal")
        yield _checks.database(settings.data_dir / "records.db", "records")
        return
    async with aclosing(
        _database_checks.database(settings.database_url.get_secret_value())
    ) as all_:
        async for finding in all_:
            yield finding


def _is_own(url: str, settings: Settings) -> bool:
    """Whether the server that answered uses the port that `unspool serve` would take."""
    try:
        from ..settings import is_loopback

        where = urlsplit(url if "://" in url else f"http://{url}")
        return where.port == settings.port and is_loopback(where.hostname or "")
    except ValueError:
        return False


def _print(finding: Check) -> None:
    mark, style = MARKS[finding.state]
    advice = f"; {finding.advice}" if finding.advice else ""
    say(f"{mark} {finding.name:<9} {finding.what}{advice}", style=style, to=stdout())
