"""The chat page while an answer is being written: messages wait, and their turns follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from .axe import serious
from .conftest import Open
from .reading import plain, text_of, until, until_state
from .stage import ADVICE, Stage, begun, whole
from .test_debug import PAGE, ask, in_address, registered

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def http(stage: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage.url, trust_env=False, timeout=60) as opened:
        yield opened


def questions(page: Page) -> list[str]:
    return page.locator(".asked").all_inner_texts()


def waiting(page: Page) -> list[str]:
    return page.locator("[data-waiting] [data-said]").all_inner_texts()


def test_messages_wait_are_changed_and_withdrawn_and_two_browsers_see_the_same(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    said = [begun(ADVICE[:20]), whole("二说。", 200), whole("三说。", 200)]
    number = registered(http, stage, {"attempts": said})
    page = open_page(f"{PAGE}?models={number}")
    ask(page, "一")
    until_state(page, "streaming", "stalled")
    for question in ("二", "三", "四"):
        ask(page, question)
        until(page, lambda question=question: question in waiting(page), question)
    (conversation,) = in_address(page, "c")
    other = open_page(f"{PAGE}?c={conversation}")
    until(other, lambda: waiting(other) == ["二", "三", "四"], "the same in another browser")
    assert serious(page) == []
    items = page.locator("[data-message]")
    items.nth(1).locator("[data-change]").click()
    box = page.get_by_role("textbox", name="第 2 条等待的消息")
    assert box.input_value() == "三"
    box.fill("三，改过")
    assert serious(page) == []
    page.keyboard.press("Control+Enter")
    items.nth(2).locator("[data-withdraw]").click()
    for each in (page, other):
        until(each, lambda each=each: waiting(each) == ["二", "三，改过"], "both lists")
    page.locator("[data-cancel]").click()
    for each in (page, other):
        until(each, lambda each=each: text_of(each).endswith("二说。三说。"), "all turns")
        assert questions(each) == ["一", "二", "三，改过"]
        assert waiting(each) == []
    assert http.get(f"/api/conversations/{conversation}").json()["turns"] == 3
    last = text_of(page)
    assert text_of(other) == last
    page.reload()
    until(page, lambda: text_of(page) == last, "the same after a reload")


def test_a_message_that_is_sent_now_stops_the_answer_and_keeps_its_text(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    number = registered(http, stage, {"attempts": [begun(ADVICE[:20]), whole("短说。", 200)]})
    page = open_page(f"{PAGE}?models={number}")
    ask(page, "长的")
    until(page, lambda: len(text_of(page)) > 2, "some text")
    ask(page, "短一点")
    until(page, lambda: waiting(page) == ["短一点"], "it waits")
    # By the keyboard alone.
    page.locator("[data-now]").focus()
    page.keyboard.press("Enter")
    until(page, lambda: text_of(page).endswith("短说。"), "the next turn")
    until(page, lambda: questions(page) == ["长的", "短一点"], "both questions")
    before = text_of(page).removesuffix("短说。")
    assert len(before) > 2
    assert plain(ADVICE).startswith(before)
    (conversation,) = in_address(page, "c")
    turns = http.get(f"/api/conversations/{conversation}").json()["last_turns"]
    assert [turn["status"] for turn in turns] == ["cancelled", "completed"]


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_turn_that_another_browser_asks_shows_up(
    stage: Stage, http: httpx.Client, open_page: Open, is_lost: bool
) -> None:
    number = registered(http, stage, {"attempts": [whole("一说。", 200), whole("二说。", 200)]})
    page = open_page(f"{PAGE}?models={number}")
    ask(page, "一")
    until(page, lambda: text_of(page) == "一说。", "the first answer")
    until_state(page, "completed")
    (conversation,) = in_address(page, "c")
    other = open_page(f"{PAGE}?models={number}&c={conversation}", language="en-US")
    until(other, lambda: text_of(other) == "一说。", "the same there")
    if is_lost:
        page.route(f"**/api/conversations/{conversation}?**", lambda it: it.abort(), times=1)
    other.get_by_role("textbox", name="Prompt", exact=True).fill("二")
    other.get_by_role("button", name="Send").click()
    for each in (page, other):
        until(each, lambda each=each: text_of(each) == "一说。二说。", "both answers")
        assert questions(each) == ["一", "二"]


def test_the_event_source_of_a_browser_reads_a_conversation_and_comes_back(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    number = http.post("/api/conversations", json={}).json()["id"]
    for prompt in ("一", "二"):
        http.post(f"/v1/conversations/{number}/messages", json={"prompt": prompt})
    page = open_page("/pages/runs.html")
    read = """([address, last]) => new Promise((resolve) => {
        const seen = [];
        const source = new EventSource(address);
        source.onmessage = ({ data, lastEventId }) => {
            const event = JSON.parse(data);
            if (event.type !== 'queue') seen.push([lastEventId, event.turn, event.seq]);
            if (event.turn === 2 && event.type.startsWith('run.') && event.seq > 1) {
                source.close();
                resolve(seen);
            }
        };
    })"""
    address = f"/v1/conversations/{number}/events"
    seen = page.evaluate(read, [address, ""])
    assert [(turn, seq) for _, turn, seq in seen] == sorted((t, s) for _, t, s in seen)
    assert {turn for _, turn, _ in seen} == {1, 2}
    middle = len(seen) // 2
    rest = page.evaluate(read, [f"{address}?after={seen[middle][0]}", ""])
    assert seen[: middle + 1] + rest == seen
