"""
People who sign in to the console: from the way to their provider to a session in a cookie.

The provider tells the groups of a person, and groups become one of three roles.
"""

from __future__ import annotations

import hmac
import re
import secrets as random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ...formats.tenancy import DEFAULT
from ...providers.upstream.http1 import Client
from ...records import Records
from ...records.audit import Actor, note_alone
from ...records.keys import find_tenant
from ...records.secrets import Secrets, Unsealable
from ...runs.principal import Role
from ...settings import Settings
from .provider import IdentityProvider, NotSignedIn, SignInRequest
from .requests import PERSON, SESSION_S, PersonClaims

SIGNING_IN_S: Final = 600.0
"""Seconds for signing in at the provider."""

MAX_SUBJECT_CHARS: Final = 255
"""OpenID Connect allows no more."""

MAX_NAME_CHARS: Final = 100

_OURS: Final = re.compile(r"/(?![/\\])[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*")
"""A path of this server: no host, no scheme, no line end."""


class _UnderWay(msgspec.Struct, array_like=True, tag="signing in"):
    """What the cookie of a sign-in under way says."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    back: str
    until_s: int


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and the cookie that it keeps meanwhile."""

    address: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A session, and the page that was asked for."""

    session: str
    back: str


class People:
    """
    Args:
        records: Those of the operator.

    Raises:
        SetupError: The settings do not fit together.
    """

    def __init__(
        self, records: Records, secrets: Secrets, http: Client, settings: Settings
    ) -> None:
        self._records = records
        self._secrets = secrets
        self._provider = IdentityProvider(http, settings)
        self._settings = settings

    @property
    def is_on(self) -> bool:
        """Whether people can sign in."""
        return bool(self._provider.issuer) and not self._settings.is_open

    async def begin(self, redirect_uri: str, back: str) -> Begun:
        """
        Begin to sign somebody in, who then sees the page `back`.

        Raises:
            NotSignedIn: The provider does not answer.
        """
        state, nonce = random.token_urlsafe(24), random.token_urlsafe(24)
        asked = SignInRequest(nonce, random.token_urlsafe(48), redirect_uri)
        address = await self._provider.address(asked, state)
        until_s = int(time.time() + SIGNING_IN_S)
        begun = _UnderWay(state, nonce, asked.verifier, redirect_uri, our_page(back), until_s)
        return Begun(address, self._secrets.seal(msgspec.json.encode(begun).decode()))

    async def finish(self, cookie: str, query: Mapping[str, str]) -> Finished:
        """
        Sign in the person who came back from the provider.

        Raises:
            NotSignedIn: `code` says why.
        """
        begun = self._under_way(cookie)
        if begun is None or not hmac.compare_digest(
            begun.state.encode(), query.get("state", "").encode()
        ):
            raise NotSignedIn("stale", "no sign-in is under way in this browser")
        if query.get("iss", self._provider.issuer) != self._provider.issuer:
            raise NotSignedIn("provider", "another provider sent the browser back")
        if not query.get("code"):
            raise NotSignedIn("refused", f"the provider says {query.get('error', '')[:100]!r}")
        asked = SignInRequest(begun.nonce, begun.verifier, begun.redirect_uri)
        claims = await self._provider.claims(asked, query["code"])
        person = await self._person(claims)
        sealed = self._secrets.seal(msgspec.json.encode(person).decode())
        await note_alone(
            self._records,
            Actor("person", person.subject),
            "person.signed_in",
            person.subject,
            tenant=person.tenant,
            detail={"name": person.name, "role": person.role},
        )
        return Finished(PERSON + sealed, begun.back)

    def page_of(self, cookie: str) -> str:
        """Return the page that somebody asked for who could not be signed in."""
        begun = self._under_way(cookie)
        return begun.back if begun is not None else "/"

    def _under_way(self, cookie: str) -> _UnderWay | None:
        try:
            begun = msgspec.json.decode(self._secrets.unseal(cookie), type=_UnderWay)
        except (Unsealable, msgspec.DecodeError, UnicodeError):
            return None
        return begun if begun.until_s > time.time() else None

    async def _person(self, claims: Mapping[str, Any]) -> PersonClaims:
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARS:
            raise NotSignedIn("provider", "it gives no subject")
        names = (claims.get(name) for name in ("name", "preferred_username", "email"))
        name = next((name for name in names if isinstance(name, str) and name), subject)
        role = self._role(claims)
        if role is None:
            raise NotSignedIn("refused", f"{subject} is in none of our groups")
        return PersonClaims(
            random.token_hex(12),
            int(time.time() + SESSION_S),
            self._settings.oidc_issuer.strip(),
            subject,
            name[:MAX_NAME_CHARS],
            role,
            await self._tenant(claims),
        )

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        told = claims.get(self._settings.oidc_groups_claim)
        groups = {told} if isinstance(told, str) else set(_texts(told))
        settings = self._settings
        if settings.oidc_admin_group and settings.oidc_admin_group in groups:
            return "admin"
        if settings.oidc_member_group and settings.oidc_member_group in groups:
            return "member"
        everybody = not settings.oidc_viewer_group
        return "viewer" if everybody or settings.oidc_viewer_group in groups else None

    async def _tenant(self, claims: Mapping[str, Any]) -> str:
        if not self._settings.oidc_tenant_claim:
            return DEFAULT
        told = claims.get(self._settings.oidc_tenant_claim)
        tenant = await find_tenant(self._records, told) if isinstance(told, str) and told else None
        if tenant is None:
            raise NotSignedIn("refused", f"there is no tenant {str(told)[:64]!r}")
        return tenant


def our_page(path: str) -> str:
    """Return a path of this server; whatever could lead elsewhere becomes the first page."""
    return path if len(path) <= 1000 and _OURS.fullmatch(path) else "/"


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
