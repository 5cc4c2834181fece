"""
What reaches the terminal.

Text of models, servers and files is hostile: an escape sequence in it could clear the
screen, rename the window or forge a line. Everything printed passes `clean`.
"""

from __future__ import annotations

import io
import json
import re
import sys
from typing import Any, Final

from rich.console import Console
from rich.text import Text

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""C0 but tab and newline, DEL, and C1, in which terminals find escape sequences too."""

_RAW_IN_JSON: Final = re.compile(r"[\x7f-\x9f]")
"""Controls that JSON allows to stand in strings as they are."""


def clean(text: str) -> str:
    return _CONTROLS.sub("", text)


def use_utf8() -> None:
    """Write UTF-8 whatever the locale says; what cannot be written becomes a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")


def stdout() -> Console:
    return _console(stderr=False)


def stderr() -> Console:
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    # Made anew for each use: a console remembers what its stream was. The terminal is told
    # by the stream alone, so that no variable of a CI system puts control codes into a file.
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, force_terminal=stream.isatty(), highlight=False, markup=False)


def say(text: str, *, style: str = "", to: Console | None = None) -> None:
    """Print a line as it is: not wrapped, not read as markup."""
    (to or stdout()).print(Text(clean(text), style=style), soft_wrap=True)


def complain(text: str) -> None:
    say(text, style="red", to=stderr())


def write(text: str) -> None:
    """Write a piece of text to stdout at once, exactly, but for control characters."""
    # Not through rich, which would expand tabs.
    sys.stdout.write(clean(text))
    sys.stdout.flush()


def write_json(value: Any) -> None:
    """Write one JSON document as one line."""
    write_json_line(json.dumps(value, ensure_ascii=False, default=str))


def write_json_line(line: str) -> None:
    """Write a line that is JSON already."""
    sys.stdout.write(_RAW_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", line) + "\n")
    sys.stdout.flush()
