"""`/v1/tickets`: open one run to a page; `/api/session`: open the console, to keys and people."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field, SecretStr
from starlette.responses import JSONResponse, RedirectResponse, Response

from unspool.core import Core
from unspool.core.access import MAX_TICKET_S, SESSION_S, TICKET_S, NotSignedIn
from unspool.core.access.people import SIGNING_IN_S, our_page
from unspool.errors import NotReady, SpecError, Unauthorized
from unspool.formats.written import StrictInput
from unspool.records.conversations import find_conversation
from unspool.runs.principal import Principal, Scope

from ..gate import COOKIE, session_of
from .json.ticket import ticket_json
from .models import MAX_NUMBER

log = logging.getLogger(__name__)

SIGNING_IN: Final = "unspool_signing_in"
"""The cookie of a sign-in under way."""

NO_STORE: Final = {"Cache-Control": "no-store"}


class TicketInput(StrictInput):
    run: str = Field("", max_length=64)
    conversation: int | None = Field(None, ge=1, le=MAX_NUMBER)
    """All turns of this one, also those to come, in place of a run."""
    scope: Literal["runs:read", "runs:write"] = "runs:read"
    """`runs:write`: the page may cancel and steer a run, or send messages, too."""
    ttl_s: float = Field(TICKET_S, gt=0, le=MAX_TICKET_S)
    """Seconds in which it must connect; an open stream goes on after that."""


class SessionInput(StrictInput):
    key: SecretStr = Field(max_length=1024)


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["access"])

    @router.post("/v1/tickets", status_code=201)
    async def ticket(wanted: TicketInput) -> dict[str, Any]:
        """
        Return a ticket for one run or one conversation.

        A page adds it as `?ticket=` where it cannot send headers.
        """
        opens = wanted.run
        if (opens == "") == (wanted.conversation is None):
            raise SpecError("a ticket opens one `run` or one `conversation`; name one of them")
        if wanted.conversation is None:
            await core.journal.head(wanted.run)
        else:
            await find_conversation(core.records, wanted.conversation)
            opens = f"conversation {wanted.conversation}"
        scopes: list[Scope] = ["runs:read"]
        scopes += ["runs:write"] if wanted.scope == "runs:write" else []
        return ticket_json(core, opens, scopes, wanted.ttl_s)

    _add_session(router, core)
    _add_signing_in(router, core)
    return router


def _add_session(router: APIRouter, core: Core) -> None:
    @router.post("/api/session")
    async def begin(request: Request, given: SessionInput) -> Response:
        """Open the console with a key: the browser keeps a cookie for twelve hours."""
        session = await core.access.session_of(given.key.get_secret_value())
        answer = JSONResponse(await _session_json(core, session))
        if session:
            _keep(answer, request, core, session)
        return answer

    @router.get("/api/session")
    async def session(request: Request) -> JSONResponse:
        """Say whether this server needs a key, and who is signed in in this browser."""
        facts = await _session_json(core, session_of(request.scope))
        return JSONResponse(facts, headers={"Cache-Control": "no-store"})

    @router.delete("/api/session", status_code=204)
    async def end(request: Request) -> Response:
        """Sign out: the browser forgets its cookie, and the session of a person ends."""
        await core.access.end(session_of(request.scope))
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, path=_root(request))
        return answer


def _add_signing_in(router: APIRouter, core: Core) -> None:
    people = core.people

    @router.get("/api/session/begin")
    async def leave(
        request: Request, to: Annotated[str, Query(max_length=2000)] = "/"
    ) -> RedirectResponse:
        """Send the browser to the provider that signs people in; then it sees the page `to`."""
        if not people.is_on:
            raise NotReady("nobody can sign in here: UNSPOOL_OIDC_ISSUER is not set")
        here = core.settings.public_url.strip().rstrip("/") or str(request.base_url).rstrip("/")
        try:
            begun = await people.begin(f"{here}/api/session/return", to)
        except NotSignedIn as error:
            return _failed(error, our_page(to))
        answer = RedirectResponse(begun.address, 303, headers=NO_STORE)
        answer.set_cookie(
            SIGNING_IN,
            begun.cookie,
            max_age=int(SIGNING_IN_S),
            path=f"{_root(request).rstrip('/')}/api/session",
            secure=_is_secure(request, core),
            httponly=True,
            samesite="lax",  # it must come along when the provider sends the browser back
        )
        return answer

    @router.get("/api/session/return")
    async def come_back(request: Request) -> RedirectResponse:
        """Take in a browser that comes back from the provider: it gets a session."""
        cookie = request.cookies.get(SIGNING_IN, "")
        try:
            finished = await people.finish(cookie, request.query_params)
        except NotSignedIn as error:
            answer = _failed(error, people.page_of(cookie))
        else:
            answer = RedirectResponse(finished.back, 303, headers=NO_STORE)
            _keep(answer, request, core, finished.session)
        answer.delete_cookie(SIGNING_IN, path=f"{_root(request).rstrip('/')}/api/session")
        return answer


def _failed(error: NotSignedIn, back: str) -> RedirectResponse:
    """Send the browser to its page, whose console says why nobody is signed in."""
    log.warning("Somebody was not signed in: %s", error)
    joint = "&" if "?" in back else "?"
    return RedirectResponse(f"{back}{joint}sign-in={error.code}", 303, headers=NO_STORE)


def _keep(answer: Response, request: Request, core: Core, session: str) -> None:
    answer.set_cookie(
        COOKIE,
        session,
        max_age=int(SESSION_S),
        path=_root(request),
        secure=_is_secure(request, core),
        httponly=True,
        samesite="strict",
    )


def _root(request: Request) -> str:
    return request.scope.get("root_path") or "/"


def _is_secure(request: Request, core: Core) -> bool:
    return request.url.scheme == "https" or core.settings.public_url.strip().startswith("https:")


async def _session_json(core: Core, session: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"access": "open" if core.access.is_open else "keys"}
    if core.people.is_on:
        facts["people"] = True
    if session and not core.access.is_open:
        with suppress(Unauthorized):
            facts["who"] = _who_json(await core.access.principal_of(session))
    return facts


def _who_json(who: Principal) -> dict[str, Any]:
    person = who.person
    return {
        "kind": "key" if person is None else "person",
        "id": who.key if person is None else person.subject,
        "name": "" if person is None else person.name,
        "role": None if person is None else person.role,
        "tenant": who.tenant,
        "scopes": sorted(who.scopes),
    }
