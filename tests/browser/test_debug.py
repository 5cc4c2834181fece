"""The debug page: conversations, several models, Markdown while it streams, presets, test cases."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .conftest import Open
from .held import Held
from .reading import Record, plain, text_of, until, until_count, until_state
from .stage import ADVICE, Stage, begun, broken, model, whole

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGE = "/pages/debug.html"
numbers = itertools.count()


@pytest.fixture
def http(stage: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage.url, trust_env=False, timeout=60) as opened:
        yield opened


def number_of(http: httpx.Client, name: str) -> int:
    listed = http.get("/api/models").json()["models"]
    return int(next(each["id"] for each in listed if each["name"] == name))


def registered(http: httpx.Client, stage: Stage, script: Any, **more: Any) -> int:
    """Register a model under a new name; return its number."""
    name = f"debugged-{next(numbers)}"
    stage.register(model(name, script, **more))
    return number_of(http, name)


def ask(page: Page, question: str) -> None:
    page.get_by_role("textbox", name="提问").fill(question)
    page.get_by_role("button", name="发送").click()


def in_address(page: Page, name: str) -> list[str]:
    found = re.search(rf"[?&]{name}=([^&]+)", page.url)
    return [] if found is None else found[1].replace("%2C", ",").split(",")


def test_d9_a_follow_up_question_knows_the_turn_before_and_a_reload_shows_both(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    first = registered(
        http, stage, {"attempts": [whole("记住了，七。", 200), whole("是七。", 200)]}
    )
    page = open_page(f"{PAGE}?models={first}&system=%E7%9F%AD&temperature=0.3")
    ask(page, "记住数字七。")
    until_state(page, "completed")
    ask(page, "哪个数字？")
    until(page, lambda: text_of(page) == plain("记住了，七。是七。"), "both answers")
    until_state(page, "completed")
    (run,) = in_address(page, "run")
    (conversation,) = in_address(page, "c")
    started = stage.events(run)[0]["data"]["input"]
    said = [message["content"] for message in started["talk"]]
    assert said == ["记住数字七。", "记住了，七。"]
    assert (started["system"], started["params"]) == ("短", {"temperature": 0.3})
    assert http.get(f"/api/conversations/{conversation}").json()["turns"] == 2
    page.reload()
    until(page, lambda: text_of(page) == plain("记住了，七。是七。"), "both after a reload")
    assert page.locator(".asked").all_inner_texts() == ["记住数字七。", "哪个数字？"]
    assert page.get_by_label("系统提示").input_value() == "短"
    until_count(page.locator(".side em", has_text="0.3"), 1)
    page.locator("[data-begin]").click()
    until(page, lambda: page.locator(".asked").count() == 0, "an empty page")
    assert in_address(page, "c") == []


def test_a_reload_before_the_first_token_shows_the_same_run(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    with Held(f"silent-{next(numbers)}", "终于说话了。") as held:
        stage.register(held.model)
        page = open_page(f"{PAGE}?models={number_of(http, held.name)}")
        ask(page, "在吗？")
        until(page, lambda: in_address(page, "run") != [], "the run in the address")
        (run,) = in_address(page, "run")
        page.reload()
        page.locator(".asked", has_text="在吗？").wait_for()
        assert in_address(page, "run") == [run]
        held.let()
        until(page, lambda: text_of(page) == "终于说话了。", "the words")
        until_state(page, "completed")


def test_three_models_answer_side_by_side_and_are_stopped_together(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    quick = registered(http, stage, whole(ADVICE, 400, first_s=0))
    cut = registered(http, stage, [{"text": "只有一半"}, {"finish": "length"}])
    slow = registered(http, stage, begun(ADVICE[:20]))
    page = open_page(f"{PAGE}?models={quick}")
    for each in (cut, slow):
        page.locator("[data-add-model]").select_option(str(each))
    dots = page.locator(".answer .who .dot")
    names = "(dots) => new Set(dots.map((d) => d.className)).size"
    until(page, lambda: dots.evaluate_all(names) == 3, "three hues")
    ask(page, "明天呢？")
    states = page.locator(".answer [data-state]")
    until(page, lambda: "completed" in str(states.nth(0).get_attribute("class")), "the quick one")
    until(page, lambda: "不完整 · 长度上限" in states.nth(1).inner_text(), "the limit")
    page.get_by_role("button", name="全部停止").click()
    until(page, lambda: "cancelled" in str(states.nth(2).get_attribute("class")), "the slow one")
    assert [len(in_address(page, name)) for name in ("models", "c", "run")] == [3, 3, 3]
    page.reload()
    until(page, lambda: states.count() == 3, "three columns again")
    until(page, lambda: "cancelled" in str(states.nth(2).get_attribute("class")), "as it was")


def test_after_a_failure_the_provider_is_quoted_and_the_question_is_asked_again(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    refusal = [{"fail": "refused", "code": "odd", "status": 400, "message": "model is on holiday"}]
    number = registered(http, stage, {"attempts": [refusal, whole("回来了。", 200)]})
    page = open_page(f"{PAGE}?models={number}")
    ask(page, "你在哪？")
    until_state(page, "failed")
    assert "model is on holiday" in page.locator(".answer").inner_text()
    assert page.locator(".asked").inner_text() == "你在哪？"
    page.get_by_role("button", name="重试").click()
    until_state(page, "completed")
    until(page, lambda: "回来了。" in text_of(page), "the answer")
    page.get_by_role("button", name="编辑再问").last.click()
    assert page.get_by_role("textbox", name="提问").input_value() == "你在哪？"


def test_a_question_that_reached_no_server_stays_in_its_box(open_page: Open) -> None:
    page = open_page(PAGE)
    page.locator("[data-model]").wait_for()
    page.route("**/api/conversations", lambda route: route.abort())
    ask(page, "丢了吗？")
    page.locator(".answer [role=alert]").wait_for()
    assert page.get_by_role("textbox", name="提问").input_value() == "丢了吗？"


def test_conversations_are_listed_opened_renamed_and_deleted(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    asked = {"model_id": number_of(http, "offline"), "prompt": "第一问"}
    begun = http.post("/api/conversations").json()["id"]
    http.post("/api/debug/chat", json={**asked, "conversation_id": begun}).raise_for_status()
    page = open_page(PAGE)
    row = page.locator(f"[data-conversation='{begun}']")
    row.hover()
    row.get_by_role("button", name="改名").click()
    row.get_by_label("改名").fill("关于幂等")
    row.get_by_role("button", name="保存").click()
    row.get_by_role("button", name="关于幂等").click()
    page.locator(".asked", has_text="第一问").wait_for()
    assert in_address(page, "c") == [str(begun)]
    find = page.locator("[data-find-conversation]")
    find.fill("没有这样的话")
    until(page, lambda: row.count() == 0, "nothing is found")
    find.fill("于幂等")
    row.wait_for()
    row.get_by_role("button", name="删除").click()
    assert http.get(f"/api/conversations/{begun}").status_code == 200
    row.get_by_role("button", name="确定删除").click()
    until(page, lambda: row.count() == 0, "it is gone")
    assert http.get(f"/api/conversations/{begun}").status_code == 404
    until(page, lambda: in_address(page, "c") == [], "an empty page")


WRITTEN = """# 标题

一段**粗体**和 `code`，见 [文档](https://example.org/a)。

| 品名 | 价格 |
|---|---:|
| 鞋 | 399 |

- 一
- 二

```python
print("你好")
```

行内 $a^2+b^2=c^2$，单独：

$$\\frac{1}{2}$$

一双 $5，两双 $9。

![图](http://127.0.0.1:9/x.png)
"""


def test_markdown_is_set_while_it_streams_and_its_ended_blocks_stay(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    with Held(f"writes-{next(numbers)}", WRITTEN, let=WRITTEN.index("- 二")) as held:
        stage.register(held.model)
        page = open_page(
            f"{PAGE}?models={number_of(http, held.name)}",
            permissions=["clipboard-read", "clipboard-write"],
        )
        ask(page, "写吧")
        page.locator(".blk table td", has_text="399").wait_for()
        page.locator(".blk li", has_text="一").wait_for()
        page.locator(".blk h3").evaluate("(heading) => { heading.isSame = true; }")
        held.let()
        until_state(page, "completed")
    assert page.locator(".blk h3").evaluate("(heading) => heading.isSame") is True
    assert page.locator(".blk li").all_inner_texts() == ["一", "二"]
    assert page.locator(".blk strong").inner_text() == "粗体"
    assert page.locator(".blk td.right").inner_text() == "399"
    until(page, lambda: page.locator("math").count() == 2, "two formulas")
    until_count(page.locator(".blk p", has_text="一双 $5，两双 $9。"), 1)
    links = page.locator(".blk a").evaluate_all("(all) => all.map((a) => [a.href, a.textContent])")
    assert links == [["https://example.org/a", "文档"], ["http://127.0.0.1:9/x.png", "图"]]
    assert page.locator(".blk img").count() == 0

    def copied() -> str:
        return str(page.evaluate("navigator.clipboard.readText()"))

    page.locator(".code [data-copy]").click()
    until(page, lambda: copied() == 'print("你好")', "the code")
    page.get_by_role("button", name="复制回答").click()
    until(page, lambda: copied() == WRITTEN, "the source")
    page.locator("[data-raw]").click()
    until(page, lambda: text_of(page) == plain(WRITTEN), "the source on the page")


def test_a_seam_in_markdown_stays_where_another_model_went_on(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    text = "第一段有**粗体的字**在里面。\n\n- 列表一项\n- 列表二项"
    down = [{"fail": "refused", "code": "overloaded", "message": "no"}]
    names = [f"seamed-{next(numbers)}" for _ in range(2)]
    stage.register(
        model(names[0], {"attempts": [broken(text, 8, 500, silence_s=0), down]}),
        model(names[1], whole(text, 500, first_s=0)),
    )
    route = f"route-{next(numbers)}"
    stage.route(route, *names)
    run = stage.wait(stage.ask("写", route))["id"]
    page = open_page(f"/runs/{run}")
    until_state(page, "completed")
    stitch = page.locator(".blk .stitch")
    until_count(stitch, 1)
    assert stitch.evaluate("(sign) => sign.closest('strong') !== null")
    assert page.locator(".blk strong").text_content() == "粗体的字"
    until_count(page.locator(".blk li"), 2)
    until_count(page.locator(".notes .note"), 1)
    hues = page.locator(".blk > .gut").evaluate_all("(all) => all.map((gut) => gut.className)")
    assert len(set(hues)) == 2


def test_a_temperature_that_is_not_sent_shows_no_value(open_page: Open) -> None:
    page = open_page(PAGE)
    page.locator("[data-temperature]").wait_for()
    assert page.locator(".el-slider").count() == 0
    assert page.locator(".side em").first.inner_text() == "不发送，用模型自己的"
    page.locator("[data-temperature]").check()
    assert page.locator(".side em").first.inner_text() == "0.7"
    until(page, lambda: in_address(page, "temperature") == ["0.7"], "the address")


def test_the_first_token_may_be_a_thought(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    thought = [{"reasoning": "想"}, {"pause_s": 1.2}]
    number = registered(http, stage, whole("好。", 100, first_s=0, before=thought))
    page = open_page(f"{PAGE}?models={number}")
    ask(page, "？")
    until_state(page, "completed")
    first = page.locator(".meter div", has_text="首个 token").locator("dd").inner_text()
    assert float(first.split()[0]) < 1.1


def test_a_preset_is_filled_in_versioned_and_restored(http: httpx.Client, open_page: Open) -> None:
    page = open_page(PAGE)
    ask_box = page.get_by_role("textbox", name="提问")
    ask_box.fill("用三句话介绍{{主题}}，写给{{读者}}")
    presets = page.get_by_label("预设")
    presets.select_option("0")
    page.get_by_label("名称").fill("介绍")
    page.get_by_role("dialog").get_by_role("button", name="保存").click()
    until(page, lambda: presets.locator("option", has_text="介绍").count() == 1, "it is listed")
    listed = http.get("/api/presets").json()["presets"]
    number = next(each["id"] for each in listed if each["name"] == "介绍")
    presets.select_option(str(number))
    box = page.get_by_role("dialog")
    use = box.get_by_role("button", name="用到页面上")
    assert use.is_disabled()
    box.locator("[data-variable='主题']").fill("幂等")
    box.locator("[data-variable='读者']").fill("孩子")
    use.click()
    until(page, lambda: ask_box.input_value() == "用三句话介绍幂等，写给孩子", "it is filled in")
    until(page, lambda: in_address(page, "preset") == [str(number)], "the address")
    ask_box.fill("一句话介绍{{主题}}")
    page.locator(".bar").get_by_role("button", name="填写预设").click()
    box.get_by_role("button", name="把页面上的存为新版本").click()
    until(page, lambda: box.locator("[data-version] option").count() == 2, "two versions")
    box.locator("[data-version]").select_option("1")
    box.get_by_role("button", name="恢复成这一版").click()
    until(page, lambda: box.locator("[data-version] option").count() == 3, "three versions")
    now = http.get(f"/api/presets/{number}").json()
    assert (now["version"], now["prompt"]) == (3, "用三句话介绍{{主题}}，写给{{读者}}")


def test_an_answer_is_saved_as_a_case_evaluated_and_a_regression_shows(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    answers = {"attempts": [whole("答案是巴黎。", 200), whole("巴黎。", 200), whole("里昂。", 200)]}
    number = registered(http, stage, answers)
    name = next(
        each["name"] for each in http.get("/api/models").json()["models"] if each["id"] == number
    )
    page = open_page(f"{PAGE}?models={number}")
    ask(page, "法国的首都？")
    until_state(page, "completed")
    page.get_by_role("button", name="存为用例").click()
    box = page.get_by_role("dialog")
    box.locator("[data-rule] select").select_option("contains")
    box.locator("[data-rule] textarea").fill("巴黎")
    box.get_by_role("button", name="保存").click()
    until(page, lambda: box.count() == 0, "it is saved")
    page.goto("/cases")
    page.locator(f"[data-ask='{name}']").check()
    page.locator("[data-run]").click()
    until_state(page, "completed")
    cell = page.locator(f"td[data-model='{name}'] .verdict")
    until(page, lambda: cell.get_attribute("data-verdict") == "passed", "it passes")
    assert page.locator("[data-regression]").count() == 0
    seen = Record(page, "[data-evaluation]")
    page.locator("[data-run]").click()
    seen.until_said("退步 1")
    until(page, lambda: cell.get_attribute("data-verdict") == "failed", "it fails")
    until_count(cell.locator("[data-regression]"), 1)
    assert "应包含“巴黎”" in cell.inner_text()
    page.reload()
    cell.locator("[data-regression]").wait_for()
    page.goto("/cases")
    cell.locator("[data-regression]").wait_for()
    (case,) = http.get("/api/cases").json()["cases"]
    assert [(it["verdict"], it["before"]) for it in case["latest"]] == [("failed", "passed")]


def test_a_case_of_a_tool_call_expects_the_call(
    stage: Stage, http: httpx.Client, open_page: Open
) -> None:
    call = {"index": 0, "id": "c1", "name": "get_weather", "arguments": '{"city": "上海"}'}
    number = registered(http, stage, [{"tool": call}, {"finish": "tool_calls"}])
    page = open_page(f"{PAGE}?models={number}")
    ask(page, "天气？")
    until_state(page, "completed")
    page.get_by_role("button", name="存为用例").click()
    box = page.get_by_role("dialog")
    assert box.get_by_label("工具名").input_value() == "get_weather"
    assert json.loads(box.get_by_label("参数").input_value()) == {"city": "上海"}
