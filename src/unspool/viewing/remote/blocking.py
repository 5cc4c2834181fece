"""The same as `runs`, without `await`: each call returns when it is done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from ...runs.events import Event
from .conversations import ConversationEvent, RemoteConversation
from .runs import RemoteRun, RemoteServer, connect

Given = TypeVar("Given")


class _LoopThread:
    """An event loop in a thread of its own: the caller's thread may have one too."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="remote", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, Given]) -> Given:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # a Ctrl-C came into this thread
            raise

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class BlockingRun:
    """See `RemoteRun`."""

    def __init__(self, loop: _LoopThread, run: RemoteRun) -> None:
        self._loop = loop
        self._run = run

    @property
    def id(self) -> str:
        return self._run.id

    def events(self, *, after: int = 0) -> Generator[Event]:
        return _each(self._loop, self._run.events(after=after))

    def read(self) -> dict[str, Any]:
        return self._loop.call(self._run.read())

    def wait(self) -> dict[str, Any]:
        return self._loop.call(self._run.wait())

    def cancel(self) -> dict[str, Any]:
        return self._loop.call(self._run.cancel())

    def answer(self, value: Any = None, *, step: str = "") -> dict[str, Any]:
        return self._loop.call(self._run.answer(value, step=step))

    def decline(self, reason: str = "", *, step: str = "") -> dict[str, Any]:
        return self._loop.call(self._run.decline(reason, step=step))

    def fork(self, **changes: Any) -> BlockingRun:
        return BlockingRun(self._loop, self._loop.call(self._run.fork(**changes)))


class BlockingConversation:
    """See `RemoteConversation`."""

    def __init__(self, loop: _LoopThread, conversation: RemoteConversation) -> None:
        self._loop = loop
        self._conversation = conversation

    @property
    def id(self) -> int:
        return self._conversation.id

    def events(self, **wanted: Any) -> Generator[ConversationEvent]:
        return _each(self._loop, self._conversation.events(**wanted))

    def send(
        self, prompt: str, *, steer: bool = False, key: str = "", **fields: Any
    ) -> dict[str, Any]:
        sending = self._conversation.send(prompt, steer=steer, key=key, **fields)
        return self._loop.call(sending)

    def messages(self) -> list[dict[str, Any]]:
        return self._loop.call(self._conversation.messages())

    def change(self, message: int, **fields: Any) -> dict[str, Any]:
        return self._loop.call(self._conversation.change(message, **fields))

    def withdraw(self, message: int) -> None:
        self._loop.call(self._conversation.withdraw(message))


class BlockingServer:
    """See `RemoteServer`."""

    def __init__(self, loop: _LoopThread, server: RemoteServer) -> None:
        self._loop = loop
        self._server = server

    @property
    def url(self) -> str:
        return self._server.url

    def start(
        self, flow: str, input: Mapping[str, Any], *, model: str = "", key: str = ""
    ) -> BlockingRun:
        run = self._loop.call(self._server.start(flow, input, model=model, key=key))
        return BlockingRun(self._loop, run)

    def run(self, run_id: str) -> BlockingRun:
        return BlockingRun(self._loop, self._server.run(run_id))

    def begin_conversation(self, name: str = "") -> BlockingConversation:
        begun = self._loop.call(self._server.begin_conversation(name))
        return BlockingConversation(self._loop, begun)

    def conversation(self, number: int) -> BlockingConversation:
        return BlockingConversation(self._loop, self._server.conversation(number))


@contextmanager
def connect_blocking(url: str, *, key: str = "") -> Iterator[BlockingServer]:
    """See `connect`."""
    loop = _LoopThread()
    try:
        connection = connect(url, key=key)
        server = loop.call(connection.__aenter__())
        try:
            yield BlockingServer(loop, server)
        finally:
            loop.call(connection.__aexit__(None, None, None))
    finally:
        loop.close()


def _each(loop: _LoopThread, events: AsyncGenerator[Given]) -> Generator[Given]:
    try:
        while (event := loop.call(_next(events))) is not None:
            yield event
    finally:
        loop.call(_closed(events))


async def _next(events: AsyncGenerator[Given]) -> Given | None:
    return await anext(events, None)


async def _closed(events: AsyncGenerator[Any]) -> None:
    await events.aclose()
