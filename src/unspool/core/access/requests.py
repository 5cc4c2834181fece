"""
Finds out who sends a request: the key, the ticket or the session in it.

A ticket is for pages, whose EventSource and WebSocket cannot send headers: a sealed text that opens
one run for a minute. A session is the same in a cookie, for the console. Both name a key, and hold
no longer than it does; or the session names a person, and holds until that one signs out.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from ...errors import MissingRight, Unauthorized
from ...records import Records, now_ms
from ...records.keys import KeyRow, find_key, list_keys, note_use, revoked, split_key
from ...records.secrets import Secrets, Unsealable
from ...records.sessions import end_session, ended_sessions
from ...records.shares import ended_shares
from ...runs.principal import OPEN, SCOPES_OF, Principal, Role, SignedIn
from ...runs.run import RunSpec

TICKET_S: Final = 60.0
"""Seconds in which a page must connect, unless it asks for more."""

MAX_TICKET_S: Final = 900.0

SESSION_S: Final = 12 * 3600.0
"""A working day."""

KNOWN_S: Final = 1.0
"""Seconds for which a key that was found holds without another look."""

MAX_KNOWN: Final = 10_000

USED_MS: Final = 60_000
"""How exactly the table knows when a key was used."""

SHARE: Final = "share:"
"""Before the id of a share, where it stands beside those of keys."""

TICKET: Final = "ust_"
SESSION: Final = "uss_"

PERSON: Final = "upn_"
"""Before the session of a person."""

OF_SESSION: Final = "session:"
"""Before the id of a person's session, where it stands beside those of keys."""


class Claims(msgspec.Struct, array_like=True):
    """What a ticket or a session says."""

    key: str
    until_s: int
    scopes: list[str]
    run: str = ""


class PersonClaims(msgspec.Struct, array_like=True, tag="person"):
    """What the session of a person says."""

    id: str
    until_s: int
    issuer: str
    """The setting, when the person signed in; another one ends all sessions."""
    subject: str
    name: str
    role: Role
    tenant: str


@dataclass(slots=True)
class _FoundKey:
    row: KeyRow | None
    at: float


class Access:
    """
    Args:
        records: Those of the operator.
        is_open: Everybody may do everything, and keys are not looked at.
        issuer: The provider that signs people in; empty: none.
    """

    def __init__(
        self, records: Records, secrets: Secrets, *, is_open: bool, issuer: str = ""
    ) -> None:
        self.is_open = is_open
        self._issuer = issuer
        self._ended: dict[str, tuple[float, bool]] = {}
        self._records = records
        self._secrets = secrets
        self._known: dict[str, _FoundKey] = {}
        self._origins: tuple[float, frozenset[str]] = (0.0, frozenset())

    async def principal_of(self, credentials: str) -> Principal:
        """
        Return who has these credentials: a key, a ticket or a session; empty: none.

        Raises:
            Unauthorized: They do not hold, or are missing.
        """
        if self.is_open:
            return OPEN
        if not credentials:
            raise Unauthorized(
                "send a key, as `Authorization: Bearer usp_…`; `unspool keys add` makes one"
            )
        if credentials.startswith(PERSON):
            return await self._of_person(credentials)
        if credentials.startswith((TICKET, SESSION)):
            return await self._of_claims(credentials)
        parts = split_key(credentials)
        row = await self._key(parts[0]) if parts else None
        if parts is None or row is None or not row.holds(parts[1], now_ms()):
            raise Unauthorized("this key does not hold: it is unknown, revoked or expired")
        if (row.used_ms or 0) < now_ms() - USED_MS:
            row.used_ms = now_ms()
            await note_use(self._records, row.id)
        return _principal(row, frozenset(row.scopes))

    async def principal_of_run(self, spec: RunSpec) -> Principal:
        """
        Return with whose rights a run is carried on: those of the key that started it, even if
        that holds no more.

        Raises:
            RecordsError: The keys cannot be read now.
        """
        if self.is_open or not spec.key:
            return OPEN
        row = await self._key(spec.key)
        if row is None:  # an older database was put back
            return Principal(spec.tenant, spec.key, frozenset())
        return _principal(row, frozenset(row.scopes))

    async def principal_of_sender(self, spec: RunSpec) -> Principal:
        """
        Return with whose rights a run begins that somebody asked for earlier.

        Raises:
            Unauthorized: The key holds no more. A person's session may be over.
            RecordsError: The keys cannot be read now.
        """
        row = await self._key(spec.key) if spec.key and not self.is_open else None
        if row is not None and (row.revoked_ms or (row.expires_ms or now_ms() + 1) <= now_ms()):
            raise Unauthorized("the key that sent this holds no more; send it with another one")
        return await self.principal_of_run(spec)

    async def session_of(self, key: str) -> str:
        """
        Return a session for the console, for a key.

        Raises:
            Unauthorized: It is no key that holds. A ticket, which opens less, is none.
        """
        if not self.is_open and split_key(key) is None:
            raise Unauthorized("this is not a key; `unspool keys add` makes one")
        who = await self.principal_of(key)
        return self._sealed(SESSION, Claims(who.key, _until_s(SESSION_S), [])) if who.key else ""

    async def _of_claims(self, text: str) -> Principal:
        """Return the principal of a ticket or a session: its key's, with what the claims leave."""
        try:
            claims = msgspec.json.decode(self._secrets.unseal(text[len(TICKET) :]), type=Claims)
        except (Unsealable, msgspec.DecodeError, UnicodeError):
            raise Unauthorized("this ticket was not made here") from None
        row = await self._key(claims.key)
        now = now_ms()
        is_over = row is None or row.revoked_ms or (row.expires_ms and row.expires_ms <= now)
        is_other = bool(claims.run) != text.startswith(TICKET)  # one is not the other
        if row is None or is_over or is_other or claims.until_s * 1000 <= now:
            raise Unauthorized("this ticket has expired; get another one")
        scopes = frozenset(claims.scopes) if claims.run else frozenset(row.scopes)
        return _principal(row, scopes, claims.run)

    async def _of_person(self, text: str) -> Principal:
        claims = self._person_claims(text)
        if claims is None or claims.until_s <= time.time() or await self._has_ended(claims.id):
            raise Unauthorized("this session is over; sign in again")
        session = f"{OF_SESSION}{claims.id}"
        person = SignedIn(claims.subject, claims.name, claims.role, session)
        scopes, key = SCOPES_OF[claims.role], f"person:{claims.subject}"
        return Principal(claims.tenant, key, scopes, person=person)

    def _person_claims(self, text: str) -> PersonClaims | None:
        try:
            opened = self._secrets.unseal(text.removeprefix(PERSON))
            claims = msgspec.json.decode(opened, type=PersonClaims)
        except (Unsealable, msgspec.DecodeError, UnicodeError):
            return None
        return claims if self._issuer and claims.issuer == self._issuer else None

    async def _has_ended(self, session_id: str) -> bool:
        at, has_ended = self._ended.get(session_id, (0.0, False))
        if not at or time.monotonic() - at > KNOWN_S:
            if len(self._ended) >= MAX_KNOWN:
                self._ended.clear()
            has_ended = bool(await ended_sessions(self._records, [session_id]))
            self._ended[session_id] = time.monotonic(), has_ended
        return has_ended

    async def end(self, session: str) -> None:
        """End the session of a person, with its open streams; others end with their key."""
        claims = self._person_claims(session) if session.startswith(PERSON) else None
        if claims is not None:
            await end_session(self._records, claims.id, claims.until_s * 1000)
            self._ended.pop(claims.id, None)

    def ticket(self, who: Principal, run_id: str, scopes: Iterable[str], ttl_s: float) -> str:
        """
        Return a ticket for one run, or for `conversation 7`, with some of the scopes of `who`.

        Raises:
            MissingRight: `who` has not all of these scopes.
        """
        if who.person is not None:
            raise MissingRight("a ticket needs a key, whose server gives it to a page")
        wanted = list(scopes)
        if lacking := [scope for scope in wanted if not who.may(scope)]:
            raise MissingRight(f"this key lacks the scope {lacking[0]}")
        return self._sealed(TICKET, Claims(who.key, _until_s(ttl_s), wanted, run_id))

    def _sealed(self, kind: str, claims: Claims) -> str:
        return kind + self._secrets.seal(msgspec.json.encode(claims).decode())

    async def revoked(self, ids: Iterable[str]) -> set[str]:
        """Return those of keys, shares (`share:…`) and sessions that hold no more."""
        by_kind: dict[str, list[str]] = {}
        for found in ids:
            kind, colon, name = found.rpartition(":")
            by_kind.setdefault(kind + colon, []).append(name)
        gone: set[str] = set()
        for kind, names in by_kind.items():
            gone |= {kind + name for name in await _ENDED[kind](self._records, names)}
        return gone

    async def origins_of(self, who: Principal) -> frozenset[str]:
        """Return the origins whose pages may use a key."""
        row = await self._key(who.key) if who.key and who.person is None else None
        return frozenset(row.origins) if row is not None else frozenset()

    async def origins(self) -> frozenset[str]:
        """Return the origins of all keys: a page asks before it sends its key."""
        at, found = self._origins
        if not at or time.monotonic() - at > KNOWN_S:
            rows = await list_keys(self._records)
            found = frozenset(o for row in rows if row.revoked_ms is None for o in row.origins)
            self._origins = time.monotonic(), found
        return found

    def forget(self, key_id: str) -> None:
        """Look at a key again before its next use, and at the origins that keys list."""
        self._known.pop(key_id, None)
        self._origins = (0.0, frozenset())

    async def _key(self, key_id: str) -> KeyRow | None:
        now = time.monotonic()
        known = self._known.get(key_id)
        if known is None or now - known.at > KNOWN_S:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[key_id] = _FoundKey(await find_key(self._records, key_id), now)
        return known.row


_ENDED: Final[dict[str, Callable[[Records, list[str]], Awaitable[set[str]]]]] = {
    "": revoked,
    SHARE: ended_shares,
    OF_SESSION: ended_sessions,
}
"""By the beginning of an id: what tells those that hold no more."""


def _principal(row: KeyRow, scopes: frozenset[str], run: str = "") -> Principal:
    return Principal(row.tenant, row.id, scopes, tuple(row.models), tuple(row.flows), run)


def _until_s(ttl_s: float) -> int:
    return int(time.time() + ttl_s)
