"""People at scale, on a phone and by the keyboard alone: extraction, data, graphs, own flows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from .conftest import Open
from .extracted import at_once, extracted, graph_of
from .keyboard import tab_to
from .reading import Late, Record, until, until_count, until_state
from .stage import Stage

PHONE = {"width": 390, "height": 844}
MANY = 3990
HEAD = "用户ID,行为类型,时间,商品ID\n"
ODD = ("客/一", "50%", "a b?c#d")


@pytest.fixture(scope="module")
def many(stage: Stage) -> int:
    """So many people from a file, besides those of the samples; return the number of all."""
    rows = [f"user_{n:04},buy,{1763949050 + n},SKU{n % 9}" for n in range(1, MANY - 2)]
    rows += [f"{user},visit,2025-11-24 09:50:50,SKU1" for user in ODD]
    with httpx.Client(base_url=stage.url, trust_env=False, timeout=60) as http:
        body = (HEAD + "\n".join(rows) + "\n").encode()
        kind = {"content-type": "application/octet-stream"}
        answer = http.post("/api/imports?name=many.csv", content=body, headers=kind)
        sent = answer.raise_for_status().json()
        place = f"/api/imports/{sent['id']}"
        http.post(f"{place}/start", json={"kinds": ["behaviors"]}).raise_for_status()
        for _ in range(400):
            if http.get(place).json()["status"] != "running":
                break
        told = http.get("/api/people?limit=1").json()
    assert told["total"] == MANY
    return int(told["behaviors"])


@pytest.fixture(scope="module")
def graph(stage: Stage, many: int) -> str:
    return graph_of(stage, "painter")


def test_the_totals_of_3990_people_are_those_of_the_server_not_of_the_page(
    stage: Stage, many: int, open_page: Open
) -> None:
    page = open_page("/extraction")
    totals = page.locator("[data-totals]")
    until(page, lambda: "3,990 位用户" in totals.inner_text(), "everybody")
    assert f"{many:,} 条行为" in totals.inner_text()
    until_count(page.locator("[data-user]"), 50)
    assert page.locator("[data-batch]").inner_text() == "批量抽象 3,990 人"
    page.locator("[data-choose-page]").check()
    assert page.locator("[data-batch]").inner_text() == "抽象选中的 50 人"
    page.locator("[data-choose-all]").click()
    assert page.locator("[data-batch]").inner_text() == "抽象选中的 3,990 人"
    page.locator("[data-choose-none]").click()
    page.locator("[data-without]").click()
    until(page, lambda: "state=without_events" in page.url, "only those without events")
    # A list in which nothing happens is not asked for again.
    asked: list[str] = []
    page.on("request", lambda told: asked.append(told.url))
    page.wait_for_timeout(2500)
    assert not [url for url in asked if "/api/people" in url]


def test_chosen_people_are_extracted_and_no_others(
    stage: Stage, many: int, open_page: Open
) -> None:
    page = open_page("/extraction?q=user_30")
    for user in ("user_3001", "user_3003"):
        page.locator(f"[data-user='{user}'] [data-choose]").check()
    page.locator("[data-model-pick]").select_option("offline")
    page.locator("[data-batch]").click()
    page.locator(".batch").get_by_text("2 / 2").wait_for(timeout=30_000)
    people = stage.get("/api/people?query=user_30&limit=200")["people"]
    done = {one["id"] for one in people if one["extraction"]}
    assert done == {"user_3001", "user_3003"}


def test_stored_events_stand_beside_their_behaviours_and_are_sorted(
    stage: Stage, many: int, open_page: Open
) -> None:
    extracted(stage, "user_0002")
    events = stage.get("/api/people/user_0002/events?grounds=true")["events"]
    page = open_page("/extraction")
    page.locator("[data-user='user_0002'] [data-show]").click()
    rows = page.locator("[data-events] [data-event]")
    until(page, lambda: rows.count() == len(events), "every stored event")
    assert events[0]["behavior"]["action"] in rows.first.inner_text()
    page.locator("[data-events] [data-sort='at']").click()
    until(page, lambda: events[-1]["at"] in rows.first.inner_text(), "the latest first")
    lines = page.locator(".log-panel .ln.ok")
    until(page, lambda: lines.count() == len(events), "a line for each")


def test_an_extraction_on_a_phone_opens_its_log_on_the_screen(
    stage: Stage, many: int, open_page: Open
) -> None:
    at = stage.get("/api/people/user_0009/behaviors?limit=1")["behaviors"][0]["at"]
    stage.register(at_once("short", f"user_0009|浏览商品|{at}|看\n"))
    page = open_page("/extraction?q=user_0009", viewport=PHONE)
    row = page.locator("[data-user='user_0009']")
    page.locator("[data-model-pick]").select_option("short")
    notices = Record(page, ".el-message")
    row.get_by_role("button", name="重新生成").click()
    sheet = page.locator("[data-person]")
    sheet.get_by_text("事件抽象 - user_0009").wait_for()
    box = sheet.locator(".log-panel").bounding_box()
    assert box is not None
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= PHONE["height"]
    notices.until_said("用户 [user_0009] 事件抽象完成")
    sheet.locator("[data-event]").first.wait_for()
    sheet.locator("[data-close]").click()
    until(page, lambda: sheet.count() == 0, "the list again")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    small = page.evaluate(
        "() => [...document.querySelectorAll('.page .btn, .page .check label')]"
        ".filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 44).length"
    )
    assert small == 0
    row.locator("[data-show]").click()
    sheet.locator("[data-event]").first.wait_for()


@pytest.mark.parametrize("user", ODD)
def test_a_timeline_of_any_id_has_behaviours_and_events_by_days(
    stage: Stage, many: int, open_page: Open, user: str
) -> None:
    page = open_page("/data/people")
    search = page.locator("[data-search]")
    search.fill(user)
    search.press("Enter")
    page.get_by_role("link", name=user, exact=True).click()
    page.get_by_role("heading", name=user).wait_for()
    page.locator("[data-entry='behavior']").first.wait_for()
    assert page.locator(".day h3").first.inner_text().startswith("2025-11-24")
    page.reload()
    page.locator("[data-entry='behavior']").first.wait_for()


def test_data_is_searched_and_paged_and_an_event_leads_to_its_run(
    stage: Stage, many: int, open_page: Open
) -> None:
    extracted(stage, "user_0004")
    run = stage.get("/api/people/user_0004/events")["run"]
    page = open_page("/data/behaviors")
    total = stage.get("/api/behaviors?limit=1")["total"]
    told = page.locator("[data-sum]")
    until(page, lambda: f"{total:,} 条行为" in told.inner_text(), "the server's total")
    page.locator("[data-after]").click()
    until(page, lambda: "第 51–100 条" in page.locator("[data-place]").inner_text(), "page 2")
    page.locator("[data-action]").select_option("favorite")
    found = stage.get("/api/behaviors?action=favorite&limit=1")["total"]
    until(page, lambda: f"{found:,} 条行为" in told.inner_text(), "one action")
    page.get_by_role("link", name="商品", exact=True).click()
    page.locator("[data-row]").first.wait_for()
    page.goto("/data/people?id=user_0004")
    page.locator("[data-entry='event'] a").first.click()
    page.wait_for_url(f"**/runs/{run}")


@pytest.mark.parametrize("place", ["/data/behaviors", "/extraction"])
def test_an_address_after_the_last_page_shows_the_last_page(
    stage: Stage, many: int, open_page: Open, place: str
) -> None:
    page = open_page(f"{place}?page=9000")
    last = -(-(many if place == "/data/behaviors" else MANY) // 50)
    page.wait_for_url(f"**{place}?page={last}")
    page.locator("[data-row], [data-user]").first.wait_for()
    assert page.locator("[data-after]").is_disabled()


def test_an_answer_to_an_older_search_changes_nothing(
    stage: Stage, many: int, open_page: Open
) -> None:
    page = open_page("/extraction")
    search = page.locator("[data-search]")
    late = Late(page, "**/api/people?*user_0001*")
    search.fill("user_0001")
    search.press("Enter")
    late.asked()
    search.fill("user_0002")
    search.press("Enter")
    shown = page.locator("[data-user]")
    until(page, lambda: shown.count() == 1, "the second search")
    late.come()
    assert shown.first.get_attribute("data-user") == "user_0002"


def test_the_keyboard_alone_extracts_a_person_and_reads_the_evidence_of_an_edge(
    stage: Stage, graph: str, open_page: Open
) -> None:
    page = open_page("/extraction?q=user_0011")
    page.locator("[data-user='user_0011']").wait_for()
    tab_to(page, page.locator("[data-user='user_0011'] [data-choose]").first)
    page.keyboard.press("Space")
    assert page.locator("[data-chosen]").inner_text() == "选中 1 人"
    tab_to(page, page.locator("[data-user='user_0011'] .do .btn").first)
    page.keyboard.press("Enter")
    page.locator(".log-panel").get_by_text("--- 响应结束 ---").wait_for(timeout=30_000)
    page.goto(f"/graph?run={graph}")
    page.locator("[data-edge]").first.wait_for(state="attached")
    tab_to(page, page.locator("[data-edge]").first)
    until_count(page.locator(".label.hot"), 1)
    page.keyboard.press("Enter")
    assert "置信度" in page.locator("[data-evidence]").inner_text()
    least = page.locator("[data-least]")
    before = page.locator("[data-edge]").count()
    tab_to(page, page.locator("[data-least]").first)
    page.keyboard.press("End")
    until(page, lambda: page.locator("[data-edge]").count() < before, "fewer edges")
    assert least.input_value() == "1"


def test_the_title_of_a_new_graph_stays_when_the_types_of_events_come(
    graph: str, open_page: Open
) -> None:
    page = open_page("/models")
    late = Late(page, "**/api/v1/event-types")
    page.goto(f"/graph?run={graph}")
    page.locator("[data-more]").click()
    form = page.locator("[data-options]")
    form.locator("[name=title]").press_sequentially("新的")
    form.locator("[name=most]").focus()
    page.keyboard.press("End")
    page.keyboard.type("1")
    late.come()
    until(page, lambda: form.locator("[name=outcome] option").count() > 1, "the types")
    assert form.locator("[name=title]").input_value() == "新的"
    assert form.locator("[name=most]").input_value() == "301"


def test_a_new_graph_is_asked_for_with_all_its_options_on_a_phone(
    stage: Stage, graph: str, open_page: Open
) -> None:
    page = open_page(f"/graph?run={graph}", viewport=PHONE)
    page.locator("[data-more]").click()
    form = page.locator("[data-options]")
    for name, value in (("most", "5"), ("max_length", "2"), ("query", "user_000"), ("title", "新")):
        form.locator(f"[name={name}]").fill(value)
        form.locator(f"[name={name}]").press("Tab")
    form.locator("[name=min_support]").fill("0.01")
    form.locator("[name=is_acyclic]").uncheck()
    page.locator("[data-model-pick]").select_option("painter")
    page.locator("[data-generate]").click()
    until(page, lambda: "run=" in page.url, "the run")
    until_state(page, "completed", "incomplete")
    run = re.search(r"run=(\w+)", page.url)
    assert run is not None
    asked = stage.events(run[1])[0]["data"]["input"]
    wanted = {"most": 5, "max_length": 2, "query": "user_000", "title": "新", "min_support": 0.01}
    assert {name: asked[name] for name in wanted} == wanted
    assert asked["is_acyclic"] is False
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_flows_open_at_the_chat_are_told_in_chinese_and_show_no_box_that_the_server_fills(
    stage: Stage, open_page: Open, tmp_path: Path
) -> None:
    page = open_page("/flows")
    page.locator("#f-prompt").wait_for()
    assert page.locator(".pick-list [aria-current] .log").inner_text() == "chat"
    for name in ("talk", "kept_tools", "left_out"):
        assert page.locator(f"#f-{name}").count() == 0
    listed = page.locator(".pick-list button p")
    for text in listed.all_inner_texts():
        assert re.search(r"[一-鿿]", text), text
    page.goto("/flows?flow=batch")
    page.locator("#f-items").wait_for()
    assert json.loads(page.locator("#f-items").get_attribute("placeholder") or "")
