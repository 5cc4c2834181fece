"""
The principal: the key, ticket or person behind the present request, and what it may do.

Set by the server for each request; work of the server itself has none, and may do everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Literal, get_args

from ..errors import MissingRight
from ..formats.tenancy import DEFAULT

Scope = Literal[
    "runs:read",
    "runs:write",
    "records:read",
    "records:write",
    "models:write",
    "usage:read",
    "admin",
]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)


Role = Literal["viewer", "member", "admin"]

SCOPES_OF: Final[dict[Role, frozenset[str]]] = {
    "viewer": frozenset({"runs:read", "records:read", "usage:read"}),
    "member": frozenset({"runs:read", "records:read", "usage:read", "runs:write", "records:write"}),
    "admin": frozenset({"admin"}),
}
"""What people of a role may do."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody whom the provider of our OpenID Connect signed in."""

    subject: str
    """The provider's name for this person, for good."""
    name: str
    """For people."""
    role: Role
    session: str
    """The id of the session in the browser, as it stands beside those of keys."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who may do what."""

    tenant: str = DEFAULT
    key: str = ""
    """The id of the key, or `person:` and the subject of a person; empty: the server is open."""
    scopes: frozenset[str] = frozenset(SCOPES)
    models: tuple[str, ...] = ()
    """Models and routes that it may ask; empty: all."""
    flows: tuple[str, ...] = ()
    """Flows that it may start; empty: all."""
    run: str = ""
    """The only run, or `conversation 7`, that a ticket opens; empty: all of the tenant."""
    person: SignedIn | None = None
    """The person who signed in; None: a machine with a key."""

    def may(self, scope: str) -> bool:
        """Whether it has a scope; `admin` has them all."""
        return scope in self.scopes or "admin" in self.scopes

    @property
    def let_in_by(self) -> str:
        """The id of what lets it in, and may be taken away: of the session, or the key."""
        return self.person.session if self.person is not None else self.key

    @property
    def is_operator(self) -> bool:
        """Whether it may change what all tenants share."""
        return self.tenant == DEFAULT and "admin" in self.scopes

    def manages(self, tenant: str) -> bool:
        """Whether keys and budgets of this tenant are there for it."""
        return self.is_operator or tenant == self.tenant

    def check_flow(self, flow: str) -> None:
        """
        Raises:
            MissingRight: It may not start this flow.
        """
        if self.flows and flow not in self.flows:
            raise MissingRight(f"this key may not start the flow {flow}")

    def askable(self, name: str, models: Sequence[str]) -> Sequence[str]:
        """
        Return those `models` of a name that it may ask: all, where it may ask the name itself.

        Raises:
            MissingRight: It may ask none of them.
        """
        if not self.models or name in self.models:
            return models
        allowed = [model for model in models if model in self.models]
        if not allowed:
            raise MissingRight(f"this key may not ask the model {name}")
        return allowed


OPEN: Final = Principal()
"""Everybody, where the server has no keys."""

present: ContextVar[Principal] = ContextVar("principal", default=OPEN)


@contextmanager
def acting_as(principal: Principal) -> Iterator[None]:
    """Begin tasks that have the rights of `principal`; afterwards as before."""
    token = present.set(principal)
    try:
        yield
    finally:
        present.reset(token)
