"""Keys of models: where they may be, and what happens when they cannot be read any more."""

from __future__ import annotations

import json
import logging
import sqlite3

import pytest

from support.models import KEY, add, body, client_of, deep, refused, request_digest
from support.servers import Serve, Tune
from support.upstream import RESET, Upstream, answer, refusal
from unspool import open_core
from unspool.records.migrations import revisions

pytestmark = pytest.mark.usefixtures("somewhere_else")


async def test_a_planted_key_is_in_one_header_and_nowhere_else(
    serve_with: Serve, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    upstream.play = [answer("好"), refusal(401, f"no such key: {KEY}"), [RESET]]
    served = serve_with(retries=0)
    seen = []
    async with client_of(served.url) as api:
        model = await add(api, body(upstream))
        path = f"/api/models/{model['id']}"
        seen += [(await api.post(f"{path}/test")).text for _ in range(3)]
        seen.append(json.dumps(await request_digest(api, "m")))
        again = {"api_key": KEY, "base_url": "http://169.254.169.254/"}
        seen.append((await api.patch(path, json=again)).text)
        seen.append((await api.patch(path, json={"api_key": KEY, "params": {"a": deep(40)}})).text)
        seen.append((await api.post("/api/models", json=body(upstream))).text)
        places = ("/api/models", path, "/readyz", "/openapi.json", "/v1/runs")
        seen += [(await api.get(where)).text for where in places]
        seen.append(repr(served.core.catalog.entries()))
    served.stop()
    assert not [text for text in seen if KEY in text]
    assert KEY not in caplog.text
    files = [file for file in served.settings.data_dir.rglob("*") if file.is_file()]
    assert {"records.db", "journal.db", "secret.key"} <= {file.name for file in files}
    assert not [file.name for file in files if KEY.encode() in file.read_bytes()]
    assert {asked.headers["authorization"] for asked in upstream.requests} == {f"Bearer {KEY}"}


async def test_a_server_whose_key_file_was_lost_starts_and_says_what_to_do(
    serve_with: Serve, upstream: Upstream
) -> None:
    served = serve_with()
    async with client_of(served.url) as api:
        await add(api, body(upstream))
    served.stop()
    (served.settings.data_dir / "secret.key").unlink()

    served = serve_with()
    async with client_of(served.url) as api:
        model = (await api.get("/api/models/2")).json()
        assert (model["has_key"], model["key_end"], model["is_default"]) == (True, None, False)
        assert "secret.key is gone from the data directory" in model["problem"]
        await refused(await api.post("/v1/runs", json={"model": "m"}), "set its `api_key` again")
        tried = (await api.post("/api/models/2/test")).json()
        assert (tried["ok"], upstream.requests) == (False, [])
        mended = (await api.patch("/api/models/2", json={"api_key": KEY})).json()
        assert mended["problem"] is None
        assert (await request_digest(api, "m"))["text"] == "你好"


# The database


async def test_a_database_of_the_first_step_gets_the_tables_and_keeps_what_it_has(
    tune: Tune,
) -> None:
    settings = tune()
    path = settings.data_dir / "records.db"
    with sqlite3.connect(path) as before:
        tables = before.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in tables:
            if name not in {"products", "behaviors", "alembic_version", "sqlite_sequence"}:
                before.execute(f"DROP TABLE {name}")
        before.execute("UPDATE alembic_version SET version_num = '0001'")
        products = before.execute("SELECT count(*) FROM products").fetchone()
    before.close()
    async with open_core(settings) as core:
        assert [entry.id for entry in core.catalog.entries()] == [1]
    with sqlite3.connect(path) as after:
        assert after.execute("SELECT count(*) FROM products").fetchone() == products
        assert after.execute("SELECT version_num FROM alembic_version").fetchone() == (
            revisions()[-1],
        )
        assert after.execute("SELECT id, name, source FROM models").fetchall() == [
            (1, "offline", "built_in")
        ]
    after.close()
