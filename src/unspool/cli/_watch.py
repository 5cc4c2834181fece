"""
Shows a run until it ends, and handles Ctrl-C meanwhile.

The first Ctrl-C cancels the run and waits for its ending, so that no model goes on writing (and
costing) unseen. The second one leaves the run alone and prints how to come back.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any, Final

from ..runs.events import Event
from ..runs.progress import Progress
from ..viewing.remote.errors import RequestRefused, Unreachable
from ..viewing.remote.following import FollowedRun, follow
from ._api import ServerClient
from ._asking import TerminalAnswers
from ._console import complain, say, stderr, write_json_line
from ._exit_codes import FAILED, FINE, INTERRUPTED
from ._formatting import STYLES, problem, summary
from ._options import DEFAULT_URL
from ._output import Output, open_output
from ._transcript import Transcript

AGAIN_S: Final = 1.0
"""Between two cancel requests while the server is unreachable."""

SILENT_S: Final = 3.0
"""Without an event; by then the earlier speed means nothing."""

MAX_WARNINGS: Final = 5
"""Shown at the end; `unspool show` lists all of them."""


def come_back(server: ServerClient, run_id: str, *, seen: int = 0) -> str:
    """Return the command that continues where a viewer left."""
    start = f" --from {seen + 1}" if seen else ""
    url = "" if server.url == DEFAULT_URL else f" --url {server.url}"
    return f"unspool tail {run_id}{start}{url}"


class RunWatch:
    """
    One viewer of a run.

    Args:
        after: The last event to skip.
        is_known: This command started the run, so it exists, and Ctrl-C may cancel it.
    """

    def __init__(
        self, server: ServerClient, run_id: str, *, after: int = 0, as_json: bool, is_known: bool
    ) -> None:
        self._server = server
        self._run_id = run_id
        self._after = after
        self._seen = after
        self._ending: Event | None = None
        self._seen_at = time.monotonic()
        self._as_json = as_json
        self._is_known = is_known
        self._progress = Progress()
        self._presses = 0
        self._following: asyncio.Task[None] | None = None
        self._cancelling: asyncio.Task[None] | None = None
        self._output: Output | None = None
        self._answers: TerminalAnswers | None = None

    async def show(self) -> int:
        """
        Show the run until it ends or the user leaves; return the exit code.

        Raises:
            Unreachable: The server is gone for too long.
            RequestRefused: There is no such run.
        """
        with on_interrupt(self._interrupted):
            async with open_output(as_json=self._as_json, status=self._status) as output:
                self._output = output
                if not self._as_json and sys.stdin.isatty() and stderr().is_terminal:
                    self._answers = TerminalAnswers(self._server, self._run_id, output)
                self._following = asyncio.create_task(self._follow(output))
                await asyncio.wait([self._following])
                if self._answers is not None:
                    self._answers.close()
            if self._cancelling is not None:
                self._cancelling.cancel()
                await asyncio.wait([self._cancelling])
        if self._following.cancelled():
            say(f"The run continues. Come back with: {self._command()}", to=stderr())
            return INTERRUPTED
        try:
            self._following.result()
        except Unreachable as error:
            if self._is_known or self._seen > self._after:
                command = self._command()
                raise Unreachable(
                    f"{error} The run may still continue; come back with: {command}"
                ) from error
            raise
        return self._sum_up(await self._facts())

    def _command(self) -> str:
        return come_back(self._server, self._run_id, seen=self._seen)

    async def _follow(self, output: Output) -> None:
        transcript = Transcript(output.write)
        events = follow(
            self._server,
            self._run_id,
            after=self._after,
            is_known=self._is_known,
            notice=output.notice,
        )
        try:
            async with aclosing(events):
                async for seen in events:
                    self._take(seen, transcript)
        finally:
            transcript.end()

    def _take(self, seen: FollowedRun, transcript: Transcript) -> None:
        self._seen, self._seen_at = seen.seq, time.monotonic()
        if self._as_json:
            write_json_line(seen.line.decode("utf-8", "replace"))
        if seen.event is not None:
            self._progress.apply(seen.event)
            transcript.apply(seen.event)
            if self._answers is not None:
                self._answers.take(seen.event)
            elif seen.event.type == "question.asked" and not self._as_json:
                self._tell(seen.event)
        if seen.is_last:
            self._ending = seen.event

    def _tell(self, event: Event) -> None:
        assert self._output is not None
        url = "" if self._server.url == DEFAULT_URL else f" --url {self._server.url}"
        self._output.notice(f"The run asks: {event.data['text']}")
        self._output.notice(f"Answer with: unspool answer {self._run_id}{url}")

    def _interrupted(self) -> None:
        self._presses += 1
        assert self._following is not None
        assert self._output is not None
        if self._presses == 1 and self._is_known:
            self._output.notice("Cancelling; Ctrl-C again leaves the run alone …")
            self._cancelling = asyncio.create_task(self._cancel(self._output))
        else:
            self._following.cancel()

    async def _cancel(self, output: Output) -> None:
        while True:
            with suppress(Unreachable):
                try:
                    await self._server.cancel(self._run_id)
                except RequestRefused as error:
                    output.notice(str(error))
                return
            await asyncio.sleep(AGAIN_S)

    def _status(self) -> str:
        progress = self._progress
        silent_s = time.monotonic() - self._seen_at
        parts = [f"{progress.elapsed_s + silent_s:.0f} s", f"{progress.tokens} tokens"]
        if silent_s > SILENT_S:
            parts.append(f"nothing new for {silent_s:.0f} s")
        elif progress.tokens_per_s:
            parts.append(f"{progress.tokens_per_s:.0f} tokens/s")
        if progress.percent is not None:
            parts.append(f"{progress.percent:.0f} %")
        parts.append(progress.message)
        parts.append("Ctrl-C cancels" if self._is_known else "Ctrl-C leaves")
        return " · ".join(part for part in parts if part)

    async def _facts(self) -> dict[str, Any]:
        try:
            return await self._server.run(self._run_id)
        except (Unreachable, RequestRefused):
            if self._ending is None:
                raise
            # The log says how it ended; only the numbers are missing.
            return {"status": self._ending.type.partition(".")[2], "error": self._ending.data}

    def _sum_up(self, run: dict[str, Any]) -> int:
        for warning in run.get("warnings", [])[:MAX_WARNINGS]:
            say(f"warning: {warning}", style="yellow", to=stderr())
        if why := problem(run):
            complain(why)
        seen = None if self._after else self._progress.tokens
        say(summary(run, seen), style=STYLES.get(run["status"], ""), to=stderr())
        if run["status"] == "completed":
            return FINE
        return INTERRUPTED if self._presses else FAILED


@contextmanager
def on_interrupt(interrupted: Callable[[], None]) -> Iterator[None]:
    """Call `interrupted` in the event loop at each Ctrl-C, instead of stopping the program."""
    loop = asyncio.get_running_loop()

    def pressed(*_: Any) -> None:
        loop.call_soon_threadsafe(interrupted)

    # Not loop.add_signal_handler, which Windows lacks.
    before = signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
