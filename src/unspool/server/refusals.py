"""
Writes what a request is refused with as the clients of its path know it.

Refusals come from many places: the guard, the gate, FastAPI, our own errors. All answer in our
shape, and a contract whose clients know another one (`dialects.Refusals`) gets it here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from starlette.types import Message, Send

from ..dialects import Refusals

HEADERS = frozenset({b"content-length"})
"""Which change with the body."""


CONFLICT = 409
"""Official clients would send such a request again, and a conflict of ours stays one."""

OURS = {"code", "message"}
"""The fields of an error in our own shape."""


class RefusalShapes:
    """The shapes of all dialects, by path."""

    def __init__(self) -> None:
        self._shapes: dict[str, Refusals] = {}

    def add(self, shapes: Iterable[Refusals]) -> None:
        self._shapes |= {path: shape for shape in shapes for path in shape.paths}

    def around(self, send: Send, path: str) -> Send:
        """Return `send`, or one that writes refusals as the clients of this path know them."""
        shape = self._of(path)
        return send if shape is None else _Shaped(send, shape).send

    def _of(self, path: str) -> Refusals | None:
        for own, shape in self._shapes.items():
            if path == own or path.startswith(f"{own}/"):
                return shape
        return None


class _Shaped:
    """One answer: it passes, or it is a refusal, which is held back and written anew."""

    def __init__(self, send: Send, shape: Refusals) -> None:
        self._send = send
        self._shape = shape
        self._head: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._head = message
        elif self._head is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._refuse(self._head)

    async def _refuse(self, head: Message) -> None:
        status, body = head["status"], self._body
        try:
            error = json.loads(body)["error"]
            if error.keys() == OURS:  # else it has its shape already
                status, body = self._shape.refusal(status, error["code"], error["message"])
        except (ValueError, KeyError, TypeError, AttributeError):
            pass  # it is no JSON: an answer to HEAD, say
        headers = [(name, value) for name, value in head["headers"] if name not in HEADERS]
        headers.append((b"content-length", b"%d" % len(body)))
        if status == CONFLICT:
            headers.append((b"x-should-retry", b"false"))
        await self._send({**head, "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})
