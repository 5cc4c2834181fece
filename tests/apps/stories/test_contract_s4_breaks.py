"""S4: what becomes of rubbish, of a death, of cuts; and who watches."""

from __future__ import annotations

import httpx
import pytest

from support.readers import look, post
from support.runs import until_ended
from support.servers import Served, ServeModel
from support.stories import TEXT, cameras, project, scenes, told
from support.upstream import SILENCE, Upstream, answer, chunk

RUBBISH = [
    ('{"scenes": [nothing, {"description": "一"}]}', 1),
    (scenes(*(f"镜头 {number}" for number in range(41))), 40),
    ('{"scenes": [{"description": ""}, {"number": "x", "description": "一"}, null]}', 1),
    ("I cannot do that.", 0),
    ('{"scenes": [{"title": "no description"}, 7, {"description": "看得见的"}]}', 1),
    ('{"scenes": [{"description": "一"}, {"description": "二"', 1),
    ('[{"number": 1, "description": "一"}, {"number": 1, "description": "二"}]', 2),
]


@pytest.mark.parametrize(("said", "read"), RUBBISH)
async def test_of_rubbish_what_can_be_read_is_kept_and_the_rest_is_a_warning(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient, said: str, read: int
) -> None:
    upstream.play = [answer(TEXT), answer(said)]
    served = serve_model()
    place = await project(client, served)
    await told(client, f"{place}/rewrite-stream/")
    frames = await told(client, f"{place}/storyboard-stream/")
    found = [frame for frame in frames if frame["type"] == "scene"]
    assert len(found) == read
    assert len({frame["scene"]["number"] for frame in found}) == read
    assert frames[-1]["type"] == ("done" if read else "error")
    if not read:
        assert frames[-1]["code"] == "answer_unfit"
        assert frames[-1]["full_text"] == said


async def test_d10_an_unknown_movement_costs_that_field_and_the_model_s_own_word_stays(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    moves = '{"cameras": [{"scene": 1, "movement": "teleport"}, {"scene": 2, "movement": "横移"}]}'
    upstream.play = [answer(TEXT), answer(scenes("一", "二", "三")), answer(moves)]
    served = serve_model()
    place = await project(client, served)
    for kind in ("rewrite", "storyboard"):
        await told(client, f"{place}/{kind}-stream/")
    frames = await told(client, f"{place}/camera-stream/")
    assert [f["camera"] for f in frames if f["type"] == "camera"] == [
        {"scene": 1, "movement": None, "reason": "", "movement_text": "teleport"},
        {"scene": 2, "movement": "truck", "reason": "", "movement_text": "横移"},
    ]
    warnings = [f["message"] for f in frames if f["type"] == "warning"]
    assert "teleport" in warnings[0]
    assert "[3]" in warnings[1]
    assert frames[-1]["type"] == "done"


async def test_s4_15_a_server_that_dies_in_a_pipeline_goes_on_with_it(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    board = scenes("雨夜的街", "灯下的人")
    upstream.play = [
        answer(TEXT),
        [chunk(board[:45]), SILENCE],
        answer(board),
        answer(cameras("推", "拉")),
    ]
    served = serve_model()
    place = await project(client, served)
    view = await post(client, f"{place}/pipeline-stream/", {}, frames=7)
    served.stop()
    again = serve_model()
    place = place.replace(served.url, again.url)
    run = await until_ended(client, again, view.run_id)
    assert run["status"] in {"completed", "incomplete"}
    stages = (await client.get(place)).json()["stages"]
    assert stages[0]["result"]["text"] == TEXT, "a whole stage of a run that broke is kept"
    assert "running" not in [s["status"] for s in stages]


async def test_s4_15_two_people_watch_one_stage_and_see_the_same(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    place = await project(client, shared_server)
    mine = await post(client, f"{place}/rewrite-stream/", {})
    url = f"{shared_server.url}/v1/runs/{mine.run_id}/events"
    theirs = await look(client, url)
    native = await look(client, f"{url}?dialect=native")
    assert theirs.seen.data == mine.seen.data
    text = "".join(e["data"]["text"] for e in native.seen.documents if e["type"] == "text.delta")
    assert text == mine.seen.documents[-1]["full_text"]


async def test_s4_every_cut_of_a_stream_goes_on_with_the_very_next_frame(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    place = await project(client, shared_server, original_topic="雨")
    whole = await post(client, f"{place}/pipeline-stream/", {})
    events = f"{shared_server.url}/v1/runs/{whole.run_id}/events"
    last = _seq(whole.seen.frames[-1][0])
    for after in range(1, last, 7):
        rest = await look(client, events, after=str(after))
        missed = [data for frame_id, data in whole.seen.frames if _seq(frame_id) > after]
        assert rest.seen.data == missed, after


def _seq(frame_id: str) -> int:
    return int(frame_id.partition(".")[0])
