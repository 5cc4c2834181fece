"""A server that answers no more: each page says so, and none breaks."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Open
from .reading import until
from .test_access import PAGES, batch, conversation, copy, made, run, story

__all__ = ["batch", "conversation", "copy", "made", "run", "story"]

SILENT = ("/runs?first=1", "/guide", "/states")
"""Pages that need nothing of the server."""

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
