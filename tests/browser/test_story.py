"""The page of a story: from its text to scenes, one scene again, and the plan as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .conftest import Open
from .reading import text_of, until
from .stage import Stage, model, whole

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTHS = (1360, 390)
TEXT = "雨一下，书店的灯就亮了。老板把招牌翻过来。第一位客人带着一把红伞。"


@pytest.fixture
def http(stage: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage.url, trust_env=False, timeout=60) as opened:
        yield opened


def project(http: httpx.Client, topic: str = "一家雨天才开门的书店") -> int:
    asked = {"name": "雨天的书店", "original_topic": topic}
    return int(http.post("/api/v1/projects/", json=asked).json()["id"])


def make(page: Page) -> None:
    button = page.locator("[data-make]")
    button.click()
    until(page, lambda: button.inner_text() != "AI生成", "it is written")
    until(page, lambda: button.inner_text() == "AI生成", "the end")


def fits(page: Page, width: int) -> bool:
    return bool(page.evaluate("() => document.documentElement.scrollWidth") <= width)


def board(*scenes: dict[str, Any]) -> str:
    cast = [{"name": "老板", "look": "围裙，白发"}]
    return json.dumps({"characters": cast, "scenes": scenes}, ensure_ascii=False)


def said(stage: Stage, name: str, text: str) -> str:
    stage.register(model(name, whole(text, 2000)))
    return name


@pytest.mark.parametrize("width", WIDTHS)
def test_s4_a_story_goes_from_text_to_scenes_to_one_scene_again_to_a_file(
    http: httpx.Client, open_page: Open, tmp_path: Path, width: int
) -> None:
    number = project(http)
    page = open_page(f"/story/{number}", viewport={"width": width, "height": 844})
    page.locator("[data-model-pick]").select_option("offline")
    make(page)
    assert "雨天才开门的书店" in text_of(page)
    page.get_by_role("tab").nth(1).click()
    make(page)
    shown = page.locator("[data-scene]")
    until(page, lambda: shown.count() >= 3, "scenes")
    assert "个镜头" in page.locator("[data-total]").inner_text()
    pictures = page.locator("[data-scene] .shown")
    before = pictures.all_inner_texts()
    page.locator("[data-scene='2'] [data-again]").click()
    page.get_by_placeholder("怎么改（可以不写）").fill("更近一些")
    page.locator("[data-again-send]").click()
    until(page, lambda: page.locator("[data-make]").is_disabled(), "it is written")
    until(page, lambda: page.locator("[data-make]").is_enabled(), "the end")
    until(page, lambda: page.locator("[data-scene='2'] [data-again]").count() == 1, "again")
    after = pictures.all_inner_texts()
    assert [
        at for at, pair in enumerate(zip(before, after, strict=True)) if len(set(pair)) > 1
    ] == [1]
    page.get_by_text("第 2 稿").first.wait_for()
    assert fits(page, width)
    for form in ("md", "csv", "srt", "fountain"):
        with page.expect_download() as download:
            page.locator(f"[data-format='{form}']").click()
        path = tmp_path / f"plan.{form}"
        download.value.save_as(path)
        assert "书店" in path.read_text("utf-8")
        assert download.value.suggested_filename.endswith(f".{form}")


@pytest.mark.parametrize("width", WIDTHS)
def test_d16_a_typed_text_stays_over_a_reload_before_and_after_it_is_used(
    http: httpx.Client, open_page: Open, width: int
) -> None:
    number = project(http)
    page = open_page(f"/story/{number}", viewport={"width": width, "height": 844})
    box = page.get_by_label("原文", exact=True)
    until(page, lambda: box.input_value() == "一家雨天才开门的书店", "the topic")
    box.fill(TEXT)
    page.reload()
    until(page, lambda: box.input_value() == TEXT, "the typed text")
    page.locator("[data-model-pick]").select_option("offline")
    make(page)
    page.evaluate("() => sessionStorage.clear()")
    page.reload()
    until(page, lambda: box.input_value() == TEXT, "the text that the stage keeps")
    page.get_by_role("button", name="改回主题").click()
    assert box.input_value() == "一家雨天才开门的书店"


def test_s4_a_stage_whose_source_has_changed_says_so_and_is_written_again(
    http: httpx.Client, open_page: Open
) -> None:
    number = project(http)
    url = f"/api/v1/projects/{number}"
    http.post(f"{url}/pipeline-stream/", json={"model": "offline"})
    http.patch(f"{url}/stages/rewrite/", json={"result_text": TEXT})
    page = open_page(f"/story/{number}?stage=storyboard")
    page.locator("[data-is-stale]").wait_for()
    tabs = page.get_by_role("tab")
    until(page, lambda: "已过时" in tabs.nth(2).inner_text(), "the camera is stale too")
    assert "已过时" not in tabs.nth(0).inner_text()
    page.locator("[data-model-pick]").select_option("offline")
    page.locator("[data-stale]").click()
    until(page, lambda: page.locator("[data-make]").is_disabled(), "it is written")
    until(page, lambda: page.locator("[data-make]").is_enabled(), "the end")
    until(page, lambda: page.locator("[data-is-stale]").count() == 0, "nothing is stale")
    assert "红伞" in page.locator("[data-output]").inner_text()


def test_s4_findings_stand_beside_their_scenes_also_after_a_reload(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    one = {"description": "书店门口", "duration_s": 9999, "characters": ["船长"]}
    name = said(stage, "inventor", board(one, {"description": "雨里的灯", "shot_size": "特写"}))
    number = project(http)
    http.post(f"/api/v1/projects/{number}/rewrite-stream/", json={"model": "offline"})
    page = open_page(f"/story/{number}?stage=storyboard")
    page.locator("[data-model-pick]").select_option(name)
    make(page)
    first = page.locator("[data-scene='1']")
    for _ in range(2):
        until(page, lambda: first.locator("[data-kind]").count() == 2, "its findings")
        kinds = [each.get_attribute("data-kind") for each in first.locator("[data-kind]").all()]
        assert kinds == ["range", "character"]
        assert page.locator("[data-scene='2'] [data-kind]").count() == 0
        assert "特写" in page.locator("[data-scene='2']").inner_text()
        page.reload()


def test_s4_old_scenes_do_not_stay_under_a_new_run_and_an_earlier_one_can_be_used(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    number = project(http)
    url = f"/api/v1/projects/{number}"
    http.post(f"{url}/rewrite-stream/", json={"model": "offline"})
    old = said(
        stage, "old-board", board({"description": "旧的画面"}, {"description": "旧的第二幕"})
    )
    http.post(f"{url}/storyboard-stream/", json={"model": old})
    slow = [{"text": board({"description": "新的画面"})[:60]}, {"pause_s": 2}]
    rest = [{"text": board({"description": "新的画面"})[60:]}, {"finish": "stop"}]
    stage.register(model("new-board", [*slow, *rest]))
    page = open_page(f"/story/{number}?stage=storyboard")
    output = page.locator("[data-output]")
    until(page, lambda: "旧的画面" in output.inner_text(), "the old scenes")
    page.locator("[data-model-pick]").select_option("new-board")
    page.locator("[data-make]").click()
    until(page, lambda: "旧的" not in output.inner_text(), "the old scenes are gone")
    until(page, lambda: page.locator("[data-make]").is_enabled(), "the end")
    until(page, lambda: "新的画面" in output.inner_text(), "the new scene")
    assert page.locator("[data-scene]").count() == 1
    page.get_by_role("button", name="用这一稿").click()
    until(page, lambda: page.locator("[data-scene]").count() == 2, "the old scenes again")


def test_d15_a_storyboard_that_is_none_is_a_failure_on_its_tab(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    name = said(stage, "chatty", "这个我做不了。")
    number = project(http)
    http.post(f"/api/v1/projects/{number}/rewrite-stream/", json={"model": "offline"})
    page = open_page(f"/story/{number}?stage=storyboard")
    page.locator("[data-model-pick]").select_option(name)
    make(page)
    tab = page.get_by_role("tab").nth(1)
    until(page, lambda: "失败" in tab.inner_text(), "the tab says that it failed")
    assert page.locator("[data-output] .st.failed").count() == 1
