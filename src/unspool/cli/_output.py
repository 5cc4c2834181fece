"""Writes the text of a run to a file, or to a terminal with a status line below."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ..formats.terminal import clean
from ._console import say, stderr, stdout, write

REFRESH_S: Final = 0.1
"""Ten updates a second look like writing and cost a percent of a processor."""


class Output(Protocol):
    def write(self, text: str) -> None:
        """Add text at the end."""

    def notice(self, text: str) -> None:
        """Show a remark beside the text; an empty one removes it where possible."""

    def pause(self) -> None:
        """Draw no status, so that people can type."""

    def go_on(self) -> None:
        """Draw it again."""


class PlainOutput:
    """Text to stdout as it comes, notices to stderr; no control codes."""

    def write(self, text: str) -> None:
        write(text)

    def notice(self, text: str) -> None:
        if text:
            say(text, to=stderr())

    def pause(self) -> None:
        pass

    def go_on(self) -> None:
        pass


class SilentOutput(PlainOutput):
    """No text: stdout belongs to JSON."""

    def write(self, text: str) -> None:
        pass


class LiveOutput:
    """
    Text above, status below.

    It redraws the unfinished line together with the status. Once the line is whole, it prints
    it for good, as one line, so that people can copy it as one.
    """

    def __init__(self, console: Console, status: Callable[[], str]) -> None:
        self._console = console
        self._status = status
        self._notice = ""
        self._line = ""
        self._is_paused = False
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=self._drawn,
        )

    def write(self, text: str) -> None:
        whole, newline, self._line = (self._line + clean(text)).rpartition("\n")
        if newline:
            self._console.print(Text(whole), soft_wrap=True)

    def notice(self, text: str) -> None:
        self._notice = text

    def pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._live.stop()
            self._print_rest()

    def go_on(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._live.start()

    @asynccontextmanager
    async def live(self) -> AsyncGenerator[None]:
        """Show the status until the context ends; then only the text remains."""
        self._live.start()
        drawing = asyncio.create_task(self._draw())
        try:
            yield
        finally:
            drawing.cancel()
            with suppress(asyncio.CancelledError):
                await drawing
            self._live.stop()
            self._print_rest()

    def _print_rest(self) -> None:
        if self._line:
            self._console.print(Text(self._line), soft_wrap=True)
            self._line = ""

    async def _draw(self) -> None:
        while True:
            if not self._is_paused:
                self._live.refresh()
            await asyncio.sleep(REFRESH_S)

    def _drawn(self) -> Group:
        width, rows = self._console.width, max(1, self._console.height - 3)
        # No more than fits on the screen: a line that has scrolled off cannot be redrawn.
        shown = Text(self._line[-width * rows :]).wrap(self._console, width)[-rows:]
        status = Text(clean(self._notice or self._status()), style="dim")
        status.no_wrap, status.overflow = True, "ellipsis"
        return Group(*shown, status) if self._line else Group(status)


@asynccontextmanager
async def open_output(*, as_json: bool, status: Callable[[], str]) -> AsyncGenerator[Output]:
    """Yield the output that suits stdout; `status` returns the text of the status line."""
    console = stdout()
    if as_json:
        yield SilentOutput()
    elif console.is_terminal and not console.is_dumb_terminal:
        output = LiveOutput(console, status)
        async with output.live():
            yield output
    else:
        yield PlainOutput()
