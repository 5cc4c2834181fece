"""What the pages of people read: behaviours, events on their behaviours, one timeline, figures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from support.extraction import USER, extract
from support.servers import Serve, Served
from unspool.apps.extraction.records.events import replace_events
from unspool.records.behaviors import save_behaviors

AT = datetime(2025, 11, 24, 9, 50, 50, tzinfo=UTC)


async def _store(
    served: Served,
    user: str,
    behaviors: list[tuple[str, datetime]],
    events: list[dict[str, Any]],
) -> None:
    async with served.core.records.session() as session:
        values = [{"user_id": user, "action": action, "at": at} for action, at in behaviors]
        await save_behaviors(session, values)
        await replace_events(session, user, "01m0000000000000000000000x", events)
        await session.commit()


async def test_every_stored_event_has_the_behaviour_it_stands_on(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with()
    await extract(client, served, USER)
    told = (await client.get(f"{served.url}/api/people/{USER}/events?grounds=true")).json()
    behaviors = (await client.get(f"{served.url}/api/people/{USER}/behaviors")).json()["behaviors"]
    assert told["events"]
    for event in told["events"]:
        assert event["finding"] is None
        assert event["behavior"] in behaviors


async def test_an_event_whose_behaviour_is_not_there_is_told_as_a_finding(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with(sample_data=False)
    events = [
        {"type": "购买", "at": AT, "context": ""},
        {"type": "分享", "at": AT, "context": ""},
    ]
    await served.call(lambda: _store(served, "客/1", [("buy", AT)], events))
    told = (
        await client.get(f"{served.url}/api/people/{quote('客/1', safe='')}/events?grounds=true")
    ).json()
    bought, shared = told["events"]
    assert (bought["behavior"]["action"], bought["finding"]) == ("buy", None)
    assert shared["finding"] == {"kind": "type", "known": "buy"}


@pytest.mark.parametrize("user", ["客/1", "50%", "a b?c#d"])
async def test_a_timeline_has_behaviours_and_events_of_any_id_the_latest_first(
    client: httpx.AsyncClient, serve_with: Serve, user: str
) -> None:
    served = serve_with(sample_data=False)
    later = AT.replace(hour=11)
    events = [{"type": "购买", "at": later, "context": "下单"}]
    await served.call(lambda: _store(served, user, [("visit", AT), ("buy", later)], events))
    url = f"{served.url}/api/people/{quote(user, safe='')}/timeline"
    entries = (await client.get(url)).json()["entries"]
    told = [(one["kind"], one.get("action") or one["type"]) for one in entries]
    assert told == [("event", "购买"), ("behavior", "buy"), ("behavior", "visit")]
    assert entries[0]["run"] == "01m0000000000000000000000x"
    assert (await client.get(f"{url}?offset=2&limit=5")).json()["entries"] == entries[2:]
    assert (await client.get(f"{served.url}/api/people/nobody/timeline")).status_code == 404


async def test_behaviours_are_searched_paged_and_counted(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with(sample_data=False)
    for number in range(3):
        at = AT.replace(minute=number)
        rows = [("visit", at), ("加购", at.replace(second=1))]
        await served.call(lambda number=number, rows=rows: _store(served, f"客{number}", rows, []))
    url = f"{served.url}/api/behaviors"
    every = (await client.get(f"{url}?actions=true")).json()
    assert (every["total"], every["users"]) == (6, 3)
    assert every["actions"] == [
        {"action": "visit", "behaviors": 3},
        {"action": "加购", "behaviors": 3},
    ]
    assert [one["user_id"] for one in every["behaviors"]][::2] == ["客2", "客1", "客0"]
    page = (await client.get(f"{url}?offset=4&limit=1")).json()
    assert page["behaviors"] == every["behaviors"][4:5]
    found = (await client.get(f"{url}?query=客1&action=加购")).json()
    assert (found["total"], found["behaviors"][0]["action"]) == (1, "加购")


async def test_figures_are_kept_until_the_events_change(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with(sample_data=False)

    def events(*kinds: str) -> list[dict[str, Any]]:
        return [{"type": k, "at": AT.replace(minute=n), "context": ""} for n, k in enumerate(kinds)]

    url = f"{served.url}/api/v1"
    await served.call(lambda: _store(served, "a", [], events("浏览", "购买")))
    first = (await client.get(f"{url}/patterns")).json()
    assert (await client.get(f"{url}/patterns")).json() == first
    assert first["users"] == 1
    assert (await client.get(f"{url}/drop-off?start=浏览")).json()["reached"] == 1
    await served.call(lambda: _store(served, "a", [], events("浏览", "收藏")))
    kinds = {one["type"] for one in (await client.get(f"{url}/event-types")).json()["types"]}
    assert kinds == {"浏览", "收藏"}
    assert (await client.get(f"{url}/drop-off?start=浏览&outcome=购买")).status_code == 404
