"""People sign in at their provider, see who they are and what they may do, and leave nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.identity import Identity, identity

from .axe import violations
from .conftest import Open
from .reading import until_said
from .serving import Program, running
from .stage import LETTER, Stage, model, whole

if TYPE_CHECKING:
    from playwright.sync_api import Page


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the provider


@pytest.fixture(scope="module")
def provider() -> Iterator[Identity]:
    with identity() as provider:
        yield provider


@pytest.fixture(scope="module")
def program(data_dir: Path, admin: str, provider: Identity) -> Iterator[Program]:
    with running(
        data_dir,
        UNSPOOL_OIDC_ISSUER=provider.url,
        UNSPOOL_OIDC_CLIENT_ID="unspool",
        UNSPOOL_OIDC_CLIENT_SECRET="secret",
        UNSPOOL_OIDC_ADMIN_GROUP="unspool-admins",
        UNSPOOL_OIDC_MEMBER_GROUP="unspool-members",
        UNSPOOL_OIDC_VIEWER_GROUP="staff",
    ) as program:
        yield program


@pytest.fixture(scope="module")
def stage(program: Program, admin: str) -> Iterator[Stage]:
    stage = Stage(program.url, admin)
    stage.register(model("quick", whole(LETTER, 2000, first_s=0)))
    yield stage
    stage.close()


def sign_in(page: Page, subject: str) -> None:
    """By the button of the console and the page of the provider."""
    page.locator("[data-person]").click()
    page.get_by_role("heading", name="Authorize Client").wait_for()
    page.get_by_role("button", name=subject, exact=True).click()
    page.wait_for_url(lambda url: "/oauth2/" not in url)


def test_a_person_comes_back_to_the_page_that_was_asked_for_and_is_named(
    stage: Stage, open_page: Open
) -> None:
    run = stage.ask("讲完灯塔的故事", "quick")
    stage.wait(run)
    page = open_page(f"/runs/{run}?tab=events")
    page.locator("[data-person]").wait_for()
    assert violations(page, page.locator("dialog.sign-in .toggles button")) == []
    sign_in(page, "ada")
    assert page.url.endswith(f"/runs/{run}?tab=events")
    until_said(page, 20)
    page.locator("[data-who]").get_by_text("Ada · 管理员").wait_for()
    page.locator("[data-share]").wait_for()
    page.goto("/keys")
    audit = page.locator("[data-audit]").first
    assert "person.signed_in" in audit.inner_text()
    assert violations(page, page.locator(".rail .toggles button")) == []


def test_a_viewer_is_shown_no_way_to_change_a_run_and_is_told_so_elsewhere(
    stage: Stage, open_page: Open
) -> None:
    run = stage.ask("讲完灯塔的故事", "quick")
    stage.wait(run)
    page = open_page(f"/runs/{run}", language="en-US")
    sign_in(page, "eve")
    page.locator("[data-who]").get_by_text("Eve · may look").wait_for()
    until_said(page, 20)
    assert page.locator("[data-share], [data-again]").count() == 0
    page.goto("/keys")
    page.get_by_text("To see keys you need the scope admin").wait_for()


def test_nothing_of_one_person_is_there_for_the_next(stage: Stage, open_page: Open) -> None:
    page = open_page("/pages/debug.html")
    sign_in(page, "ada")
    page.locator("[data-who]").wait_for()
    box = page.locator("textarea").first
    box.fill("Adas Entwurf")
    other = page.context.new_page()
    other.goto("/runs")
    other.locator("[data-who]").wait_for()
    page.evaluate("localStorage.setItem('unspool.views', '[]')")
    # The session ends elsewhere; here the page stays, behind the question for a key.
    page.context.clear_cookies()
    page.evaluate("fetch('/v1/runs')")
    page.goto("/pages/debug.html")
    sign_in(page, "eve")
    page.locator("[data-who]").get_by_text("Eve").wait_for()
    assert "Adas" not in page.locator("textarea").first.input_value()
    assert "Adas" not in page.evaluate("JSON.stringify({ ...localStorage, ...sessionStorage })")
    assert page.evaluate("localStorage.getItem('unspool.views')") is None
    page.locator("[data-leave]").click()
    page.locator("[data-person]").wait_for()
    other.locator("[data-person]").wait_for()
    assert other.locator("[data-who]").count() == 0, "the other tab is out, too"
    assert page.context.cookies() == []


def test_who_is_refused_is_told_why(open_page: Open) -> None:
    page = open_page("/runs?first=1")
    sign_in(page, "mallory")
    page.locator("[data-returned]").get_by_text("你的账号不能用这台服务器").wait_for()
    assert page.url.endswith("/runs?first=1")
    page.goto("/runs?sign-in=%3Cscript%3E")
    page.locator("[data-returned]").get_by_text("没有正常回应").wait_for()
