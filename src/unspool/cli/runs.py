"""`runs` and `show`: list runs, and describe one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..formats.terminal import clean
from ._console import say, stderr, stdout, write_json
from ._formatting import STYLES, cost, first_token, moment, problem, seconds, tokens
from ._options import DEFAULT_URL, Json, RunId, Url

if TYPE_CHECKING:
    from rich.table import Table

PIPED_WIDTH = 400
"""Columns of a table that goes to a file or a pipe, so that nothing cuts it."""

RUN_ID_CHARS = 26


def runs(
    ctx: typer.Context,
    status: Annotated[
        str, typer.Option(help="Only this status: running, waiting, completed, failed …")
    ] = "",
    flow: Annotated[str, typer.Option(help="Only runs of this flow.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="The most runs to list.")] = 20,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """List runs, newest first; `export` prints the log of one."""
    if ctx.invoked_subcommand is not None:
        return
    params: dict[str, str | int] = {"status": status, "flow": flow, "limit": limit}
    page = asyncio.run(_get(url, "/v1/runs", params))
    if as_json:
        write_json(page)
    elif not page["runs"]:
        say("No runs.", to=stderr())
    else:
        console = stdout()
        if not console.is_terminal:
            console.width = PIPED_WIDTH
        console.print(_table(page["runs"]))


def show(run_id: RunId, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Show the status, times, cost, steps and attempts of a run."""
    # aiohttp takes a quarter of a second, which `--help` does not wait for.
    from ._api import run_path

    run = asyncio.run(_get(url, run_path(run_id), {}))
    if as_json:
        write_json(run)
        return
    for name, value in _lines(run):
        say(f"{name:<12} {value}")
    if run["text"]:
        say(f"For its text: unspool tail {run_id}", style="dim", to=stderr())


async def _get(url: str, path: str, params: Mapping[str, str | int]) -> Any:
    from ._api import reach  # as above

    async with reach(url) as server:
        return await server.ask("GET", path, params=params)


def _table(listed: list[dict[str, Any]]) -> Table:
    from rich.table import Table  # only here
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    # A cut id is useless.
    table.add_column("id", no_wrap=True, min_width=RUN_ID_CHARS)
    for name in ("status", "flow", "started"):
        table.add_column(name, no_wrap=True)
    table.add_column("took", no_wrap=True, justify="right")
    table.add_column("model", no_wrap=True, overflow="ellipsis")
    for run in listed:
        style = STYLES.get(run["status"], "cyan")
        cells = [
            run["id"],
            run["status"],
            run["flow"],
            moment(run["created_at"]),
            seconds(run["total_ms"]),
            run["model"],
        ]
        table.add_row(
            *(Text(clean(cell), style=style if at == 1 else "") for at, cell in enumerate(cells))
        )
    return table


def _lines(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "run", run["id"]
    yield "status", run["status"]
    if why := problem(run):
        yield "because", why
    yield "flow", run["flow"]
    yield "model", run["model"] or "(the default)"
    yield "dialect", run["dialect"]
    yield "events", str(run["last_seq"])
    yield "started", moment(run["created_at"])
    for name, value in (
        ("first token", first_token(run)),
        ("took", seconds(run["total_ms"])),
        ("wrote", tokens(run)),
        ("cost", cost(run).removeprefix("cost ")),
    ):
        yield name, value or "unknown"
    for question in run["questions"]:
        yield "question", _question(question)
    for step in run["steps"]:
        by = f" by {step['model']}" if step["model"] else ""
        yield "step", f"{step['name']}: {step['status']}, {len(step['text'])} characters{by}"
    for attempt in run["attempts"]:
        yield "attempt", _attempt(attempt)
    for warning in run["warnings"]:
        yield "warning", warning


def _question(question: Mapping[str, Any]) -> str:
    answer = question["answer"]
    if answer is None:
        return f"{question['step']}: {question['text']} (open until {moment(question['until'])})"
    said = answer["reason"] or answer["value"] or ""
    return f"{question['step']}: {question['text']} {answer['outcome']} {said}".rstrip()


def _attempt(attempt: Mapping[str, Any]) -> str:
    line = f"{attempt['number']} for {attempt['step']}: {attempt['model']}, {attempt['status']}"
    error = attempt["error"] or {}
    reason = error.get("message") or attempt["finish_reason"]
    return f"{line} ({reason})" if reason else line
