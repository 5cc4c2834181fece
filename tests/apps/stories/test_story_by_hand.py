"""Stories changed by people: a scene, a movement, and a wish while a text is being written."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from support.readers import look
from support.servers import ServeModel
from support.stories import cameras, project, stage, told, written
from support.upstream import SILENCE, Upstream, answer, chunk


async def test_a_scene_that_a_person_changes_makes_a_new_storyboard_and_the_camera_stale(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    place = await written(client, served, upstream)
    upstream.play = [answer(cameras("推", "推", "推"))]
    await told(client, f"{place}/camera-stream/")
    old = (await stage(client, place, "storyboard"))["result"]
    changed = {"number": 2, "description": "小船翻了", "shot_size": "close_up"}
    new = await client.patch(f"{place}/stages/storyboard", json={"item": changed})
    result = new.raise_for_status().json()["result"]
    assert (result["model"], result["run"], result["id"] > old["id"]) == ("edited", None, True)
    assert result["characters"] == old["characters"]
    assert [scene["description"] for scene in result["items"]] == [
        "海边的灯塔",
        "小船翻了",
        "天亮了",
    ]
    assert result["items"][1]["duration_s"] == 4
    assert result["items"][1]["shot_size"] == "close_up"
    assert not new.json()["is_stale"]
    assert (await stage(client, place, "camera"))["is_stale"]
    listed = (await client.get(f"{served.url}/api/v1/projects/")).json()["projects"][0]
    assert [(each["status"], each["is_stale"]) for each in listed["stages"]] == [
        ("completed", False),
        ("completed", False),
        ("completed", True),
    ]
    moved = {"number": 1, "movement": "pull", "reason": "看得更远"}
    camera = await client.patch(f"{place}/stages/camera", json={"item": moved})
    assert camera.raise_for_status().json()["result"]["items"][0] == {
        "scene": 1,
        "movement": "pull",
        "reason": "看得更远",
    }


@pytest.mark.parametrize(
    ("kind", "item", "status"),
    [
        ("storyboard", {"number": 9, "title": "x"}, 404),
        ("storyboard", {"number": 1}, 422),
        ("storyboard", {"number": 1, "movement": "push"}, 422),
        ("storyboard", {"number": 1, "description": ""}, 422),
        ("storyboard", {"number": 1, "shot_size": "huge"}, 422),
        ("storyboard", {"number": 1, "duration_s": 601}, 422),
        ("rewrite", {"number": 1, "title": "x"}, 422),
        ("camera", {"number": 1, "reason": "x"}, 409),
    ],
)
async def test_a_change_that_fits_no_scene_is_refused(
    serve_model: ServeModel,
    upstream: Upstream,
    client: httpx.AsyncClient,
    kind: str,
    item: dict[str, Any],
    status: int,
) -> None:
    place = await written(client, serve_model(), upstream)
    refused = await client.patch(f"{place}/stages/{kind}", json={"item": item})
    assert refused.status_code == status


async def test_a_live_stage_is_steered_by_a_fork_that_takes_its_place(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    place = await project(client, served)
    upstream.play = [[chunk("夜里，"), SILENCE], answer("灯亮了。")]
    asked = {"project_id": int(place.rsplit("/", 1)[1]), "stages": ["rewrite"]}
    started = await client.post(f"{served.url}/v1/runs", json={"flow": "story", "input": asked})
    run = started.json()["id"]
    await upstream.until(lambda: bool(upstream.requests))
    changes = {"cancel": True, "input": {"wish": "写得短一些"}}
    steered = await client.post(f"{served.url}/v1/runs/{run}/fork", json=changes)
    assert steered.status_code == 201, steered.text
    new = steered.json()["id"]
    await look(client, f"{served.url}/v1/runs/{new}/events")
    assert (await client.get(f"{served.url}/v1/runs/{run}")).json()["status"] == "cancelled"
    found = await stage(client, place, "rewrite")
    assert (found["status"], found["run"]) == ("completed", new)
    assert found["result"]["text"].endswith("灯亮了。")
    assert "写得短一些" in upstream.requests[-1].body["messages"][1]["content"]
