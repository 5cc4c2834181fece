"""The chat page as people use it: branches, several models in one conversation, images, a phone."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.images import PNG, digest

from .conftest import Open
from .reading import Late, plain, text_of, until, until_state
from .stage import ADVICE, Stage, broken, whole
from .test_debug import PAGE, ask, in_address, registered

if TYPE_CHECKING:
    from playwright.sync_api import Page

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
IMAGE = {"name": "点.png", "mimeType": "image/png", "buffer": PNG}


@pytest.fixture
def http(stage: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage.url, trust_env=False, timeout=60) as opened:
        yield opened


def said(*texts: str) -> dict[str, Any]:
    """A model that says one text after the other."""
    return {"attempts": [whole(text, 400, first_s=0) for text in texts]}


def questions(page: Page) -> list[str]:
    return page.locator(".asked").all_inner_texts()


def switch(page: Page) -> str:
    shown = page.locator("[data-branches] .num")
    return shown.last.inner_text() if shown.count() else ""


def test_an_edited_question_is_a_branch_and_both_branches_can_be_gone_to(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    number = registered(http, stage, said("甲。", "乙。", "丙。", "丁。"))
    page = open_page(f"{PAGE}?models={number}")
    for question, answer in (("一", "甲。"), ("二", "乙。")):
        ask(page, question)
        until(page, lambda answer=answer: answer in text_of(page), answer)
        until_state(page, "completed")
    page.locator(".turn-acts").get_by_role("button", name="编辑再问").click()
    page.locator("[data-editing]").wait_for()
    assert page.get_by_role("textbox", name="提问").input_value() == "二"
    ask(page, "二，改过")
    until(page, lambda: text_of(page) == "甲。丙。", "the new branch")
    until(page, lambda: switch(page) == "2/2", "two branches")
    assert questions(page) == ["一", "二，改过"]
    page.get_by_role("button", name="重新生成").click()
    until(page, lambda: text_of(page) == "甲。丁。", "another answer")
    until(page, lambda: switch(page) == "3/3", "three branches")
    page.locator(".turn-acts [data-branches]").get_by_role("button", name="上一种").click()
    until(page, lambda: text_of(page) == "甲。丙。", "the branch before")
    page.locator(".turn-acts [data-branches]").get_by_role("button", name="上一种").click()
    until(page, lambda: text_of(page) == "甲。乙。", "the first branch")
    assert questions(page) == ["一", "二"]
    page.reload()
    until(page, lambda: text_of(page) == "甲。乙。", "the same after a reload")
    (conversation,) = in_address(page, "c")
    assert http.get(f"/api/conversations/{conversation}").json()["turns"] == 4


def test_three_models_are_one_conversation_and_it_goes_on_from_one_of_them(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    first = registered(http, stage, said("一号说。", "一号又说。"))
    text = "二号说到一半，还没有说完就断了。"
    down = [{"fail": "refused", "code": "odd", "message": "no"}]
    cut = {"attempts": [broken(text, 6, 500, silence_s=0), down, whole("二号又说。", 400)]}
    second = registered(http, stage, cut)
    third = registered(http, stage, said("三号说。", "三号又说。"))
    page = open_page(f"{PAGE}?models={first},{second},{third}")
    ask(page, "你们怎么看？")
    states = page.locator(".answer [data-state]")
    until(page, lambda: "incomplete" in str(states.nth(1).get_attribute("class")), "the cut one")
    until(page, lambda: "completed" in str(states.nth(2).get_attribute("class")), "the third")
    assert len(set(in_address(page, "c"))) == 1
    page.locator("[data-diff]").click()
    box = page.get_by_role("dialog")
    box.locator("del", has_text="一").wait_for()
    page.keyboard.press("Escape")
    page.locator("[data-better]").nth(2).click()
    until(page, lambda: page.locator("[data-votes] [aria-pressed=true]").count() == 3, "votes")
    runs = in_address(page, "run")
    verdicts = [http.get(f"/v1/runs/{run}/feedback").json()["feedback"]["verdict"] for run in runs]
    assert verdicts == ["down", "down", "up"]
    page.locator("[data-tie]").click()
    until(page, lambda: page.locator("[data-verdict=up][aria-pressed=true]").count() == 3, "a tie")
    assert http.get(f"/v1/runs/{runs[0]}/feedback").json()["feedback"]["note"] == "打平"
    page.locator(".answer").nth(1).locator("[data-go-on]").click()
    cut_text = plain(text[:6])
    until(page, lambda: text_of(page) == cut_text * 3, "all go on from the second")
    ask(page, "然后呢？")
    last = f"{cut_text}一号又说。{cut_text}二号又说。{cut_text}三号又说。"
    until(page, lambda: text_of(page) == last, "all answers")
    (conversation,) = set(in_address(page, "c"))
    for run in in_address(page, "run"):
        asked = stage.wait(run) and stage.events(run)[0]["data"]["input"]
        assert [message["content"] for message in asked["talk"]] == ["你们怎么看？", text[:6]]
    assert http.get(f"/api/conversations/{conversation}").json()["turns"] == 6


def test_images_are_attached_pasted_and_dropped_and_shown_after_a_reload(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    number = registered(http, stage, said("一个点。", "还是它。"))
    page = open_page(f"{PAGE}?models={number}")
    page.locator("[data-pick-images]").set_input_files([IMAGE])
    composer = page.locator("form.ask [data-images] li")
    until(page, lambda: composer.count() == 1, "attached")
    page.get_by_role("button", name="去掉图片 1").click()
    until(page, lambda: composer.count() == 0, "taken away")
    for kind, target, carrier in (
        ("paste", "form.ask textarea", "clipboardData"),
        ("drop", "form.ask", "dataTransfer"),
    ):
        page.evaluate(
            """([kind, target, carrier, data]) => {
                const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
                const held = new DataTransfer();
                held.items.add(new File([bytes], 'x.png', { type: 'image/png' }));
                const event = kind === 'paste'
                    ? new ClipboardEvent(kind, { clipboardData: held, bubbles: true })
                    : new DragEvent(kind, { dataTransfer: held, bubbles: true });
                document.querySelector(target).dispatchEvent(event);
            }""",
            [kind, target, carrier, base64.b64encode(PNG).decode()],
        )
    until(page, lambda: composer.count() == 2, "pasted and dropped")
    page.locator("[data-pick-images]").set_input_files(
        [{"name": "x.svg", "mimeType": "image/svg+xml", "buffer": b"<svg/>"}]
    )
    page.get_by_text("只收 PNG、JPEG、WebP、GIF 图片").wait_for()
    ask(page, "这是什么？")
    until_state(page, "completed")
    assert composer.count() == 0
    page.reload()
    shown = page.locator(".question img")
    until(page, lambda: shown.count() == 2, "in the turn")
    assert str(shown.first.get_attribute("src")) == f"/api/images/{digest()}"
    assert "图片 1" in str(shown.first.get_attribute("alt"))
    until(
        page, lambda: bool(shown.first.evaluate("(image) => image.naturalWidth > 0")), "it is drawn"
    )
    page.get_by_role("button", name="编辑再问").last.click()
    until(page, lambda: composer.count() == 2, "an edited question keeps its images")


def test_parameters_go_out_only_where_somebody_set_them_and_stay_in_the_address(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    number = registered(http, stage, said("好。"))
    page = open_page(f"{PAGE}?models={number}")
    page.locator("[data-json]").check()
    page.locator("[data-effort]").select_option("low")
    page.get_by_label("seed").fill("7")
    page.get_by_label("stop").fill("完")
    page.get_by_label("stop").blur()
    ask(page, "？")
    until_state(page, "completed")
    (run,) = in_address(page, "run")
    assert stage.events(run)[0]["data"]["input"]["params"] == {
        "seed": 7,
        "stop": ["完"],
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
    }
    page.reload()
    until(page, lambda: page.locator("[data-json]").is_checked(), "JSON")
    assert page.locator("[data-effort]").input_value() == "low"
    assert page.get_by_label("seed").input_value() == "7"
    assert page.get_by_label("max_tokens").input_value() == ""


def begun(http: httpx.Client, number: int, name: str) -> int:
    """A conversation of this name, whose one question is the name too."""
    conversation = int(http.post("/api/conversations", json={"name": name}).json()["id"])
    asked = {"model_id": number, "prompt": name, "conversation_id": conversation}
    http.post("/api/debug/chat", json=asked).raise_for_status()
    return conversation


def test_of_two_conversations_the_one_that_was_chosen_last_is_shown(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    number = registered(http, stage, said("甲。", "乙。"))
    slow, quick = (begun(http, number, name) for name in ("先选的", "后选的"))
    page = open_page(f"{PAGE}?models={number}")
    late = Late(page, f"**/api/conversations/{slow}?**")
    page.locator(f"[data-conversation='{slow}'] .clip").click()
    late.asked()
    page.locator(f"[data-conversation='{quick}'] .clip").click()
    page.locator(".asked", has_text="后选的").wait_for()
    late.come()
    assert questions(page) == ["后选的"]
    until(page, lambda: in_address(page, "c") == [str(quick)], "its address")


def test_a_question_waits_for_the_conversation_that_was_chosen_for_it(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    number = registered(http, stage, said("甲。", "乙。"))
    chosen = begun(http, number, "选定的")
    page = open_page(f"{PAGE}?models={number}")
    late = Late(page, f"**/api/conversations/{chosen}?**")
    page.locator(f"[data-conversation='{chosen}'] .clip").click()
    late.asked()
    ask(page, "接着问")
    late.come()
    until(page, lambda: questions(page) == ["选定的", "接着问"], "both questions")
    until(page, lambda: text_of(page) == "甲。乙。", "both answers")
    assert http.get(f"/api/conversations/{chosen}").json()["turns"] == 2


def test_on_a_phone_a_conversation_is_found_opened_and_asked(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    number = registered(http, stage, said("手机上的第一答。" + ADVICE * 3, "第二答。"))
    begun = http.post("/api/conversations", json={"name": "路上想的"}).json()["id"]
    asked = {"model_id": number, "prompt": "第一问", "conversation_id": begun}
    http.post("/api/debug/chat", json=asked).raise_for_status()
    page = open_page(f"/debug?models={number}", **PHONE)
    page.locator("[data-list]").tap()
    sheet = page.get_by_role("dialog")
    sheet.locator("[data-find-conversation]").fill("路上想")
    sheet.get_by_role("button", name="路上想的").tap()
    page.locator(".asked", has_text="第一问").wait_for()
    send = page.get_by_role("button", name="发送")
    assert send.is_visible()
    assert send.evaluate("(it) => it.getBoundingClientRect().bottom <= innerHeight")
    heights = page.locator("form.ask .btn").evaluate_all("(all) => all.map((b) => b.offsetHeight)")
    assert min(heights) >= 44
    ask(page, "第二问")
    until(page, lambda: "第二答。" in text_of(page), "the answer")
    until(
        page,
        lambda: bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth")),
        "nothing is wider than the phone",
    )
    assert http.get(f"/api/conversations/{begun}").json()["turns"] == 2


def test_the_end_of_an_answer_is_in_view_until_the_reader_scrolls_up(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    lines = [f"第 {line} 行说 {line * line} 件事。\n\n" for line in range(60)]
    script = [step for line in lines for step in ({"text": line}, {"pause_s": 0.01})]
    number = registered(http, stage, [*script, {"finish": "stop"}])
    page = open_page(f"{PAGE}?models={number}")
    box = page.locator(".answer .turn")

    def below() -> float:
        return float(box.evaluate("(it) => it.scrollHeight - it.scrollTop - it.clientHeight"))

    ask(page, "写长一点")
    until_state(page, "completed")
    until(page, lambda: below() < 60, "the end")
    page.get_by_role("button", name="重新生成").click()
    until(page, lambda: switch(page) == "2/2", "another answer")
    until_state(page, "completed")
    until(page, lambda: below() < 60, "the end of the new one")
    page.get_by_role("button", name="编辑再问").click()
    page.get_by_role("button", name="取消").click()
    assert page.get_by_role("textbox", name="提问").input_value() == ""
