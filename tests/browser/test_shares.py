"""Share links: made on the page of a run, opened by somebody without a key, revoked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .axe import serious, violations
from .conftest import Open
from .held import Held
from .reading import plain, text_of, until_said, until_state
from .serving import Program, running
from .stage import LETTER, Stage, model, whole

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROMPT = "这一句不给客人看"


@pytest.fixture(scope="module")
def program(data_dir: Path, admin: str) -> Iterator[Program]:
    with running(data_dir, UNSPOOL_ACCESS="keys") as program:
        yield program


@pytest.fixture(scope="module")
def stage(program: Program, admin: str) -> Iterator[Stage]:
    stage = Stage(program.url, admin)
    stage.register(model("quick", whole(LETTER, 2000, first_s=0)))
    yield stage
    stage.close()


def sign_in(page: Page, key: str) -> None:
    page.locator("[data-sign-in]").fill(key)
    page.keyboard.press("Enter")
    page.locator("dialog.sign-in").wait_for(state="detached")


def made_in(page: Page) -> str:
    """Make a link on the page of a run; return its path."""
    page.locator("[data-share]").click()
    box = page.get_by_role("dialog", name="分享这个运行")
    assert box.get_by_role("checkbox").is_checked(), "text alone, unless somebody wants more"
    box.locator("[data-make-link]").click()
    told = box.locator("[data-told]").inner_text()
    assert re.search(r"/share/ush_[a-z0-9]{12}_[\w-]{43}$", told)
    return told[told.index("/share/") :]


def test_a_guest_sees_the_text_as_it_is_written_until_the_link_is_revoked(
    stage: Stage, admin: str, letter: Held, open_page: Open
) -> None:
    run = stage.ask(PROMPT, letter.name)
    page = open_page(f"/runs/{run}", permissions=["clipboard-read", "clipboard-write"])
    sign_in(page, admin)
    path = made_in(page)
    assert page.evaluate("navigator.clipboard.readText()").endswith(path)
    assert serious(page) == []

    guest = open_page(path)
    asked: list[str] = []
    guest.on("request", lambda request: asked.append(request.url))
    seen = until_said(guest, 10)
    letter.let(120)
    assert plain(LETTER).startswith(until_said(guest, len(seen) + 10))
    assert guest.locator("dialog.sign-in").count() == 0
    assert guest.locator("nav").count() == 0
    for hidden in (PROMPT, run):
        assert hidden not in guest.content()

    box = page.get_by_role("dialog", name="分享这个运行")
    box.locator("[data-revoke-link]").click()
    page.locator("dialog.confirm").get_by_role("button", name="撤销").click()
    box.locator("[data-link]").wait_for(state="detached")
    guest.locator("[data-gone]").get_by_text("已撤销").wait_for()
    assert text_of(guest) == "", "nothing stays on the page"
    own = re.compile(r"/v1/shared/|/assets/|/theme\.js|/icon\.svg")
    assert all(own.search(url) for url in asked), asked
    assert violations(guest, guest.locator(".toggles button")) == []
    stage.cancel(run)


def test_a_link_that_shows_all_shows_what_was_asked_and_of_whom(
    stage: Stage, open_page: Open
) -> None:
    run = stage.ask(PROMPT, "quick")
    stage.wait(run)
    link = stage.post(f"/v1/runs/{run}/shares", {"text_only": False})
    for width in (1360, 390):
        guest = open_page(link["path"], viewport={"width": width, "height": 844})
        until_state(guest, "completed")
        assert text_of(guest) == plain(LETTER)
        guest.locator("summary").click()
        guest.get_by_text(PROMPT).wait_for()
        guest.locator("[data-more]").get_by_text("quick").wait_for()
        assert guest.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert violations(guest, guest.locator(".toggles button")) == []


def test_a_link_that_nobody_made_opens_nothing(open_page: Open) -> None:
    guest = open_page(f"/share/ush_aaaaaaaaaaaa_{'x' * 43}", language="en-US")
    guest.locator("[data-gone]").get_by_text("opens nothing now").wait_for()
    assert guest.locator("dialog.sign-in").count() == 0
