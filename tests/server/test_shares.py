"""A share link shows one run, to read, until it is revoked; as little of it as was wanted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from support.keys import BODY, Keys
from support.keys import made as make_keys
from support.patience import within
from support.runs import until_ended
from support.servers import Served, Tune
from unspool.records import Records
from unspool.records.audit import list_audit

SECRET = "a secret of the prompt"


def facts_in(stream: str) -> list[dict[str, Any]]:
    lines = [line for line in stream.splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


async def shared(client: httpx.AsyncClient, url: str, **facts: Any) -> dict[str, Any]:
    reply = await client.post(url, **facts)
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


async def test_a_link_shows_text_and_state_and_nothing_else(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    mine, body = keys.of("admin"), {**BODY, "input": {"prompt": SECRET, "system": "be brief"}}
    run = (await client.post(f"{keys.url}/v1/runs", json=body, headers=mine)).json()
    links = f"{keys.url}/v1/runs/{run['id']}/shares"
    made = await shared(client, links, json={}, headers=keys.of("runs:write"))
    assert made["text_only"] is True
    assert made["expires_at"] is None
    whole = await until_ended(client, keys.served, run["id"], headers=mine)
    api = f"{keys.url}/v1/shared/{made['path'].rpartition('/')[2]}"
    told = await client.get(api)
    assert told.json() == {
        "text_only": True,
        "status": "completed",
        "parts": [whole["text"]],
        "created_at": whole["created_at"],
        "ended_at": whole["ended_at"],
        "expires_at": None,
    }
    stream = await client.get(f"{api}/events")
    facts = facts_in(stream.text)
    assert "".join(fact.get("text", "") for fact in facts) == whole["text"]
    assert {fact["type"] for fact in facts} == {"running", "text", "ended"}
    allowed = {"type", "at_ms", "part", "text", "status"}
    assert all(fact.keys() <= allowed for fact in facts)
    shown = told.text + stream.text + str(stream.headers) + str(told.headers)
    for hidden in (SECRET, "be brief", "usage", "cost", run["id"], '"answer"', "default"):
        assert hidden not in shown, hidden


async def test_a_link_may_show_more_and_a_viewer_goes_on_where_it_was(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    mine = keys.of("admin")
    run = (await client.post(f"{keys.url}/v1/runs", json=BODY, headers=mine)).json()
    links = f"{keys.url}/v1/runs/{run['id']}/shares"
    made = await shared(client, links, json={"text_only": False, "days": 1}, headers=mine)
    whole = await until_ended(client, keys.served, run["id"], headers=mine)
    api = f"{keys.url}/v1/shared/{made['path'].rpartition('/')[2]}"
    told = (await client.get(api)).json()
    assert told["input"]["prompt"] == BODY["input"]["prompt"]
    assert (told["attempts"], told["cost"]) == (whole["attempts"], whole["cost"])
    assert "key" not in told
    frames = (await client.get(f"{api}/events")).text.strip().split("\n\n")
    third = frames[2].partition("id: ")[2].partition("\n")[0]
    rest = await client.get(f"{api}/events", headers={"Last-Event-ID": third})
    assert rest.text.strip().split("\n\n") == frames[3:]
    last = frames[-1].partition("id: ")[2].partition("\n")[0]
    over = await client.get(f"{api}/events", headers={"Last-Event-ID": last})
    assert over.status_code == 204
    assert (await client.get(f"{api}/events?after=999999")).status_code == 400
    listed = (await client.get(links, headers=mine)).json()["shares"]
    assert [row["id"] for row in listed] == [made["id"]]
    assert "path" not in listed[0]


async def test_a_link_opens_nothing_else(keys: Keys, client: httpx.AsyncClient) -> None:
    mine, theirs = keys.of("admin"), keys.of("other")
    run = (await client.post(f"{keys.url}/v1/runs", json=BODY, headers=mine)).json()
    links = f"{keys.url}/v1/runs/{run['id']}/shares"
    made = await shared(client, links, json={}, headers=mine)
    token = made["path"].rpartition("/")[2]
    api = f"{keys.url}/v1/shared/{token}"
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in (api, f"{api}/events", f"{api}/cancel"):
            reply = await client.request(method, path, json={})
            assert reply.status_code in {404, 405}, (method, path)
    for path in ("", "/events", "/shares", "/export", "/cancel"):
        for way in (
            {"params": {"ticket": token}},
            {"headers": {"Authorization": f"Bearer {token}"}},
        ):
            place = f"{keys.url}/v1/runs/{run['id']}{path}"
            assert (await client.get(place, **way)).status_code in {401, 405}, path
            assert (await client.post(place, json={}, **way)).status_code == 401, path
    for path in (f"{api}/attempts", f"{api}/progress", f"{api}/../runs", f"{api}/ws"):
        assert (await client.get(path)).status_code in {401, 404}, path
    name, _, secret = token.rpartition("_")
    for guess in (
        *(f"{name}_{'x' * 43}", f"{name}_{secret[:-1]}", f"ush_aaaaaaaaaaaa_{secret}"),
        *("ush_", "' or ''='", f"{token}%00", run["id"], made["id"]),
    ):
        for path in ("", "/events"):
            reply = await client.get(f"{keys.url}/v1/shared/{guess}{path}")
            assert reply.status_code == 404, guess
    other = (await client.post(f"{keys.url}/v1/runs", json=BODY, headers=theirs)).json()
    stranger = f"{keys.url}/v1/runs/{other['id']}/shares"
    assert (await client.get(links, headers=theirs)).status_code == 404
    assert (await client.post(links, json={}, headers=theirs)).status_code == 404
    for place in (links, stranger):
        reply = await client.delete(f"{place}/{made['id']}", headers=theirs)
        assert reply.status_code == 404
    assert (await client.get(api)).status_code == 200
    assert (await client.post(links, json={}, headers=keys.of("runs:read"))).status_code == 403


async def test_a_ticket_makes_no_link(keys: Keys, client: httpx.AsyncClient) -> None:
    mine = keys.of("admin")
    run = (await client.post(f"{keys.url}/v1/runs", json=BODY, headers=mine)).json()
    asked = {"run": run["id"], "scope": "runs:write"}
    ticket = (await client.post(f"{keys.url}/v1/tickets", json=asked, headers=mine)).json()
    links = f"{keys.url}/v1/runs/{run['id']}/shares"
    given = {"ticket": ticket["ticket"]}
    assert (await client.post(links, json={}, params=given)).status_code == 403
    assert (await client.get(links, params=given)).status_code == 403


@pytest.fixture(params=["open", "keys"])
async def slow(
    request: pytest.FixtureRequest, tune: Tune
) -> AsyncIterator[tuple[Served, dict[str, str]]]:
    """A server of each mode, whose offline model takes its time."""
    settings = tune(access=request.param)
    texts = await make_keys(settings.data_dir)
    served = Served(settings)
    served.start()
    yield served, {"Authorization": f"Bearer {texts['admin']}"}
    served.stop()


async def test_a_revoked_link_ends_what_it_has_open_and_the_run_goes_on(
    slow: tuple[Served, dict[str, str]], client: httpx.AsyncClient
) -> None:
    served, mine = slow
    run = (await client.post(f"{served.url}/v1/runs", json=BODY, headers=mine)).json()
    links = f"{served.url}/v1/runs/{run['id']}/shares"
    made = await shared(client, links, json={}, headers=mine)
    api = f"{served.url}/v1/shared/{made['path'].rpartition('/')[2]}"
    async with client.stream("GET", f"{api}/events") as stream:
        lines = stream.aiter_lines()
        assert await anext(lines)
        watched = (await client.get(f"{served.url}/v1/runs/{run['id']}", headers=mine)).json()
        assert watched["viewers"] == 0, "a guest has a say in whether the run goes on"
        assert (await client.delete(f"{links}/{made['id']}", headers=mine)).status_code == 204
        async with within(10):
            with pytest.raises(httpx.RemoteProtocolError):
                async for _ in lines:
                    pass
    for path in (api, f"{api}/events"):
        assert (await client.get(path)).status_code == 404
    ended = await until_ended(client, served, run["id"], headers=mine)
    assert ended["status"] == "completed"
    records = await Records.open(served.settings.data_dir / "records.db")
    rows = await list_audit(records, None)
    await records.aclose()
    assert [row.action for row in rows[:2]] == ["share.revoked", "share.added"]
    raw = b"".join(path.read_bytes() for path in served.settings.data_dir.glob("records.db*"))
    assert made["path"].split("_", 2)[2].encode() not in raw
