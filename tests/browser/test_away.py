"""A server that answers no more: each page says so, and none breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Open
from .reading import Late, until
from .serving import Program
from .test_access import PAGES, batch, conversation, copy, made, run, story

if TYPE_CHECKING:
    from playwright.sync_api import Route

__all__ = ["batch", "conversation", "copy", "made", "run", "story"]

SILENT = ("/runs?first=1", "/guide", "/states")
"""Pages that need nothing of the server."""

MISSING = "有一部分没能载入"

WORDS = ("连不上服务器", "还没有连上这个运行")

PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_a_page_whose_server_does_not_answer_says_so(
    made: dict[str, Any], open_page: Open, part: int
) -> None:
    page = open_page("/states")
    for place in ("**/api/**", "**/v1/**"):
        page.route(place, lambda route: route.abort())
    shown = page.locator("body")
    for path in PAGES[part::PARTS]:
        page.goto(path.format(**made))
        if path not in SILENT:
            until(page, lambda: any(it in shown.inner_text() for it in WORDS), path)


def test_a_click_that_the_server_does_not_answer_says_so(open_page: Open) -> None:
    page = open_page("/runs?first=1")
    page.route("**/v1/runs", lambda route: route.abort())
    start = page.get_by_role("button", name="生成第一条")
    start.click()
    page.locator(".el-message--error").get_by_text(WORDS[0]).wait_for()
    assert start.is_enabled()


def test_a_place_that_a_stopped_server_cannot_give_is_said_and_comes_after_its_next_start(
    open_page: Open, program: Program
) -> None:
    page = open_page("/states")
    page.wait_for_load_state("networkidle")
    guide = page.get_by_role("link", name="指南")
    program.kill()
    try:
        guide.click()
        page.locator(".el-message--error").get_by_text(MISSING).wait_for()
        assert page.url.endswith("/states")
    finally:
        program.start()
    guide.click()
    page.wait_for_url("**/guide")
    page.get_by_role("heading", name="指南", exact=True).wait_for()


def test_a_place_of_an_older_console_is_loaded_anew(open_page: Open) -> None:
    page = open_page("/states")

    def give(route: Route) -> None:
        route.fulfill(status=404) if page.url.endswith("/states") else route.continue_()

    page.route("**/assets/GuidePage*.js", give)
    page.get_by_role("link", name="指南").click()
    page.wait_for_url("**/guide")
    page.get_by_role("heading", name="指南", exact=True).wait_for()


def test_a_place_of_an_older_console_that_is_chosen_early_is_loaded_anew(open_page: Open) -> None:
    page = open_page("/runs")

    def give(route: Route) -> None:
        route.continue_() if page.url.endswith("/guide") else route.fulfill(status=404)

    first = Late(page, "**/assets/StatesPage*.js")
    page.route("**/assets/GuidePage*.js", give)
    page.goto("/states", wait_until="commit")
    first.asked()
    page.get_by_role("link", name="指南").click()
    page.wait_for_url("**/guide")
    page.get_by_role("heading", name="指南", exact=True).wait_for()


def test_a_place_whose_style_did_not_come_is_not_shown_without_it(open_page: Open) -> None:
    page = open_page("/states")
    page.route("**/assets/UsagePage*.css", lambda route: route.abort(), times=1)
    page.route("**/readyz", lambda route: route.abort())
    usage = page.get_by_role("link", name="用量")
    usage.click()
    page.locator(".el-message--error").get_by_text(MISSING).wait_for()
    page.unroute("**/readyz")
    usage.click()
    page.wait_for_url("**/usage")
    page.get_by_role("heading", name="用量", exact=True).wait_for()
    sheets = "() => [...document.styleSheets].map((sheet) => sheet.href)"
    assert any("UsagePage" in sheet for sheet in page.evaluate(sheets) if sheet)


def test_a_dialog_that_does_not_come_is_said(open_page: Open) -> None:
    page = open_page("/states")
    page.route("**/assets/CommandPalette*", lambda route: route.fulfill(status=404))
    page.keyboard.press("Control+k")
    page.locator(".el-message--error").get_by_text(MISSING).wait_for()


def test_a_message_that_does_not_come_is_not_asked_for_without_end(open_page: Open) -> None:
    page = open_page("/states")
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    page.route("**/assets/message*", refuse)
    page.route("**/v1/runs", lambda route: route.abort())
    page.goto("/runs?first=1")
    start = page.get_by_role("button", name="生成第一条")
    start.click()
    page.wait_for_timeout(500)
    assert len(asked) <= 12
    until(page, start.is_enabled, "the button, once its request has failed")


def test_a_first_page_that_does_not_come_is_said_and_not_loaded_for_ever(open_page: Open) -> None:
    page = open_page("/states")
    page.route("**/assets/GuidePage*", lambda route: route.fulfill(status=404))
    loads: list[str] = []
    page.on("load", lambda it: loads.append(it.url))
    page.goto("/guide")
    page.locator(".el-message--error").get_by_text(MISSING).wait_for()
    assert len(loads) == 1
