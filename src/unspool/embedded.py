"""
Unspool inside a program without an event loop of its own: a WSGI server, a script, a worker.

A thread with its own loop carries the runs, whatever the program does. Readers pull streams
piece by piece, so a reader that does not ask costs nothing. Only one process can open a data
directory; others speak to it over HTTP.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from .core import Core, open_core
from .errors import SetupError
from .runs.run import RunSpec
from .server.pulled_answer import PulledAnswer
from .settings import Settings
from .viewing.cursor import Cursor
from .viewing.tape_stream import TapeStream

START_S: Final = 30.0
"""To open the data directory; half a second is usual, a large journal takes longer."""

STOP_S: Final = 10.0
"""To release the runs at the end; the server itself takes at most two seconds."""

T = TypeVar("T")


class Embedded:
    """
    Unspool in a thread. Use `with Embedded(settings) as unspool`, or `open` and `close`.

    Any thread may call the methods; the ones that begin with `a` are coroutines for any loop.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._opened: Future[Core] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="unspool", daemon=True)

    def open(self) -> Embedded:
        """
        Open the data directory, and continue the runs that an earlier process left.

        Raises:
            SetupError: It cannot be used, or another process has it.
        """
        self._thread.start()
        self._opened.result(START_S)
        return self

    def close(self) -> None:
        """Release all runs, so that the next process can continue them. May be called twice."""
        if self._loop is not None and self._closing is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join(STOP_S)

    def __enter__(self) -> Embedded:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def core(self) -> Core:
        """The open parts; use them in the thread's loop only (`call`)."""
        return self._opened.result(0)

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Await `work()` in the thread's loop, and return its result."""
        return self._submit(work).result()

    async def acall(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do the same from another loop, without blocking it."""
        return await asyncio.wrap_future(self._submit(work))

    def start(
        self, flow: str, input: Mapping[str, Any], *, model: str = "", dialect: str = "native"
    ) -> str:
        """
        Start a run and return its id.

        Raises:
            SpecError, TooBusy, JournalError: As for a request.
        """
        spec = RunSpec(flow, input, model=model, dialect=dialect)
        return self.call(lambda: self.core.admission.admit(spec))

    async def astart(
        self, flow: str, input: Mapping[str, Any], *, model: str = "", dialect: str = "native"
    ) -> str:
        """See `start`."""
        spec = RunSpec(flow, input, model=model, dialect=dialect)
        return await self.acall(lambda: self.core.admission.admit(spec))

    def frames(
        self, run_id: str, dialect: str = "native", after: str = ""
    ) -> Generator[bytes, None, None]:
        """
        Yield the bytes of a run's stream as they come, after an event id, to the end.

        Close it (`contextlib.closing`) when the reader leaves.

        Raises:
            UnknownRun, BadCursor: No such run, or an event id that it never gave out.
        """
        pull = self.call(lambda: self._pull(run_id, dialect, after))
        try:
            while data := self.call(pull.next):
                yield data
        finally:
            self.call(pull.close)

    async def aframes(
        self, run_id: str, dialect: str = "native", after: str = ""
    ) -> AsyncGenerator[bytes]:
        """See `frames`."""
        pull = await self.acall(lambda: self._pull(run_id, dialect, after))
        try:
            while data := await self.acall(pull.next):
                yield data
        finally:
            await self.acall(pull.close)

    async def has_more(self, run_id: str, dialect: str, after: str) -> bool:
        """
        Whether a viewer can get more; answer 204 if not. Await it in the thread's loop.

        Raises:
            UnknownRun, BadCursor: No such run, or an event id that it never gave out.
        """
        cursor = Cursor.parse(after or "0")
        await self.core.journal.head(run_id)
        return await self.core.viewing.tapes.has_more(run_id, dialect, cursor.seq, cursor.frame)

    async def _pull(self, run_id: str, dialect: str, after: str) -> PulledAnswer:
        await self.core.journal.head(run_id)
        stream = TapeStream(self.core.viewing, run_id, dialect, Cursor.parse(after or "0"))
        return PulledAnswer(lambda receive, send: stream.play({"type": "http"}, receive, send))

    def _submit(self, work: Callable[[], Awaitable[T]]) -> Future[T]:
        async def run_work() -> T:
            return await work()

        if self._loop is None or not self._thread.is_alive():
            raise SetupError("Unspool is not open here; open it first (`Embedded.open`)")
        return asyncio.run_coroutine_threadsafe(run_work(), self._loop)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - `open` raises it in its own thread
            if not self._opened.done():
                self._opened.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        async with open_core(self.settings) as core:
            self._opened.set_result(core)
            await self._closing.wait()
