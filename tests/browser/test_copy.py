"""The page of sales copy and that of its experiments, with a real server behind them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from .conftest import Open
from .payloads import PAYLOADS
from .reading import until, until_state
from .stage import POSTS, Stage, model, whole
from .test_safety import Watch

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
    page.locator(".form select").select_option(name)
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
        assert first.locator(f"[data-kind={kind}]").count() == 1
    page.locator("[data-post='2'] [data-kind=alike]").wait_for()


def test_a_post_of_the_template_says_why_and_another_model_writes_others(open_page: Open) -> None:
    page = open_page("/copy?sku=8WZ01CM1")
    write(page, "down")
    notes = page.locator("[data-template-note]")
    until(page, lambda: notes.count() == 3, "three notes")
    assert "由模板撰写" in notes.first.inner_text()
    assert "密钥被拒" in notes.first.inner_text()
    page.get_by_label("换哪个模型").select_option("sound")
    page.get_by_role("button", name="换模型重写").click()
    until(page, lambda: page.locator("[data-template-note]").count() == 0, "no note")
    until_state(page, "completed")
    assert page.locator(".rewrite").count() == 0


def test_the_reasons_of_a_post_for_a_customer_are_shown(stage: Stage, open_page: Open) -> None:
    page = open_page("/copy?sku=8WZ01CM1")
    page.get_by_placeholder("例如 user_0007").fill("user_0016")
    write(page, "sound")
    page.locator("[data-reasons] li").first.wait_for()
    assert "看过" in page.locator("[data-reasons]").inner_text()


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
