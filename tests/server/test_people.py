"""People sign in to the console at a provider, and may do what their groups say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from support.identity import Identity, identity, query_of
from support.keys import BODY, made
from support.patience import within
from support.runs import until_ended
from support.servers import Served, Tune
from unspool.core.access.people import our_page
from unspool.errors import SetupError
from unspool.records import Records
from unspool.records.audit import list_audit
from unspool.server.app import create_app

GROUPS = {"oidc_admin_group": "unspool-admins", "oidc_member_group": "unspool-members"}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the provider


@pytest.fixture(scope="module")
def provider() -> Iterator[Identity]:
    with identity() as provider:
        yield provider


Serve = Callable[..., Any]


@pytest.fixture
def serve(tune: Tune, provider: Identity) -> Serve:
    @asynccontextmanager
    async def serving(**changes: Any) -> AsyncIterator[Served]:
        facts = {
            "oidc_issuer": provider.url,
            "oidc_client_id": "unspool",
            "oidc_client_secret": SecretStr("the client's secret"),
            **GROUPS,
            **changes,
        }
        settings = tune(**facts)
        if not (settings.data_dir / "journal.db").exists():
            await made(settings.data_dir)
        served = Served(settings)
        served.start()
        yield served
        served.stop()

    return serving


class Browser:
    """A browser: it keeps cookies, and goes where it is sent."""

    def __init__(self, served: Served) -> None:
        self.url = served.url
        self.http = httpx.AsyncClient(base_url=served.url, trust_env=False, timeout=10)

    async def begin(self, to: str = "/runs") -> str:
        reply = await self.http.get("/api/session/begin", params={"to": to})
        assert reply.status_code == 303, reply.text
        return str(reply.headers["location"])

    async def come_back(self, address: str) -> str:
        reply = await self.http.get(address)
        assert reply.status_code == 303
        return str(reply.headers["location"])

    async def sign_in(self, provider: Identity, subject: str, to: str = "/runs") -> str:
        address = await self.begin(to)
        return await self.come_back(await asyncio.to_thread(provider.log_in, address, subject))

    async def who(self) -> dict[str, Any]:
        return dict((await self.http.get("/api/session")).json())


@pytest.fixture
async def browser_of() -> AsyncIterator[Callable[[Served], Browser]]:
    opened: list[Browser] = []

    def of(served: Served) -> Browser:
        opened.append(Browser(served))
        return opened[-1]

    yield of
    for browser in opened:
        await browser.http.aclose()


async def test_groups_become_roles_and_roles_open_routes(
    serve: Serve, provider: Identity, browser_of: Callable[[Served], Browser]
) -> None:
    expected = {
        "ada": ("admin", 201, 200),
        "bob": ("member", 201, 403),
        "eve": ("viewer", 403, 403),
    }
    async with serve() as served:
        for subject, (role, starts, keys) in expected.items():
            browser = browser_of(served)
            assert await browser.who() == {"access": "keys", "people": True}
            assert (await browser.http.get("/v1/runs")).status_code == 401
            before = provider.verified
            assert await browser.sign_in(provider, subject, "/usage?days=7") == "/usage?days=7"
            assert provider.verified == before + 1
            who = (await browser.who())["who"]
            assert (who["kind"], who["id"], who["role"]) == ("person", subject, role)
            assert who["name"] == subject.title()
            assert (await browser.http.get("/v1/runs")).status_code == 200
            started = await browser.http.post("/v1/runs", json=BODY)
            assert started.status_code == starts, role
            if starts == 403:
                assert "your role, viewer" in started.json()["error"]["message"]
            assert (await browser.http.get("/api/keys")).status_code == keys
        cookie = next(c for c in browser.http.cookies.jar if c.name == "unspool_session")
        assert cookie.has_nonstandard_attr("HttpOnly")
        assert cookie.get_nonstandard_attr("SameSite") == "strict"


async def test_who_signed_out_is_out_with_every_copy_of_the_cookie(
    serve: Serve, provider: Identity, browser_of: Callable[[Served], Browser]
) -> None:
    async with serve() as served:
        browser, thief = browser_of(served), browser_of(served)
        await browser.sign_in(provider, "bob")
        thief.http.cookies.update(dict(browser.http.cookies))
        assert (await thief.http.get("/v1/runs")).status_code == 200
        run = (await browser.http.post("/v1/runs", json=BODY)).json()
        foreign = {"Origin": "https://e.vil"}
        assert (await thief.http.get("/v1/runs", headers=foreign)).status_code == 401
        ticket = await browser.http.post("/v1/tickets", json={"run": run["id"]})
        assert ticket.status_code == 403
        async with thief.http.stream("GET", f"/v1/runs/{run['id']}/events") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines)
            assert (await browser.http.delete("/api/session")).status_code == 204
            async with within(10):
                with pytest.raises(httpx.RemoteProtocolError):
                    async for _ in lines:
                        pass
        assert "unspool_session" not in browser.http.cookies
        assert (await thief.http.get("/v1/runs")).status_code == 401
        assert "who" not in await thief.who()
        assert await browser.sign_in(provider, "ada") == "/runs"
        ended = await until_ended(browser.http, served, run["id"])
        assert ended["status"] == "completed"
        events = (await browser.http.get(f"/v1/runs/{run['id']}/events?dialect=native")).text
        assert '"key":"person:bob"' in events


async def test_forged_and_stolen_returns_sign_nobody_in(
    serve: Serve, provider: Identity, browser_of: Callable[[Served], Browser]
) -> None:
    async with serve() as served:
        browser, victim = browser_of(served), browser_of(served)
        back = provider.log_in(await browser.begin(), "ada")
        await victim.begin()
        assert await victim.come_back(back) == "/runs?sign-in=stale", "another browser's state"
        assert await browser_of(served).come_back(back) == "/?sign-in=stale", "no cookie"
        good = query_of(back)
        for wrong, code in (
            ({"state": "x"}, "stale"),
            ({"state": ""}, "stale"),
            ({"code": "guessed"}, "provider"),
            ({"code": ""}, "refused"),
            ({"iss": "https://e.vil"}, "provider"),
        ):
            await browser.begin()
            state = {"state": query_of(await browser.begin())["state"]}
            reply = await browser.http.get("/api/session/return", params={**good, **state, **wrong})
            assert reply.headers["location"] == f"/runs?sign-in={code}", wrong
        assert await browser.come_back(back) == "/?sign-in=stale", "its cookie has gone"
        address = await browser.begin()
        state = query_of(address)["state"]
        stolen = query_of(provider.log_in(await victim.begin(), "ada"))["code"]
        reply = await browser.http.get(
            "/api/session/return", params={"state": state, "code": stolen}
        )
        assert reply.headers["location"] == "/runs?sign-in=provider", "another one's nonce"
        denied = provider.log_in(await browser.begin(), "")
        denied_state = query_of(denied).get("state", "")
        assert (await browser.come_back(denied)).partition("sign-in=")[2] in {"refused", "stale"}
        assert denied_state is not None
        assert "who" not in await browser.who()
        assert "who" not in await victim.who()


@pytest.mark.parametrize(
    "to",
    [
        *("//e.vil", "https://e.vil", "/\\e.vil", "\\\\e.vil", "javascript:alert(1)", "e.vil"),
        *("/runs\r\nSet-Cookie: a=b", "/\t/e.vil", "/" + "a" * 1001, ""),
    ],
)
async def test_nobody_is_sent_elsewhere(to: str) -> None:
    assert our_page(to) == "/"
    assert our_page("/runs/01?tab=events&at=3") == "/runs/01?tab=events&at=3"


async def test_who_is_in_no_group_or_no_tenant_is_refused(
    serve: Serve, provider: Identity, browser_of: Callable[[Served], Browser]
) -> None:
    async with serve(oidc_viewer_group="staff", oidc_tenant_claim="shop") as served:
        browser = browser_of(served)
        assert await browser.sign_in(provider, "mallory") == "/runs?sign-in=refused"
        assert await browser.sign_in(provider, "eve") == "/runs"
        tenant = (await browser.who())["who"]["tenant"]
        assert tenant not in {"default", "another shop"}, "its id"
        assert await browser.sign_in(provider, "ada") == "/runs"
        assert (await browser.http.get("/api/settings")).status_code == 403
        assert (await browser.http.post("/api/keys", json={"name": "mine"})).status_code == 201
    records = await Records.open(served.settings.data_dir / "records.db")
    rows = await list_audit(records, tenant)
    await records.aclose()
    facts = [(row.actor_kind, row.actor, row.action) for row in rows[:3]]
    assert facts[0] == ("person", "ada", "key.added")
    assert facts[2] == ("person", "eve", "person.signed_in")
    async with serve(oidc_tenant_claim="no such claim", data_dir=served.settings.data_dir) as again:
        browser = browser_of(again)
        assert await browser.sign_in(provider, "ada") == "/runs?sign-in=refused"


async def test_private_issuers_follow_the_rule_of_private_models(
    serve: Serve, provider: Identity, browser_of: Callable[[Served], Browser]
) -> None:
    async with serve(allow_private_upstreams=False) as served:
        reply = await browser_of(served).http.get("/api/session/begin?to=/runs")
        assert reply.headers["location"] == "/runs?sign-in=provider"
    async with serve(oidc_issuer="http://127.0.0.1:9") as served:
        reply = await browser_of(served).http.get("/api/session/begin?to=/runs?a=1")
        assert reply.headers["location"] == "/runs?a=1&sign-in=provider"
    async with serve(oidc_issuer=f"{provider.url}/other") as served:
        reply = await browser_of(served).http.get("/api/session/begin")
        assert reply.headers["location"] == "/?sign-in=provider"


async def test_a_server_without_a_provider_signs_nobody_in(
    serve: Serve, client: httpx.AsyncClient
) -> None:
    async with serve(oidc_issuer="", access="keys") as served:
        assert (await client.get(f"{served.url}/api/session")).json() == {"access": "keys"}
        reply = await client.get(f"{served.url}/api/session/begin")
        assert (reply.status_code, reply.json()["error"]["code"]) == (409, "not_ready")


async def test_a_provider_needs_our_name_there(tune: Tune) -> None:
    app = create_app(tune(oidc_issuer="http://127.0.0.1:9"))
    with pytest.raises(SetupError, match="UNSPOOL_OIDC_CLIENT_ID"):
        async with app.router.lifespan_context(app):
            pass
