"""A conversation on a server elsewhere: its turns as one stream, and the messages that wait."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec

from .connection import ServerClient
from .errors import EventMissing, RequestRefused, Unreachable
from .following import Outage, persist, remove


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
            EventMissing: The stream left out an event of a turn.
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
                            is_new = _is_new(event, seqs, is_filtered=bool(types))
                            place = event.place
                            if is_new:
                                yield event
            except EventMissing:
                raise  # another connection would not bring it
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
        """
        Change a message that waits, and return it; `steer=True` begins it now.

        After a break it is sent again.

        Raises:
            Unreachable: The server was gone for a minute.
            RequestRefused: It has begun (`message_begun`), perhaps by a first try of this call
                whose answer was lost; or there is no such message.
        """
        path = f"{self._path}/messages/{message}"
        return await persist(self._server, path, fields, method="PATCH")

    async def withdraw(self, message: int) -> None:
        """
        Withdraw a message that waits. After a break it is sent again.

        Raises:
            Unreachable: The server was gone for a minute.
            RequestRefused: It has begun (`message_begun`), or there is no such message.
        """
        await remove(self._server, f"{self._path}/messages/{message}")


def _is_new(event: ConversationEvent, seqs: dict[int, int], *, is_filtered: bool) -> bool:
    """
    Note the event's number in `seqs`, and return whether it came for the first time.

    Raises:
        EventMissing: Numbers were left out, though no filter asked for that.
    """
    if not event.seq:
        return True
    # Of a turn that an earlier reader began, the first number is not known here.
    before = seqs.get(event.turn, event.seq - 1)
    if event.seq <= before:
        return False
    if event.seq > before + 1 and not is_filtered:
        raise EventMissing(
            f"Event {event.seq} of turn {event.turn} came after event {before}; "
            f"read the conversation again."
        )
    seqs[event.turn] = event.seq
    return True


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
