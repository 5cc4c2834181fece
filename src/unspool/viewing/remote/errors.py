"""What can go wrong with a server elsewhere; this module loads no network library."""

from __future__ import annotations

from ...errors import UnspoolError


class Unreachable(UnspoolError):
    """Nobody answers at the address, or the connection broke; a later try may succeed."""

    code = "unreachable"


class NotUnspool(Unreachable):
    """Something else answers at the address."""


class EventMissing(Unreachable):
    """A stream left out an event, so what follows would have a hole."""


class RequestRefused(UnspoolError):
    """
    The server answered with an error.

    Attributes:
        status: Its HTTP status.
        code: Its own code.
    """

    def __init__(self, message: str, status: int, code: str = "refused") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
