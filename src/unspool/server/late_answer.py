"""An answer that waits for the end of a run, and for a client who may leave before it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..dialects import CompleteAnswer
from ..errors import UnspoolError
from .guard import error_answer


class LateAnswer(Response):
    """The answer that `write` makes of what `wait` returns; nothing to a client who has left."""

    def __init__(
        self,
        wait: Callable[[], Awaitable[CompleteAnswer]],
        write: Callable[[CompleteAnswer], Response],
    ) -> None:
        super().__init__()
        self._wait = wait
        self._write = write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        waiting = asyncio.create_task(self._answer())
        leaving = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                await waiting.result()(scope, receive, send)
        finally:
            for task in (waiting, leaving):
                task.cancel()
            await asyncio.gather(waiting, leaving, return_exceptions=True)

    async def _answer(self) -> Response:
        try:
            return self._write(await self._wait())
        except UnspoolError as error:  # the server stops
            return error_answer(error.http_status, error.code, str(error))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
