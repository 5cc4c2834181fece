"""
The provider that signs people in: OpenID Connect, by the code flow with PKCE.

Sources: OpenID Connect Core 1.0 and Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (`iss`). Requests go
out through the guarded sockets of the providers of models, so the same addresses are refused.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec

from ...errors import ProviderRefused, SetupError
from ...providers.upstream.addresses import check_url
from ...providers.upstream.http1 import Client, TransportError
from ...settings import Settings

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""Signatures by a key that the provider alone has."""

KNOWN_S: Final = 3600.0
"""Seconds for which a discovery document and its keys hold."""

AGAIN_S: Final = 5.0
"""Seconds between two looks at a provider that does not answer, or for a key that is not there."""

CONNECT_S: Final = 5.0
REQUEST_S: Final = 10.0

MAX_BYTES: Final = 256 * 1024
"""Of an answer: some providers have long lists of keys."""

LEEWAY_S: Final = 60
"""By which the provider's clock may be ahead of ours, or behind."""

SCOPE: Final = "openid profile email"


class NotSignedIn(Exception):
    """
    A person was not signed in; the message is for the log.

    Attributes:
        code: For people: `provider`, it does not work; `stale`, begin again; `refused`, this
            person may not use the server.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Metadata(msgspec.Struct):
    """The parts of a discovery document that we use."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Tokens(msgspec.Struct):
    id_token: str
    access_token: str = ""


@dataclass(frozen=True, slots=True)
class SignInRequest:
    """A sign-in under way, as our sealed cookie keeps it."""

    nonce: str
    verifier: str
    redirect_uri: str


class IdentityProvider:
    """
    Raises:
        SetupError: The settings do not fit together.
    """

    def __init__(self, http: Client, settings: Settings) -> None:
        self.issuer = settings.oidc_issuer.strip()
        self._http = http
        self._client_id = settings.oidc_client_id
        secret = settings.oidc_client_secret
        self._secret = secret.get_secret_value() if secret else ""
        self._groups_claim = settings.oidc_groups_claim
        self._metadata: Metadata | None = None
        self._keys: Mapping[str, Any] = {}
        self._read_at = -KNOWN_S
        self._reading = asyncio.Lock()
        if self.issuer and not self._client_id:
            raise SetupError("UNSPOOL_OIDC_ISSUER needs UNSPOOL_OIDC_CLIENT_ID, our name there.")
        if self.issuer and urlsplit(self.issuer).scheme not in {"http", "https"}:
            raise SetupError("UNSPOOL_OIDC_ISSUER is the address of a provider: https://…")

    async def address(self, asked: SignInRequest, state: str) -> str:
        """
        Return where the browser goes to sign in.

        Raises:
            NotSignedIn: The provider does not answer, or not as it should.
        """
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # only where it is needed

        metadata = await self._known()
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": asked.redirect_uri,
            "scope": SCOPE,
            "state": state,
            "nonce": asked.nonce,
            "code_challenge": create_s256_code_challenge(asked.verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{joint}{urlencode(query)}"

    async def claims(self, asked: SignInRequest, code: str) -> Mapping[str, Any]:
        """
        Return what the provider says of the person who came back with a code.

        Raises:
            NotSignedIn: The code, or the token for it, does not hold.
        """
        metadata = await self._known()
        tokens = await self._tokens(metadata, asked, code)
        claims = await self._verified(tokens, asked.nonce)
        if self._groups_claim in claims or not metadata.userinfo_endpoint:
            return claims
        # Many providers tell groups here alone.
        bearer = {"Authorization": f"Bearer {tokens.access_token}"}
        told = _object(await self._fetch("GET", metadata.userinfo_endpoint, bearer))
        return {**told, **claims} if told.get("sub") == claims["sub"] else claims

    async def _tokens(self, metadata: Metadata, asked: SignInRequest, code: str) -> _Tokens:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": asked.redirect_uri,
            "code_verifier": asked.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if not self._secret:
            form["client_id"] = self._client_id
        elif "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self._client_id, "client_secret": self._secret}
        body = urlencode(form).encode()
        raw = await self._fetch("POST", metadata.token_endpoint, headers, body)
        try:
            return msgspec.json.decode(raw, type=_Tokens)
        except msgspec.DecodeError as error:
            raise NotSignedIn("provider", f"its token cannot be read: {error}") from None

    async def _verified(self, tokens: _Tokens, nonce: str) -> Mapping[str, Any]:
        """Return the claims of an ID token whose signature, audience, time and nonce are right."""
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        for is_last in (False, True):
            try:
                keys = KeySet.import_key_set(self._keys)  # type: ignore[arg-type]
                token = jwt.decode(tokens.id_token, keys, algorithms=list(ALGORITHMS))
                break
            except (JoseError, ValueError, KeyError, TypeError) as error:
                if is_last or not await self._renew():  # it may sign with a newer key
                    reason = f"its token does not hold: {error}"
                    raise NotSignedIn("provider", reason) from None
        wanted = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self._client_id},
        }
        facts = {
            "nonce": nonce,
            "client_id": self._client_id,
            "access_token": tokens.access_token,
        }
        claims = CodeIDToken(token.claims, token.header, wanted, facts)
        try:
            claims.validate(leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError) as error:
            raise NotSignedIn("provider", f"its token does not hold: {error}") from None
        return dict(claims)

    async def _known(self) -> Metadata:
        """Return the discovery document; read it, and the keys, if they are old."""
        async with self._reading:
            if self._metadata is None or time.monotonic() - self._read_at > KNOWN_S:
                await self._read()
            assert self._metadata is not None
            return self._metadata

    async def _renew(self) -> bool:
        """Read the keys again, unless that was a moment ago; return whether they were read."""
        async with self._reading:
            if time.monotonic() - self._read_at < AGAIN_S:
                return False
            await self._read()
            return True

    async def _read(self) -> None:
        place = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            metadata = msgspec.json.decode(await self._fetch("GET", place), type=Metadata)
        except msgspec.DecodeError as error:
            raise NotSignedIn("provider", f"its discovery document: {error}") from None
        if metadata.issuer.rstrip("/") != self.issuer.rstrip("/"):
            raise NotSignedIn("provider", f"it calls itself {metadata.issuer[:200]}")
        self.issuer = metadata.issuer  # to the letter, as its tokens have it
        ends = (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri)
        if self.issuer.startswith("https:") and not all(e.startswith("https:") for e in ends):
            raise NotSignedIn("provider", "it has addresses without TLS")
        self._keys = _object(await self._fetch("GET", metadata.jwks_uri))
        self._metadata, self._read_at = metadata, time.monotonic()

    async def _fetch(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> bytes:
        """Return the body of an answer of 200; follow no redirect."""
        try:
            check_url(url, allow_private=True)  # private ones are refused where sockets are made
            async with asyncio.timeout(REQUEST_S):
                response = await self._http.send(
                    method,
                    url,
                    {"Accept": "application/json", **(headers or {})},
                    body or None,
                    connect_s=CONNECT_S,
                )
                try:
                    raw = bytearray()
                    while len(raw) <= MAX_BYTES and (piece := await response.read()):
                        raw += piece
                finally:
                    response.release()
        except (TransportError, ProviderRefused, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise NotSignedIn("provider", f"no answer from {url[:200]}: {reason}") from None
        if response.status != 200 or len(raw) > MAX_BYTES:
            raise NotSignedIn("provider", f"{url[:200]} answered {response.status}")
        return bytes(raw)


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise NotSignedIn("provider", f"its answer cannot be read: {error}") from None
