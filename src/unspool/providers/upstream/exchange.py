"""
One question and its answer: a provider's request goes out, and its reader gets the bytes.

From the socket to the sink of the outputs a chunk takes plain calls alone. The coroutine that waits
here wakes when the answer ends or breaks, and when the sink is full.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from unspool.errors import ProviderError, ProviderRefused
from unspool.providers.upstream.http1 import Client

from .. import (
    BodyReader,
    LocalAnswer,
    Model,
    Prompt,
    Provider,
    Request,
    Sink,
    Skipped,
    open_provider,
)
from .http import send
from .kept import keeping
from .learned import OTHER_NAMES, OURS
from .prompts import of_images
from .templates import rendered
from .tool_names import NamesRestored, plain_names


async def ask(model: Model, prompt: Prompt, http: Client, sink: Sink) -> None:
    """
    Ask `model`, and tell `sink` what it says as it says it; return at the end of its answer.

    Cancelling closes the connection to the provider. What `sink` raises passes through.

    Raises:
        ProviderRefused: The same request will fail again.
        ProviderUnavailable: Nothing came; trying again may help.
        ProviderInterrupted: The stream broke after some output.
    """
    if prompt.prefix and model.prefill == "raw" and not prompt.rendered:
        prompt = replace(prompt, rendered=await rendered(model, prompt, http))
    prompt, given = plain_names(prompt)
    if given:
        sink = NamesRestored(sink, given)
    try:
        await converse(open_provider(model.provider), model, prompt, http, sink)
    except ProviderError as error:
        if prompt.has_images and (refusal := of_images(error)) is not error:
            raise refusal from error
        raise


async def converse(
    provider: Provider, model: Model, prompt: Prompt, http: Client, sink: Sink
) -> None:
    """Ask `model` through `provider`; see `ask`."""
    model = http.learned.known(model)
    request = provider.request(model, prompt)
    reader = provider.reader(model, prompt, sink)
    broken: ProviderError | None = None
    try:
        if isinstance(request, LocalAnswer):
            await _play(request, reader, sink)
        else:
            await _converse(http, request, model, reader, sink)
    except ProviderError as error:
        broken = error
    try:
        reader.end(broken)
    except ProviderError:
        http.learned.note(model, reader.traits)
        raise
    http.learned.note(model, reader.traits, is_whole=True)


async def _converse(
    http: Client, request: Request, model: Model, reader: BodyReader, sink: Sink
) -> None:
    """Send the request, and again without a parameter that the provider refuses."""
    learned, left_out = http.learned, list[str]()
    if kept := keeping.get():
        reader = kept.around(reader)
    while True:
        try:
            async with send(http, learned.accepted(model, request), model, sink.take) as reply:
                await reply.read_to(reader, sink)
                break
        except ProviderRefused as error:
            if not (name := learned.refusal(model, request, error)):
                raise
            left_out.append(name)
    for name in left_out:
        if name not in OURS and name not in OTHER_NAMES:
            sink.take(Skipped(f"{model.name} refuses the parameter {name}; it was asked without"))


async def _play(answer: LocalAnswer, reader: BodyReader, sink: Sink) -> None:
    pieces = iter(answer.pieces())
    if answer.is_from_file:
        first = await asyncio.to_thread(next, pieces, None)
        await _play_piece(first, reader, sink)
    for piece in pieces:
        await _play_piece(piece, reader, sink)


async def _play_piece(piece: tuple[float, bytes] | None, reader: BodyReader, sink: Sink) -> None:
    if piece is None:
        return
    wait_s, chunk = piece
    # sleep(0) would still give way to others; without a pace there is none.
    if wait_s > 0:
        await asyncio.sleep(wait_s)
    reader.feed(chunk)
    if sink.is_full:
        await sink.drain()
