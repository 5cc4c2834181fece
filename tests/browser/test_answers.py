"""Runs that wait for people: asked on every page at once, answered once, from any of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .axe import serious, violations
from .conftest import Open
from .reading import until, until_state
from .serving import Program
from .stage import Stage

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

FLOWS = '''
from pydantic import BaseModel
from unspool import flow

class Trip(BaseModel):
    to: str

SEAT = {"type": "object", "properties": {"seat": {"enum": ["window", "aisle"]}},
        "required": ["seat"]}
BAGS = {"type": "object", "required": ["bags", "who"], "properties": {
    "bags": {"type": "integer"}, "who": {"type": "string", "maxLength": 40},
    "insured": {"type": "boolean"}}}

@flow
async def book(ctx, trip: Trip) -> dict:
    """Books a trip."""
    await ctx.say(f"去{trip.to}的行程。", step="intro")
    name = await ctx.ask("谁去？", step="name", within_s=7200)
    seat = await ctx.ask("靠窗还是靠过道？", step="seat", schema=SEAT)
    bags = await ctx.ask("几件行李？", step="bags", schema=BAGS)
    await ctx.say("订好了。", step="end")
    return {"name": name.value, "seat": seat.value, "bags": bags.value, "why": name.reason}
'''


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    place = tmp_path_factory.mktemp("answers")
    (place / "trips.py").write_text(FLOWS)
    program = Program(Path(place / "data"), UNSPOOL_FLOWS=str(place / "trips.py"))
    program.start()
    yield program
    program.stop()


def card(page: Page, at: int = 0) -> Locator:
    return page.locator("[data-question]").nth(at)


def outcome(page: Page, at: int, words: str) -> None:
    card(page, at).locator("[data-outcome]").get_by_text(words).wait_for()


def test_of_two_pages_one_answers_and_the_other_sees_it_at_once(
    stage: Stage, open_page: Open
) -> None:
    run = stage.start("book", {"to": "奥斯陆"})
    here, there = open_page(f"/runs/{run}"), open_page(f"/runs/{run}", viewport=PHONE)
    for page in (here, there):
        until_state(page, "waiting")
        card(page).get_by_text("谁去？").wait_for()
        card(page).get_by_text("还剩 1:59").or_(card(page).get_by_text("还剩 2:00")).wait_for()
    assert violations(here, here.locator(".toggles button")) == []
    card(here).locator("[data-send]").click()
    card(here).get_by_role("alert").get_by_text("先写点什么").wait_for()
    card(here).locator("[data-answer]").fill("小安")
    card(here).locator("[data-send]").click()
    for page in (here, there):
        outcome(page, 0, "已回答")
        card(page).locator("[data-said]").get_by_text("小安").wait_for()
    window = card(there, 1).locator("[data-choice]").first
    window.focus()
    there.keyboard.press("Enter")
    for page in (here, there):
        outcome(page, 1, "已回答")
        card(page, 1).get_by_text('{"seat":"window"}').wait_for()
    bags = card(here, 2)
    bags.get_by_label("who").fill("小安")
    bags.locator("[data-send]").click()
    bags.get_by_role("alert").get_by_text("bags").or_(bags.get_by_text("必填")).first.wait_for()
    bags.get_by_label("bags").fill("2")
    bags.locator("[data-send]").click()
    for page in (here, there):
        until_state(page, "completed")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    facts = {"bags": 2, "who": "小安", "insured": False}
    assert stage.run(run)["result"]["bags"] == facts


PHONE = {"width": 390, "height": 844}


def test_a_declined_call_of_a_tool_says_why_on_a_phone(stage: Stage, open_page: Open) -> None:
    tools = stage.get("/api/tools")["tools"]
    tool = next(each for each in tools if each["name"] == "get_weather")
    page = open_page("/tools", viewport=PHONE)
    page.get_by_text("get_weather").first.click()
    page.locator("[data-approve]").check()
    page.get_by_role("button", name="保存").click()
    until(page, lambda: stage.get(f"/api/tools/{tool['id']}")["approve"], "it is saved")
    run = stage.ask("北京的天气？", "offline", tool_ids=[tool["id"]])
    page.goto(f"/runs/{run}")
    card(page).get_by_text("模型要调用工具 get_weather，批准吗？").wait_for()
    card(page).locator("pre").get_by_text("北京").wait_for()
    assert serious(page) == []
    card(page).locator("[data-decline]").click()
    card(page).locator("[data-reason]").fill("太贵")
    card(page).locator("[data-sure]").click()
    outcome(page, 0, "已拒绝")
    card(page).locator("[data-said]").get_by_text("太贵").wait_for()
    until_state(page, "completed")


def test_the_chat_asks_for_approval_and_goes_on(stage: Stage, open_page: Open) -> None:
    tool = next(it for it in stage.get("/api/tools")["tools"] if it["name"] == "get_weather")
    stage.patch(f"/api/tools/{tool['id']}", {"approve": True})
    offline = next(it for it in stage.get("/api/models")["models"] if it["name"] == "offline")
    page = open_page(f"/pages/debug.html?models={offline['id']}&tools={tool['id']}")
    page.get_by_role("textbox", name="提问").fill("北京的天气？")
    page.get_by_role("button", name="发送").click()
    card(page).get_by_text("模型要调用工具 get_weather，批准吗？").wait_for()
    until_state(page, "waiting")
    assert violations(page, page.locator(".toggles button")) == []
    card(page).locator("[data-send]").click()
    outcome(page, 0, "已批准")
    until_state(page, "completed")


def test_the_list_and_a_share_link_say_that_a_run_waits(stage: Stage, open_page: Open) -> None:
    run = stage.start("book", {"to": "罗马"})
    stage.until(run, lambda facts: facts["status"] == "waiting")
    page = open_page("/runs?status=waiting")
    row = page.locator(f'a[href="/runs/{run}"]').first
    row.wait_for()
    page.locator(".st.waiting").get_by_text("等待回答").first.wait_for()
    link = stage.post(f"/v1/runs/{run}/shares", {"text_only": True})
    guest = open_page(link["path"], language="en-US")
    guest.locator("[data-waits]").wait_for()
    assert "谁去" not in guest.content()
    assert violations(guest, guest.locator(".toggles button")) == []
    stage.cancel(run)
    until_state(guest, "cancelled")
    page.goto(f"/runs/{run}")
    outcome(page, 0, "没有回答")
    assert card(page).locator("[data-send]").count() == 0
