"""Files are brought over HTTP: looked at, mapped, imported, and their rejected rows given back."""

from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from support.servers import Serve, Served

CSV = {"Content-Type": "text/csv"}
SALES = (
    "用户ID,商品ID,商品名称,行为类型,时间戳,售价\n"
    "u1,A1,轻便跑鞋,buy,1763949050,￥299.00\n"
    "u2,A2,高帮帆布鞋,cart,2025-11-24 09:50:50,129\n"
    "u3,A3,拖鞋,pv,昨天,9\n"
    "u4,A4,凉鞋,pv,2025-11-24 09:50:50,面议\n"
)


async def bring(
    client: httpx.AsyncClient, served: Served, content: Any, name: str = "f.csv"
) -> httpx.Response:
    url, query = f"{served.url}/api/imports", {"name": name}
    try:
        return await client.post(url, params=query, content=content, headers=CSV)
    except (httpx.ReadError, httpx.WriteError):
        return httpx.Response(413)  # it hung up before all was sent


async def ended(client: httpx.AsyncClient, served: Served, upload: str) -> dict[str, Any]:
    for _ in range(500):
        shown = (await client.get(f"{served.url}/api/imports/{upload}")).json()
        if shown["status"] != "running":
            return dict(shown)
        await asyncio.sleep(0.02)
    raise TimeoutError(upload)


@pytest.mark.parametrize("packed", [False, True])
async def test_one_file_is_looked_at_and_becomes_products_and_behaviours(
    client: httpx.AsyncClient, serve_with: Serve, packed: bool
) -> None:
    served = serve_with(sample_data=False)
    content = gzip.compress(SALES.encode()) if packed else SALES.encode()
    answered = await bring(client, served, content, "销售.csv")
    assert answered.status_code == 201
    upload, preview = answered.json(), answered.json()["preview"]
    assert answered.headers["location"] == f"/api/imports/{upload['id']}"
    assert upload["name"] == "销售.csv"
    assert preview["headers"][:3] == ["用户ID", "商品ID", "商品名称"]
    assert preview["suggested"] == ["products", "behaviors"]
    assert preview["kinds"]["behaviors"]["columns"]["at"] == "时间戳"
    assert preview["rows"][0][2] == "轻便跑鞋"
    url = f"{served.url}/api/imports/{upload['id']}"
    asked = {"kinds": ["behaviors", "products"], "time_zone": "Asia/Shanghai"}
    assert (await client.post(f"{url}/start", json=asked)).status_code == 202
    done = await ended(client, served, upload["id"])
    assert (done["status"], done["rejected"]) == ("done", 1)
    assert list(done["reports"]) == ["products", "behaviors"]
    assert (done["reports"]["products"]["added"], done["reports"]["products"]["lost"]) == (4, 1)
    assert done["reports"]["behaviors"]["added"] == 3
    assert done["reports"]["behaviors"]["problems"] == [
        {"code": "unreadable", "column": "at", "count": 1}
    ]
    rows = (await client.get(f"{url}/rejected")).text.lstrip("\ufeff").splitlines()
    assert rows[0] == "kind,line,reason,row"
    assert rows[1].startswith("behaviors,4,")
    assert rows[1].endswith("u3,A3,拖鞋,pv,昨天,9")
    again = await client.post(f"{url}/start", json=asked)
    assert again.status_code == 202
    assert (await ended(client, served, upload["id"]))["reports"]["behaviors"]["added"] == 0
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404


async def test_d11_a_time_and_the_unix_time_of_its_moment_are_stored_as_one_time(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with(sample_data=False, time_zone="Asia/Shanghai")
    moment = datetime(2025, 11, 24, 1, 50, 50, tzinfo=UTC)
    ways = [
        "2025-11-24 09:50:50",
        "2025-11-24T09:50:50+08:00",
        "2025-11-24T01:50:50Z",
        f"{int(moment.timestamp())}",
        f"{int(moment.timestamp())}000",
    ]
    rows = "".join(f"u{n},buy,{way}\n" for n, way in enumerate(ways))
    upload = (await bring(client, served, f"user_id,action,at\n{rows}".encode())).json()
    url = f"{served.url}/api/imports/{upload['id']}"
    await client.post(f"{url}/start", json={"kinds": ["behaviors"]})
    assert (await ended(client, served, upload["id"]))["time_zone"] == "Asia/Shanghai"
    for n in range(len(ways)):
        did = (await client.get(f"{served.url}/api/people/u{n}/behaviors")).json()["behaviors"]
        assert [one["at"] for one in did] == ["2025-11-24 09:50:50"], ways[n]


async def test_a_mapping_is_looked_at_before_it_is_used(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with(sample_data=False)
    upload = (await bring(client, served, b"who,what,t\nu1,buy,1763949050\n")).json()
    assert upload["preview"]["suggested"] == []
    assert "user_id" in upload["preview"]["kinds"]["behaviors"]["reason"]
    url = f"{served.url}/api/imports/{upload['id']}"
    mapping = {"behaviors": {"user_id": "who", "action": "what", "at": "t"}}
    asked = {"mapping": mapping, "time_zone": "+08:00"}
    seen = (await client.post(f"{url}/preview", json=asked)).json()["kinds"]["behaviors"]
    assert seen["rows"][0]["values"]["at"] == "2025-11-24 09:50:50"
    wrong = {"mapping": {"behaviors": {"user_id": "nobody"}}}
    refused = (await client.post(f"{url}/preview", json=wrong)).json()["kinds"]["behaviors"]
    assert "no column 'nobody'" in refused["reason"]
    for bad in ({"kinds": ["shops"]}, {"kinds": []}, {"kinds": ["people"], "time_zone": "Mars/X"}):
        assert (await client.post(f"{url}/start", json=bad)).status_code == 422


async def test_what_is_too_large_or_no_csv_is_refused_and_leaves_nothing(
    client: httpx.AsyncClient, serve_with: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unspool.records.csv_import import csv_file

    served = serve_with(sample_data=False, max_upload_bytes=2_000_000)
    large = await bring(client, served, b"user_id\n" + b"x\n" * 1_500_000)
    assert large.status_code == 413

    async def unending() -> Any:
        for _ in range(60):
            yield b"x" * 65536

    assert (await bring(client, served, unending())).status_code == 413
    form = await client.post(f"{served.url}/api/imports", content=b"a,b\n1,2\n")
    assert form.status_code == 415, "a page of another site could send it"
    monkeypatch.setattr(csv_file, "SMALL_BYTES", 1 << 20)
    bomb = await bring(client, served, gzip.compress(b"a,b\n" + b"0" * (40 << 20)))
    assert (bomb.status_code, "unpacks to more" in bomb.text) == (422, True)
    assert (await bring(client, served, b"")).status_code == 422
    assert (await bring(client, served, b"PK\x03\x04")).status_code == 422
    assert (await client.get(f"{served.url}/api/imports")).json()["imports"] == []
    assert not list((served.settings.data_dir / "imports").glob("*"))


async def test_an_import_that_a_stop_cut_off_is_told_and_runs_again(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with(sample_data=False)
    rows = "".join(f"u{n},buy,2025-11-24 09:50:50\n" for n in range(40_000))
    upload = (await bring(client, served, f"user_id,action,at\n{rows}".encode())).json()["id"]
    asked = {"kinds": ["behaviors"]}
    await client.post(f"{served.url}/api/imports/{upload}/start", json=asked)
    busy = await client.post(f"{served.url}/api/imports/{upload}/start", json=asked)
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "not_ready")
    served.stop()
    again = serve_with(sample_data=False)
    shown = (await client.get(f"{again.url}/api/imports/{upload}")).json()
    assert shown["status"] in {"cancelled", "interrupted"}
    url = f"{again.url}/api/imports/{upload}"
    await client.post(f"{url}/start", json=asked)
    assert (await ended(client, again, upload))["reports"]["behaviors"]["read"] == 40_000
    assert (await client.get(f"{again.url}/api/people?limit=1")).json()["total"] == 40_000


async def test_d27_a_person_with_an_age_in_words_loses_the_age_alone(
    client: httpx.AsyncClient, serve_with: Serve
) -> None:
    served = serve_with(sample_data=False)
    rows = f"用户ID,姓名,年龄,城市\nu1,王五,三十,上海\nu2,{'长' * 201},30,北京\n"
    upload = (await bring(client, served, rows.encode())).json()
    assert upload["preview"]["suggested"] == ["people"]
    url = f"{served.url}/api/imports/{upload['id']}"
    await client.post(f"{url}/start", json={"kinds": ["people"]})
    report = (await ended(client, served, upload["id"]))["reports"]["people"]
    assert (report["added"], report["skipped"], report["lost"]) == (2, 0, 2)
    assert report["lost_cells"][0] == [2, "age '三十' is not a number"]
    people = (await client.get(f"{served.url}/api/people")).json()["people"]
    assert [(p["name"], p["age"], p["city"]) for p in people] == [
        ("王五", None, "上海"),
        ("", 30, "北京"),
    ]
