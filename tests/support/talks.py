"""Conversations over HTTP: messages that are sent, and the stream of all turns."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Self

import httpx

from support.readers import View, look

from .patience import within


@dataclass(frozen=True)
class Talk:
    """A conversation at a server."""

    client: httpx.AsyncClient
    server: str
    number: int
    headers: dict[str, str]

    @classmethod
    async def begin(cls, client: httpx.AsyncClient, server: str, **headers: str) -> Self:
        reply = await client.post(f"{server}/api/conversations", json={}, headers=headers)
        assert reply.status_code == 201, reply.text
        return cls(client, server, reply.json()["id"], headers)

    def at(self, server: str) -> Talk:
        """The same conversation at another server."""
        return Talk(self.client, server, self.number, self.headers)

    @property
    def url(self) -> str:
        return f"{self.server}/v1/conversations/{self.number}"

    async def post(self, prompt: str, **more: Any) -> httpx.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        body = {"prompt": prompt, **more}
        return await self.client.post(f"{self.url}/messages", json=body, headers=headers)

    async def send(self, prompt: str, **more: Any) -> dict[str, Any]:
        reply = await self.post(prompt, **more)
        assert reply.status_code in {201, 202}, reply.text
        return dict(reply.json())

    async def change(self, message: int, **fields: Any) -> httpx.Response:
        url = f"{self.url}/messages/{message}"
        return await self.client.patch(url, json=fields, headers=self.headers)

    async def withdraw(self, message: int) -> httpx.Response:
        url = f"{self.url}/messages/{message}"
        return await self.client.delete(url, headers=self.headers)

    async def waiting(self) -> list[dict[str, Any]]:
        reply = await self.client.get(f"{self.url}/messages", headers=self.headers)
        assert reply.status_code == 200, reply.text
        return list(reply.json()["messages"])

    async def read(self, **query: Any) -> dict[str, Any]:
        url = f"{self.server}/api/conversations/{self.number}"
        return dict((await self.client.get(url, params=query, headers=self.headers)).json())

    async def turns(self) -> list[dict[str, Any]]:
        return list((await self.read(limit=500))["last_turns"])

    async def cancel(self, run: str) -> None:
        url = f"{self.server}/v1/runs/{run}/cancel"
        assert (await self.client.post(url, headers=self.headers)).status_code == 200

    async def rest(self, count: int) -> list[dict[str, Any]]:
        """Return the turns when there are so many, all have ended, and nothing waits."""
        async with within(15):
            while True:
                turns = await self.turns()
                is_over = all(turn["status"] not in {"running", "waiting"} for turn in turns)
                if len(turns) >= count and is_over and not await self.waiting():
                    return turns
                await asyncio.sleep(0.02)

    async def stuck(self, *, turns: int) -> list[dict[str, Any]]:
        """Return the messages that wait with an error, when there are so many turns."""
        async with within(10):
            while True:
                found = await self.waiting()
                if len(await self.turns()) >= turns and found and all(it["error"] for it in found):
                    return found
                await asyncio.sleep(0.02)

    async def look(self, query: str = "", **how: Any) -> View:
        """Read the stream: to its end, or so many `frames`."""
        url = f"{self.url}/events{'?' if query else ''}{query}"
        return await look(self.client, url, headers=dict(self.headers), **how)

    async def whole(self, query: str = "", **how: Any) -> View:
        """Read what there is now."""
        return await self.look(f"follow=false{'&' if query else ''}{query}", **how)


def events_in(view: View) -> list[tuple[str, dict[str, Any]]]:
    """The ids and the events of a stream, without the frames of the queue."""
    pairs = zip(view.seen.frames, view.seen.documents, strict=True)
    return [(id_, event) for (id_, _), event in pairs if event["type"] != "queue"]


def queues_in(view: View) -> list[list[str]]:
    """The prompts that wait, by each frame of the queue."""
    found = [it["messages"] for it in view.seen.documents if it["type"] == "queue"]
    return [[message["prompt"] for message in messages] for messages in found]
