"""A conversation on a server elsewhere: its turns as one stream, and the messages that wait."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec

from .connection import ServerClient
from .errors import RequestRefused, Unreachable
from .following import Outage, persist


@dataclass(frozen=True, slots=True)
class ConversationEvent:
    """
    An event of a turn, or `turn.deleted`, or `queue`.

    Attributes:
        turn: Number of its turn; 0 for `queue`.
        run: Id of that turn's run.
        seq: Its number in the log of the run; 0 where it is in no log.
        parent: Of the first event of a turn: the turn that it follows (0: none).
        data: Of `queue`: `messages`, all that wait, in their order.
        place: Where the reader is now: `after` of one that continues here.
    """

    type: str
    turn: int = 0
    run: str = ""
    seq: int = 0
    at_ms: int = 0
    parent: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""


class RemoteConversation:
    """
    A conversation on a server elsewhere.

    Attributes:
        id: Its number.
    """

    def __init__(self, server: ServerClient, number: int, *, is_known: bool = False) -> None:
        self._server = server
        self._is_known = is_known
        self._path = f"/v1/conversations/{number}"
        self.id = number

    async def events(
        self,
        *,
        after: str = "",
        turn: int | None = None,
        path: str | int = "",
        types: Sequence[str] = (),
    ) -> AsyncGenerator[ConversationEvent]:
        """
        Yield each event of all turns after a place once, in order within its turn.

        It reconnects by itself. A conversation does not end: leave the loop. `after` is a `place`,
        or `now`: only what comes. `turn`: that one alone, to its end. `path`: the turns on the
        path to that turn, or to the `current` one. `types`: only events of these types.

        Raises:
            Unreachable: The server was gone for a minute.
            RequestRefused: There is no such conversation (any more), or no such place.
        """
        params = {"turn": turn or "", "path": path, "types": ",".join(types)}
        params = {name: value for name, value in params.items() if value}
        place, seqs = after, dict[int, int]()
        outage = Outage(lambda _: None, is_known=self._is_known or after not in {"", "now"})
        while True:
            begun = {"after": "now"} if place == "now" else {}
            last_id = "" if begun else place
            stream = self._server.events(
                f"{self._path}/events", last_id=last_id, params={**params, **begun}
            )
            try:
                async with aclosing(stream) as batches:
                    async for frames in batches:
                        outage.end()
                        for frame in frames:
                            event = _read(frame.data, frame.id or place)
                            place = event.place
                            if event.seq and event.seq <= seqs.get(event.turn, 0):
                                continue
                            seqs[event.turn] = event.seq
                            yield event
            except (Unreachable, RequestRefused) as error:
                await outage.wait(error)
            else:
                return  # the server says that nothing is left

    async def send(
        self, prompt: str, *, steer: bool = False, key: str = "", **fields: Any
    ) -> dict[str, Any]:
        """
        Send a message, once, and return it: its turn begins (`turn`, `run`), or it waits (`place`).

        `steer` stops the current turn and begins before all that wait; `fields` as
        `POST …/messages` has them. The same `key` (Idempotency-Key) is the same message.

        Raises:
            Unreachable: The server was gone for a minute.
            RequestRefused: It does not take the message.
        """
        body = {"prompt": prompt, **fields} | ({"steer": True} if steer else {})
        return await persist(self._server, f"{self._path}/messages", body, key)

    async def messages(self) -> list[dict[str, Any]]:
        """Return the messages that wait, in the order in which they will begin."""
        found = await self._server.ask("GET", f"{self._path}/messages")
        return list(found["messages"])

    async def change(self, message: int, **fields: Any) -> dict[str, Any]:
        """Change a message that waits, and return it; `steer=True` begins it now."""
        path = f"{self._path}/messages/{message}"
        return dict(await self._server.ask("PATCH", path, body=fields))

    async def withdraw(self, message: int) -> None:
        """Withdraw a message that waits."""
        await self._server.ask("DELETE", f"{self._path}/messages/{message}")


def _read(line: bytes, place: str) -> ConversationEvent:
    """
    Raises:
        Unreachable: The connection carries something else.
    """
    try:
        facts = msgspec.json.decode(line)
        if facts["type"] == "queue":
            return ConversationEvent("queue", data={"messages": facts["messages"]}, place=place)
        return msgspec.convert({**facts, "place": place}, ConversationEvent)
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise Unreachable("The stream carries something that is no event.") from error
