"""The list of runs at scale: found, filtered, counted by the server; batches, pauses, usage."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request

from .conftest import Open
from .reading import until, until_count
from .stage import ADVICE, LETTER, Stage, broken, model, whole

NARROW = {"width": 390, "height": 844}
PRICES = {"prompt": 1, "completion": 2, "currency": "CNY"}
REFUSED = [{"fail": "refused", "code": "content_filter", "message": "no"}]
LIMITED = [
    {
        "fail": "unavailable",
        "code": "rate_limit",
        "status": 429,
        "message": "slow down",
        "retry_after_s": 50,
    }
]
QUICK = [{"text": "quick words about sailing"}, {"finish": "stop"}]
MANY = 120
"""More runs than one page of the list holds."""


@pytest.fixture(scope="module")
def played(stage: Stage) -> dict[str, str]:
    """Runs of every kind; their ids."""
    down = [{"fail": "refused", "code": "overloaded", "message": "no"}]
    stage.register(
        model("letters", whole(LETTER, 2000, first_s=0), prices=PRICES),
        model("breaks", {"attempts": [broken(ADVICE, 30, 2000, silence_s=0), down]}),
        model("advice", whole(ADVICE, 2000, first_s=0)),
        model("refuses", REFUSED),
        model("limited", LIMITED),
        model("quick", QUICK),
    )
    stage.route("mended", "breaks", "advice")
    many = {"flow": "chat", "items": [{"prompt": f"item {n}"} for n in range(MANY)]}
    mixed = {"flow": "chat", "items": [{"prompt": "x"}] * 4, "model": "refuses"}
    runs = {
        "letter": stage.ask("把信改写成三段短文", "letters"),
        "seam": stage.ask("Is it a good day for a run?", "mended"),
        "refused": stage.ask("不许写的", "refuses"),
        "many": stage.start("batch", {**many, "model": "quick", "concurrency": 32}),
        "failing": stage.start("batch", mixed),
    }
    for run in runs.values():
        stage.wait(run)
    return runs


def ids(page: Page) -> list[str]:
    links = page.locator(".run-row a[title]:not(.fold)")
    found: list[str] = links.evaluate_all("(links) => links.map((link) => link.title)")
    return found


def shows(page: Page, *runs: str) -> None:
    until(page, lambda: set(ids(page)) == set(runs), f"only {runs}")


def row_of(page: Page, run: str) -> str:
    return f".run-row:has(a[href='/runs/{run}'])"


def test_the_list_a_run_a_chat_and_a_batch_say_the_same_of_the_same_run(
    stage: Stage, open_page: Open
) -> None:
    stage.register(
        model("cut", [{"text": "一半"}, {"finish": "length"}]), model("refuses-2", REFUSED)
    )
    said = {"cut": "不完整 · 长度上限", "refuses-2": "失败 · 内容审查"}
    for name, words in said.items():
        items = {"flow": "chat", "items": [{"prompt": f"写 {name}"}], "model": name}
        batch = stage.wait(stage.start("batch", items))["id"]
        page = open_page(f"/runs?parent={batch}")
        page.locator(".run-row .state").get_by_text(words).wait_for()
        child = ids(page)[0]
        page.goto(f"/runs/{batch}")
        page.locator("[data-child]").get_by_text(words).wait_for()
        page.goto(f"/runs/{child}")
        page.locator("[data-state]").get_by_text(words).wait_for()
        page.goto(f"/pages/debug.html?run={child}")
        page.locator(".who [data-state]").get_by_text(words).wait_for()
        page.goto("/runs")
        page.keyboard.press("Control+k")
        page.get_by_role("dialog").get_by_role("combobox").fill(f"写 {name}")
        page.get_by_role("option").filter(has_text=words).first.wait_for()
        page.context.close()


def test_runs_are_found_by_words_in_two_languages_and_the_address_keeps_them(
    played: dict[str, str], open_page: Open
) -> None:
    page = open_page("/runs")
    box = page.get_by_role("searchbox", name="搜索运行")
    box.fill("煤油灯下面")
    shows(page, played["letter"])
    assert page.locator(".run-row mark").inner_text() == "煤油灯下面"
    page.reload()
    shows(page, played["letter"])
    assert box.input_value() == "煤油灯下面"
    box.fill("good DAY")
    shows(page, played["seam"])
    assert "good day" in page.locator(".run-row mark").inner_text()
    box.fill("信")
    until(page, lambda: played["letter"] in ids(page), "one character is enough")
    box.fill("没有人写过这个")
    page.get_by_text("没有运行的输入或文字里有“没有人写过这个”。").wait_for()
    page.get_by_role("button", name="清除筛选").click()
    until(page, lambda: played["letter"] in ids(page), "all again")


def test_filters_order_and_views_live_in_the_address(
    played: dict[str, str], open_page: Open
) -> None:
    page = open_page("/runs")
    page.get_by_role("link", name="有接缝").click()
    shows(page, played["seam"])
    page.get_by_role("button", name="有接缝").click()
    page.get_by_label("模型").select_option("letters")
    shows(page, played["letter"])
    page.get_by_label("时间范围").select_option("hour")
    page.get_by_role("button", name="存为视图").click()
    page.get_by_role("textbox", name="视图的名字").fill("今天的信")
    page.keyboard.press("Enter")
    page.goto("/runs")
    page.get_by_role("link", name="今天的信").click()
    shows(page, played["letter"])
    assert "model=letters" in page.url
    assert "range=hour" in page.url
    page.get_by_role("button", name="删除视图“今天的信”").click()
    until(page, lambda: "model" not in page.url, "the view is gone")
    assert page.get_by_role("link", name="今天的信").count() == 0
    page.get_by_label("排序").select_option("dearest")
    until(page, lambda: ids(page)[:1] == [played["letter"]], "the only one with a price")
    page.reload()
    until(page, lambda: ids(page)[:1] == [played["letter"]], "after a reload too")


def test_totals_are_the_servers_and_not_those_of_the_loaded_rows(
    played: dict[str, str], open_page: Open
) -> None:
    assert played
    page = open_page("/runs?model=quick")
    page.get_by_text(f"已结束 · {MANY}").wait_for()
    assert str(MANY) in page.get_by_label("状态").locator("option", has_text="已完成").inner_text()


def test_a_batch_is_the_progress_of_its_children_and_no_slack_line(
    played: dict[str, str], open_page: Open
) -> None:
    page = open_page("/runs")
    many = page.locator(row_of(page, played["many"]))
    many.get_by_text(f"{MANY} / {MANY}").wait_for()
    assert many.locator("canvas").count() == 0
    failing = page.locator(row_of(page, played["failing"]))
    assert "4 没有成功" in failing.inner_text()
    assert "4 个没有成功" in failing.locator(".state").inner_text()
    assert failing.locator(".st.completed").count() == 0
    assert "item 1" not in page.locator(".box").inner_text()
    failing.locator("a.fold").click()
    until(page, lambda: len(ids(page)) == 4, "its four runs")
    page.get_by_role("link", name="收起").click()
    failing.wait_for()


def test_a_minute_with_one_failure_is_red_only_by_its_share(
    played: dict[str, str], open_page: Open
) -> None:
    assert played
    page = open_page("/runs")
    page.locator(".minutes rect.bad").last.wait_for()
    for bad in page.locator(".minutes rect.bad").all():
        minute = bad.get_attribute("data-minute")
        parts = page.locator(f".minutes rect[data-minute='{minute}']")
        heights = {
            part.get_attribute("class"): float(part.get_attribute("height") or 0)
            for part in parts.all()
        }
        if sum(heights.values()) > 10:  # the minute of the batch of many
            assert heights["bad"] < 0.3 * sum(heights.values())
            return
    pytest.fail("no minute with many runs and a failure")


def test_waiting_out_a_429_is_no_stall(
    stage: Stage, played: dict[str, str], open_page: Open
) -> None:
    assert played
    run = stage.ask("等一会儿", "limited")
    page = open_page("/states")
    page.clock.install()
    page.goto("/runs")
    row = page.locator(row_of(page, run))
    row.get_by_text("限速").wait_for()
    page.clock.run_for(12_000)
    until(page, lambda: "秒后再试" in row.inner_text(), "when it asks again")
    assert "停滞" not in row.inner_text()
    page.locator(f"{row_of(page, run)} input").check()
    page.get_by_role("button", name="取消进行中的 1 条").click()
    page.clock.run_for(3000)
    row.get_by_text("已取消").wait_for()


def test_chosen_runs_are_exported_and_compared(
    played: dict[str, str], open_page: Open, tmp_path: Path
) -> None:
    page = open_page("/runs?flow=chat")
    page.locator(f"{row_of(page, played['letter'])} input").check()
    page.locator(f"{row_of(page, played['seam'])} input").check()
    page.get_by_text("已选 2 条").wait_for()
    with page.expect_download() as download:
        page.get_by_role("toolbar").get_by_role("link", name="导出 JSON 行").click()
    download.value.save_as(tmp_path / "runs.jsonl")
    lines = (tmp_path / "runs.jsonl").read_text().splitlines()
    assert {json.loads(line)["id"] for line in lines} == {played["letter"], played["seam"]}
    page.get_by_role("button", name="对比").click()
    page.get_by_role("dialog", name="对比两次运行").get_by_text("煤油灯").first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="取消选择").click()
    page.locator("h1").click()
    for key in ("k", "k", "x", "Shift+J", "Shift+J"):
        page.keyboard.press(key)
    page.get_by_text("已选 3 条").wait_for()
    page.keyboard.press("Escape")
    until(page, lambda: page.get_by_role("toolbar").count() == 0, "nothing is chosen")


def test_a_quiet_list_asks_only_for_what_has_changed(
    played: dict[str, str], open_page: Open
) -> None:
    page = open_page("/runs?model=letters")
    shows(page, played["letter"])
    asked: list[str] = []

    def note(request: Request) -> None:
        if "/v1/runs" in request.url or "/api/timelines" in request.url:
            asked.append(request.url)

    page.on("request", note)
    until(page, lambda: len(asked) >= 2, "two looks")
    assert all("changed=" in url for url in asked)


def test_words_in_a_run_are_found_from_every_page_by_keys(
    played: dict[str, str], open_page: Open
) -> None:
    page = open_page("/states")
    page.keyboard.press("Control+k")
    box = page.get_by_role("combobox")
    page.get_by_role("option").get_by_text("最近").first.wait_for()
    box.fill("压在煤油灯")
    page.get_by_role("option").locator("mark").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{played['letter']}")
    page.goto("/runs")
    assert "Ctrl K" in page.locator(".bar kbd").inner_text()


def test_on_a_phone_rows_stand_below_each_other_and_a_sheet_has_every_filter(
    played: dict[str, str], open_page: Open
) -> None:
    page = open_page("/runs?flow=chat", viewport=NARROW)
    page.locator(row_of(page, played["letter"])).wait_for()
    boxes = [row.bounding_box() for row in page.locator(".run-row").all()]
    tops = sorted((box["y"], box["y"] + box["height"]) for box in boxes if box)
    assert len(tops) >= 3
    assert all(above[1] <= below[0] + 0.5 for above, below in pairwise(tops))
    for row in page.locator(".run-row").all():
        assert row.evaluate("(row) => row.scrollHeight <= row.clientHeight + 1")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    page.get_by_role("button", name="筛选").click()
    sheet = page.get_by_role("dialog")
    for name in ("时间范围", "流程", "状态", "模型", "排序"):
        until_count(sheet.get_by_label(name, exact=True), 1)
    sheet.get_by_label("状态", exact=True).select_option("failed")
    until(page, lambda: "status=failed" in page.url, "filtered from the sheet")
    sheet.get_by_role("button", name="关闭").last.click()
    page.locator(row_of(page, played["refused"])).wait_for()


def test_usage_says_what_has_no_price_and_never_a_bare_nought(
    played: dict[str, str], open_page: Open
) -> None:
    assert played
    page = open_page("/usage?days=7")
    page.get_by_text("个模型没有价格，它们的用量没有算进费用。").wait_for()
    row = page.locator("tbody tr", has_text="quick")
    assert "无价格" in row.inner_text()
    assert "¥0" not in page.locator("[data-cost] dd").inner_text().replace("¥0.", "")
    chart = page.locator(".day-chart")
    until_count(chart.locator("g[data-day]"), 7)
    first = chart.locator("g[data-day]").first
    assert (first.locator("text").first.text_content() or "").strip() == "–"
    assert "letters" in chart.locator("figcaption").inner_text()
    assert "每天的输出 token" in chart.locator("figcaption").inner_text()
    page.get_by_role("button", name="按流程").click()
    flow = page.locator("tbody tr", has_text="对话")
    assert flow.locator("td").nth(5).inner_text().count("/") == 1
    page.get_by_role("button", name="今天").click()
    until(page, lambda: chart.locator("g[data-day]").count() == 1, "one day")
