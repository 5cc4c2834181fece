"""Our own contract: every event of the log, one JSON document a frame."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from ..runs.events import Event, encode_event
from . import RunGateway


class NativeEncoder:
    def encode(self, event: Event) -> Sequence[bytes]:
        return (encode_event(event),)


class Native:
    trailer = b""
    can_rewind = True

    def routes(self, gateway: RunGateway) -> APIRouter:
        """Return no routes: `api/runs.py` starts runs, and shows any run natively."""
        return APIRouter()

    def encoder(self) -> NativeEncoder:
        return NativeEncoder()


plug = Native()
