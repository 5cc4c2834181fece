"""`/api/routes`: several models under one name."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from support.models import add, body, refused, request_digest
from support.upstream import Upstream, refusal

pytestmark = pytest.mark.usefixtures("somewhere_else")


async def test_a_route_falls_back_and_shows_how_its_models_do(
    api: httpx.AsyncClient, upstream: Upstream
) -> None:
    async with Upstream() as broken:
        broken.play = [refusal(401)]
        await add(api, body(broken, name="first"))
        await add(api, body(upstream, name="org/second"))
        said = {"name": "best/of", "models": ["first", {"model": "org/second", "weight": 2}]}
        made = await api.post("/api/routes", json=said)
        assert (made.status_code, made.headers["location"]) == (201, "/api/routes/best%2Fof")
        facts = await request_digest(api, "best/of")
    assert facts["text"] == "你好"
    assert [a["model"] for a in facts["attempts"]] == ["first", "org/second"]
    assert (await api.get("/api/routes/best%2Fof")).status_code == 200
    route = (await api.get("/api/routes/best/of")).json()
    assert (route["strategy"], route["source"]) == ("ordered", "database")
    first, second = route["models"]
    assert (first["model"], first["weight"], first["health"]["last_error"]) == ("first", 1, "auth")
    assert first["health"]["is_resting"] is True
    assert (second["health"]["attempts"], second["health"]["failures"]) == (1, 0)


async def test_a_route_is_changed_and_removed_and_holds_its_models(
    api: httpx.AsyncClient, upstream: Upstream
) -> None:
    model = await add(api, body(upstream))
    said = {"name": "r", "strategy": "random", "models": ["m", "offline"]}
    await api.post("/api/routes", json=said)
    await refused(await api.delete(f"/api/models/{model['id']}"), "the route r uses")
    changed = await api.patch("/api/routes/r", json={"models": [{"model": "m", "weight": 2}]})
    assert changed.json()["strategy"] == "random"
    assert [m["model"] for m in changed.json()["models"]] == ["m"]
    assert (await api.get("/api/routes")).json()["routes"] == [changed.json()]
    assert (await api.delete("/api/routes/r")).status_code == 204
    await refused(await api.get("/api/routes/r"), "no route 'r'", status=404)
    await refused(await api.post("/v1/runs", json={"model": "r"}), "no model 'r'", status=404)
    assert (await api.delete(f"/api/models/{model['id']}")).status_code == 204


@pytest.mark.parametrize(
    ("said", "words", "status"),
    [
        ({"name": "r", "models": ["absent"]}, "no model 'absent'", 404),
        ({"name": "r", "models": []}, "models", 422),
        ({"name": "r", "models": ["offline"] * 2}, "once", 422),
        ({"name": "r", "models": ["r"]}, "itself", 422),
        ({"name": "s", "models": ["there"]}, "name its models instead", 422),
        ({"name": "there", "models": ["offline"]}, "registered already", 422),
        ({"name": "offline", "models": ["m"]}, "no model 'm'", 404),
        ({"name": "r", "models": ["offline"], "strategy": "best"}, "strategy", 422),
        ({"name": "r", "models": [f"m{n}" for n in range(5000)]}, "models", 422),
        ({"name": "r", "models": [{"model": "offline", "weight": 1e9}]}, "weight", 422),
        ({"name": "r", "models": [{"model": "offline", "wieght": 1}]}, "wieght", 422),
        ({"name": "r", "models": "offline"}, "models", 422),
    ],
)
async def test_a_wrong_route_is_refused(
    refusing: httpx.AsyncClient, said: dict[str, Any], words: str, status: int
) -> None:
    await refusing.post("/api/routes", json={"name": "there", "models": ["offline"]})
    await refused(await refusing.post("/api/routes", json=said), words, status=status)
    assert len((await refusing.get("/api/routes")).json()["routes"]) == 1


async def test_a_model_and_a_route_do_not_share_a_name(
    api: httpx.AsyncClient, upstream: Upstream
) -> None:
    await add(api, body(upstream))
    await refused(await api.post("/api/routes", json={"name": "m", "models": ["offline"]}), "model")
    await api.post("/api/routes", json={"name": "r", "models": ["m"]})
    await refused(await api.post("/api/models", json=body(upstream, name="r")), "r is a route")
