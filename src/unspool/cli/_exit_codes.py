"""Exit codes, for scripts."""

from __future__ import annotations

from typing import Final

from ..errors import RecordsError, SetupError, SpecError, UnspoolError

FINE: Final = 0
FAILED: Final = 1
"""The run did not complete, or a check found something."""
USAGE: Final = 2
"""Wrong usage or set-up; the same as typer's own."""
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130
"""Ctrl-C; 128 and the number of the signal, as shells have it."""


class Complaint(UnspoolError):
    """One sentence for the person at the keyboard, and the exit code that goes with it."""

    code = "complaint"

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class Unreachable(Complaint):
    """Nothing answers at the address, or the connection broke; it may work in a moment."""

    code = "unreachable"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, UNREACHABLE)


class RequestRefused(Complaint):
    """The server refused. `status` is the HTTP status."""

    code = "refused"

    def __init__(self, sentence: str, status: int) -> None:
        # 429 is the one refusal of its class that says nothing against the request.
        wrong = 400 <= status < 500 and status != 429
        super().__init__(sentence, USAGE if wrong else FAILED)
        self.status = status


def exit_code_of(error: UnspoolError) -> int:
    if isinstance(error, Complaint):
        return error.exit_code
    return USAGE if isinstance(error, SpecError | SetupError | RecordsError) else FAILED
