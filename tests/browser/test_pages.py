"""Each page does what it is for, with a real server behind it."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from .conftest import Open
from .held import Held
from .reading import Late, Record, plain, text_of, until, until_count, until_said, until_state
from .stage import ADVICE, POSTS, Stage, broken, model, whole

PRICES = {"prompt": 1, "completion": 2, "currency": "CNY"}


@pytest.fixture(scope="module")
def adviser(stage: Stage) -> str:
    thought = [{"reasoning": "先看天气"}]
    stage.register(model("adviser", whole(ADVICE, 120, first_s=0.1, before=thought), prices=PRICES))
    return "adviser"


def number_of(stage: Stage, name: str) -> int:
    listed = httpx.get(f"{stage.url}/api/models", trust_env=False).json()["models"]
    return int(next(each["id"] for each in listed if each["name"] == name))


def test_a_first_visit_explains_itself_and_one_click_writes_three_posts(
    stage: Stage, open_page: Open
) -> None:
    page = open_page("/runs?first=1", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_text("一次运行，就是一条时间线。").wait_for()
    assert stage.url in page.locator(".first .pre").inner_text()
    page.locator("[data-copy-curl]").click()
    copied = "navigator.clipboard.readText()"
    until(page, lambda: "curl -N" in page.evaluate(copied), "curl on the clipboard")
    page.get_by_role("button", name="生成第一条").click()
    page.wait_for_url("**/runs/0*")
    until_state(page, "completed")
    until_count(page.locator("[data-step]"), 3)
    run = page.url.rpartition("/")[2]
    page.goto("/guide")
    page.locator("[data-latest]").click()
    page.wait_for_url(f"**/runs/{run}")


def test_s2_11_the_debug_page_streams_an_answer_and_tells_thoughts_apart(
    stage: Stage, adviser: str, open_page: Open
) -> None:
    page = open_page("/pages/debug.html")
    page.locator("[data-model]").select_option(str(number_of(stage, adviser)))
    until_count(page.get_by_text("流式输出"), 1)
    page.get_by_role("textbox", name="提问").fill("明天适合晨跑吗？")
    page.get_by_role("button", name="发送").click()
    early = until_said(page, 5)
    assert plain(ADVICE).startswith(early)
    until_state(page, "completed")
    assert text_of(page) == plain(ADVICE)
    until_count(page.locator(".think").get_by_text("先看天气"), 1)
    run = re.search(r"run=(\w+)", page.url)
    assert run is not None
    assert stage.run(run[1])["dialect"] == "debug_chat"
    page.reload()
    until(page, lambda: text_of(page) == plain(ADVICE), "the answer after a reload")


def test_s2_11_without_streaming_the_answer_comes_at_once(
    stage: Stage, adviser: str, open_page: Open
) -> None:
    page = open_page("/pages/debug.html")
    page.locator("[data-model]").select_option(str(number_of(stage, adviser)))
    page.locator("[data-stream]").click()
    page.get_by_role("textbox", name="提问").fill("明天呢？")
    answer = Record(page, ".answer .turn")
    words = Record(page, ".answer .model-text > .blk")
    page.keyboard.press("Control+Enter")
    answer.until_said("写完才显示")
    until_state(page, "completed")
    assert text_of(page) == plain(ADVICE)
    assert {plain(shown) for shown in words.all()} == {"", plain(ADVICE)}


def test_a_tool_call_grows_as_it_comes(stage: Stage, open_page: Open) -> None:
    call = {"index": 0, "id": "c1", "name": "get_weather"}
    parts = [{"tool": {**call, "arguments": '{"city": '}}, {"pause_s": 3}]
    rest = [{"tool": {"index": 0, "arguments": '"上海"}'}}, {"finish": "tool_calls"}]
    stage.register(model("caller", [*parts, *rest]))
    page = open_page("/pages/debug.html")
    page.locator("[data-model]").select_option(str(number_of(stage, "caller")))
    page.get_by_role("textbox", name="提问").fill("天气？")
    tool = page.locator(".tool")
    shown = Record(page, ".tool header .t3, .tool .pre")
    page.get_by_role("button", name="发送").click()
    shown.until(lambda all_of_it: all_of_it == '参数正在到达\n{"city": ', "the first half")
    tool.get_by_text("参数完整").wait_for()
    assert json.loads(tool.locator(".pre").inner_text()) == {"city": "上海"}


def test_a_request_is_copied_as_a_person_would_write_it(
    stage: Stage, adviser: str, open_page: Open
) -> None:
    page = open_page("/pages/debug.html", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("textbox", name="提问").fill("it's 明天")
    for kind, word in (("curl", "curl -N"), ("Python", "httpx.stream"), ("JavaScript", "openRun")):
        page.get_by_label("复制为").select_option(kind)
        until(
            page,
            lambda word=word: word in page.evaluate("navigator.clipboard.readText()"),
            f"{kind} on the clipboard",
        )
    page.get_by_label("复制为").select_option("curl")
    said = page.evaluate("navigator.clipboard.readText()")
    assert f"{stage.url}/api/debug/chat" in said
    assert "'\\''" in said


def test_three_posts_appear_and_one_is_adopted(stage: Stage, open_page: Open) -> None:
    stage.register(model("copywriter", {"attempts": [whole(text, 150) for text in POSTS]}))
    page = open_page("/copy?sku=8WZ01CM1")
    page.locator(".form select:not([data-tone])").select_option("copywriter")
    page.get_by_role("button", name="专业").click()
    page.get_by_role("button", name="生成文案").click()
    until_said(page, 10)
    until_state(page, "completed")
    posts = page.locator("[data-post]")
    until_count(posts, 3)
    page.locator("[data-post='2']").get_by_role("button", name="采纳").click()
    page.locator("[data-post='2']").get_by_text("已采纳").wait_for()
    copies = httpx.get(f"{stage.url}/api/copies", trust_env=False).json()["copies"]
    assert (copies[0]["is_adopted"], copies[0]["adopted_step"]) == (True, "post-2")
    assert copies[0]["style"] == "professional"
    page.reload()
    page.locator("[data-post='2']").get_by_text("已采纳").wait_for()


def test_another_product_is_found_by_its_name(open_page: Open) -> None:
    page = open_page("/copy")
    page.get_by_role("button", name="换一件").click()
    page.get_by_placeholder("按名称或货号找").fill("瑜伽垫")
    page.get_by_role("dialog").get_by_role("button", name="瑜伽垫").first.click()
    page.locator(".goods").get_by_text("瑜伽垫").wait_for()


def test_a_flow_is_started_by_the_form_of_its_schema(
    stage: Stage, adviser: str, open_page: Open
) -> None:
    page = open_page("/flows?flow=chat")
    page.get_by_label("模型").select_option(adviser)
    page.locator("#f-prompt").fill("")
    page.get_by_role("button", name="运行", exact=False).last.click()
    page.get_by_text("prompt: 必填").or_(page.get_by_text("必填")).first.wait_for()
    page.locator("#f-prompt").fill("明天呢？")
    page.get_by_role("button", name="运行", exact=False).last.click()
    until_said(page, 10)
    until_state(page, "completed")
    assert text_of(page) == plain(ADVICE)


def test_a_model_is_added_tried_changed_and_removed(stage: Stage, open_page: Open) -> None:
    page = open_page("/models?add=1")
    form = page.locator(".model-form").first
    form.get_by_label("名称").fill("mine")
    form.get_by_label("地址").fill("http://127.0.0.1:9/v1")
    form.get_by_label("输入").fill("1.5")
    page.get_by_role("button", name="添加", exact=True).click()
    page.wait_for_url("**/models?model=mine")
    page.locator("[data-test]").click()
    page.get_by_text("连不上模型").wait_for()
    form.get_by_label("输入").fill("2.5")
    form.get_by_role("button", name="保存").click()
    page.locator("tr", has_text="mine").get_by_text("2.5").wait_for()
    form.get_by_role("button", name="删除").click()
    page.locator("dialog.confirm").get_by_role("button", name="删除").click()
    until(page, lambda: page.locator("tr", has_text="mine").count() == 0, "it is gone")


def test_a_model_stays_in_the_list_when_an_older_list_comes_late(
    stage: Stage, open_page: Open
) -> None:
    page = open_page("/usage")
    late = Late(page, "**/api/models")
    page.goto("/models?add=1")
    form = page.locator(".model-form").first
    form.get_by_label("名称").fill("added-early")
    form.get_by_label("地址").fill("http://127.0.0.1:9/v1")
    page.get_by_role("button", name="添加", exact=True).click()
    added = page.locator("tr", has_text="added-early")
    added.wait_for()
    late.come()
    assert added.count() == 1
    stage.delete(f"/api/models/{number_of(stage, 'added-early')}")


def test_the_list_of_runs_is_filtered_by_its_address(stage: Stage, open_page: Open) -> None:
    down = [{"fail": "refused", "code": "overloaded", "message": "no"}]
    stage.register(
        model("list-breaks", {"attempts": [broken(ADVICE, 30, 500, silence_s=0), down]}),
        model("list-on", whole(ADVICE, 500, first_s=0)),
    )
    stage.route("list-route", "list-breaks", "list-on")
    mended = stage.wait(stage.ask("一条接过的", "list-route"))["id"]
    plain_run = stage.wait(stage.ask("一条没断的", "list-on"))["id"]
    page = open_page("/runs?seam=1")
    page.locator(f"a[href='/runs/{mended}']").wait_for()
    assert page.locator(f"a[href='/runs/{plain_run}']").count() == 0
    page.get_by_role("button", name="有接缝").click()
    page.locator(f"a[href='/runs/{plain_run}']").wait_for()
    page.get_by_label("状态").select_option("failed")
    until(page, lambda: page.locator(f"a[href='/runs/{mended}']").count() == 0, "filtered")
    assert "status=failed" in page.url


def test_a_run_in_the_list_goes_on_before_ones_eyes(stage: Stage, open_page: Open) -> None:
    with Held("list-held", "字" * 60, let=30) as held:
        stage.register(held.model)
        page = open_page("/runs")
        run = stage.ask("看着它写", held.name)
        row = page.locator(".run-row", has=page.locator(f"a[href='/runs/{run}']"))
        row.get_by_text("生成中").wait_for()
        held.let()
        row.get_by_text("已完成").wait_for()
        until_count(row.locator("canvas"), 1)


def test_usage_tells_what_was_used(stage: Stage, adviser: str, open_page: Open) -> None:
    stage.wait(stage.ask("多少钱", adviser))
    page = open_page("/usage")
    row = page.locator("tbody tr", has_text=adviser)
    row.wait_for()
    assert "¥" in row.inner_text()
    page.locator(".day-chart g[data-day] rect.ground").last.wait_for(state="attached")
    page.get_by_role("button", name="按流程").click()
    page.locator("tbody tr", has_text="对话").wait_for()


def test_one_finds_pages_runs_and_models_by_keys(
    stage: Stage, adviser: str, open_page: Open
) -> None:
    page = open_page("/states")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("advis")
    page.get_by_role("option").get_by_text("adviser").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/models?model=adviser")
    page.locator("h1").click()
    page.keyboard.press("g")
    page.keyboard.press("u")
    page.wait_for_url("**/usage")


def test_language_and_theme_are_chosen_once(open_page: Open) -> None:
    page = open_page("/states", language="en-US")
    page.get_by_role("heading", name="States").wait_for()
    page.get_by_role("button", name="中文").click()
    page.get_by_role("heading", name="状态").wait_for()
    page.get_by_role("button", name="暗色").click()
    page.reload()
    page.get_by_role("heading", name="状态").wait_for()
    assert page.evaluate("document.documentElement.classList.contains('dark')")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"


def test_a_narrow_screen_has_five_places_and_one_column(
    stage: Stage, adviser: str, open_page: Open
) -> None:
    run = stage.wait(stage.ask("窄屏", adviser))["id"]
    page = open_page(f"/runs/{run}", viewport={"width": 390, "height": 800})
    until_state(page, "completed")
    until_count(page.locator(".rail :is(nav a, .more):visible"), 5)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_first_page_weighs_no_more_than_it_may(open_page: Open) -> None:
    import gzip

    page = open_page("/states")
    weights: dict[str, int] = {}

    def weigh(response: object) -> None:
        url = str(response.url)  # type: ignore[attr-defined]
        if "/assets/" in url or url.endswith("/runs"):
            weights[url] = len(gzip.compress(response.body(), 9))  # type: ignore[attr-defined]

    page.on("response", weigh)
    page.context.clear_cookies()
    page.goto("/runs")
    page.locator(".run-head").or_(page.locator(".first")).first.wait_for()
    page.wait_for_load_state("networkidle")
    assert weights
    assert sum(weights.values()) <= 350 * 1024
