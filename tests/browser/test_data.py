"""Bringing data in a file, and the list of the people in it."""

from __future__ import annotations

from pathlib import Path

import httpx

from .conftest import Open
from .reading import Late, until
from .stage import Stage, model, whole

ROWS = "".join(
    f"客{n:03d},SKU{n % 7},第 {n % 7} 双鞋,buy,{1763949050 + n},{99 + n % 7}\n" for n in range(120)
)
SALES = f"用户ID,商品ID,商品名称,行为类型,时间,售价\n{ROWS},SKU1,没有用户,buy,1763949050,1\n"


def test_a_file_is_looked_at_in_the_zone_of_the_reader_also_before_the_imports_are_known(
    open_page: Open, tmp_path: Path
) -> None:
    file = tmp_path / "早.csv"
    file.write_text(SALES, encoding="utf-8")
    page = open_page("/models", timezone_id="Asia/Shanghai")
    late = Late(page, "**/api/imports")
    page.goto("/data/import")
    with page.expect_request("**/preview") as looked:
        page.locator("[data-file]").set_input_files(file)
    late.come()
    assert looked.value.post_data_json["time_zone"] == "Asia/Shanghai"


def test_a_file_is_brought_looked_at_mapped_and_imported_and_its_people_are_found(
    stage: Stage, open_page: Open, tmp_path: Path
) -> None:
    file = tmp_path / "销售.csv"
    file.write_text(SALES.replace("用户ID", "谁").replace("时间", "何时"), encoding="utf-8")
    page = open_page("/data/import", timezone_id="Asia/Shanghai")
    page.locator("[data-file]").set_input_files(file)
    page.get_by_text("第 0 双鞋").first.wait_for()
    assert page.locator("[data-zone]").input_value() == "Asia/Shanghai"
    behaviors = page.locator("[data-is='behaviors']")
    assert not behaviors.is_checked(), "nothing looks like a user or a time"
    behaviors.check()
    start = page.locator("[data-start]")
    assert start.is_disabled()
    page.locator("[data-kind='behaviors'] [data-column='user_id']").select_option("谁")
    page.locator("[data-kind='behaviors'] [data-column='at']").select_option("何时")
    page.get_by_text("2025-11-24 09:50:50").wait_for()
    start.click()
    report = page.locator("[data-report][data-status='done']")
    report.wait_for()
    assert "新增 120" in report.locator("[data-of='behaviors']").inner_text()
    assert "用户编号 是空的 · 1" in report.inner_text()
    with page.expect_download() as download:
        page.locator("[data-rejected]").click()
    assert "没有用户" in download.value.path().read_text(encoding="utf-8-sig")

    page.locator("a", has_text="去抽象事件").click()
    page.locator("[data-user]").first.wait_for()
    until(page, lambda: "144 位用户" in page.locator("[data-totals]").inner_text(), "true totals")
    page.locator("[data-after]").click()
    until(page, lambda: "第 51–100 位" in page.locator("[data-place]").inner_text(), "page 2")
    search = page.locator("[data-search]")
    search.fill("客11")
    search.press("Enter")
    until(page, lambda: page.locator("[data-user]").count() == 10, "ten people")
    page.locator("[data-model-pick]").select_option("offline")
    page.locator("[data-at-once]").select_option("16")
    page.get_by_role("button", name="批量抽象 10 人").click()
    done = page.locator(".batch").get_by_text("10 / 10")
    done.wait_for(timeout=30_000)
    page.locator("[data-filter-state]").select_option("with_events")
    until(page, lambda: page.locator("[data-user]").count() == 10, "all of them have events")
    with httpx.Client(base_url=stage.url, trust_env=False) as http:
        assert http.get("/api/people?query=客&state=with_events").json()["total"] == 10


def test_far_fewer_events_wait_and_what_fits_no_behaviour_is_shown_beside_the_lines(
    stage: Stage, open_page: Open
) -> None:
    lines = "user_0007|购买|2030-01-01 10:00:00|编的\nuser_0007|启动APP|2025-11-24 09:50:50|早间\n"
    stage.register(model("inventing", whole(lines, 500, first_s=0)))
    page = open_page("/extraction")
    row = page.locator("[data-user='user_0007']")
    page.locator("[data-model-pick]").select_option("offline")
    row.get_by_role("button", name="重新生成").click()
    until(page, lambda: "43" in row.inner_text(), "the events of the built-in model")
    page.locator("[data-model-pick]").select_option("inventing")
    row.get_by_role("button", name="重新生成").click()
    accept = row.locator("[data-accept]")
    accept.wait_for()
    panel = page.locator(".log-panel")
    assert "这个时间没有行为" in panel.locator(".findings").inner_text()
    assert "43" in row.inner_text()
    accept.click()
    until(page, lambda: row.locator("[data-accept]").count() == 0, "it is accepted")
    until(page, lambda: "43" not in row.inner_text(), "the new number")
