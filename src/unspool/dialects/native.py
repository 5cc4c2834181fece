"""Our own contract: every event as it is in the log, one JSON document a frame."""

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
        """None of its own: `api/runs.py` starts runs, and any run can be read natively."""
        return APIRouter()

    def encoder(self) -> NativeEncoder:
        return NativeEncoder()


plug = Native()
