"""Output to the terminal; `unspool.formats.terminal` cleans all of it."""

from __future__ import annotations

import io
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from ..formats.terminal import clean, clean_json, json_line


def use_utf8() -> None:
    """Write UTF-8 whatever the locale says; an unencodable character becomes a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")


def stdout() -> Console:
    return _console(stderr=False)


def stderr() -> Console:
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    # A new one for each use, because a console remembers its stream. Only the stream decides
    # whether it is a terminal, so that no variable of a CI system puts control codes into a file.
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, force_terminal=stream.isatty(), highlight=False, markup=False)


def say(text: str, *, style: str = "", to: Console | None = None) -> None:
    """Print a line unchanged: without wrapping or markup."""
    (to or stdout()).print(Text(clean(text), style=style), soft_wrap=True)


def complain(text: str) -> None:
    """Print a line about an error to stderr."""
    say(text, style="red", to=stderr())


def write(text: str) -> None:
    """Write text to stdout at once, unchanged except for control characters."""
    # Not through rich, which would expand tabs.
    sys.stdout.write(clean(text))
    sys.stdout.flush()


def write_json(value: Any) -> None:
    """Write one JSON document as one line."""
    _write_line(json_line(value))


def write_json_line(line: str) -> None:
    """Write a line that is already JSON."""
    _write_line(clean_json(line))


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
