"""
Clients as people have written them, and one that is stricter than all of them.

The first three read the way existing programs do, each with its own carelessness; a
stream that is not framed for them breaks them here as it would break them there.
"""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx

from unspool import LLMClient

from .patience import within

COPY = "/ai/generate/copy"
SHOE: dict[str, Any] = {"sku": "8WZ01CM1", "style": "natural"}


async def until(is_so: Callable[[], bool], *, within_s: float = 5.0, pause_s: float = 0.0) -> None:
    """Return when something has come true of which nothing else tells."""
    async with within(within_s):
        while not is_so():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(pause_s)


async def said(asking: LLMClient, prompt: str = "你好", **params: Any) -> list[str]:
    """As programs use the client: the pieces of one answer."""
    async with aclosing(asking.stream_chat(prompt, **params)) as pieces:
        return [piece async for piece in pieces]


async def by_lines(client: httpx.AsyncClient, url: str, **request: Any) -> list[str]:
    """As httpx scripts do: line by line, what follows `data: `, until `[DONE]` if it comes."""
    found = []
    async with client.stream("POST", url, **request) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                if line[6:] == "[DONE]":
                    break
                found.append(line[6:])
    return found


async def by_chunks(url: str, **request: Any) -> list[Any]:
    """
    As pages do with `fetch`: each chunk of the network by itself, nothing carried over.

    Half a frame in a chunk is half a JSON document, which raises.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    found = []
    async with aiohttp.ClientSession() as session, session.post(url, **request) as response:
        response.raise_for_status()
        async for chunk in response.content.iter_any():
            lines = decoder.decode(chunk).split("\n")
            found += [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    return found


async def by_eye(client: httpx.AsyncClient, url: str, **request: Any) -> list[str]:
    """As `curl -N` prints it: the lines of the body, whatever they are."""
    async with client.stream("POST", url, **request) as response:
        response.raise_for_status()
        body = b"".join([chunk async for chunk in response.aiter_raw()])
    return body.decode().split("\n")


@dataclass
class Strict:
    """
    An EventSource to the letter: bytes in, (id, data) out.

    It knows nothing of our codec, so that the two cannot be wrong together.
    """

    frames: list[tuple[str, str]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    raw: bytes = b""
    _rest: bytes = b""
    _data: list[str] = field(default_factory=list)
    _id: str = ""

    @property
    def data(self) -> list[str]:
        return [data for _, data in self.frames]

    @property
    def documents(self) -> list[Any]:
        return [json.loads(data) for data in self.data]

    def feed(self, chunk: bytes) -> None:
        self.raw += chunk
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            assert b"\r" not in line, line
            self._take(line.decode("utf-8", "strict"))

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if self._data:
                self.frames.append((self._id, "\n".join(self._data)))
            self._data = []
        elif not name:
            self.comments.append(value)
        elif name == "data":
            self._data.append(value)
        elif name == "event":  # of a contract whose frames have names
            assert value.replace("_", "").replace(".", "").isalpha(), value
        elif name == "retry":
            assert value == "1000", "only a server that stops says when to come again"
        else:
            assert name == "id", f"a field that no client expects: {line!r}"
            self._id = value


@dataclass
class View:
    """What one connection gave."""

    status: int
    headers: httpx.Headers
    seen: Strict

    @property
    def run_id(self) -> str:
        return self.headers["x-run-id"]


async def look(
    client: httpx.AsyncClient,
    url: str,
    *,
    after: str | None = None,
    frames: int | None = None,
    method: str = "GET",
    **request: Any,
) -> View:
    """Read a stream to its end, or leave after so many frames; `after` is what one has."""
    headers = {**request.pop("headers", {}), **({} if after is None else {"last-event-id": after})}
    async with client.stream(method, url, headers=headers, **request) as response:
        seen = Strict()
        if response.status_code == 200:
            async for chunk in response.aiter_raw():
                seen.feed(chunk)
                if frames is not None and len(seen.frames) >= frames:
                    del seen.frames[frames:]
                    break
        return View(response.status_code, response.headers, seen)


async def post(client: httpx.AsyncClient, url: str, json: object, **how: Any) -> View:
    """Ask for a stream and read it strictly."""
    return await look(client, url, method="POST", json=json, **how)


async def with_cuts(
    client: httpx.AsyncClient, url: str, *, every: int
) -> AsyncIterator[tuple[str, str]]:
    """Watch a run over a bad line: gone after `every` frames, back with the last id."""
    after: str | None = None
    while True:
        view = await look(client, url, after=after, frames=every)
        if view.status == 204:
            return
        assert view.status == 200, view.status
        assert view.seen.frames, "a stream was opened where nothing was left"
        for id_, data in view.seen.frames:
            yield id_, data
            after = id_


def copy_posts(frames: list[Any], *, style: str = "natural", total: int = 3) -> list[str]:
    """Check `start (post_start token* post_end){n} complete` to the letter; return the posts."""
    rest = iter(frames)
    assert next(rest) == {"type": "start", "total": total, "style": style}
    posts = []
    for index in range(1, total + 1):
        assert next(rest) == {"type": "post_start", "index": index, "total": total}
        text = ""
        while (found := next(rest))["type"] == "token":
            assert set(found) == {"type", "content", "index", "position"}, found
            assert (found["index"], found["position"]) == (index, len(text)), found
            assert found["content"]
            text += found["content"]
        assert found == {"type": "post_end", "index": index, "content": text}
        posts.append(text)
    assert next(rest) == {"type": "complete", "posts": posts}
    assert list(rest) == []
    return posts
