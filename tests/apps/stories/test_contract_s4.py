"""S4: story projects, their stages, and the streams that write them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from support.readers import look, post
from support.servers import Serve, Served, ServeModel
from support.stories import TEXT, TOPIC, cameras, project, scenes, stage, told
from support.upstream import RESET, SILENCE, Upstream, answer, chunk, refusal


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    """The kinds of frames in order, neighbours of one kind as one."""
    found = [frame["type"] for frame in frames]
    return [kind for n, kind in enumerate(found) if n == 0 or found[n - 1] != kind]


@pytest.mark.parametrize("slash", ["/", ""])
@pytest.mark.parametrize(
    "body", [{}, {"original_text": TEXT}, {"input_data": {"original_text": TEXT}}]
)
async def test_s4_1_the_slash_and_the_form_of_the_body_are_the_clients_choice(
    shared_server: Served, client: httpx.AsyncClient, slash: str, body: dict[str, Any]
) -> None:
    place = await project(client, shared_server)
    view = await post(client, f"{place}/rewrite-stream{slash}", body)
    assert view.headers["content-type"].startswith("text/event-stream")
    assert view.headers["cache-control"] == "no-cache"
    assert view.headers["x-accel-buffering"] == "no"
    assert view.headers["x-run-id"]
    assert "开始" in view.seen.raw.decode(), "Chinese is not escaped"
    wanted = TEXT if body else TOPIC
    assert (await stage(client, place, "rewrite"))["result"]["original_text"] == wanted


async def test_s4_1_a_post_without_any_body_is_fine(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    place = await project(client, shared_server)
    answered = await client.post(f"{place}/rewrite-stream/")
    assert answered.status_code == 200
    assert '"type":"done"' in answered.text


async def test_s4_2_3_4_a_rewrite_is_an_update_an_info_tokens_and_one_end(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("生", "成", "。")]
    served = serve_model()
    place = await project(client, served)
    frames = await told(client, f"{place}/rewrite-stream/")
    number = int(place.rpartition("/")[2])
    running = {"project_id": number, "stage_type": "rewrite", "status": "running"}
    assert frames == [
        {"type": "stage_update", "stage": running},
        {"type": "info", "message": "开始文案改写..."},
        {"type": "token", "content": "生", "full_text": "生"},
        {"type": "token", "content": "成", "full_text": "生成"},
        {"type": "token", "content": "。", "full_text": "生成。"},
        {"type": "done", "full_text": "生成。", "stage": {**running, "status": "completed"}},
    ]


async def test_s4_3_without_full_text_nothing_is_sent_twice_and_resuming_keeps_it_so(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    place = await project(client, shared_server)
    view = await post(client, f"{place}/rewrite-stream/?full_text=0", {})
    tokens = [frame for frame in view.seen.documents if frame["type"] == "token"]
    assert tokens
    assert all(set(token) == {"type", "content"} for token in tokens)
    done = view.seen.documents[-1]
    assert done["full_text"] == "".join(token["content"] for token in tokens)
    rest = await look(client, f"{shared_server.url}/v1/runs/{view.run_id}/events", after="6")
    assert rest.seen.data == view.seen.data[-len(rest.seen.data) :]
    assert (await client.post(f"{place}/rewrite-stream/?full_text=2")).status_code == 422


async def test_s4_4_7_the_result_is_kept_before_the_end_is_told(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("新的文案。")]
    served = serve_model()
    place = await project(client, served)
    view = await post(client, f"{place}/rewrite-stream/", {"original_text": TEXT})
    now = await stage(client, place, "rewrite")
    assert (now["status"], now["run"], now["error"]) == ("completed", view.run_id, None)
    (kept,) = (await client.get(f"{place}/history/?stage=rewrite")).json()["results"]
    whole = (await client.get(f"{place}/history/{kept['id']}")).json()
    assert (whole["original_text"], whole["rewritten_text"]) == (TEXT, "新的文案。")
    assert (whole["model"], whole["run"]) == ("tested", view.run_id)
    assert TEXT in whole["prompt"]
    assert whole["metadata"]["finish_reason"] == "stop"


@pytest.mark.parametrize("script", [refusal(401, "wrong key"), [chunk("半句"), 0.02, RESET]])
async def test_s4_5_a_failure_is_an_error_frame_and_no_stage_is_left_running(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, script: Any
) -> None:
    upstream.play = [script]
    served = serve_model()
    place = await project(client, served)
    frames = await told(client, f"{place}/rewrite-stream/")
    last = frames[-1]
    assert (last["type"], last["stage"]["status"]) == ("error", "failed")
    assert last["error"]
    assert [frame["type"] for frame in frames].count("error") == 1
    now = await stage(client, place, "rewrite")
    assert (now["status"], now["result"]) == ("failed", None)
    assert now["error"]["code"]


async def test_s4_8_projects_are_made_listed_read_changed_and_removed(
    server: Served, client: httpx.AsyncClient
) -> None:
    place = await project(client, server)
    await project(client, server, name="另一个", original_topic="")
    listed = (await client.get(f"{server.url}/api/v1/projects")).json()["projects"]
    assert [each["name"] for each in listed] == ["另一个", "测试项目"]
    page = (await client.get(f"{server.url}/api/v1/projects/?limit=1")).json()
    rest = (await client.get(f"{server.url}/api/v1/projects/?before={page['next']}")).json()
    assert [each["name"] for each in rest["projects"]] == ["测试项目"]
    found = (await client.get(f"{place}/")).json()
    assert (found["name"], found["original_topic"]) == ("测试项目", TOPIC)
    assert [(s["stage_type"], s["status"]) for s in found["stages"]] == [
        ("rewrite", "pending"),
        ("storyboard", "pending"),
        ("camera", "pending"),
    ]
    changed = await client.patch(place, json={"name": "新名字"})
    assert changed.json()["name"] == "新名字"
    assert (await client.delete(place)).status_code == 204
    assert (await client.get(place)).status_code == 404


async def test_s4_14_each_stage_is_fed_by_the_one_before_and_tells_its_items_as_they_come(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    board, moves = scenes("雨夜的街", "灯下的人"), cameras("推", "orbit")
    cut = board.index("}") + 1
    upstream.play = [answer(TEXT), answer(board[:cut], board[cut:]), answer(moves)]
    served = serve_model()
    place = await project(client, served)
    await told(client, f"{place}/rewrite-stream/")
    boarded = await told(client, f"{place}/storyboard-stream/")
    assert TEXT in upstream.requests[1].body["messages"][-1]["content"]
    found = [frame["scene"]["description"] for frame in boarded if frame["type"] == "scene"]
    assert found == ["雨夜的街", "灯下的人"]
    assert kinds(boarded) == ["stage_update", "info", "token", "scene", "token", "scene", "done"]
    shot = await told(client, f"{place}/camera-stream/")
    assert "1.  雨夜的街" in upstream.requests[2].body["messages"][-1]["content"]
    moved = [frame["camera"] for frame in shot if frame["type"] == "camera"]
    assert [(m["scene"], m["movement"]) for m in moved] == [(1, "push"), (2, "orbit")]
    assert shot[-1]["stage"]["items"] == moved
    assert (await stage(client, place, "camera"))["result"]["items"] == moved


@pytest.mark.parametrize(("kind", "missing"), [("storyboard", "rewrite"), ("camera", "storyboard")])
async def test_a_stage_whose_predecessor_has_no_result_says_what_is_missing(
    shared_server: Served, client: httpx.AsyncClient, kind: str, missing: str
) -> None:
    place = await project(client, shared_server)
    answered = await client.post(f"{place}/{kind}-stream/", json={})
    assert answered.status_code == 409
    error = answered.json()["error"]
    assert error["code"] == "not_ready"
    assert missing in error["message"]


async def test_what_is_not_there_is_404_and_nothing_to_write_about_is_409(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    root = f"{shared_server.url}/api/v1/projects"
    place = await project(client, shared_server, original_topic="")
    for path, body, status in [
        (f"{root}/999999/rewrite-stream/", {}, 404),
        (f"{place}/dance-stream/", {}, 404),
        (f"{place}/rewrite-stream/", {}, 409),
        (f"{place}/rewrite-stream/", {"original_text": "x" * 200_001}, 422),
        (f"{root}/0/rewrite-stream/", {}, 422),
        (f"{place}/stages/rewrite/pause", None, 409),
        (f"{place}/stages/dance/pause", None, 422),
        (f"{place}/stages/rewrite/resume/", None, 409),
    ]:
        assert (await client.post(path, json=body)).status_code == status, path
    for path in (f"{root}/999999", f"{place}/history/7", f"{place}/history/7/diff"):
        assert (await client.get(path)).status_code == 404
    assert (await client.post(root, json={"original_topic": "x"})).status_code == 422


async def test_s4_14_the_pipeline_is_one_stream_with_one_end(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    place = await project(client, shared_server)
    frames = await told(client, f"{place}/pipeline-stream/")
    updates = [f["stage"]["stage_type"] for f in frames if f["type"] == "stage_update"]
    assert updates == ["rewrite", "storyboard", "camera"]
    assert [f["type"] for f in frames].count("done") == 1
    assert frames[-1]["type"] == "done"
    assert [f["type"] for f in frames].count("stage_done") == 2
    found = (await client.get(place)).json()["stages"]
    assert [s["status"] for s in found] == ["completed"] * 3
    assert not any(s["is_stale"] for s in found)
    boards = {scene["number"] for scene in found[1]["result"]["items"]}
    assert {camera["scene"] for camera in found[2]["result"]["items"]} == boards
    assert len(boards) >= 2


async def test_only_what_depends_on_an_edit_is_written_again(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    place = await project(client, serve_with())
    await told(client, f"{place}/pipeline-stream/")
    again = await client.post(f"{place}/pipeline-stream/", json={"only_stale": True})
    assert again.status_code == 422, "there is nothing to write"
    edited = await client.patch(f"{place}/stages/rewrite", json={"result_text": TEXT})
    assert edited.json()["result"]["model"] == "edited"
    stale = [s["is_stale"] for s in (await client.get(place)).json()["stages"]]
    assert stale == [False, True, True]
    frames = await told(client, f"{place}/pipeline-stream/", {"only_stale": True})
    updates = [f["stage"]["stage_type"] for f in frames if f["type"] == "stage_update"]
    assert updates == ["storyboard", "camera"]
    stages = (await client.get(place)).json()["stages"]
    assert [s["is_stale"] for s in stages] == [False, False, False]
    assert stages[0]["result"]["text"] == TEXT
    await client.patch(place, json={"original_topic": "另一个题目"})
    stale = [s["is_stale"] for s in (await client.get(place)).json()["stages"]]
    assert stale == [True, True, True]


async def test_s4_15_a_paused_stage_goes_on_from_its_text(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("很久以前，有人想让"), SILENCE], answer("很久以前，有人想让机器思考。")]
    served = serve_model()
    place = await project(client, served)
    view = await post(client, f"{place}/rewrite-stream/", {}, frames=3)
    paused = (await client.post(f"{place}/stages/rewrite/pause/")).json()
    assert paused["status"] == "paused"
    resumed = await post(client, f"{place}/stages/rewrite/resume/", {})
    assert resumed.run_id != view.run_id
    assert resumed.seen.documents[-1]["full_text"] == "很久以前，有人想让机器思考。"
    assert (await stage(client, place, "rewrite"))["status"] == "completed"
    refused = await client.post(f"{place}/stages/rewrite/resume/")
    assert refused.status_code == 409


async def test_a_stage_that_is_being_written_is_not_written_twice(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("很久以前"), SILENCE]]
    served = serve_model()
    place = await project(client, served)
    view = await post(client, f"{place}/rewrite-stream/", {}, frames=3)
    again = await client.post(f"{place}/rewrite-stream/", json={})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "going_on")
    assert view.run_id in again.json()["error"]["message"]
    assert (await client.delete(place)).status_code == 422
    edited = await client.patch(f"{place}/stages/rewrite", json={"result_text": "x"})
    assert edited.status_code == 409
    await client.post(f"{served.url}/v1/runs/{view.run_id}/cancel")
    assert (await client.delete(place)).status_code == 204


async def test_history_has_every_result_and_goes_back_and_tells_what_changed(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [answer("今天，下雨了。"), answer("今天，放晴了。")]
    served = serve_model()
    place = await project(client, served)
    await told(client, f"{place}/rewrite-stream/")
    await told(client, f"{place}/rewrite-stream/", {"wish": "写晴天"})
    assert "另外的要求：写晴天" in upstream.requests[1].body["messages"][-1]["content"]
    new, old = (await client.get(f"{place}/history")).json()["results"]
    diff = f"{place}/history/{new['id']}/diff?against={old['id']}"
    assert (await client.get(diff)).json()["parts"] == [
        {"op": "equal", "text": "今天，"},
        {"op": "delete", "text": "下雨了。"},
        {"op": "insert", "text": "放晴了。"},
    ]
    since = (await client.get(f"{place}/history/{new['id']}/diff")).json()["parts"]
    assert since[0] == {"op": "delete", "text": TOPIC}
    back = await client.patch(f"{place}/stages/rewrite", json={"result_id": old["id"]})
    assert back.json()["result"]["text"] == "今天，下雨了。"
    wrong = await client.patch(f"{place}/stages/camera", json={"result_id": old["id"]})
    assert wrong.status_code == 422


async def test_s4_9_each_stage_may_have_a_route_of_its_own(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    route = {"name": "writers", "strategy": "round_robin", "models": ["tested", "offline"]}
    assert (await client.post(f"{served.url}/api/routes", json=route)).status_code == 201
    place = await project(client, served)
    chosen = await client.patch(f"{place}/stages/rewrite", json={"model": "writers"})
    assert chosen.json()["model"] == "writers"
    upstream.play = [answer("由第一个写。")]
    await told(client, f"{place}/rewrite-stream/")
    await told(client, f"{place}/rewrite-stream/")
    models = [r["model"] for r in (await client.get(f"{place}/history")).json()["results"]]
    assert sorted(models) == ["offline", "tested"]
    unknown = await client.patch(f"{place}/stages/rewrite", json={"model": "nobody"})
    assert unknown.status_code == 404
    odd = await client.patch(f"{place}/stages/camera", json={"input_text": "x"})
    assert odd.status_code == 422
