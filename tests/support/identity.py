"""A provider of OpenID Connect on this machine (`oidc-provider-mock`, on Authlib's server)."""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import httpx
import werkzeug.serving
from oidc_provider_mock import User, app

GROUPS = {
    "ada": ["staff", "unspool-admins"],
    "bob": ["unspool-members"],
    "eve": ["staff"],
    "mallory": ["other"],
}
"""By subject: the groups that the provider tells."""


@dataclass
class Identity:
    """The provider; it lets nobody change a code for a token without the right verifier."""

    url: str
    challenges: list[str] = field(default_factory=list)
    """Of all sign-ins that were begun."""
    verified: int = 0
    """Tokens that were given for a right verifier."""

    def log_in(self, address: str, subject: str) -> str:
        """Be the person at the provider's page; return where it sends the browser."""
        body = {"sub": subject} if subject else {"action": "deny"}
        httpx.get(address, trust_env=False).raise_for_status()
        reply = httpx.post(address, data=body, trust_env=False)
        assert reply.status_code == 302, reply.text
        return str(reply.headers["location"])


@contextmanager
def identity() -> Iterator[Identity]:
    """Run it until the context ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    claims: Mapping[str, Mapping[str, Any]] = {
        sub: {"name": sub.title(), "groups": groups, "shop": "another shop"}
        for sub, groups in GROUPS.items()
    }
    users = [User(sub=sub, claims=dict(told)) for sub, told in claims.items()]
    provider = app(user_claims=users, require_nonce=True)
    provider.debug = False
    server = werkzeug.serving.make_server("127.0.0.1", 0, provider, threaded=True)
    made = Identity(f"http://127.0.0.1:{server.server_port}")

    @provider.before_request
    def check_pkce() -> None:  # it takes no notice of PKCE by itself
        if flask.request.path == "/oauth2/authorize" and flask.request.method == "GET":
            assert flask.request.args["code_challenge_method"] == "S256"
            made.challenges.append(flask.request.args["code_challenge"])
        if flask.request.path == "/oauth2/token":
            digest = hashlib.sha256(flask.request.form["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if challenge not in made.challenges:
                flask.abort(400)
            made.verified += 1

    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def query_of(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
