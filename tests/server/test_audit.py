"""Every change of who may do what is a row: who made it, to what, and no secret."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx
import pytest

from support.keys import Keys
from support.servers import clean_env
from unspool.records import Records, audit
from unspool.records.audit import COMMAND, AuditRow, list_audit, note
from unspool.records.keys import split_key


def parts_of(key: str) -> tuple[str, str]:
    parts = split_key(key)
    assert parts is not None
    return parts


async def test_changes_of_keys_tenants_models_and_routes_are_rows(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    admin = keys.of("admin")

    async def change(method: str, path: str, body: object = None) -> httpx.Response:
        reply = await client.request(method, keys.url + path, json=body, headers=admin)
        assert reply.status_code < 300, reply.text
        return reply

    made = (await change("POST", "/api/keys", {"name": "for the shop"})).json()
    await change("POST", f"/api/keys/{made['id']}/renew")
    await change("DELETE", f"/api/keys/{made['id']}")
    await change("POST", "/api/tenants", {"name": "a third shop"})
    secret = "sk-of-the-vendor-0123456789"
    model = {"name": "mine", "provider": "offline", "api_key": secret}
    number = (await change("POST", "/api/models", model)).json()["id"]
    await change("PATCH", f"/api/models/{number}", {"api_key": f"{secret}2"})
    await change("POST", "/api/routes", {"name": "both", "models": ["mine", "offline"]})
    await change("PATCH", "/api/routes/both", {"models": ["mine"]})
    await change("PATCH", "/api/models/defaults", {"model": "mine"})
    await change("DELETE", "/api/routes/both")
    await change("DELETE", f"/api/models/{number}")
    answer = await client.get(f"{keys.url}/api/audit", headers=admin)
    told = answer.json()["rows"]
    mine = [
        row
        for row in told
        if row["actor"] == {"kind": "key", "id": parts_of(keys.texts["admin"])[0]}
    ]
    assert [row["action"] for row in reversed(mine)] == [
        *("key.added", "key.renewed", "key.revoked", "tenant.added"),
        *("model.added", "model.changed", "route.added", "route.changed", "model.default"),
        *("route.removed", "model.removed"),
    ]
    assert {row["subject"] for row in mine if row["action"].startswith("key")} == {made["id"]}
    assert secret not in answer.text
    assert parts_of(made["key"])[1] not in answer.text
    first = [row for row in told if row["actor"]["kind"] == "command"]
    assert {row["action"] for row in first} == {"key.added", "tenant.added"}


async def test_a_tenant_sees_its_own_rows_page_by_page_and_needs_admin(
    keys: Keys, client: httpx.AsyncClient
) -> None:
    theirs = keys.of("other")
    for name in ("a", "b", "c"):
        await client.post(f"{keys.url}/api/keys", json={"name": name}, headers=theirs)
    seen: list[str] = []
    before = ""
    while True:
        path = f"{keys.url}/api/audit?limit=2{before}"
        page = (await client.get(path, headers=theirs)).json()
        seen += [row["detail"]["name"] for row in page["rows"]]
        assert len({row["tenant"] for row in page["rows"]} | {"default"}) == 2
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert seen == ["c", "b", "a", "other"]
    listed = (await client.get(f"{keys.url}/api/audit?limit=200", headers=keys.of("admin"))).json()
    assert len({row["tenant"] for row in listed["rows"]}) == 2
    reply = await client.get(f"{keys.url}/api/audit", headers=keys.of("runs:read"))
    assert reply.status_code == 403


async def test_the_command_line_lists_the_changes(keys: Keys) -> None:
    folder = str(keys.served.settings.data_dir)
    argv = [sys.executable, "-m", "unspool", "audit-log", "--data-dir", folder]
    for more in ([], ["--json"]):
        ran = subprocess.run(  # noqa: ASYNC221 - the server has a thread of its own
            [*argv, *more], env=clean_env(), capture_output=True, check=True, text=True
        )
        assert "key.added" in ran.stdout
    assert json.loads(ran.stdout)[0]["actor_kind"] == "command"


async def test_of_each_tenant_only_the_newest_rows_stay(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "KEPT", 3)
    async with records.session() as session:
        for number in range(5):
            await note(session, COMMAND, "key.added", str(number), tenant="one")
            await note(session, COMMAND, "key.added", str(number), tenant="two")
        await note(session, COMMAND, "key.added", "5", tenant="two")
        await session.commit()

    def subjects(rows: list[AuditRow]) -> list[str]:
        return [row.subject for row in rows]

    assert subjects(await list_audit(records, "one")) == ["4", "3", "2"]
    assert subjects(await list_audit(records, "two")) == ["5", "4", "3"]
