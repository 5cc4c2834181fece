"""S3: `POST /api/v1/events/extract/{user_id}/llm-stream`."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import aiohttp
import httpx
import pytest

from support.extraction import (
    LINES,
    USER,
    WHOLE,
    content,
    cut_after,
    events_of,
    extract,
    frame,
    kinds,
    url_of,
)
from support.readers import by_chunks, look, post, with_cuts
from support.runs import until_ended
from support.servers import Serve, Served, ServeModel
from support.upstream import CUT, SILENCE, Upstream, answer, chunk
from unspool import Draft, RunSpec, open_journal
from unspool.flows import open_flow
from unspool.journals import sqlite_url
from unspool.records import Records

READER = Path(__file__).parent / "extraction_reader.mjs"
START = frame("start", message=f"开始为用户 {USER} 抽象事件...")
ASKING = frame("progress", message="正在调用LLM分析 84 条行为...")
SAVING = frame("progress", message="正在保存事件到数据库...")


def saved(count: int) -> list[str]:
    told = frame("progress", message=f"成功保存 {count} 个事件")
    return [SAVING, told, frame("done", message="抽象完成", event_count=count)]


# The stream


async def test_s3_2_the_frames_are_those_of_the_seed_to_the_letter(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer(WHOLE[:20], WHOLE[20:90], WHOLE[90:])]
    view = await extract(client, serve_model())
    assert view.status == 200
    assert view.headers["content-type"] == "text/event-stream; charset=utf-8"
    chunks = [frame("llm_chunk", content=line) for line in LINES]
    assert view.seen.data == [START, ASKING, *chunks, *saved(4)]
    assert chunks[0] == (
        '{"type": "llm_chunk", "content": "user_0007|启动APP|2025-11-24 09:50:50|早间活跃\\n"}'
    )


async def test_s3_2_without_a_key_the_built_in_model_writes_the_events(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    view = await extract(client, shared_server)
    lines = content(view).splitlines()
    assert lines[0] == "user_0007|启动APP|2025-11-24 09:50:50|早间活跃"
    assert "user_0007|启动APP|2025-11-24 15:50:50|下午活跃" in lines
    assert view.seen.data[-3:] == saved(len(lines))
    assert len(lines) > 20
    assert await events_of(client, shared_server) == [
        {"type": kind, "at": at, "context": context}
        for _, kind, at, context in (line.split("|") for line in lines)
    ]


async def test_s3_1_a_body_is_not_needed_and_may_name_a_model(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    for how in ({}, {"json": {"model": "offline", "limit": 3}}, {"params": {"model": "offline"}}):
        view = await extract(client, shared_server, "user_0005", **how)
        assert kinds(view)[-1] == "done"
    for how in ({"json": {"model": "nope"}}, {"params": {"model": "nope"}}):
        assert (await extract(client, shared_server, **how)).status == 404
    assert (await extract(client, shared_server, json={"limit": 0})).status == 422


async def test_s3_1_each_frame_leaves_in_one_write(shared_server: Served) -> None:
    frames = await by_chunks(url_of(shared_server))
    assert frames[-1]["type"] == "done"


@pytest.mark.skipif(shutil.which("node") is None, reason="NO NODE: the page's reader is not tried")
@pytest.mark.parametrize("user_id", [USER, "user_0019"])
async def test_s3_9_the_reader_of_a_page_hears_everything(
    shared_server: Served, user_id: str
) -> None:
    run = await asyncio.create_subprocess_exec(
        "node", str(READER), url_of(shared_server, user_id), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await run.communicate()
    calls = [json.loads(line) for line in out.decode().splitlines()]
    assert [name for name, *_ in calls[-4:]] == ["progress", "progress", "done", "resolved"]
    chunks = [call[1] for call in calls if call[0] == "chunk"]
    assert all(text.startswith(f"{user_id}|") and text.endswith("\n") for text in chunks)
    assert calls[-2][1] == {"type": "done", "message": "抽象完成", "event_count": len(chunks)}


async def test_s3_a_user_without_behaviours_is_told_so_in_the_stream(
    client: httpx.AsyncClient, serve_with: Serve, tmp_path: Path
) -> None:
    served = serve_with()
    file = tmp_path / "people.csv"
    file.write_text("用户ID,姓名,income_level\nnew_1,新人,高\n")

    async def add() -> None:
        from unspool.records.csv_import.importing import import_csv

        await import_csv(served.core.records, "people", file)

    await served.call(add)
    view = await extract(client, served, "new_1")
    assert view.status == 200
    assert view.seen.data == [
        frame("start", message="开始为用户 new_1 抽象事件..."),
        frame("error", message="用户 new_1 没有行为数据"),
    ]
    run = (await client.get(f"{served.url}/v1/runs/{view.run_id}")).json()
    assert (run["status"], run["error"]["code"]) == ("failed", "nothing_to_do")


async def test_s3_an_unknown_user_is_404_before_anything_streams(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    refused = await client.post(url_of(shared_server, "nobody"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_record")


async def test_s3_4_the_prompt_has_the_profile_and_the_behaviours_of_the_database(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer(WHOLE)]
    served = serve_model()
    view = await extract(client, served, json={"limit": 3})
    asked = upstream.requests[0].question
    assert "income_level" not in asked
    assert "【用户】user_0007\n【资料】性别：女；城市：上海；年龄段：30–39" in asked
    assert "2025-11-30 09:19:53 favorite" in asked
    assert "2025-11-24" not in asked, "only the latest ones"
    assert kinds(view)[1] == "warning"
    assert "有 84 条行为，只分析最近 3 条" in view.seen.documents[1]["message"]


# Coming back


async def test_s3_a_viewer_cut_after_any_event_gets_exactly_the_rest(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[*cut_after(LINES[0] + LINES[1][:9]), CUT], answer(*LINES[1:])]
    served = serve_model(retries=1)
    whole = await extract(client, served)
    url = f"{served.url}/v1/runs/{whole.run_id}/events"
    assert [each async for each in with_cuts(client, url, every=1)] == whole.seen.frames
    last = int(whole.seen.frames[-1][0])
    for seq in range(1, last):
        rest = await look(client, f"{url}?after={seq}")
        due = [f for f in whole.seen.frames if (float(f[0].partition(".")[0]), 1) > (seq, 1)]
        assert rest.seen.frames == due, seq


@pytest.mark.parametrize("prefill", ["prefix", ""])
@pytest.mark.parametrize("cut", [30, 60, 75, len(LINES[0])])
async def test_s3_3_a_broken_stream_goes_on_from_the_last_whole_line(
    client: httpx.AsyncClient,
    serve_with: Serve,
    upstream: Upstream,
    tmp_path: Path,
    prefill: str,
    cut: int,
) -> None:
    upstream.play = [
        [*cut_after(WHOLE[:cut]), CUT],
        answer(*(LINES[1:] if cut >= len(LINES[0]) else LINES)),
    ]
    file = tmp_path / "unspool.yaml"
    model = {"name": "m", "provider": "openai", "base_url": upstream.url, "api_key": "sk-1"}
    file.write_text(json.dumps({"models": [model | ({"prefill": prefill} if prefill else {})]}))
    served = serve_with(config=file, retries=1)
    view = await extract(client, served, json={"model": "m"})
    assert view.seen.data == [
        START,
        ASKING,
        *(frame("llm_chunk", content=line) for line in LINES),
        *saved(4),
    ]
    run = (await client.get(f"{served.url}/v1/runs/{view.run_id}")).json()
    begun = cut >= len(LINES[0])
    way = ("prefill" if prefill else "instruct") if begun else "retry"
    assert [attempt["strategy"] for attempt in run["attempts"]] == ["first", way]
    assert run["text"] == WHOLE
    if begun and prefill:
        assert upstream.requests[1].body["messages"][-1]["content"] == LINES[0]


async def test_s3_3_another_model_goes_on_from_the_last_whole_line(
    client: httpx.AsyncClient, serve_with: Serve, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play = [[*cut_after(LINES[0] + LINES[1][:20]), CUT]]
    file = tmp_path / "unspool.yaml"
    model = {"name": "m", "provider": "openai", "base_url": upstream.url, "api_key": "sk-1"}
    route = {"name": "best", "strategy": "ordered", "models": ["m", "offline"]}
    file.write_text(json.dumps({"models": [model], "routes": [route]}))
    served = serve_with(config=file, retries=0)
    lines = content(await extract(client, served, json={"model": "best"})).splitlines()
    assert lines[0] == LINES[0].strip()
    assert lines[1] == "user_0007|浏览商品|2025-11-24 09:51:02|云感透气运动鞋等 4 件商品"
    assert len(await events_of(client, served)) == len(lines) > 20


async def test_s3_3_after_a_death_in_a_line_the_next_server_goes_on_from_the_last_whole_one(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    served = serve_model()
    records = served.settings.data_dir / "records.db"
    served.stop()
    run_id = await left_behind(served.settings.data_dir, records, LINES[0], LINES[1][:20])
    upstream.play = [answer(LINES[0], *LINES[1:])]  # it says the last line once more
    again = serve_model()
    run = await until_ended(client, again, run_id)
    assert (run["status"], run["text"]) == ("completed", WHOLE)
    view = await look(client, f"{again.url}/v1/runs/{run_id}/events")
    assert view.seen.data[2:] == [
        *(frame("llm_chunk", content=line) for line in LINES),
        *saved(4),
    ]
    assert len(await events_of(client, again)) == 4


async def left_behind(data_dir: Path, database: Path, *texts: str) -> str:
    """A run that was cut by a death after so much of its text; its first line is told already."""
    flow = open_flow("extraction")
    records = await Records.open(database)
    asked = await flow.prepare(flow.input_model(user_id=USER), records)
    await records.aclose()
    journal = await open_journal(sqlite_url(data_dir / "journal.db"))
    pen = await journal.create(RunSpec("extraction", asked.model_dump(), dialect="extraction"))
    _, kind, at, context = texts[0].strip().split("|")
    item = {"user_id": USER, "type": kind, "at": at, "context": context}
    pen.append(
        Draft("progress.made", {"message": "正在调用LLM分析 84 条行为..."}),
        Draft("step.started", {"step": "events"}),
        *(Draft("text.delta", {"step": "events", "text": text}) for text in texts[:1]),
        Draft("item.found", {"kind": "event", "item": item, "step": "events"}),
        *(Draft("text.delta", {"step": "events", "text": text}) for text in texts[1:]),
    )
    await journal.aclose()
    return pen.run_id


# Rubbish


RUBBISH = (
    "好的，以下是抽象结果：\n```text\n用户ID|事件类型|时间戳|上下文信息\n---|---|---|---\n"
    f"- {LINES[0]}| {LINES[1].strip()} |\nuser_0001|购买|2025-11-24 10:00:00|别人\n"
    f"{USER}|购买|昨天|时间不对\n{USER}|购买\n{LINES[0]}1. {LINES[3].strip()}\n```"
)


async def test_s3_3_what_is_no_event_is_kept_shown_and_counted(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer(*(RUBBISH[at : at + 5] for at in range(0, len(RUBBISH), 5)))]
    served = serve_model()
    view = await extract(client, served)
    assert content(view) == RUBBISH, "all of it is shown"
    warnings = [f["message"] for f in view.seen.documents if f["type"] == "warning"]
    reasons = ["字段不足", "用户不符", "时间无法识别", "重复"]
    assert [w.split("（")[1].split("）")[0] for w in warnings[:4]] == reasons
    assert warnings[4] == "另有 1 行未识别为事件（字段不足）；全文见输出"
    assert "4 行是表头、代码块等格式标记" in warnings[5]
    assert view.seen.data[-3:] == saved(3)
    run = (await client.get(f"{served.url}/v1/runs/{view.run_id}")).json()
    assert run["status"] == "completed"
    assert run["result"] == {"event_count": 3, "left_out": 9, "ungrounded": 0}
    assert [e["context"] for e in await events_of(client, served)] == [
        "早间活跃",
        "下午活跃",
        "云感透气运动鞋",
    ]


async def test_s3_3_an_answer_without_a_single_event_takes_nothing_away(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [answer(WHOLE), answer("我不能回答这个问题。" * 30)]
    served = serve_model()
    assert kinds(await extract(client, served))[-1] == "done"
    view = await extract(client, served)
    assert view.seen.data[-1] == frame(
        "error", message="没有得到事件：1 行不是事件，0 行与行为不符"
    )
    run = (await client.get(f"{served.url}/v1/runs/{view.run_id}")).json()
    assert (run["status"], run["error"]["code"]) == ("incomplete", "nothing_found")
    person = (await client.get(f"{served.url}/api/people/{USER}")).json()
    assert person["extraction"]["status"] == "incomplete"
    assert len(await events_of(client, served)) == 4


async def test_s3_3_a_broken_answer_is_incomplete_and_takes_nothing_away(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[*cut_after(WHOLE[:75]), CUT]]
    served = serve_model()
    view = await extract(client, served)
    assert content(view) == WHOLE[:75], "half a line is shown when the end is certain"
    assert kinds(view)[-1] == "error"
    assert [e["context"] for e in await events_of(client, served)] == ["早间活跃"]
    upstream.play = [answer(WHOLE)]
    await extract(client, served)
    upstream.play = [[chunk(LINES[0]), CUT]]
    assert kinds(await extract(client, served))[-1] == "error"
    assert len(await events_of(client, served)) == 4, "less than there was is no better"


# What the core does for every contract


async def test_s3_12_equal_input_is_answered_from_the_cache_until_something_was_done(
    client: httpx.AsyncClient, serve_with: Serve, tmp_path: Path
) -> None:
    served = serve_with()
    read = {"headers": {"Unspool-Cache": "read"}}
    first = await extract(client, served, "user_0005", **read)
    again = await extract(client, served, "user_0005", **read)
    assert (again.run_id, again.seen.raw) == (first.run_id, first.seen.raw)
    forced = await extract(client, served, "user_0005", params={"force": True}, **read)
    assert forced.run_id != first.run_id
    by_body = await extract(client, served, "user_0005", json={"force": True}, **read)
    assert by_body.run_id not in {first.run_id, forced.run_id}
    file = tmp_path / "more.csv"
    file.write_text("user_id,action,at\nuser_0005,share,2025-12-01 10:00:00\n")

    async def add() -> None:
        from unspool.records.csv_import.importing import import_csv

        await import_csv(served.core.records, "behaviors", file)

    await served.call(add)
    assert (await extract(client, served, "user_0005", **read)).run_id != by_body.run_id


async def test_s3_12_a_cancel_stops_the_model_and_keeps_what_was_written(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    upstream.play = [[chunk(LINES[0]), chunk(LINES[1][:9]), SILENCE]]
    served = serve_model()
    view = await extract(client, served, frames=3)
    await client.post(f"{served.url}/v1/runs/{view.run_id}/cancel")
    await upstream.until(lambda: upstream.left == 1, within_s=1)
    rest = await look(
        client, f"{served.url}/v1/runs/{view.run_id}/events", after=view.seen.frames[-1][0]
    )
    assert rest.seen.documents[-1]["type"] == "error"
    assert content(rest) in {"", LINES[1][:9]}
    assert [e["context"] for e in await events_of(client, served)] == ["早间活跃"]


async def test_s3_a_run_asked_natively_may_take_all_back_and_says_so(
    client: httpx.AsyncClient, serve_model: ServeModel, upstream: Upstream
) -> None:
    # One line begun anew is a restart, which only a contract that can take all back allows.
    upstream.play = [
        [*cut_after(LINES[0] + LINES[1]), CUT],
        answer(LINES[0], LINES[2]),
        answer(LINES[3]),
    ]
    served = serve_model(retries=1)
    asked = {"flow": "extraction", "input": {"user_id": USER}}
    started = await post(client, f"{served.url}/v1/runs", asked)
    run_id = (await client.get(f"{served.url}/v1/runs")).json()["runs"][0]["id"]
    assert started.status == 201
    run = await until_ended(client, served, run_id)
    view = await look(client, f"{served.url}/v1/runs/{run_id}/events?dialect=extraction")
    assert (run["status"], run["text"]) == ("completed", LINES[3])
    assert "以上内容已作废，重新生成" in view.seen.raw.decode()
    assert view.seen.documents[-1]["event_count"] == 1
    assert [e["type"] for e in await events_of(client, served)] == ["购买"]


async def test_s3_12_a_socket_tells_the_same_frames(
    client: httpx.AsyncClient, shared_server: Served
) -> None:
    view = await extract(client, shared_server, "user_0005")
    url = f"{shared_server.url}/v1/runs/{view.run_id}/ws"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        told = [json.loads(message.data)["data"] async for message in socket]
    assert told == view.seen.data
