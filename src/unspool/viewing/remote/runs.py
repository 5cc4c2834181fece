"""The public face of a server elsewhere, and of its runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from ...runs.events import Event
from .connection import ServerClient, reach, run_path
from .conversations import RemoteConversation
from .following import follow, persist


class RemoteRun:
    """
    A run on a server elsewhere.

    Attributes:
        id: Its id, which any server of the cluster knows.
    """

    def __init__(self, server: ServerClient, run_id: str, *, is_known: bool = False) -> None:
        self._server = server
        self._is_known = is_known
        self.id = run_id

    async def events(self, *, after: int = 0) -> AsyncGenerator[Event]:
        """
        Yield each event after `after` once, until the run has ended.

        It reconnects by itself. Types that this version does not know are passed over.

        Raises:
            Unreachable: The server was gone for a minute.
            RequestRefused: There is no such run, or the key may not read it.
        """
        is_known = self._is_known or after > 0
        following = follow(
            self._server, self.id, after=after, is_known=is_known, notice=lambda _: None
        )
        async with aclosing(following) as seen:
            async for each in seen:
                if each.event is not None:
                    yield each.event

    async def read(self) -> dict[str, Any]:
        """Return the run as it is now: `status`, `text`, `result`, `questions` …"""
        return await self._server.run(self.id)

    async def wait(self) -> dict[str, Any]:
        """Follow the run to its end, and return it."""
        async with aclosing(self.events()) as events:
            async for _ in events:
                pass
        return await self.read()

    async def cancel(self) -> dict[str, Any]:
        """Stop the run, for everybody, and return it. An ended run stays as it is."""
        return await self._server.cancel(self.id)

    async def answer(self, value: Any = None, *, step: str = "") -> dict[str, Any]:
        """
        Answer a question of the run: a text, or a dict that fits its schema; nothing approves.

        `step` names the question where several are open.

        Raises:
            RequestRefused: Somebody was faster (`not_waiting`), or the value does not fit.
        """
        return await self._give({"step": step, "value": value})

    async def decline(self, reason: str = "", *, step: str = "") -> dict[str, Any]:
        """Decline to answer, or to approve a tool's call; the run goes on with that."""
        return await self._give({"step": step, "declined": True, "reason": reason})

    async def fork(self, **changes: Any) -> RemoteRun:
        """Begin a run that continues this one; `changes` as `POST /v1/runs/{id}/fork` has them."""
        body = await persist(self._server, f"{run_path(self.id)}/fork", changes)
        return RemoteRun(self._server, body["id"], is_known=True)

    async def _give(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return await persist(self._server, f"{run_path(self.id)}/answers", body)


class RemoteServer:
    """A server elsewhere."""

    def __init__(self, server: ServerClient) -> None:
        self._server = server

    @property
    def url(self) -> str:
        return self._server.url

    async def start(
        self, flow: str, input: Mapping[str, Any], *, model: str = "", key: str = ""
    ) -> RemoteRun:
        """
        Start a run. The same `key` (Idempotency-Key) is the same run; without one, each call has
        its own.

        Raises:
            Unreachable: The server was gone for a minute.
            RequestRefused: It does not take the request.
        """
        body = {"flow": flow, "input": input, "model": model}
        started = await persist(self._server, "/v1/runs", body, key)
        return RemoteRun(self._server, started["id"], is_known=True)

    def run(self, run_id: str) -> RemoteRun:
        """Return a run that is there; this asks nothing."""
        return RemoteRun(self._server, run_id)

    async def begin_conversation(self, name: str = "") -> RemoteConversation:
        """Begin a conversation; without a name, its first message gives it one."""
        begun = await self._server.ask("POST", "/api/conversations", body={"name": name})
        return RemoteConversation(self._server, begun["id"], is_known=True)

    def conversation(self, number: int) -> RemoteConversation:
        """Return a conversation that is there; this asks nothing."""
        return RemoteConversation(self._server, number)


@asynccontextmanager
async def connect(url: str, *, key: str = "") -> AsyncGenerator[RemoteServer]:
    """
    Hold connections to a server for a while; `key` is by default that in `UNSPOOL_KEY`.

    Raises:
        SpecError: `url` is not an address.
    """
    async with reach(url, key) as server:
        yield RemoteServer(server)
