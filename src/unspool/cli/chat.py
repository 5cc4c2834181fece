"""`chat`: one prompt to a model, without a server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SpecError
from ._bootstrap import read_settings, start_logging
from ._console import say, stderr, write, write_json
from ._options import DataDir, Json

if TYPE_CHECKING:
    from ._prompting import DirectChat


def chat(  # noqa: PLR0913 - each option is a word of the command line
    *,
    prompt: Annotated[str, typer.Argument(help="The prompt; - reads it from standard input.")],
    model: Annotated[str, typer.Option(help="A model or a route; else the default.")] = "",
    system: Annotated[str | None, typer.Option(help="The system prompt.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0)] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1)] = None,
    show_attempts: Annotated[
        bool, typer.Option("--show-attempts", help="List every request to a model at the end.")
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Ask a model once and print its answer as it comes. Needs no server."""
    settings = read_settings(data_dir=data_dir)
    start_logging("WARNING")
    if prompt == "-":
        prompt = sys.stdin.buffer.read().decode("utf-8", "replace")
    if not prompt.strip():
        raise SpecError("The prompt is empty; write one.")
    # aiohttp and SQLAlchemy take half a second, which `--help` does not wait for.
    from ..generation.client import SYSTEM
    from ..providers import Prompt
    from ._prompting import DirectChat

    direct = DirectChat(
        settings,
        model,
        Prompt.of(
            prompt,
            system=SYSTEM if system is None else system,
            temperature=temperature,
            max_tokens=max_tokens,
        ),
    )
    try:
        asyncio.run(_read(direct) if as_json else _print(direct))
        if as_json:
            write_json(direct.facts(with_attempts=show_attempts))
    finally:
        if show_attempts and not as_json:
            for line in _attempts(direct.attempts):
                say(line, to=stderr())


async def _read(direct: DirectChat) -> None:
    async for _ in direct.pieces():
        pass


async def _print(direct: DirectChat) -> None:
    last = "\n"
    try:
        async for piece in direct.pieces():
            write(piece)
            last = piece[-1:] or last
    finally:
        # Even after a break or an interrupt, the next output starts on a new line.
        if last != "\n":
            write("\n")


def _attempts(attempts: list[dict[str, Any]]) -> Iterator[str]:
    for attempt in attempts:
        parts = [
            f"{attempt['number']}. {attempt['model']}",
            attempt["strategy"],
            _seam(attempt["seam"]),
            attempt["code"] or attempt["finish_reason"] or "stopped",
            _tokens(attempt["usage"]),
            _cost(attempt["cost"]),
        ]
        yield " · ".join(part for part in parts if part)


def _seam(seam: Mapping[str, Any] | None) -> str:
    return "" if seam is None else f"seam {seam['kind']}, {seam['trimmed']} characters trimmed"


def _tokens(usage: Mapping[str, Any] | None) -> str:
    if usage is None:
        return ""
    about = "" if usage["basis"] == "measured" else "about "
    return f"{about}{usage['prompt_tokens']} + {usage['completion_tokens']} tokens"


def _cost(cost: Mapping[str, Any] | None) -> str:
    return "cost unknown" if cost is None else f"{cost['amount']:.4g} {cost['currency']}"
