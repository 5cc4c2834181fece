"""The pages by the keyboard alone: nothing is clicked."""

from __future__ import annotations

from .conftest import Open
from .keyboard import tab_to
from .reading import plain, text_of, until, until_said, until_state
from .stage import ADVICE, Stage, model, whole


def test_the_keyboard_finds_a_page_and_asks_a_model(stage: Stage, open_page: Open) -> None:
    stage.register(model("keys", whole(ADVICE, 500, first_s=0)))
    page = open_page("/runs")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/pages/debug.html**")
    tab_to(page, page.locator("[data-model]").first)
    page.keyboard.type("keys")
    tab_to(page, page.get_by_role("textbox", name="提问"))
    page.keyboard.type("明天适合晨跑吗？")
    page.keyboard.press("Control+Enter")
    until_said(page, 10)
    until_state(page, "completed")
    until(page, lambda: plain(ADVICE) in text_of(page), "the answer")


def test_the_keyboard_reads_a_run_event_by_event(stage: Stage, open_page: Open) -> None:
    stage.register(model("keys-run", whole(ADVICE, 500, first_s=0)))
    run = stage.wait(stage.ask("逐个事件看", "keys-run"))["id"]
    page = open_page(f"/runs/{run}")
    until_state(page, "completed")
    tab_to(page, page.get_by_role("slider"))
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    slider = page.get_by_role("slider")
    until(page, lambda: slider.get_attribute("aria-valuenow") == "2", "the second event")
    tab_to(page, page.get_by_role("tab", name="事件"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.get_by_role("tab", name="结果", selected=True).wait_for()
