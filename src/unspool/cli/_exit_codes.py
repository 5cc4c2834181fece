"""Exit codes of the program, for scripts that call it."""

from __future__ import annotations

from typing import Final

from ..errors import RecordsError, SetupError, SpecError, UnspoolError
from ..viewing.remote.errors import RequestRefused, Unreachable

FINE: Final = 0
FAILED: Final = 1
"""The run did not complete, or a check found a problem."""
USAGE: Final = 2
"""Wrong usage or set-up; typer uses the same code."""
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130
"""Ctrl-C; shells use 128 plus the number of the signal."""


class Complaint(UnspoolError):
    """One sentence for the person at the keyboard, with an exit code."""

    code = "complaint"

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def exit_code_of(error: UnspoolError) -> int:
    if isinstance(error, Complaint):
        return error.exit_code
    if isinstance(error, Unreachable):
        return UNREACHABLE
    if isinstance(error, RequestRefused):
        # Of all 4xx answers only 429 finds no fault with the request.
        return USAGE if 400 <= error.status < 500 and error.status != 429 else FAILED
    return USAGE if isinstance(error, SpecError | SetupError | RecordsError) else FAILED
