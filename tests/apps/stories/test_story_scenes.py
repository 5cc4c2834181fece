"""Stories as their users work: which model writes, which text stays, one scene again."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from support.readers import post
from support.servers import Serve, Served, ServeModel
from support.stories import (
    BOARD,
    TEXT,
    TOPIC,
    board,
    cameras,
    project,
    scenes,
    stage,
    told,
    written,
)
from support.upstream import Upstream, answer, refusal


def one_scene(description: str, **more: Any) -> str:
    new = {"number": 7, "title": "新", "description": description, "characters": [], **more}
    return json.dumps({"scenes": [new]}, ensure_ascii=False)


# Which model writes


@pytest.mark.parametrize("path", ["rewrite-stream", "pipeline-stream"])
async def test_d7_the_model_of_the_request_goes_before_the_stage_s_own(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, path: str
) -> None:
    served = serve_model()
    place = await project(client, served)
    for kind in ("rewrite", "storyboard", "camera"):
        await client.patch(f"{place}/stages/{kind}", json={"model": "tested"})
    view = await post(client, f"{place}/{path}/", {"model": "offline"})
    assert view.seen.documents[-1]["type"] == "done"
    assert upstream.requests == [], "the stage's own model was not asked"
    run = (await client.get(f"{served.url}/v1/runs/{view.run_id}")).json()
    assert run["model"] == "offline"
    results = (await client.get(f"{place}/history")).json()["results"]
    assert {result["model"] for result in results} == {"offline"}
    assert {attempt["model"] for attempt in run["attempts"]} == {"offline"}


async def test_d7_without_a_model_in_the_request_the_stage_s_own_writes(
    serve_model: ServeModel, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    place = await project(client, served)
    await client.patch(f"{place}/stages/rewrite", json={"model": "offline"})
    await told(client, f"{place}/rewrite-stream/")
    assert (await stage(client, place, "rewrite"))["result"]["model"] == "offline"


# One truth about an end


@pytest.mark.parametrize("said", ["I cannot do that.", "{}", '{"scenes": []}', "[1, 2]"])
async def test_d14_a_pipeline_whose_storyboard_is_none_says_failed_everywhere(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, said: str
) -> None:
    upstream.play = [answer(TEXT), answer(said)]
    served = serve_model()
    place = await project(client, served)
    view = await post(client, f"{place}/pipeline-stream/", {})
    frames = view.seen.documents
    done = [f["stage"]["stage_type"] for f in frames if f["type"] == "stage_done"]
    assert done == ["rewrite"]
    last = frames[-1]
    assert (last["type"], last["code"]) == ("error", "answer_unfit")
    assert (last["stage"]["stage_type"], last["stage"]["status"]) == ("storyboard", "failed")
    run = (await client.get(f"{served.url}/v1/runs/{view.run_id}")).json()
    assert run["status"] == last["status"] != "completed"
    stages = (await client.get(place)).json()["stages"]
    assert [s["status"] for s in stages] == ["completed", "failed", "pending"]
    assert [bool(s["result"]) for s in stages] == [True, False, False]
    assert stages[1]["error"]["code"] == "answer_unfit"


async def test_d14_a_pipeline_that_fails_at_the_camera_keeps_the_storyboard_before_it(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer(TEXT), answer(board()), answer("no")]
    served = serve_model()
    place = await project(client, served)
    frames = await told(client, f"{place}/pipeline-stream/")
    done = [f["stage"]["stage_type"] for f in frames if f["type"] == "stage_done"]
    assert (done, frames[-1]["type"]) == (["rewrite", "storyboard"], "error")
    stages = (await client.get(place)).json()["stages"]
    assert [s["status"] for s in stages] == ["completed", "completed", "failed"]


async def test_d15_an_empty_rewrite_is_a_failure_and_no_result(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("  \n")]
    served = serve_model()
    place = await project(client, served)
    frames = await told(client, f"{place}/rewrite-stream/")
    assert frames[-1]["type"] == "error"
    now = await stage(client, place, "rewrite")
    assert (now["status"], now["result"]) == ("failed", None)


# The text that somebody typed


@pytest.mark.parametrize("form", ["plain", "input_data"])
async def test_d16_a_typed_text_stays_with_the_stage_and_is_used_again(
    shared_server: Served, client: httpx.AsyncClient, form: str
) -> None:
    place = await project(client, shared_server)
    body = {"original_text": TEXT}
    await told(client, f"{place}/rewrite-stream/", body if form == "plain" else {form: body})
    now = await stage(client, place, "rewrite")
    assert (now["input_text"], now["is_stale"]) == (TEXT, False)
    await told(client, f"{place}/rewrite-stream/")
    assert (await stage(client, place, "rewrite"))["result"]["original_text"] == TEXT


async def test_d16_a_text_that_failed_stays_too_and_the_topic_takes_its_place_again(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [refusal(401, "wrong key"), answer("好。")]
    served = serve_model()
    place = await project(client, served)
    await told(client, f"{place}/rewrite-stream/", {"original_text": TEXT})
    assert (await stage(client, place, "rewrite"))["input_text"] == TEXT
    await told(client, f"{place}/rewrite-stream/", {"original_text": TOPIC})
    now = await stage(client, place, "rewrite")
    assert (now["input_text"], now["result"]["original_text"]) == ("", TOPIC)
    await client.patch(place, json={"original_topic": "别的"})
    assert (await stage(client, place, "rewrite"))["is_stale"]


# The built-in writer


async def test_d10_the_seed_s_own_topic_is_told_truly_in_scenes_and_movements(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    place = await project(client, serve_with())
    frames = await told(client, f"{place}/pipeline-stream/", {"model": "offline"})
    assert not [f for f in frames if f["type"] == "warning"]
    rewrite, storyboard, camera = (await client.get(place)).json()["stages"]
    text = rewrite["result"]["text"]
    assert len(text.split("\n\n")) >= 4
    for fact in ("图灵", "1956年", "达特茅斯", "深蓝", "1997年", "AlphaGo", "Transformer", "2022"):
        assert fact in text
    shots = storyboard["result"]["items"]
    titles = [shot["title"] for shot in shots]
    assert len(set(titles)) == len(titles) >= 8
    assert not any(title.startswith("镜头") for title in titles)
    assert len({shot["description"] for shot in shots}) == len(shots)
    assert "".join(shot["narration"] for shot in shots) == text.replace("\n\n", "")
    names = {one["name"] for one in storyboard["result"]["characters"]}
    assert {name for shot in shots for name in shot["characters"]} == names
    assert len({move["movement"] for move in camera["result"]["items"]}) >= 4
    assert len({(m["movement"], m["reason"]) for m in camera["result"]["items"]}) == 5


@pytest.mark.parametrize(
    ("topic", "note"),
    [
        ("一家雨天才开门的书店", "离线模型的示例"),
        ("守塔人与最后一封信", "离线模型的示例"),
        ("AI写的诗", "离线模型的示例"),
        ("A bookshop that opens when it rains", "offline model"),
    ],
)
async def test_d10_of_another_topic_it_says_only_what_the_words_say_and_who_wrote_it(
    shared_server: Served, client: httpx.AsyncClient, topic: str, note: str
) -> None:
    place = await project(client, shared_server, original_topic=topic)
    await told(client, f"{place}/pipeline-stream/", {"model": "offline"})
    rewrite, storyboard, _ = (await client.get(place)).json()["stages"]
    text = rewrite["result"]["text"]
    assert topic in text
    (line,) = [line for line in text.splitlines() if note in line]
    assert line == text.splitlines()[-1]
    assert ("（" in line) == any(c > "\u3400" for c in topic), "in the language of the topic"
    assert not any(note in shot["narration"] for shot in storyboard["result"]["items"])


# What a storyboard invents


async def test_d2_findings_stand_in_the_frames_and_beside_the_stored_scenes(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    long = (
        "海边有一座很老的灯塔。老人每天傍晚点灯。风暴来得特别早，浪很高。小船迷了路，看不见岸。" * 3
    )
    one = {"description": "灯塔", "narration": "海边有一座很老的灯塔。", "duration_s": 9999}
    cast = [{"name": "老人", "look": ""}]
    said = {"characters": cast, "scenes": [{**one, "characters": ["船长"]}]}
    upstream.play = [answer(long), answer(json.dumps(said, ensure_ascii=False))]
    served = serve_model()
    place = await project(client, served)
    await told(client, f"{place}/rewrite-stream/")
    frames = await told(client, f"{place}/storyboard-stream/")
    messages = [f["message"] for f in frames if f["type"] == "warning"]
    assert all(set(f) == {"type", "message"} for f in frames if f["type"] == "warning")
    assert any("duration_s: 9999" in message for message in messages)
    (shot,) = frames[-1]["stage"]["items"]
    assert shot["duration_s"] is None
    result = (await stage(client, place, "storyboard"))["result"]
    assert {f["kind"] for f in result["findings"]} == {"range", "single", "coverage", "character"}
    beside = {f["kind"] for f in result["findings"] if f.get("scene") == 1}
    assert beside == {"range", "character"}


# One scene again


async def test_s4_one_scene_is_written_again_and_the_others_stay(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    place = await written(client, served, upstream)
    upstream.play += [answer(cameras("推", "拉", "摇")), answer(one_scene("浪把船托起来"))]
    await told(client, f"{place}/camera-stream/")
    old = (await stage(client, place, "storyboard"))["result"]
    frames = await told(client, f"{place}/scenes/2/rewrite-stream/", {"wish": "更近一些"})
    asked = upstream.requests[-1].body["messages"][-1]["content"]
    assert all(words in asked for words in ("更近一些", "浪里的小船", "老人", "第 2 个镜头"))
    running = {"stage_type": "storyboard", "status": "running"}
    assert frames[0]["type"] == "stage_update"
    assert frames[0]["stage"].items() >= running.items()
    assert frames[1] == {"type": "info", "message": "开始分镜生成..."}
    (found,) = [f["scene"] for f in frames if f["type"] == "scene"]
    assert (found["number"], found["description"]) == (2, "浪把船托起来")
    now = await stage(client, place, "storyboard")
    new = now["result"]
    assert frames[-1]["type"] == "done"
    assert frames[-1]["stage"]["items"] == new["items"] == [old["items"][0], found, old["items"][2]]
    assert new["characters"] == old["characters"] == BOARD["characters"]
    assert (now["status"], now["is_stale"]) == ("completed", False)
    assert (await stage(client, place, "camera"))["is_stale"], "the scenes have changed"
    history = (await client.get(f"{place}/history?stage=storyboard")).json()["results"]
    assert [each["id"] for each in history] == [new["id"], old["id"]]
    diff = f"{place}/history/{new['id']}/diff?against={old['id']}"
    parts = (await client.get(diff)).json()["parts"]
    assert [part for part in parts if part["op"] != "equal"] == [
        {"op": "delete", "text": "2. 浪里的小船\n"},
        {"op": "insert", "text": "2. 浪把船托起来\n"},
    ]


@pytest.mark.parametrize(
    "said",
    [
        '{"title": "新", "description": "新的画面", "characters": ["老人"]}',
        '{"scene": {"description": "新的画面"}}',
        '好的：[{"number": 9, "description": "新的画面"}, {"description": "多余的"}]',
    ],
)
async def test_s4_one_scene_is_read_in_whatever_wrapping_and_keeps_its_number(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, said: str
) -> None:
    served = serve_model()
    place = await written(client, served, upstream)
    upstream.play += [answer(said)]
    frames = await told(client, f"{place}/scenes/3/rewrite-stream")
    items = frames[-1]["stage"]["items"]
    assert [i["description"] for i in items] == ["海边的灯塔", "浪里的小船", "新的画面"]
    assert [i["number"] for i in items] == [1, 2, 3]


async def test_s4_a_scene_that_cannot_be_read_leaves_the_storyboard_as_it_was(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    place = await written(client, served, upstream)
    old = (await stage(client, place, "storyboard"))["result"]
    upstream.play += [answer("no"), answer(one_scene("又一次"))]
    frames = await told(client, f"{place}/scenes/1/rewrite-stream/")
    assert (frames[-1]["type"], frames[-1]["stage"]["status"]) == ("error", "failed")
    now = await stage(client, place, "storyboard")
    assert (now["status"], now["result"]["id"]) == ("failed", old["id"])
    frames = await told(client, f"{place}/scenes/1/rewrite-stream/")
    assert frames[-1]["type"] == "done"


async def test_s4_a_scene_of_a_stale_storyboard_leaves_it_stale(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    place = await written(client, served, upstream)
    await client.patch(f"{place}/stages/rewrite", json={"result_text": "另一个故事。"})
    upstream.play += [answer(one_scene("换了画面"))]
    await told(client, f"{place}/scenes/1/rewrite-stream/")
    assert (await stage(client, place, "storyboard"))["is_stale"]


async def test_s4_what_is_no_scene_is_404_and_no_storyboard_409(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    empty = await project(client, served)
    place = await written(client, served, upstream)
    for path, status in [
        (f"{empty}/scenes/1/rewrite-stream/", 409),
        (f"{place}/scenes/4/rewrite-stream/", 404),
        (f"{place}/scenes/0/rewrite-stream/", 422),
        (f"{place}/scenes/x/rewrite-stream/", 422),
        (f"{served.url}/api/v1/projects/999/scenes/1/rewrite-stream/", 404),
    ]:
        assert (await client.post(path, json={})).status_code == status, path


async def test_s4_the_built_in_model_writes_one_scene_in_another_way(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    place = await project(client, shared_server)
    await told(client, f"{place}/rewrite-stream/", {"model": "offline"})
    await told(client, f"{place}/storyboard-stream/", {"model": "offline"})
    old = (await stage(client, place, "storyboard"))["result"]["items"]
    await told(client, f"{place}/scenes/2/rewrite-stream/", {"model": "offline"})
    new = (await stage(client, place, "storyboard"))["result"]["items"]
    assert [a["number"] for a, b in zip(old, new, strict=True) if a != b] == [2]
    assert new[1]["narration"] == old[1]["narration"]
    assert new[1]["shot_size"] != old[1]["shot_size"]


async def test_s4_a_storyboard_says_its_total_length(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    upstream.play = [answer(TEXT), answer(scenes("一", "二").replace("}", ', "duration_s": 3}', 2))]
    place = await project(client, served)
    await told(client, f"{place}/rewrite-stream/")
    await told(client, f"{place}/storyboard-stream/")
    assert (await stage(client, place, "storyboard"))["result"]["total_s"] == 6
