"""The page of sales copy and that of its experiments, with a real server behind them."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import Open
from .keyboard import tab_to
from .payloads import PAYLOADS
from .reading import Late, plain, text_of, until, until_count, until_state
from .stage import POSTS, Stage, model, whole
from .test_safety import Watch

JSON = "application/json"
NARROW = {"width": 390, "height": 844}
INVENTED = "只要 99 元，真皮鞋面，买一送一，今天就来看看吧。"


@pytest.fixture(scope="module", autouse=True)
def models(stage: Stage) -> None:
    stage.register(
        model("inventor", {"attempts": [whole(INVENTED, 500, first_s=0)]}),
        model("sound", {"attempts": [whole(text, 500, first_s=0) for text in POSTS]}),
        model("down", {"attempts": [[{"fail": "refused", "code": "auth", "message": "no"}]]}),
        model("mute", {"attempts": [[{"pause_s": 600}, {"text": "late"}, {"finish": "stop"}]]}),
    )


def write(page: Any, name: str) -> None:
    page.locator(".form select:not([data-tone])").select_option(name)
    page.locator(".form button[type=submit]").click()
    until_state(page, "completed")


def test_d30_a_page_with_a_product_does_not_ask_for_one(open_page: Open) -> None:
    page = open_page("/copy?sku=8WZ01CM1")
    page.locator(".blank").get_by_text("云感透气运动鞋").wait_for()
    assert "选一件商品" not in page.locator("main, .stage").first.inner_text()


def test_what_is_invented_stands_beside_its_post(open_page: Open) -> None:
    page = open_page("/copy?sku=8WZ01CM1")
    write(page, "inventor")
    first = page.locator("[data-post='1'] .findings")
    first.locator("[data-kind=price]").get_by_text("99 元", exact=True).wait_for()
    first.get_by_text("已知：399 元").wait_for()
    for kind in ("material", "offer"):
        until_count(first.locator(f"[data-kind={kind}]"), 1)
    page.locator("[data-post='2'] [data-kind=alike]").wait_for()


def test_a_post_of_the_template_says_why_and_another_model_writes_others(open_page: Open) -> None:
    page = open_page("/copy?sku=8WZ01CM1")
    write(page, "down")
    notes = page.locator("[data-template-note]")
    until(page, lambda: notes.count() == 3, "three notes")
    assert "由模板撰写" in notes.first.inner_text()
    assert "密钥被拒" in notes.first.inner_text()
    # It has completed, and that is not all that is said: above the posts too.
    notice = page.locator("[data-template-notice]")
    assert "3 篇里有 3 篇不全是模型写的" in notice.inner_text()
    assert "密钥被拒" in notice.inner_text()
    page.get_by_label("换哪个模型").select_option("sound")
    page.get_by_role("button", name="换模型重写").click()
    until(page, lambda: page.locator("[data-template-note]").count() == 0, "no note")
    until_state(page, "completed")
    assert notice.count() == 0


def test_the_reasons_of_a_post_for_a_customer_are_shown(stage: Stage, open_page: Open) -> None:
    page = open_page("/copy?sku=8WZ01CM1")
    page.get_by_placeholder("例如 user_0007").fill("user_0016")
    write(page, "sound")
    page.locator("[data-reasons] li").first.wait_for()
    assert "看过" in page.locator("[data-reasons]").inner_text()


def test_an_edited_post_stays_when_the_posts_before_it_come_late(open_page: Open) -> None:
    page = open_page("/copy?sku=8WZ01CM1")
    late = Late(page, re.compile(r"/api/copies/\w+$"))
    write(page, "sound")
    first = page.locator("[data-post='1']")
    first.locator("[data-edit]").click()
    first.locator("[data-editor]").fill("人写的一篇。")
    late.asked()
    first.locator("[data-save]").click()
    first.get_by_text("人工修改").wait_for()
    late.come()
    assert first.locator(".version").inner_text() == "人写的一篇。"


@pytest.mark.parametrize("size", [None, NARROW])
def test_a_post_is_edited_written_again_adopted_exported_and_opened_later(
    stage: Stage, open_page: Open, size: dict[str, int] | None, tmp_path: Path
) -> None:
    name = f"writer-{'narrow' if size else 'wide'}"
    stage.register(model(name, {"attempts": [whole(text, 500, first_s=0) for text in POSTS]}))
    more = {"viewport": size} if size else {}
    page = open_page("/copy?sku=8WZ01CM1", **more)
    if size:
        page.locator("[data-unfold]").click()
    page.locator("[data-length=short]").click()
    page.locator("[data-tone]").select_option("lively")
    page.locator("[data-wish-field]").fill("提到江边")
    write(page, name)
    run = page.url.split("run=")[1].split("&")[0]
    texts = [post["original"] for post in stage.get(f"/api/copies/{run}")["posts"]]
    second = page.locator("[data-post='2']")
    second.locator("[data-edit]").click()
    box = second.locator("[data-editor]")
    assert box.input_value() == texts[1]
    box.fill(texts[1] + "今天就试。")
    box.press("Control+Enter")
    second.get_by_text("人工修改").wait_for()
    second.locator("[data-compare]").click()
    assert second.locator("ins").inner_text() == "今天就试。"
    second.get_by_role("button", name="采纳").click()
    second.get_by_role("button", name="已采纳").wait_for()
    third = page.locator("[data-post='3']")
    third.locator("[data-rewrite]").click()
    third.get_by_text("重写过", exact=True).wait_for()
    # The model says the same again, and the page does not hide it.
    third.locator("[data-kind=alike]").wait_for()
    (new,) = stage.get(f"/api/copies/{run}")["posts"][2]["versions"]
    asked = stage.events(new["run"])[0]["data"]["input"]
    assert asked["others"] == [texts[0], texts[1] + "今天就试。", texts[2]]
    assert (asked["length"], asked["tone"], asked["wish"]) == ("short", "lively", "提到江边")
    with page.expect_download() as download:
        page.locator("[data-export=csv]").click()
    download.value.save_as(tmp_path / "copy.csv")
    rows = list(csv.DictReader((tmp_path / "copy.csv").read_text("utf-8-sig").splitlines()))
    assert [(row["is_edited"], row["is_adopted"]) for row in rows] == [
        ("false", "false"),
        ("true", "true"),
        ("true", "false"),
    ]
    page.goto("/copy")
    recent = page.locator("[data-recent] li").first
    assert "改过 2 篇" in recent.inner_text()
    recent.get_by_role("button").click()
    second.get_by_text("今天就试。").wait_for()
    second.get_by_role("button", name="已采纳").wait_for()
    assert page.locator("[data-wish-field]").input_value() == "提到江边"
    assert page.locator("[data-length=short]").get_attribute("aria-pressed") == "true"
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_template_says_what_it_did_not_follow_and_refused_drafts_are_shown(
    open_page: Open,
) -> None:
    page = open_page("/copy?sku=8WZ01CM1")
    page.locator("[data-tone]").select_option("warm")
    write(page, "down")
    page.locator("[data-post='1'] [data-unsteered]").get_by_text("语气").wait_for()
    page.get_by_label("先校验，后展示").press("Space")
    write(page, "inventor")
    drafts = page.locator("[data-post='1'] [data-drafts]")
    drafts.get_by_text("检查：3 稿没有通过").click()
    drafts.locator("[data-kind=price]").first.wait_for()
    assert INVENTED in drafts.inner_text()
    note = page.locator("[data-post='1'] [data-template-note]").inner_text()
    assert "几稿都没有通过检查" in note


def test_a_rewrite_that_fails_leaves_the_post_and_says_so(stage: Stage, open_page: Open) -> None:
    page = open_page("/copy?sku=8WZ01CM1")
    write(page, "sound")
    page.locator(".form select:not([data-tone])").select_option("mute")
    first = page.locator("[data-post='1']")
    before = text_of(page)
    first.locator("[data-rewrite]").click()
    until(page, lambda: "rewrite=" in page.url, "the run of the rewrite")
    stage.cancel(page.url.split("rewrite=")[1].split("&")[0])
    first.get_by_text("这一篇没有变").wait_for()
    assert text_of(page) == before


def test_copy_for_several_products_is_a_table_and_a_customer_is_searched(
    stage: Stage, open_page: Open
) -> None:
    page = open_page("/copy")
    page.locator("[data-customer]").fill("user_0016")
    page.locator("[data-customer-found]").get_by_text("条行为").wait_for()
    assert page.locator("datalist option").first.get_attribute("value") == "user_0016"
    page.locator("[data-customer]").fill("nobody at all")
    page.locator("[data-customer-found]").get_by_text("找到 0 位").wait_for()
    page.locator("[data-customer]").fill("")
    page.locator("[data-pick-many]").click()
    for at in (0, 1):
        page.locator("dialog input[type=checkbox]").nth(at).check()
    page.locator("[data-choose]").click()
    page.locator(".form select:not([data-tone])").select_option("sound")
    page.get_by_role("button", name="生成 2 件的文案").click()
    rows = page.locator("[data-row]")
    until(page, lambda: rows.get_by_text("已完成").count() == 2, "both have ended")
    # The model says one post or the other, by how often it was asked before.
    said = [post[:8] for post in POSTS]
    until(page, lambda: any(words in rows.first.inner_text() for words in said), "a post")
    until(page, lambda: "sound" in rows.first.inner_text(), "the writer")
    rows.nth(1).get_by_role("button").click()
    until_state(page, "completed")
    assert plain(POSTS[2]) in text_of(page)
    page.reload()
    until(page, lambda: rows.count() == 2, "the table after a reload")


def test_copy_is_written_edited_and_adopted_by_the_keyboard_alone(
    stage: Stage, open_page: Open
) -> None:
    page = open_page("/copy?sku=8WZ01CM1")
    page.locator("[data-length=long]").wait_for()
    tab_to(page, page.locator("[data-length=long]"))
    page.keyboard.press("Enter")
    tab_to(page, page.locator("[data-wish-field]"))
    page.keyboard.type("写给雨天的人")
    tab_to(page, page.locator(".form button[type=submit]"))
    page.keyboard.press("Enter")
    until_state(page, "completed")
    first = page.locator("[data-post='1']")
    tab_to(page, first.locator("[data-edit]"))
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.keyboard.type("按键改的。")
    tab_to(page, first.locator("[data-save]"))
    page.keyboard.press("Enter")
    first.get_by_text("人工修改").wait_for()
    assert first.locator("[data-edit]").evaluate("(it) => it === document.activeElement")
    second = page.locator("[data-post='2']")
    tab_to(page, second.get_by_role("button", name="采纳"))
    page.keyboard.press("Enter")
    second.get_by_role("button", name="已采纳").wait_for()


def test_without_products_the_page_says_so_and_leads_to_their_import(open_page: Open) -> None:
    page = open_page("/states")
    none = '{"products": [], "total": 0, "next": null}'
    page.route("**/api/products?*", lambda route: route.fulfill(body=none, content_type=JSON))
    page.goto("/copy")
    empty = page.locator("[data-no-products]")
    empty.get_by_text("还没有商品").wait_for()
    assert empty.get_by_role("link").get_attribute("href") == "/data"
    assert page.locator(".form button[type=submit]").is_disabled()


@pytest.mark.parametrize("size", [None, NARROW])
def test_an_experiment_is_begun_ended_and_won(
    stage: Stage, open_page: Open, size: dict[str, int] | None
) -> None:
    page = open_page("/experiments")
    if size:
        page.set_viewport_size(size)
    name = f"模型对模板{'窄' if size else ''}"
    page.get_by_label("名称", exact=True).fill(name)
    page.get_by_label("权重").first.fill("3")
    page.get_by_role("button", name="再加一组").click()
    page.get_by_role("button", name="去掉组 3").click()
    page.get_by_role("button", name="开始", exact=True).click()
    article = page.locator("article.experiment")
    article.get_by_text(name, exact=True).wait_for()
    page.get_by_text("还在进行").wait_for()
    found = httpx.get(f"{stage.url}/api/experiments/{name}", trust_env=False).json()
    assert [arm["weight"] for arm in found["arms"]] == [3, 1]
    stage.wait(stage.start("copywriting", {"sku": "8WZ01CM1", "count": 1}, "sound"))
    page.reload()
    article.locator(".parts").first.wait_for()
    article.get_by_role("button", name="结束", exact=True).click()
    article.get_by_role("button", name="宣布“模板”胜出").click()
    article.locator("[data-winner]").get_by_text("“模板”胜出").wait_for()
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    article.get_by_role("button", name="收回").click()
    until(page, lambda: article.locator("[data-winner]").count() == 0, "no winner")
    article.get_by_role("button", name="删除").click()
    until(page, lambda: name not in page.locator(".experiments").inner_text(), "it is gone")


def test_names_and_words_of_an_experiment_are_text(stage: Stage, open_page: Open) -> None:
    """A name is a word by its pattern; wishes and what a model invents are any text."""
    quotes = [f"{payload} 只要 99 元" for payload in PAYLOADS[:12]]
    stage.register(model("evil", {"attempts": [whole(text, 5000, first_s=0) for text in quotes]}))
    page = open_page("/copy?sku=8WZ01CM1")
    watch = Watch(page, stage.url)
    write(page, "evil")
    page.locator(".findings").first.wait_for()
    watch.check()
    run = page.url.split("run=")[1].split("&")[0]
    place = f"{stage.url}/api/copies/{run}/posts"
    for number in (1, 2, 3):
        said = "\n".join(PAYLOADS[number::3]).replace("\0", "")
        httpx.put(f"{place}/{number}", json={"text": said}, trust_env=False).raise_for_status()
    page.reload()
    marks = page.locator("[data-version]")
    until(page, lambda: marks.count() == 3, "the edited posts")
    for compare in page.locator("[data-compare]").all():
        compare.click()
    page.locator("[data-post] ins").first.wait_for()
    watch.check()
    assert page.locator("[data-post] :is(script, img, iframe, a)").count() == 0
