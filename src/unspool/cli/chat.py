"""`chat`: one question to the model, without a server."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SpecError
from ._console import write, write_json
from ._options import Json
from ._setup import read_settings, start_logging

if TYPE_CHECKING:
    from ..client import LLMClient


def chat(
    prompt: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    system: Annotated[str | None, typer.Option(help="Who the model is to be.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0)] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1)] = None,
    as_json: Json = False,
) -> None:
    """Ask the model once and write its answer as it comes. Needs no server."""
    settings = read_settings()
    # The client's error is told by the sentence at the end.
    start_logging("WARNING", hidden={"unspool.client": logging.ERROR})
    # aiohttp takes a quarter of a second, which `--help` does not wait for.
    from ..client import get_llm_client

    if prompt == "-":
        prompt = sys.stdin.buffer.read().decode("utf-8", "replace")
    if not prompt.strip():
        raise SpecError("The prompt is empty; say what to ask.")
    params: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    if system is not None:
        params["system"] = system
    client = get_llm_client(settings)
    if as_json:
        import msgspec  # as above

        write_json(msgspec.to_builtins(asyncio.run(client.complete(prompt, **params))))
    else:
        asyncio.run(_stream(client, prompt, params))


async def _stream(client: LLMClient, prompt: str, params: dict[str, Any]) -> None:
    last = "\n"
    try:
        async with aclosing(client.stream_chat(prompt, **params)) as pieces:
            async for piece in pieces:
                write(piece)
                last = piece[-1:] or last
    finally:
        # Also where it broke off or was interrupted: what follows begins a line.
        if last != "\n":
            write("\n")
