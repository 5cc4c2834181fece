"""`answer`: what a run asks people, answered from anywhere."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from ..errors import SpecError
from ._console import say, write_json
from ._options import DEFAULT_URL, Json, RunId, Url


def answer(  # noqa: PLR0913 - each option is a word of the command line
    *,
    run_id: RunId,
    value: Annotated[
        str | None,
        typer.Argument(help="A text, or JSON where the question wants it; an approval has none."),
    ] = None,
    step: Annotated[str, typer.Option(help="Of the question, where several are open.")] = "",
    decline: Annotated[bool, typer.Option("--decline", help="Decline it.")] = False,
    reason: Annotated[str, typer.Option(help="Why it is declined.")] = "",
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Answer a question of a run, or approve a tool's call; the first answer counts."""
    if decline and value is not None:
        raise SpecError("--decline takes no answer; --reason says why.")
    if reason and not decline:
        raise SpecError("--reason goes with --decline.")
    run = asyncio.run(_answer(url, run_id, value, {"step": step, "reason": reason}, decline))
    if as_json:
        write_json(run)
    else:
        say(f"{run_id}: {run['status']}")


async def _answer(
    url: str, run_id: str, value: str | None, facts: dict[str, Any], decline: bool
) -> dict[str, Any]:
    # aiohttp takes a quarter of a second, which `--help` does not wait for.
    from ._api import reach
    from ._asking import value_in

    async with reach(url) as server:
        if decline:
            return await server.answer(run_id, {**facts, "declined": True})
        waiting = [it for it in (await server.run(run_id))["questions"] if it["answer"] is None]
        named = [it for it in waiting if facts["step"] in {"", it["step"]}]
        if value is not None:
            # Where none is open, or several are, the server says so.
            facts["value"] = value_in(value, named[0]["schema"] if len(named) == 1 else None)
        elif len(named) == 1 and named[0]["call"] is None:
            raise SpecError(f"The run asks: {named[0]['text']} Give the answer.")
        return await server.answer(run_id, facts)
