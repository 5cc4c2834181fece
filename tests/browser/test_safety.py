"""Whatever a model writes is text: eighty payloads, whole and while half a tag is there."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.images import PNG, data_url

from .conftest import Open
from .payloads import EVIL, HIT, MARKDOWN, PAYLOADS
from .reading import plain, text_of, until, until_state
from .stage import Stage, Steps, model

if TYPE_CHECKING:
    from playwright.sync_api import Page

ALL = "\n\n".join(payload.replace("\x00", "") for payload in PAYLOADS)


def hostile(*, pause_s: float) -> Steps:
    """Every payload as thought, as arguments of a call, and as text, cut in the middle of tags."""
    steps: Steps = []
    for at, payload in enumerate(PAYLOADS):
        said = payload.replace("\x00", "")
        half = len(said) // 2
        steps += [{"text": said[:half]}, {"pause_s": pause_s}, {"text": said[half:] + "\n\n"}]
        if at % 4 == 0:
            steps.insert(0, {"reasoning": said + "\n"})
    call = {"index": 0, "id": "c1", "name": "<img src=x onerror=window.hit=1>"}
    return [*steps, {"tool": {**call, "arguments": '{"a": "<svg onload=window.hit=1>"}'}}]


class Watch:
    """What a page did that it must not do."""

    def __init__(self, page: Page, url: str) -> None:
        self.foreign: list[str] = []
        self.dialogs: list[str] = []
        self._page = page
        page.on("request", lambda request: self._see(request.url, url))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => {"
            " (window.refused ??= []).push(event.violatedDirective + ' ' + event.blockedURI); })"
        )

    def _see(self, asked: str, ours: str) -> None:
        if not asked.startswith((ours, "data:image/")):
            self.foreign.append(asked)

    def check(self) -> None:
        facts: Any = self._page.evaluate("() => [window.hit ?? null, window.refused ?? []]")
        assert facts == [None, []]
        assert (self.foreign, self.dialogs) == ([], [])
        inside = ".model-text :is(script, img, svg:not([aria-hidden]), iframe, style, form, object)"
        assert self._page.locator(inside).count() == 0
        links: Any = self._page.locator(".model-text a").evaluate_all(
            "(links) => links.map((link) => [link.protocol, link.rel, link.target])"
        )
        away = [("http:", "noopener noreferrer nofollow", "_blank")]
        assert [link for link in map(tuple, links) if link not in away] == []


def test_there_are_eighty_and_each_would_do_something() -> None:
    assert len(PAYLOADS) == len(set(PAYLOADS)) == 80
    assert all(HIT in payload or EVIL in payload or "evil" in payload for payload in PAYLOADS)


@pytest.fixture(scope="module")
def hostile_run(stage: Stage) -> str:
    usage = {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    stage.register(model("hostile", [*hostile(pause_s=0), usage, {"finish": "stop"}]))
    return str(stage.wait(stage.ask(PAYLOADS[7], "hostile", system=ALL[:5000]))["id"])


def test_the_page_of_a_run_shows_all_of_it_as_text(
    stage: Stage, hostile_run: str, open_page: Open
) -> None:
    page = open_page("/states")
    watch = Watch(page, stage.url)
    page.goto(f"/runs/{hostile_run}")
    until_state(page, "completed")
    watch.check()
    page.locator("[data-raw]").click()
    until(page, lambda: text_of(page) == plain(ALL), "the source, to the character")
    page.locator(".think summary").click()
    page.locator("[data-input-open]").click()
    page.locator(".ev", has_text="text.delta").first.click()
    page.locator("[data-row-text]").wait_for()
    page.locator("[data-event]").get_by_role("button", name="关闭").click()
    page.get_by_role("button", name="逐条").click()
    for side in ("attempts", "result", "warnings", "events"):
        page.locator(f"[data-tab={side}]").click()
    page.get_by_role("button", name="对比").click()
    page.get_by_role("dialog").wait_for()
    watch.check()


def test_nothing_runs_while_half_a_tag_is_there(stage: Stage, open_page: Open) -> None:
    stage.register(model("hostile-slow", [*hostile(pause_s=0.015), {"finish": "stop"}]))
    page = open_page("/states")
    watch = Watch(page, stage.url)
    page.goto(f"/runs/{stage.ask('x', 'hostile-slow')}")
    while page.locator("[data-state].completed").count() == 0:
        watch.check()
        page.wait_for_timeout(60)
    page.locator("[data-raw]").click()
    until(page, lambda: text_of(page) == plain(ALL), "the source, to the character")
    watch.check()


def test_markdown_and_formulas_of_a_model_run_nothing_and_ask_for_nothing(
    stage: Stage, open_page: Open
) -> None:
    said = "\n\n".join(MARKDOWN)
    pieces: Steps = []
    for at in range(0, len(said), 23):
        pieces += [{"text": said[at : at + 23]}, {"pause_s": 0.01}]
    stage.register(model("hostile-markdown", [*pieces, {"finish": "stop"}]))
    page = open_page("/states")
    watch = Watch(page, stage.url)
    page.goto(f"/runs/{stage.ask('x', 'hostile-markdown')}")
    while page.locator("[data-state].completed").count() == 0:
        watch.check()
        page.wait_for_timeout(60)
    page.locator("math").first.wait_for()
    watch.check()
    assert page.locator(".stitch").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1360
    page.locator("[data-raw]").click()
    until(page, lambda: text_of(page) == plain(said), "the source, to the character")


def bring_hostile_file(stage: Stage) -> None:
    """A file whose name, headers, people and values are payloads."""
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["user_id", "action", "at", *(one.replace("\0", "") for one in PAYLOADS[:20])])
    for one in PAYLOADS:
        said = one.replace("\0", "")
        rows.writerow(
            [said[:128].strip() or "x", said[:64] or "x", "2025-11-24 09:50:50", *[said] * 20]
        )
    with httpx.Client(base_url=stage.url, trust_env=False) as http:
        answered = http.post(
            "/api/imports",
            params={"name": PAYLOADS[0].replace("\0", "")[:200]},
            content=table.getvalue().encode("utf-8", "ignore"),
            headers={"Content-Type": "text/csv"},
        )
        asked = {"kinds": ["behaviors"]}
        assert http.post(f"{answered.headers['location']}/start", json=asked).status_code == 202


def save_hostile_words(stage: Stage, run: str) -> int:
    """A conversation of two hostile turns, presets and a case; return the conversation."""
    said = PAYLOADS[7] + PAYLOADS[0]
    with httpx.Client(base_url=stage.url, trust_env=False, timeout=30) as http:
        rules = [{"kind": "contains", "value": each.replace("\0", "")} for each in PAYLOADS[:20]]
        case = {"run": run, "name": said, "expectation": {"text": rules}}
        number = http.post("/api/cases", json=case).raise_for_status().json()["id"]
        asked = {"case_ids": [number], "models": ["offline"]}
        ended = http.post("/v1/runs", json={"flow": "evaluation", "input": asked}).json()["id"]
        stage.wait(ended)
        http.post("/api/presets", json={"name": said, "prompt": said}).raise_for_status()
        models = http.get("/api/models").json()["models"]
        hostile = next(each["id"] for each in models if each["name"] == "hostile")
        begun = int(http.post("/api/conversations", json={"name": said}).json()["id"])
        for after in (0, 1, 1):  # the last two are branches
            turn = {"model_id": hostile, "prompt": said, "conversation_id": begun}
            turn |= {"after_turn": after, "images": [data_url()]}
            http.post("/api/debug/chat", json=turn).raise_for_status()
    return begun


def test_other_pages_that_show_words_of_models_or_people_run_none_of_them(
    stage: Stage, hostile_run: str, open_page: Open
) -> None:
    refusal = {"fail": "refused", "code": "odd", "message": PAYLOADS[7] + PAYLOADS[15]}
    stage.register(model("refuses", [refusal]))
    refused = stage.wait(stage.ask(PAYLOADS[0], "refuses"))["id"]
    bring_hostile_file(stage)
    conversation = save_hostile_words(stage, hostile_run)
    for at in range(20):
        said = PAYLOADS[at].replace("\0", "").replace("\n", " ")
        stage.post("/api/tenants", {"name": f"{at}{said}"[:64]})
        stage.post("/api/keys", {"name": said[:64], "models": [said[:128]]})
    page = open_page("/states")
    watch = Watch(page, stage.url)
    page.goto("/data/import")
    page.locator(".uploads button").first.click()
    page.locator("[data-report][data-status='done']").wait_for()
    watch.check()
    for path in (
        "/runs",
        f"/runs/{refused}",
        f"/view/{hostile_run}",
        f"/pages/debug.html?run={hostile_run}",
        f"/pages/debug.html?c={conversation}",
        "/cases",
        f"/flows?flow=chat&run={hostile_run}",
        "/models?model=refuses",
        "/keys",
        "/extraction?sort=behaviors&desc=1",
        "/extraction?q=%3Cimg+src%3Dx+onerror%3Dwindow.hit%3D1%3E",
        "/usage",
        "/runs?q=onerror",
        "/runs?q=%3Cimg+src%3Dx+onerror%3Dwindow.hit%3D1%3E&flow=%3Csvg+onload%3Dwindow.hit%3D1%3E",
    ):
        page.goto(path)
        page.wait_for_timeout(350)
        watch.check()
    page.goto(f"/pages/debug.html?c={conversation}")
    named = {"name": PAYLOADS[7].replace("\0", ""), "mimeType": "image/png", "buffer": PNG}
    page.locator("[data-pick-images]").set_input_files([named])
    page.locator("form.ask [data-images] img").wait_for()
    until(page, lambda: page.locator(".question img").count() == 2, "both images")
    page.locator("[data-find-conversation]").fill(PAYLOADS[0].replace("\0", ""))
    page.locator(f"[data-conversation='{conversation}'] .clip").wait_for()
    watch.check()


def test_the_policy_itself_stops_what_a_fault_of_the_page_would_let_through(
    stage: Stage, open_page: Open
) -> None:
    page = open_page("/states")
    Watch(page, stage.url)
    answers: list[str] = []
    page.on("response", lambda response: answers.append(response.url))
    page.goto("/states")
    page.evaluate(
        """(payloads) => {
            const box = document.createElement('div');
            document.body.append(box);
            for (const payload of payloads) box.innerHTML += payload;
        }""",
        [payload for payload in PAYLOADS if "refresh" not in payload],
    )
    until(page, lambda: page.evaluate("() => window.refused?.length ?? 0") > 20, "refusals")
    page.wait_for_timeout(400)
    assert page.evaluate("() => window.hit ?? null") is None
    assert not [url for url in answers if not url.startswith((stage.url, "data:"))]


def test_a_story_of_payloads_is_text_in_every_field(stage: Stage, open_page: Open) -> None:
    said = [payload.replace("\x00", "") for payload in PAYLOADS]
    cast = [{"name": one[:99], "look": one} for one in said[:40]]
    scenes = [
        {"title": one[:199], "description": one, "narration": other, "characters": [one[:99]]}
        for one, other in zip(said[:40], said[40:80], strict=True)
    ]
    board = json.dumps(
        {"characters": cast, "scenes": [*scenes[:-1], {**scenes[-1], "shot_size": EVIL}]}
    )
    moves = [
        {"scene": at, "movement": one[:199], "reason": one} for at, one in enumerate(said[40:80], 1)
    ]
    for name, text in (("story-text", ALL), ("story-board", board)):
        stage.register(model(name, [{"text": text}, {"finish": "stop"}]))
    camera = json.dumps({"cameras": moves})
    stage.register(model("story-camera", [{"text": camera}, {"finish": "stop"}]))
    named = {"name": said[0][:200], "original_topic": ALL}
    number = stage.post("/api/v1/projects/", named)["id"]
    place = f"{stage.url}/api/v1/projects/{number}"
    for kind, name in (("rewrite", "text"), ("storyboard", "board"), ("camera", "camera")):
        body = {"model": f"story-{name}", "wish": said[1]}
        httpx.post(f"{place}/{kind}-stream/", json=body, timeout=60, trust_env=False)
    edits: dict[str, dict[str, object]] = {
        "storyboard": {"item": {"number": 1, "title": said[2][:200], "description": EVIL}},
        "camera": {"item": {"number": 1, "reason": EVIL}},
        "rewrite": {"result_text": ALL + EVIL},
    }
    for kind, edit in edits.items():
        changed = httpx.patch(f"{place}/stages/{kind}/", json=edit, trust_env=False)
        changed.raise_for_status()
    page = open_page("/states")
    watch = Watch(page, stage.url)
    for shown in ("rewrite", "storyboard", "camera"):
        page.goto(f"/story/{number}?stage={shown}")
        page.locator("[data-output]").wait_for()
        if shown != "rewrite":
            until(page, lambda: page.locator("[data-scene]").count() == 40, "all of them")
            page.locator("[data-scene='1'] [data-edit]").click()
        watch.check()
        inside = "[data-output] :is(script, img, iframe, a), .history :is(script, img, iframe, a)"
        assert page.locator(inside).count() == 0
    page.goto("/story")
    page.locator(".project").first.wait_for()
    watch.check()
