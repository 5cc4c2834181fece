"""Prompts, tools, settings, and the way to every page on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from .conftest import Open
from .reading import Late, until, until_count
from .stage import Stage, model, whole

PHONE = {"width": 390, "height": 800}


@pytest.fixture
def http(stage: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage.url, trust_env=False, timeout=30) as client:
        yield client


def test_a_prompt_is_written_changed_compared_restored_used_and_removed(
    http: httpx.Client, open_page: Open
) -> None:
    page = open_page("/prompts")
    page.locator("[data-new]").click()
    page.locator("[data-name]").fill("介绍一件东西")
    page.locator("[data-prompt]").fill("用{{ count }}句话介绍{{东西}}。")
    page.locator("[data-variables]", has_text="东西").wait_for()
    page.get_by_role("button", name="保存").click()
    row = page.locator("[data-preset]", has_text="介绍一件东西")
    row.get_by_text("第 1 版").wait_for()
    page.locator("[data-prompt]").fill("介绍{{东西}}，不要夸张。")
    page.get_by_role("button", name="保存为新版本").click()
    row.get_by_text("第 2 版").wait_for()
    first = page.locator("[data-version='1']")
    first.get_by_role("button", name="与现在的比较").click()
    first.locator("ins", has_text="不要夸张").wait_for()
    first.locator("[data-restore]").click()
    row.get_by_text("第 3 版").wait_for()
    presets = http.get("/api/presets").json()["presets"]
    kept = next(each for each in presets if each["name"] == "介绍一件东西")
    assert kept["prompt"] == "用{{ count }}句话介绍{{东西}}。"
    page.reload()
    page.get_by_role("link", name="到对话里用").wait_for()
    page.get_by_role("button", name="删除").click()
    page.locator("dialog.confirm").get_by_role("button", name="删除").click()
    until(page, lambda: row.count() == 0, "it is gone")
    assert http.get(f"/api/presets/{kept['id']}").status_code == 404


def test_a_prompt_with_wrong_parameters_is_not_saved(http: httpx.Client, open_page: Open) -> None:
    page = open_page("/prompts?preset=new")
    page.locator("[data-name]").fill("坏参数")
    page.get_by_label("参数（JSON）").fill("[1]")
    page.get_by_role("button", name="保存").click()
    page.get_by_text("这不是 JSON 对象").wait_for()
    names = [each["name"] for each in http.get("/api/presets").json()["presets"]]
    assert "坏参数" not in names


def test_a_tool_is_added_tried_changed_and_removed(http: httpx.Client, open_page: Open) -> None:
    page = open_page("/tools")
    page.locator("[data-tool]", has_text="calculate").click()
    page.locator("#f-expression").fill("(459 - 60) * 3")
    page.locator("[data-call]").click()
    page.locator("[data-answer]", has_text="1197").wait_for()
    page.locator("[data-new]").click()
    page.locator("[data-name]").fill("查库存")
    page.locator("[data-mock]").fill('{"left": 7}')
    page.get_by_role("button", name="保存").click()
    page.locator("[data-call]").click()
    page.locator("[data-answer]", has_text='"left"').wait_for()
    page.locator("[data-mock]").fill("没有了")
    page.get_by_role("button", name="保存").click()
    page.locator("[data-call]").click()  # it waits for the change
    page.locator("[data-answer]", has_text="没有了").wait_for()
    page.get_by_role("button", name="删除").click()
    page.locator("dialog.confirm").get_by_role("button", name="删除").click()
    row = page.locator("[data-tool]", has_text="查库存")
    until(page, lambda: row.count() == 0, "it is gone")
    assert "查库存" not in [each["name"] for each in http.get("/api/tools").json()["tools"]]


def test_settings_tell_where_the_data_is_and_what_deleting_old_runs_would_delete(
    stage: Stage, open_page: Open
) -> None:
    page = open_page("/settings")
    facts = page.locator("[data-server]")
    facts.get_by_text("不自动清理").wait_for()
    page.get_by_label("结束已超过").fill("36500")
    page.get_by_role("button", name="先数一数").click()
    page.locator("[data-found]", has_text="没有这么早的运行").wait_for()
    page.get_by_label("只看改过的").uncheck()
    page.get_by_role("cell", name="UNSPOOL_MAX_BODY_BYTES").wait_for()


def test_a_server_that_wants_no_key_is_asked_nothing_about_keys_and_has_no_place_for_them(
    open_page: Open,
) -> None:
    page = open_page("/states")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_response("**/readyz") as ready:
        page.goto("/settings")
    assert ready.value.json()["access"] == "open"
    page.locator("[data-server]").wait_for()
    assert page.get_by_role("link", name="密钥").count() == 0
    assert page.get_by_role("button", name="退出").count() == 0
    assert not [url for url in asked if "session" in url or "keys" in url.lower()]
    page.goto("/keys")
    page.locator("[data-open]", has_text="谁都能用").wait_for()


def test_on_a_phone_every_page_is_two_taps_away(open_page: Open) -> None:
    page = open_page("/runs", viewport=PHONE)
    for name, path in (("指南", "/guide"), ("设置", "/settings"), ("工具", "/tools")):
        page.locator("[data-places]").click()
        page.get_by_role("dialog").get_by_role("link", name=name).click()
        page.wait_for_url(f"**{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator("[data-tool]").first.click()
    top = "(form) => form.getBoundingClientRect().top"
    form = page.locator(".under-bar")
    until(page, lambda: form.evaluate(top) < 100, "the form in view")
    page.locator("[data-places]").click()
    page.get_by_role("dialog").get_by_role("button", name="English").click()
    page.get_by_role("dialog").get_by_text("Usage").wait_for()


def test_on_a_phone_a_place_that_is_chosen_while_the_first_page_is_on_its_way_shuts_the_sheet(
    open_page: Open,
) -> None:
    page = open_page("/states", viewport=PHONE)
    first = Late(page, "**/assets/RunsPage*.js")
    page.goto("/runs", wait_until="commit")
    first.asked()
    page.locator("[data-places]").click()
    page.get_by_role("dialog").get_by_role("link", name="指南").click()
    page.wait_for_url("**/guide")
    until_count(page.get_by_role("dialog"), 0)
    page.locator("[data-places]").click()
    first.come()
    assert page.get_by_role("dialog").count() == 1
    assert page.url.endswith("/guide")


def test_a_route_is_made_reordered_by_the_keyboard_and_removed(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    stage.register(*(model(f"hop-{name}", whole("好", 100)) for name in "abc"))
    page = open_page("/models")
    page.locator("[data-new-route]").click()
    box = page.get_by_role("dialog")
    box.get_by_label("名称").fill("三跳")
    for name in "abc":
        box.locator("[data-add-member]").select_option(f"hop-{name}")
    box.locator("[data-save]").click()
    page.locator("[data-edit-route='三跳']").click()
    box.locator("[data-member='hop-c']").focus()
    page.keyboard.press("Alt+ArrowUp")
    page.keyboard.press("Alt+ArrowUp")
    box.get_by_role("button", name="hop-b 往前").press("Enter")
    box.locator("[data-save]").press("Enter")
    until(page, lambda: box.count() == 0, "it is saved")
    kept = next(each for each in http.get("/api/routes").json()["routes"] if each["name"] == "三跳")
    assert [each["model"] for each in kept["models"]] == ["hop-c", "hop-b", "hop-a"]
    page.locator("[data-edit-route='三跳']").click()
    box.get_by_role("button", name="删除").click()
    page.locator("dialog.confirm").get_by_role("button", name="删除").click()
    until(page, lambda: page.locator("[data-edit-route='三跳']").count() == 0, "it is gone")
