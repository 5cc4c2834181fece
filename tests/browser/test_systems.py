"""The pages of the seeds' systems: events of people, graphs of causes, stories."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from .conftest import Open
from .extracted import graph_of
from .held import Held
from .reading import Record, text_of, until, until_count, until_state
from .stage import Stage, model, whole

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

numbers = itertools.count()


@pytest.fixture
def http(stage: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage.url, trust_env=False, timeout=60) as opened:
        yield opened


def test_s3_10_a_person_is_extracted_with_the_log_before_ones_eyes(
    http: httpx.Client, open_page: Open
) -> None:
    page = open_page("/extraction")
    page.locator("[data-model-pick]").select_option("offline")
    row = page.locator("[data-user='user_0005']")
    busy = Record(page, "[data-user='user_0005'] button:disabled")
    notices = Record(page, ".el-message")
    row.get_by_role("button", name="重新生成").click()
    busy.until_said("生成中…")
    panel = page.locator(".log-panel")
    panel.get_by_text("事件抽象 - user_0005").wait_for()
    notices.until_said("用户 [user_0005] 事件抽象完成")
    lines = panel.locator(".ln").all_inner_texts()
    said = [line.strip() for line in lines if line.strip()]
    events = http.get("/api/people/user_0005/events").json()["events"]
    assert said[0] == "--- LLM实时响应 ---"
    assert said[1] == "[进度] 开始为用户 user_0005 抽象事件..."
    assert said[2].startswith("[进度] 正在调用LLM分析")
    assert said[-2:] == [f"[进度] 成功保存 {len(events)} 个事件", "--- 响应结束 ---"]
    until_count(panel.locator(".ln.ok"), len(events))
    until(page, lambda: str(len(events)) in row.inner_text(), "the table with the new number")
    row.get_by_role("button", name="重新生成").wait_for()


VISITS = ("20 11:27:36", "20 11:27:45", "20 11:28:32", "20 11:29:53")
VISITS += ("20 11:31:06", "20 11:31:50", "22 12:40:05", "22 12:40:22")
EVENTS = "".join(
    f"user_0003|浏览|2025-11-{at}|看了第 {number} 双鞋\n" for number, at in enumerate(VISITS, 1)
)


@pytest.fixture
def half_extracted(stage: Stage, open_page: Open) -> Iterator[Page]:
    """The page of a person of whose eight events three are written, and no more come."""
    with Held(f"abstracts-{next(numbers)}", EVENTS, let=3 * len(EVENTS) // 8) as held:
        stage.register(held.model)
        page = open_page("/extraction")
        page.locator("[data-model-pick]").select_option(held.name)
        page.locator("[data-user='user_0003']").get_by_role("button", name="重新生成").click()
        until(page, lambda: page.locator(".log-panel .ln.ok").count() == 3, "three lines")
        yield page


def test_s3_10_a_reload_goes_on_and_a_cancel_ends_it(half_extracted: Page) -> None:
    page = half_extracted
    panel = page.locator(".log-panel")
    before = panel.locator(".ln.ok").all_inner_texts()
    page.reload()
    until(page, lambda: panel.locator(".ln.ok").count() == 3, "the lines again")
    assert panel.locator(".ln.ok").all_inner_texts() == before
    notices = Record(page, ".el-message")
    panel.get_by_role("button", name="取消").click()
    notices.until_said("用户 [user_0003] 事件抽象失败")
    page.locator("[data-user='user_0003']").get_by_text("已取消").wait_for()


def test_a_cancel_is_told_of_before_the_page_has_looked_at_the_run(half_extracted: Page) -> None:
    page = half_extracted
    page.add_init_script(  # a busy page, or one in the background: its timers come late
        "const soon = setInterval;"
        "window.setInterval = (call, ms, ...rest) => soon(call, 1000 * ms, ...rest);"
    )
    page.reload()
    until(page, lambda: page.locator(".log-panel .ln.ok").count() == 3, "the lines again")
    notices = Record(page, ".el-message")
    page.locator(".log-panel").get_by_role("button", name="取消").click()
    notices.until_said("用户 [user_0003] 事件抽象失败")


def test_an_ending_that_came_during_a_reload_is_told_afterwards(
    stage: Stage, half_extracted: Page
) -> None:
    page = half_extracted
    until(page, lambda: "run=" in page.url, "the run in the address")
    address = page.url
    page.goto("about:blank")
    stage.cancel(address.rpartition("run=")[2])
    page.goto(address)
    page.get_by_text("用户 [user_0003] 事件抽象失败").wait_for()
    page.reload()
    page.locator(".log-panel").get_by_text("--- 响应结束 ---").wait_for()
    page.locator("[data-user='user_0003']").get_by_text("已取消").wait_for()
    assert page.locator(".el-message").count() == 0


def test_a_cancel_that_fails_says_so_until_it_is_closed(half_extracted: Page) -> None:
    page = half_extracted
    page.route("**/cancel", lambda route: route.abort())
    page.clock.install()
    page.locator(".log-panel").get_by_role("button", name="取消").click()
    notice = page.locator(".el-message--error")
    notice.wait_for()
    page.clock.fast_forward(600_000)
    assert notice.count() == 1
    page.keyboard.press("Escape")
    page.clock.fast_forward(2_000)
    until(page, lambda: notice.count() == 0, "no notice")


def test_a_cancel_that_comes_before_the_run_has_an_id_is_not_lost(
    stage: Stage, open_page: Open
) -> None:
    with Held(f"abstracts-{next(numbers)}", EVENTS) as held:
        stage.register(held.model)
        page = open_page("/extraction")
        page.locator("[data-model-pick]").select_option(held.name)
        waiting: list[Route] = []
        page.route("**/llm-stream", lambda route: waiting.append(route))
        notices = Record(page, ".el-message")
        page.locator("[data-user='user_0003']").get_by_role("button", name="重新生成").click()
        page.locator(".log-panel").get_by_role("button", name="取消").click()
        until(page, lambda: len(waiting) == 1, "the request")
        waiting[0].continue_()
        notices.until_said("用户 [user_0003] 事件抽象失败")


def test_all_people_are_extracted_together_and_that_is_stopped(
    http: httpx.Client, open_page: Open
) -> None:
    page = open_page("/extraction")
    page.locator("[data-model-pick]").select_option("offline")
    busy = Record(page, "[data-user] button:disabled")
    page.locator("[data-batch]").click()
    page.get_by_role("progressbar").wait_for()
    busy.until(lambda shown: shown.count("生成中…") >= 2, "several people at once")
    page.get_by_role("button", name="取消批量").click()
    until(page, lambda: page.get_by_text("生成中…").count() == 0, "none goes on")
    until_count(page.locator(".batch").get_by_text("已取消"), 1)


NODES = [
    {"id": "n1", "type": "event", "name": "浏览商品", "description": "看"},
    {"id": "n2", "type": "event", "name": "收藏商品", "description": "存"},
    {"id": "n3", "type": "event", "name": "看直播", "description": "没有这样的模式"},
    {"id": "n4", "type": "result", "name": "下单购买", "description": "买"},
    {"id": "n5", "type": "result", "name": "流失", "description": "走"},
]
EDGES = [
    {"from": "n1", "to": "n4", "relation_type": "causal", "relation_desc": "喜欢"},
    {"from": "n3", "to": "n4", "relation_type": "causal", "relation_desc": "停留"},
    {"from": "n2", "to": "n4", "relation_type": "sequential", "relation_desc": "成交"},
    {"from": "n2", "to": "n5", "relation_type": "sequential", "relation_desc": "没有成交"},
]
GRAPH = {"nodes": NODES, "edges": EDGES, "insights": ["浏览的人也会收藏"]}


def test_a_graph_grows_is_asked_and_has_a_list_of_the_same_facts(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    stage.register(
        model("painter", whole(json.dumps(GRAPH, ensure_ascii=False, indent=1), 300, first_s=0.1)),
        model("teller", whole("收藏商品 [n2] 之后下单购买 [n4]。", 8, first_s=0.1)),
    )
    for number in (2, 3):
        path = f"/api/v1/events/extract/user_{number:04}/llm-stream"
        http.post(path, json={"model": "offline"})
    page = open_page("/graph")
    page.locator("[data-model-pick]").select_option("painter")
    page.get_by_role("button", name="生成因果图").click()
    nodes = page.locator(".graph-strip")
    until(page, lambda: "0 个节点" not in nodes.inner_text(), "a node")
    until_state(page, "completed")
    graph = http.get("/api/v1/graphs?limit=1").json()["graphs"][0]
    assert f"{graph['node_count']} 个节点" in nodes.inner_text()
    # What no pattern has is not drawn, and said beside the graph.
    until(page, lambda: page.locator("[data-node]").count() == graph["node_count"], "the nodes")
    assert "看直播" not in page.locator(".graph-canvas").inner_text()
    assert "看直播" in page.locator(".graph-side .findings").inner_text()
    page.locator("[data-edge]").first.dispatch_event("click")
    evidence = page.locator("[data-evidence]").inner_text()
    for word in ("置信度", "基准", "提升度", "间隔中位数", "例如"):
        assert word in evidence
    page.get_by_role("button", name="列表").click()
    rows = page.locator(".graph-list table").first.locator("tbody tr")
    until_count(rows, graph["node_count"])
    page.locator("[data-model-pick]").select_option("teller")
    box = page.get_by_placeholder("再问一句")
    box.fill("为什么有人收藏了却没有下单？")
    box.press("Enter")
    until(page, lambda: page.locator(".qa .cited").count() == 2, "both nodes")
    assert page.locator(".qa .cited").all_inner_texts() == ["收藏商品", "下单购买"]
    box.fill("今天天气怎么样？")
    box.press("Enter")  # while the first answer is being written, as a rule
    until(page, lambda: "图里没有说：天气" in page.locator(".qa").inner_text(), "no answer")
    until(page, lambda: page.locator(".asked").count() == 1, "the question before")
    page.get_by_role("button", name="图", exact=True).click()
    page.reload()
    page.locator("[data-node]").first.wait_for()
    until(page, lambda: page.locator(".asked").count() == 1, "the questions are still there")


def test_patterns_have_options_and_those_who_dropped_off_are_told(
    http: httpx.Client, open_page: Open
) -> None:
    for number in (2, 3):
        path = f"/api/v1/events/extract/user_{number:04}/llm-stream"
        http.post(path, json={"model": "offline"})
    page = open_page("/graph")
    page.get_by_role("button", name="频繁模式").click()
    rows = page.locator(".patterns tbody tr")
    until(page, lambda: rows.count() == 30, "thirty patterns")
    page.locator("input[name=most]").fill("3")
    page.locator("input[name=most]").press("Tab")
    until(page, lambda: rows.count() == 3, "three patterns")
    page.locator("select[name=outcome]").select_option("收藏商品")
    ends = page.locator(".patterns tbody td:first-child")
    until(page, lambda: all(t.endswith("收藏商品") for t in ends.all_inner_texts()), "the outcome")
    page.get_by_role("button", name="流失").click()
    page.locator("select[name=start]").select_option("浏览商品")
    told = page.locator("[data-drop]")
    until(page, lambda: "人没有到" in told.inner_text(), "the figures")
    page.locator(".drop input[type=number]").fill("0.1")
    page.locator(".drop input[type=number]").press("Tab")
    found = http.get("/api/v1/drop-off?start=浏览商品&outcome=购买&window_days=0.1").json()
    until(page, lambda: told.inner_text().startswith(f"{found['dropped']} 人没有到"), "fewer days")


def test_the_nodes_of_a_graph_are_legible_on_a_phone_and_on_a_desk(
    stage: Stage, open_page: Open
) -> None:
    graph = graph_of(stage, "drawer")
    for width in (1360, 390):
        page = open_page(f"/graph?run={graph}", viewport={"width": width, "height": 828})
        page.locator("[data-node]").nth(4).wait_for()
        sizes: list[float] = page.evaluate(
            "() => [...document.querySelectorAll('.node .name')].map((text) =>"
            " 13 * text.getScreenCTM().a)"
        )
        assert min(sizes) >= 11
        boxes = [node.bounding_box() for node in page.locator("[data-node] rect").all()]
        known = [box for box in boxes if box is not None]
        assert len(known) == len(boxes) > 4
        for at, one in enumerate(known):
            for other in known[at + 1 :]:
                is_beside = abs(one["x"] - other["x"]) >= one["width"]
                assert is_beside or abs(one["y"] - other["y"]) >= one["height"]


def test_s4_11_a_stage_is_written_behind_its_tab(http: httpx.Client, open_page: Open) -> None:
    page = open_page("/story")
    page.get_by_label("名称").fill("灯塔来信")
    page.get_by_label("主题").fill("守塔人与最后一封信")
    page.get_by_role("button", name="新建项目").click()
    page.wait_for_url("**/story/*")
    tabs = page.get_by_role("tab").all_inner_texts()
    assert [tab.split("\n")[0] for tab in tabs] == ["文案改写", "分镜", "运镜"]
    page.locator("[data-model-pick]").select_option("offline")
    make = page.locator("[data-make]")
    assert make.inner_text() == "AI生成"
    busy = Record(page, "[data-make]:disabled")
    make.click()
    busy.until(lambda shown: shown == "执行中...", "busy")
    until(page, lambda: len(text_of(page)) > 8, "words")
    until(page, lambda: make.inner_text() == "AI生成", "the end")
    number = page.url.split("/story/")[1].split("?")[0]
    stages = http.get(f"/api/v1/projects/{number}/").json()["stages"]
    assert stages[0]["status"] == "completed"
    page.get_by_text("第 1 稿").wait_for()
    page.get_by_role("tab").nth(1).click()
    make.click()
    until(page, lambda: page.locator(".scenes li").count() >= 1, "a scene")
    until(page, lambda: make.inner_text() == "AI生成", "all scenes")


def test_s4_11_who_leaves_is_disconnected_and_the_stage_is_written_all_the_same(
    http: httpx.Client, open_page: Open
) -> None:
    asked = {"name": "离开", "original_topic": "写一个关于离开的短篇"}
    number = http.post("/api/v1/projects/", json=asked).json()["id"]
    page = open_page(f"/story/{number}")
    page.locator("[data-model-pick]").select_option("offline")
    page.locator("[data-make]").click()
    until(page, lambda: len(text_of(page)) > 4, "words")
    run = http.get(f"/api/v1/projects/{number}/").json()["stages"][0]["run"]
    page.get_by_role("link", name="模型").click()
    page.locator(".models").wait_for()

    def viewers() -> int:
        return int(http.get(f"/v1/runs/{run}").json()["viewers"])

    until(page, lambda: viewers() == 0, "nobody watches")
    page.go_back()
    until(page, lambda: len(text_of(page)) > 8, "the words again")
