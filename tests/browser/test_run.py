"""One run, read and acted on: what its page shows is what its log says, and no more."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from .conftest import Open
from .held import Held
from .reading import Late, plain, state_of, text_of, until, until_count, until_said, until_state
from .stage import ADVICE, LETTER, POSTS, Stage, model, spoken, whole

if TYPE_CHECKING:
    from playwright.sync_api import Page

numbers = itertools.count()

TALL = "。\n\n".join("".join([*POSTS, LETTER, ADVICE]).split("。"))
"""A text that needs more than one screen: each sentence is a paragraph."""


@pytest.fixture
def tall(stage: Stage) -> Iterator[Held]:
    """A model whose text needs more than one screen, of which it has written the most."""
    with Held(f"tall-{next(numbers)}", TALL, let=500) as held:
        stage.register(held.model)
        yield held


def is_at_end(page: Page) -> bool:
    """Whether the end of the text is in view."""
    end = "() => document.querySelector('.model-text').getBoundingClientRect().bottom"
    return bool(page.evaluate(f"({end})() <= innerHeight"))


def test_the_lamp_follow_is_on_only_while_the_text_follows(
    stage: Stage, tall: Held, open_page: Open
) -> None:
    page = open_page(f"/runs/{stage.ask('写一封长信', tall.name)}")
    lamp = page.locator("[data-following]")
    until_said(page, 400)
    until(page, lambda: lamp.get_attribute("aria-pressed") == "true", "it follows")
    until(page, lambda: is_at_end(page), "the end is in view")

    page.locator("article.words").hover()
    page.mouse.wheel(0, -600)
    until(page, lambda: lamp.get_attribute("aria-pressed") == "false", "the reader has left")
    top = page.locator("article.words").evaluate("(words) => words.scrollTop")
    tall.let(650)
    pill = page.locator("[data-follow]")
    pill.get_by_text("个新事件").wait_for()
    assert page.locator("article.words").evaluate("(words) => words.scrollTop") == top

    pill.click()
    until(page, lambda: lamp.get_attribute("aria-pressed") == "true", "it follows again")
    until(page, lambda: is_at_end(page), "the end is in view again")
    tall.let()
    until_state(page, "completed")
    assert is_at_end(page)
    assert lamp.count() == pill.count() == 0


def elapsed(page: Page) -> str:
    return page.locator(".kv div", has_text="已用").locator("dd").inner_text()


def test_a_wait_for_a_rate_limit_is_told_as_one_and_never_as_a_stall(
    stage: Stage, open_page: Open
) -> None:
    said = "429: slow down, 60 requests a minute"
    limit = {"fail": "unavailable", "code": "rate_limit", "status": 429, "message": said}
    stage.register(model("limited", [{**limit, "retry_after_s": 40}]))
    run = stage.ask("写", "limited")
    page = open_page(f"/runs/{run}")
    page.locator("[data-state]").get_by_text("限速").wait_for()
    words = r"限速，\d+ 秒后再试（第 2 次）"
    for place in ("[data-state]", ".step h3 .st", ".banner .told"):
        assert re.fullmatch(words, page.locator(place).inner_text()), place
    page.locator("[data-details]").click()
    assert page.locator("[data-said]").inner_text() == said
    assert page.get_by_text("停滞").count() == 0
    stage.cancel(run)
    until_state(page, "cancelled")


def test_while_the_viewer_is_away_the_page_says_nothing_of_the_model(
    stage: Stage, tall: Held, open_page: Open
) -> None:
    page = open_page(f"/runs/{stage.ask('写一封长信', tall.name)}")
    until_said(page, 400)
    top = page.locator("article.words").evaluate("(words) => words.getBoundingClientRect().top")
    page.locator("[data-kill]").click()
    page.get_by_text("已断开，文字都在").wait_for()
    # No time passes on the page, so it draws no slack line and says no stall.
    page.wait_for_timeout(400)
    away = elapsed(page)
    page.wait_for_timeout(1200)
    assert elapsed(page) == away
    assert state_of(page) == "streaming"
    now = page.locator("article.words").evaluate("(words) => words.getBoundingClientRect().top")
    assert now == top
    page.locator("[data-kill]").click()
    tall.let()
    until_state(page, "completed")
    assert text_of(page) == plain(TALL)


def test_a_text_cut_by_its_limit_is_incomplete_and_goes_on_with_one_click(
    stage: Stage, open_page: Open
) -> None:
    cut = [*spoken(LETTER[:60], 2000), {"finish": "length"}]
    rest = whole(LETTER, 2000, first_s=0)
    stage.register(model("short", {"attempts": [cut, rest]}))
    run = stage.wait(stage.ask("写一封信", "short"))["id"]
    page = open_page(f"/runs/{run}")
    until_state(page, "incomplete")
    assert page.locator("[data-state]").inner_text() == "不完整 · 长度上限"
    assert page.locator(".bar .completed, .step .completed").count() == 0
    page.locator("[data-go-on]").click()
    page.wait_for_url(lambda url: run not in url)
    until_state(page, "completed")
    assert text_of(page).startswith(plain(LETTER[:60]))
    assert stage.run(page.url.rpartition("/")[2])["forked_from"]["run"] == run


def test_an_unknown_run_says_so_and_offers_nothing_to_do_with_it(open_page: Open) -> None:
    for path in ("/runs/01nothing", "/view/01nothing"):
        page = open_page(path)
        page.locator("[data-unknown]").get_by_text("01nothing").wait_for()
        assert page.locator("main button").count() == 0
        assert page.get_by_role("slider").count() == 0


def test_a_cancelled_run_is_no_alarm_and_moves_no_text(
    stage: Stage, tall: Held, open_page: Open
) -> None:
    page = open_page(f"/runs/{stage.ask('写', tall.name)}")
    until_said(page, 100)
    first = page.locator("[data-input]")
    place = "(part) => part.offsetTop + part.parentElement.getBoundingClientRect().top"
    before = first.evaluate(place)
    page.locator("[data-cancel]").click()
    until_state(page, "cancelled")
    page.locator(".banner.plain").get_by_text("已取消").wait_for()
    assert page.locator(".banner.warn, .banner.bad").count() == 0
    assert first.evaluate(place) == before


@pytest.fixture(scope="module")
def asked(stage: Stage) -> str:
    """A run with a system prompt and parameters."""
    stage.register(
        model("quick-a", whole(LETTER, 2000, first_s=0)),
        model("quick-b", whole(ADVICE, 2000, first_s=0)),
    )
    more = {"system": "你是一位作家。", "params": {"temperature": 0.3}}
    return str(stage.wait(stage.ask("写一封信，关于灯塔", "quick-a", **more))["id"])


def test_what_was_asked_is_read_as_a_form_and_as_json(asked: str, open_page: Open) -> None:
    page = open_page(f"/runs/{asked}")
    until_state(page, "completed")
    asking = page.locator("[data-input]")
    until_count(asking.get_by_text("写一封信，关于灯塔"), 1)
    asking.locator("[data-input-open]").click()
    for words in ("系统提示", "你是一位作家。", "temperature", "0.3", "quick-a"):
        asking.get_by_text(words, exact=True).wait_for()
    asking.get_by_role("button", name="JSON").click()
    assert json.loads(asking.locator("pre").inner_text())["params"] == {"temperature": 0.3}
    page.set_viewport_size({"width": 1700, "height": 900})
    column = page.locator(".input-side")
    column.get_by_text("你是一位作家。").wait_for()
    until_count(asking, 1)


def test_it_is_asked_again_with_changes_by_a_form(
    stage: Stage, asked: str, open_page: Open
) -> None:
    page = open_page(f"/runs/{asked}")
    until_state(page, "completed")
    page.locator("[data-again]").click()
    form = page.get_by_role("dialog")
    form.locator("#f-prompt").fill("给我一个安排")
    form.locator("[data-model-pick]").select_option("quick-b")
    assert form.locator("[data-changed]").inner_text().endswith("prompt")
    form.locator("[data-start]").click()
    page.wait_for_url(lambda url: asked not in url)
    until_state(page, "completed")
    again = stage.run(page.url.rpartition("/")[2])
    assert (again["model"], plain(again["text"])) == ("quick-b", plain(ADVICE))
    begun = stage.events(again["id"])[0]["data"]["input"]
    assert begun["prompt"] == "给我一个安排"
    assert (begun["system"], begun["params"]) == ("你是一位作家。", {"temperature": 0.3})
    page.get_by_text("再来一次", exact=False).first.wait_for()

    # A fork is the same form; JSON is there for those who want it.
    page.goto(f"/runs/{asked}?at=20")
    page.get_by_text("seq 20 /").wait_for()
    page.get_by_role("button", name="从此处分叉").click()
    form.locator("[data-json-form]").click()
    form.locator("[data-fork-json]").fill("[1]")
    form.locator("[data-start]").click()
    form.get_by_text("这不是 JSON 对象").wait_for()


def test_a_live_text_is_steered(stage: Stage, tall: Held, open_page: Open) -> None:
    run = stage.ask("写一封长信", tall.name)
    page = open_page(f"/runs/{run}")
    before = until_said(page, 400)
    page.locator("[data-steer]").click()
    page.locator("[data-wish]").fill("不要形容词")
    page.locator("[data-wish]").press("Enter")
    page.wait_for_url(lambda url: run not in url)
    assert until_said(page, 400).startswith(before)
    steered = page.url.rpartition("/")[2]
    assert stage.run(run)["status"] == "cancelled"
    stage.cancel(steered)
    prompt = stage.events(steered)[0]["data"]["input"]["prompt"]
    assert prompt == "写一封长信\n\n补充要求: 不要形容词"


def test_it_is_exported_and_judged(stage: Stage, asked: str, open_page: Open) -> None:
    page = open_page(f"/runs/{asked}")
    until_state(page, "completed")
    kept = {}
    for form in ("jsonl", "md"):
        page.locator("[data-run-menu]").click()
        with page.expect_download() as downloading:
            page.locator(f"[data-action={form}]").click()
        assert downloading.value.suggested_filename == f"unspool-{asked}.{form}"
        kept[form] = downloading.value.path().read_text()
    assert [json.loads(line) for line in kept["jsonl"].splitlines()] == stage.events(asked)
    assert kept["md"].endswith(f"\n{LETTER}\n")

    page.locator("[data-tab=feedback]").click()
    page.locator("[data-verdict=down]").click()
    page.locator("[data-kept]").wait_for()
    page.locator("[data-note]").fill("太短")
    page.get_by_role("button", name="保存").click()
    until(
        page,
        lambda: (stage.get(f"/v1/runs/{asked}/feedback")["feedback"] or {}).get("note") == "太短",
        "the note is kept",
    )
    page.reload()
    page.locator("[data-tab=feedback]").click()
    until(page, lambda: page.locator("[data-note]").input_value() == "太短", "and shown")
    assert page.locator("[data-verdict=down]").get_attribute("aria-pressed") == "true"


def test_a_note_that_is_typed_stays_when_the_kept_feedback_comes_late(
    stage: Stage, asked: str, open_page: Open
) -> None:
    stage.post(f"/v1/runs/{asked}/feedback", {"verdict": "up", "note": "以前的"})
    page = open_page(f"/runs/{asked}")
    late = Late(page, f"**/v1/runs/{asked}/feedback")
    page.locator("[data-tab=feedback]").click()
    page.locator("[data-note]").fill("现在的")
    late.come()
    page.locator("[data-verdict=up][aria-pressed=true]").wait_for()
    assert page.locator("[data-note]").input_value() == "现在的"


def test_a_batch_shows_its_runs_and_retries_those_that_failed(
    stage: Stage, open_page: Open
) -> None:
    refusal = [{"fail": "refused", "code": "auth", "status": 401, "message": "no key"}]
    stage.register(model("half", {"attempts": [refusal, *[whole("好。", 2000, first_s=0)] * 70]}))
    items = [{"prompt": f"第 {number} 个问题"} for number in range(1, 61)]
    asked = {"flow": "chat", "items": items, "concurrency": 1}
    run = stage.wait(stage.start("batch", asked, "half"))["id"]
    page = open_page(f"/runs/{run}")
    page.locator("[data-state].incomplete").get_by_text("1 个没有成功").wait_for()
    assert page.get_by_text("没有写出文字").count() == 0
    assert page.get_by_role("slider").count() == 0
    children = page.locator("[data-children]")
    assert children.locator("[data-done]").inner_text().split("\n") == ["60 / 60", "· 1 没有成功"]
    until_count(children.locator("[data-child]"), 50)
    children.locator("canvas").first.wait_for()
    children.locator("[data-next-page]").click()
    children.get_by_text("第 60 个问题").wait_for()
    children.locator("[data-filter=failed]").click()
    row = children.locator("[data-child]")
    until_count(row, 1)
    row.get_by_text("密钥被拒").wait_for()
    row.get_by_text("第 1 个问题").wait_for()
    children.locator("[data-retry-failed]").click()
    page.wait_for_url(lambda url: run not in url)
    again = page.url.rpartition("/")[2]
    assert stage.events(again)[0]["data"]["input"]["items"] == items[:1]


def test_on_a_phone_a_run_is_read_and_acted_on(stage: Stage, asked: str, open_page: Open) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
    page = open_page(f"/runs/{asked}", **phone)
    until_state(page, "completed")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("[data-input-open]").tap()
    page.get_by_text("你是一位作家。").wait_for()
    page.locator(".ev", has_text="text.delta").first.tap()
    sheet = page.locator("[data-event]")
    assert plain(sheet.locator("[data-row-text]").inner_text()) == plain(LETTER)
    assert sheet.evaluate("(sheet) => getComputedStyle(sheet).position") == "fixed"
    sheet.get_by_role("button", name="关闭").tap()
    for name in ("attempts", "result", "warnings", "feedback"):
        page.locator(f"[data-tab={name}]").tap()
    low = page.evaluate(
        """() => [...document.querySelectorAll('main button')]
            .filter((each) => each.checkVisibility() && !each.closest('.events, .ctl .seg'))
            .map((each) => [each.textContent.trim(), each.getBoundingClientRect().height])
            .filter(([, height]) => height < 44)"""
    )
    assert low == []
    page.locator("[data-run-menu]").tap()
    page.locator("[data-action=again]").tap()
    page.get_by_role("dialog").locator("[data-start]").tap()
    page.wait_for_url(lambda url: asked not in url)
    until_state(page, "completed")
