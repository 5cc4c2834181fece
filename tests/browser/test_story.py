"""The page of a story: from its text to scenes, one scene again, and the plan as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .conftest import Open
from .keyboard import tab_to
from .reading import Late, text_of, until, until_count
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
        page.locator("[data-export] summary").click()
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
    until_count(page.locator("[data-scene]"), 1)
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
    until_count(page.locator("[data-output] .st.failed"), 1)


@pytest.mark.parametrize("width", WIDTHS)
def test_s4_a_text_and_a_scene_are_edited_in_place_and_what_follows_is_out_of_date_everywhere(
    http: httpx.Client, open_page: Open, width: int
) -> None:
    number = project(http)
    url = f"/api/v1/projects/{number}"
    http.post(f"{url}/pipeline-stream/", json={"model": "offline"})
    page = open_page(f"/story/{number}?stage=storyboard", viewport={"width": width, "height": 844})
    second = page.locator("[data-scene='2']")
    second.locator("[data-edit]").click()
    page.locator("[data-field=description]").fill("一把红伞靠在门边")
    page.locator("[data-field=shot_size]").select_option("close_up")
    page.locator("[data-save]").click()
    second.get_by_text("一把红伞靠在门边").wait_for()
    assert "特写" in second.inner_text()
    page.locator(".history").get_by_text("人工修改").first.wait_for()
    assert "红伞" in "".join(page.locator(".history ins").all_inner_texts())
    tabs = page.get_by_role("tab")
    until(page, lambda: "已过时" in tabs.nth(2).inner_text(), "the camera is out of date")
    tabs.nth(0).click()
    page.locator("[data-edit-text]").click()
    page.locator("[data-editor]").fill(TEXT)
    page.locator("[data-save]").click()
    until(page, lambda: TEXT in page.locator("[data-output]").inner_text(), "the person's text")
    for at in (1, 2):
        until(page, lambda at=at: "已过时" in tabs.nth(at).inner_text(), "its tab says so")  # type: ignore[misc]
        assert "已完成" not in tabs.nth(at).inner_text()
    assert "已过时" not in tabs.nth(0).inner_text()
    page.goto("/story")
    listed = page.locator(f".project[href='/story/{number}']")
    stages = listed.locator("[data-stage]")
    until(page, lambda: stages.count() == 3, "the stages in the list")
    assert ["已过时" in said for said in stages.all_inner_texts()] == [False, True, True]
    assert fits(page, width)


def test_s4_a_stage_that_was_paused_says_so_after_a_reload_and_goes_on_without_losing_a_word(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    begun, rest = TEXT[:14], TEXT[14:]
    script = {
        "attempts": [
            [{"text": begun}, {"pause_s": 600}, {"finish": "stop"}],
            [{"text": rest}, {"finish": "stop"}],
        ]
    }
    stage.register(model("pausing", script))
    number = project(http)
    page = open_page(f"/story/{number}")
    page.locator("[data-model-pick]").select_option("pausing")
    page.locator("[data-make]").click()
    until(page, lambda: text_of(page) == begun, "its beginning")
    page.locator("[data-cancel]").click()
    page.locator("[data-stopped]").wait_for()
    page.goto(f"/story/{number}")
    page.locator("[data-stopped]").get_by_text("写好的都在").wait_for()
    until(page, lambda: text_of(page) == begun, "its beginning after a reload")
    assert "已完成" not in page.get_by_role("tab").first.inner_text()
    page.locator("[data-resume]").click()
    until(page, lambda: "已完成" in page.get_by_role("tab").first.inner_text(), "the end")
    assert text_of(page) == TEXT
    assert page.locator("[data-stopped]").count() == 0


def test_s4_a_project_is_made_once_however_often_the_button_is_pressed(
    http: httpx.Client, open_page: Open
) -> None:
    page = open_page("/story")
    page.get_by_label("名称").fill("按了两下")
    page.get_by_label("主题").fill("一双鞋")
    made = Late(page, "**/api/v1/projects/")
    asked: list[str] = []
    page.on("request", lambda it: asked.append(it.method))
    page.get_by_role("button", name="新建项目").dblclick()
    made.asked()
    assert asked == ["POST"]
    made.come()
    page.wait_for_url("**/story/*")
    projects = http.get("/api/v1/projects/").json()["projects"]
    assert [each["name"] for each in projects].count("按了两下") == 1


def test_s4_a_live_text_is_steered_and_followed_to_its_end(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    long = "".join(f"第{n}夜，雨落在书店的檐上。\n\n" for n in range(1, 40))
    slow = [{"text": long}, {"pause_s": 600}, {"finish": "stop"}]
    stage.register(model("slow", {"attempts": [slow, [{"text": "天晴了。"}, {"finish": "stop"}]]}))
    number = project(http)
    page = open_page(f"/story/{number}")
    page.locator("[data-model-pick]").select_option("slow")
    page.locator("[data-make]").click()
    until(page, lambda: "第39夜" in text_of(page), "the slow text")
    output = page.locator("[data-output]")
    left = "(part) => part.scrollHeight - part.scrollTop - part.clientHeight"
    until(page, lambda: output.evaluate(left) < 200, "the end is in view")
    output.evaluate("(part) => part.scrollBy(0, -600)")
    page.locator("[data-follow]").click()
    until(page, lambda: output.evaluate(left) < 200, "the end again")
    before = page.url
    page.locator("[data-steer]").click()
    page.locator("[data-wish]").fill("快一点天晴")
    page.locator("[data-wish]").press("Enter")
    until(page, lambda: page.url != before, "a run of its own")
    until(page, lambda: "天晴了。" in text_of(page), "it goes on")
    until(page, lambda: page.locator("[data-make]").is_enabled(), "the end")
    assert text_of(page).count("第1夜") == 1


@pytest.fixture
def by_default(stage: Stage, http: httpx.Client) -> Iterator[None]:
    """A quick model of all stages, which a page need not choose."""
    scenes = board({"description": "书店"}, {"description": "红伞"})
    moves = json.dumps({"cameras": [{"scene": n, "movement": "push"} for n in (1, 2)]})
    script = [whole(text, 2000, first_s=0) for text in (TEXT, scenes, moves)]
    stage.register(model("quick-stages", {"attempts": script}))
    http.patch("/api/models/defaults", json={"model": "quick-stages"}).raise_for_status()
    yield
    http.patch("/api/models/defaults", json={"model": None}).raise_for_status()


@pytest.mark.usefixtures("by_default")
def test_a_story_is_written_and_changed_by_the_keyboard_alone(open_page: Open) -> None:
    page = open_page("/story")
    tab_to(page, page.get_by_label("名称"))
    page.keyboard.type("钥匙")
    page.keyboard.press("Tab")
    page.keyboard.type("一把没有锁的钥匙")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("[data-make]").wait_for()
    tab_to(page, page.locator("[data-pipeline]"))
    page.keyboard.press("Enter")
    tabs = page.get_by_role("tab")
    until(page, lambda: "已完成" in tabs.nth(2).inner_text(), "all stages")
    tab_to(page, tabs.nth(0))
    page.keyboard.press("ArrowRight")
    page.locator("[data-scene='1']").wait_for()
    tab_to(page, page.locator("[data-scene='1'] [data-edit]"))
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.keyboard.type("，按键改的")
    tab_to(page, page.locator("[data-save]"))
    page.keyboard.press("Enter")
    page.locator("[data-scene='1'] .shown").get_by_text("按键改的").wait_for()
    until(page, lambda: "已过时" in tabs.nth(2).inner_text(), "the camera is out of date")
    tab_to(page, page.locator("[data-stale]"))
    page.keyboard.press("Enter")
    until(page, lambda: page.locator("[data-stale]").count() == 0, "nothing is out of date")
    tab_to(page, page.locator("[data-export] summary"))
    page.keyboard.press("Enter")
    tab_to(page, page.locator("[data-format=srt]"))
