"""A server that wants keys: signing in, making and revoking keys, signing out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from .axe import violations
from .conftest import Open
from .held import Held
from .reading import Late, plain, text_of, until, until_said, until_state
from .serving import Program, running
from .stage import LETTER, Stage

if TYPE_CHECKING:
    from playwright.sync_api import Page

UNKNOWN = "usp_aaaaaaaaaaaa_" + "x" * 43


@pytest.fixture(scope="module")
def program(data_dir: Path, admin: str) -> Iterator[Program]:
    with running(data_dir, UNSPOOL_ACCESS="keys") as program:
        yield program


@pytest.fixture(scope="module")
def stage(program: Program, admin: str) -> Iterator[Stage]:
    stage = Stage(program.url, admin)
    yield stage
    stage.close()


def answer_to(stage: Stage, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{stage.url}/v1/runs", headers=headers, trust_env=False).status_code


def sign_in(page: Page, key: str) -> None:
    """By the keyboard, as the field has the focus."""
    field = page.locator("[data-sign-in]")
    field.wait_for()
    assert field.evaluate("(field) => field === document.activeElement")
    page.keyboard.type(key)
    page.keyboard.press("Enter")


def let_in(page: Page, admin: str) -> None:
    """No key, a wrong one, and the right one."""
    box = page.locator("dialog.sign-in")
    box.wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    box.wait_for()
    assert violations(page, box.locator(".toggles button")) == []
    page.locator("[data-sign-in]").focus()
    sign_in(page, UNKNOWN)
    box.get_by_role("alert").filter(has_text="这个密钥用不了").wait_for()
    sign_in(page, admin)
    box.wait_for(state="detached")
    assert page.context.cookies()[0]["httpOnly"]
    assert admin not in page.evaluate("JSON.stringify({ ...localStorage, ...sessionStorage })")


def add_tenant(page: Page) -> None:
    page.locator("[data-tenant-name]").fill("另一家店")
    page.locator("[data-add-tenant]").click()
    page.locator("[data-tenant-id]", has_text="另一家店").wait_for()


def make_key(page: Page) -> str:
    """Make a key for the other tenant, after a mistake; return its text."""
    page.locator("[data-new]").click()
    form = page.get_by_role("dialog", name="新的密钥")
    form.locator("[data-name]").fill("商城后台")
    form.locator("[data-tenant]").select_option(label="另一家店")
    form.get_by_role("checkbox", name="runs:write").uncheck()
    form.locator("[data-days]").fill("30")
    form.get_by_text("再加限制").click()
    form.locator("[data-list='origins']").fill("shop.example")
    form.get_by_role("button", name="生成密钥").click()
    form.get_by_role("alert").filter(has_text="origins").wait_for()
    form.locator("[data-list='origins']").fill("https://shop.example，https://m.shop.example")
    form.get_by_role("button", name="生成密钥").click()
    form.wait_for(state="detached")
    return page.locator("[data-told]").inner_text()


def sure(page: Page, word: str) -> None:
    page.locator("dialog.confirm").get_by_role("button", name=word).click()


def test_a_page_is_not_loaded_again_when_it_hears_late_that_nobody_was_signed_in(
    admin: str, open_page: Open
) -> None:
    page = open_page("/share/nothing")
    late = Late(page, "**/api/session")
    page.goto("/models")
    sign_in(page, admin)
    page.locator("dialog.sign-in").wait_for(state="detached")
    page.evaluate("window.isSame = true")
    late.come()
    assert page.evaluate("window.isSame")


def test_a_key_opens_the_page_that_was_asked_for_and_makes_and_revokes_others(
    stage: Stage, admin: str, open_page: Open
) -> None:
    page = open_page("/models?model=offline", permissions=["clipboard-read", "clipboard-write"])
    let_in(page, admin)
    assert page.url.endswith("/models?model=offline")
    page.locator("[data-default='']").wait_for()
    page.get_by_role("link", name="密钥").click()
    page.locator("[data-key]", has_text="first").wait_for()
    add_tenant(page)
    made = make_key(page)
    assert answer_to(stage, made) == 200
    page.get_by_text("只显示这一次").wait_for()
    page.locator("[data-copy]", has_text="复制").click()
    page.locator("[data-copy]", has_text="已复制").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == made
    assert violations(page, page.locator(".toggles button")) == []
    row = page.locator("[data-key]", has_text="商城后台")
    for fact in ("另一家店", "runs:read", "https://m.shop.example", "可用"):
        assert fact in row.inner_text()
    assert "runs:write" not in row.inner_text()

    page.reload()
    row.locator("[data-renew]").click()
    assert page.locator("[data-told]").count() == 0
    sure(page, "换新")
    renewed = page.locator("[data-told]").inner_text()
    assert [answer_to(stage, each) for each in (made, renewed)] == [200, 200]
    page.locator("[data-kept]").click()
    page.locator("[data-told]").wait_for(state="detached")
    assert renewed not in page.content()
    row.locator("[data-revoke]").click()
    sure(page, "撤销")
    row.get_by_text("已撤销").wait_for()
    assert row.get_by_role("button").count() == 0
    until(page, lambda: answer_to(stage, renewed) == 401, "it holds no more")

    page.get_by_role("link", name="设置").click()
    page.get_by_role("button", name="退出").click()
    page.locator("[data-sign-in]").wait_for()
    assert page.context.cookies() == []
    page.goto("/keys")
    page.locator("[data-sign-in]").wait_for()
    assert page.locator("[data-key]").count() == 0


def test_a_run_goes_on_where_it_was_when_a_key_is_revoked_and_another_given(
    stage: Stage, admin: str, letter: Held, open_page: Open
) -> None:
    reader = stage.post("/api/keys", {"name": "reader", "scopes": ["runs:read"]})
    run = stage.ask("讲完灯塔的故事", letter.name)
    page = open_page(f"/view/{run}")
    sign_in(page, reader["key"])
    seen = until_said(page, 10)
    httpx.delete(
        f"{stage.url}/api/keys/{reader['id']}",
        headers={"Authorization": f"Bearer {admin}"},
        trust_env=False,
    ).raise_for_status()
    page.get_by_role("dialog", name="登录").wait_for()
    assert text_of(page).startswith(seen)
    sign_in(page, admin)
    letter.let()
    until_state(page, "completed")
    assert text_of(page) == plain(LETTER), "the whole text, nothing twice"


def test_a_key_without_the_right_is_told_so_in_a_sentence_and_can_sign_out(
    stage: Stage, open_page: Open
) -> None:
    reader = stage.post("/api/keys", {"name": "looks only", "scopes": ["runs:read"]})["key"]
    page = open_page("/keys", language="en-US")
    sign_in(page, reader)
    page.get_by_text("To see keys you need the scope admin").wait_for()
    assert page.locator("[data-new]").count() == 0
    page.goto("/settings")
    page.get_by_text("may not do this").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("dialog", name="Sign in").wait_for()


def test_a_budget_is_set_shows_what_is_spent_and_is_deleted(
    stage: Stage, admin: str, open_page: Open
) -> None:
    page = open_page("/keys")
    sign_in(page, admin)
    section = page.locator("section.budgets")
    section.locator("[data-budget-kind]").select_option("user")
    section.locator("[data-budget-user]").fill("*")
    section.locator("[data-budget-max]").fill("2.5")
    section.locator("[data-put-budget]").click()
    budget = section.locator("[data-budget]", has_text="每个终端用户")
    budget.wait_for()
    assert "¥0 / ¥2.50 每月" in " ".join(budget.inner_text().split())
    page.get_by_text("budget.changed").first.wait_for()
    assert violations(page, page.locator(".toggles button")) == []
    budget.locator("[data-delete-budget]").click()
    sure(page, "删除预算")
    budget.wait_for(state="detached")
