"""How many answers a local engine gives at once, if it says so: llama.cpp's `GET /props`."""

from __future__ import annotations

import asyncio
import json
from typing import Final
from urllib.parse import urlsplit

from unspool.providers.upstream.http1 import Client, TransportError

from ..providers import Model
from ..providers.upstream.patience import is_private
from .definitions import MAX_PARALLEL

ASK_S: Final = 2.0
"""For the question: an engine near us answers at once, or has no answer."""

MAX_BYTES: Final = 256 * 1024
"""Of its answer; the template of a chat in it may have some ten thousand."""


async def slots_of(model: Model, http: Client) -> int | None:
    """Ask the engine of `model`; None if it is none of the kind that tells."""
    if model.provider != "openai" or not is_private(model.base_url):
        return None
    parts = urlsplit(model.base_url)
    url = f"{parts.scheme}://{parts.netloc}/props"
    headers = {"Authorization": f"Bearer {model.api_key}"} if model.api_key else {}
    try:
        async with asyncio.timeout(ASK_S):
            response = await http.send("GET", url, headers, connect_s=ASK_S)
            try:
                body = bytearray()
                while response.status == 200 and (chunk := await response.read()):
                    body += chunk
                    if len(body) > MAX_BYTES:
                        return None
                slots = json.loads(body)["total_slots"]
            finally:
                response.close()
    except (TimeoutError, TransportError, ValueError, RecursionError, KeyError, TypeError):
        return None
    is_count = isinstance(slots, int) and not isinstance(slots, bool)
    return slots if is_count and 1 <= slots <= MAX_PARALLEL else None
