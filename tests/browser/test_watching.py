"""A run that goes on, watched: whatever happens to the page or the server, nothing is lost."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest

from .conftest import Open
from .held import Held
from .reading import Record, plain, state_of, text_of, until, until_count, until_said, until_state
from .serving import Program
from .stage import LETTER, Stage, broken, model, spoken, whole

numbers = itertools.count()


@pytest.fixture
def live(stage: Stage, letter: Held) -> str:
    """A run that has begun, and goes on when the letter is let go on."""
    return stage.ask("写一封信", letter.name)


@pytest.fixture
def long(stage: Stage) -> Iterator[str]:
    """A run that outlasts whatever a test does to it."""
    name = f"long-{next(numbers)}"
    stage.register(model(name, [{"repeat": 9, "steps": spoken(LETTER, 40)}, {"finish": "stop"}]))
    run = stage.ask("写一封长信", name)
    yield run
    stage.cancel(run)


@pytest.fixture(scope="module")
def done(stage: Stage) -> str:
    """A run that has ended."""
    stage.register(model("quick", whole(LETTER, 300, first_s=0.02)))
    return str(stage.wait(stage.ask("写一封信", "quick"))["id"])


def test_the_text_grows_while_it_is_written_and_is_whole_in_the_end(
    stage: Stage, letter: Held, live: str, open_page: Open
) -> None:
    page = open_page(f"/runs/{live}")
    early = until_said(page, 40)
    letter.let(120)
    later = until_said(page, len(early) + 10)
    assert state_of(page) in {"streaming", "stalled"}
    assert later.startswith(early)
    letter.let()
    until_state(page, "completed")
    assert text_of(page) == plain(LETTER) == plain(stage.run(live)["text"])
    assert page.title().startswith("● ")


def test_a_reload_in_the_middle_goes_on_without_loss(
    letter: Held, live: str, open_page: Open
) -> None:
    page = open_page(f"/runs/{live}")
    before = until_said(page, 30)
    page.reload()
    after = until_said(page, len(before))
    assert after.startswith(before)
    until_state(page, "streaming", "stalled")
    letter.let()
    until_state(page, "completed")
    assert text_of(page) == plain(LETTER)


def test_two_browsers_agree_and_know_of_each_other(
    letter: Held, live: str, open_page: Open
) -> None:
    pages = [open_page(f"/runs/{live}"), open_page(f"/view/{live}", language="en-US")]
    until(pages[0], lambda: pages[0].get_by_role("slider").count() == 1, "a timeline")
    letter.let()
    for page in pages:
        until_state(page, "completed")
    assert text_of(pages[0]) == text_of(pages[1]) == plain(LETTER)


def test_two_tabs_of_one_browser_share_a_connection(
    stage: Stage, long: str, open_page: Open
) -> None:
    first = open_page(f"/runs/{long}")
    until_said(first, 10)
    second = first.context.new_page()
    asked: list[str] = []
    second.on("request", lambda request: asked.append(request.url))
    second.goto(f"/runs/{long}")
    until_said(second, 20)
    assert not [url for url in asked if "/events" in url]
    first.close()
    until(second, lambda: any("/events" in url for url in asked), "the other one reads on")
    stage.cancel(long)
    until_state(second, "cancelled")
    assert text_of(second) == plain(stage.run(long)["text"])


def test_its_server_killed_and_started_again_the_page_ends_with_the_whole_text(
    program: Program, stage: Stage, letter: Held, open_page: Open
) -> None:
    run = stage.ask("写一封信", letter.name)
    page = open_page(f"/runs/{run}")
    before = until_said(page, 40)
    program.kill()
    letter.let()
    page.get_by_text("正在重连").wait_for()
    assert text_of(page).startswith(before)
    assert state_of(page) in {"streaming", "stalled"}
    program.start()
    until_state(page, "completed")
    assert text_of(page) == plain(LETTER) == plain(stage.run(run)["text"])
    until_count(page.locator(".stitch"), 1)


def test_the_connection_is_cut_by_a_button_and_nothing_is_lost(
    stage: Stage, long: str, open_page: Open
) -> None:
    page = open_page(f"/runs/{long}")
    before = until_said(page, 15)
    page.locator("[data-kill]").click()
    page.get_by_text("已断开，文字都在").wait_for()
    page.wait_for_timeout(300)
    held = text_of(page)
    page.wait_for_timeout(600)
    assert text_of(page) == held
    assert held.startswith(before)
    banners = Record(page, ".banner")
    page.locator("[data-kill]").click()
    banners.until_said("没有丢字")
    until_said(page, len(held) + 10)
    stage.cancel(long)
    until_state(page, "cancelled")
    assert text_of(page) == plain(stage.run(long)["text"])


def test_cancelled_it_keeps_what_was_written(stage: Stage, long: str, open_page: Open) -> None:
    page = open_page(f"/runs/{long}")
    before = until_said(page, 20)
    page.locator("[data-cancel]").click()
    until_state(page, "cancelled")
    run = stage.run(long)
    assert run["status"] == "cancelled"
    assert text_of(page) == plain(run["text"])
    assert text_of(page).startswith(before)
    assert page.locator("[data-cancel]").count() == 0


def test_where_one_model_went_on_for_another_there_is_a_stitch(
    stage: Stage, open_page: Open
) -> None:
    down = [{"fail": "refused", "code": "overloaded", "message": "no"}]
    stage.register(
        model("breaks", {"attempts": [broken(LETTER, 80, 400, silence_s=0.05), down]}),
        model("goes-on", whole(LETTER, 400)),
    )
    stage.route("mended", "breaks", "goes-on")
    run = stage.wait(stage.ask("写一封信", "mended"))["id"]
    page = open_page(f"/runs/{run}")
    until_state(page, "completed")
    stitch = page.locator(".stitch")
    assert stitch.get_attribute("aria-label") == "此处由 goes-on 接续"
    before = stitch.evaluate(
        """(stitch) => {
            const paragraphs = [...document.querySelectorAll('.model-text > .blk')];
            const range = document.createRange();
            range.setStart(paragraphs[0], 0);
            range.setEndBefore(stitch);
            return range.toString();
        }"""
    )
    assert plain(before) == plain(LETTER[:80])
    assert text_of(page) == plain(LETTER)
    until_count(page.locator(".note").get_by_text("由 goes-on 接续"), 1)
    until_count(page.locator(".ev.seam"), 1)
    hues = page.locator(".model-text > .blk", has=stitch).locator(".gut")
    until_count(hues, 2)


def test_an_incomplete_answer_says_so_and_is_never_green(stage: Stage, open_page: Open) -> None:
    stop = {"fail": "refused", "code": "content_filter", "message": "no"}
    stage.register(model("cut-off", [{"text": "写到一半"}, stop]))
    run = stage.wait(stage.ask("写", "cut-off"))["id"]
    page = open_page(f"/runs/{run}")
    until_state(page, "incomplete")
    until_count(page.locator(".fray"), 1)
    until_count(page.locator(".banner.warn").get_by_text("没有写完"), 1)
    assert page.locator("[data-state].completed").count() == 0


def test_one_looks_back_by_keys_and_returns(stage: Stage, done: str, open_page: Open) -> None:
    last = len(stage.events(done))
    page = open_page(f"/runs/{done}")
    until_state(page, "completed")
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    page.get_by_text(f"seq 1 / {last}").wait_for()
    assert text_of(page) == ""
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.get_by_text(f"seq 13 / {last}").wait_for()
    words = [e["data"]["text"] for e in stage.events(done)[:13] if e["type"] == "text.delta"]
    until(page, lambda: text_of(page) == plain("".join(words)), "the text as it was")
    assert slider.get_attribute("aria-valuenow") == "13"
    page.keyboard.press("End")
    until(page, lambda: text_of(page) == plain(LETTER), "the whole text again")


def test_a_replay_tells_it_again(stage: Stage, done: str, open_page: Open) -> None:
    page = open_page(f"/runs/{done}")
    until_state(page, "completed")
    shown = Record(page, ".model-text > .blk")
    page.get_by_role("button", name="回放").first.click()
    shown.until(lambda text: len(plain(text)) < len(plain(LETTER)) - 10, "a part of the text")
    until(page, lambda: text_of(page) == plain(LETTER), "its end")


def test_a_fork_goes_on_from_the_place_one_looks_at(
    stage: Stage, done: str, open_page: Open
) -> None:
    page = open_page(f"/runs/{done}?at=30")
    page.get_by_text("seq 30 /").wait_for()
    page.get_by_role("button", name="从此处分叉").click()
    page.get_by_role("dialog").get_by_role("button", name="从此处分叉").click()
    page.wait_for_url(lambda url: "/runs/" in url and done not in url)
    until_state(page, "completed")
    fork = stage.run(page.url.rpartition("/")[2])
    assert fork["forked_from"] == {"run": done, "seq": 30}
    assert text_of(page) == plain(fork["text"])


def test_a_shared_link_shows_all_and_lets_nobody_change_anything(
    live: str, open_page: Open
) -> None:
    page = open_page(f"/view/{live}")
    until_said(page, 10)
    names = {button.inner_text() for button in page.locator(".bar button").all()}
    assert not names & {"取消运行", "从此处分叉", "分享"}
    page.get_by_text("只读").wait_for()


def test_a_run_that_is_not_there_says_what_to_do(open_page: Open) -> None:
    page = open_page("/runs/01nothing")
    page.get_by_text("没有这次运行").wait_for()


def test_the_events_of_the_page_are_those_of_the_log(
    stage: Stage, done: str, open_page: Open
) -> None:
    events = stage.events(done)
    page = open_page(f"/runs/{done}")
    until_state(page, "completed")
    page.get_by_role("button", name="逐条").click()
    assert page.locator("[data-events]").inner_text() == str(len(events))
    shown = page.locator(".ev").all_inner_texts()
    assert [line.split()[0] for line in shown[:5]] == [str(e["seq"]) for e in events[:-6:-1]]
    assert json.dumps(events[-1]["type"]).strip('"') in shown[0]


def test_an_open_page_asks_for_the_progress_and_never_for_the_whole_run(
    long: str, open_page: Open
) -> None:
    page = open_page("/states")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition("/v1/runs/")[2]))
    page.goto(f"/runs/{long}")
    until(page, lambda: asked.count(f"{long}/progress") >= 2, "the page has asked twice")
    assert long not in asked
    assert sum(each.startswith(f"{long}/events") for each in asked) == 1
