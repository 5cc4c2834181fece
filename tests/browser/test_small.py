"""Small things that people trip over: default models, failing models, legible controls."""

from __future__ import annotations

import pytest

from .conftest import Open
from .reading import until
from .stage import Stage, model, whole

NARROW = {"width": 390, "height": 844}

CONTRAST = """(button) => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number).slice(0, 3);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((value) => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(button);
  const [one, other] = [light(style.color), light(style.backgroundColor)];
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}"""
"""The contrast of a text to its ground, by WCAG 2.2."""


@pytest.mark.parametrize("dark", [False, True])
def test_d22_a_disabled_button_stays_legible_under_the_cursor(
    stage: Stage, open_page: Open, dark: bool
) -> None:
    page = open_page("/runs", dark=dark)
    page.evaluate(
        """() => document.body.insertAdjacentHTML(
          "beforeend",
          '<button class="btn main" id="off" disabled style="position:fixed;top:200px;left:400px">'
          + "生成文案</button>",
        )"""
    )
    button = page.locator("#off")
    button.hover(force=True)
    page.wait_for_timeout(300)
    assert page.evaluate("document.querySelector('#off').matches(':hover')")
    assert button.evaluate(CONTRAST) >= 3


def test_d13_the_default_model_is_chosen_on_the_page_for_all_flows_or_for_one(
    stage: Stage, open_page: Open
) -> None:
    stage.register(model("通义千问", whole("今天推荐一双鞋。", 500)))
    page = open_page("/models")
    page.locator("[data-default='']").select_option("offline")
    until(page, lambda: stage.get("/api/models")["chosen"] == "offline", "it is stored")
    page.locator(".defaults summary").click()
    page.locator("[data-default='copywriting']").select_option("通义千问")
    until(
        page,
        lambda: stage.get("/api/models")["default_for_flows"]["copywriting"] == "通义千问",
        "a name in Chinese, for one flow",
    )
    page.goto("/copy")
    option = page.locator("option", has_text="默认：通义千问")
    until(page, lambda: option.count() == 1, "it is named where copy is written")
    page.goto("/models")
    page.locator("[data-default='']").select_option("")
    until(page, lambda: stage.get("/api/models")["chosen"] is None, "withdrawn")


def test_d17_a_model_that_always_fails_is_not_shown_as_healthy(
    stage: Stage, open_page: Open
) -> None:
    stage.register(model("失败的", [{"fail": "unavailable", "code": "server", "message": "down"}]))
    for number in range(4):
        stage.wait(stage.ask(str(number), "失败的"))
    page = open_page("/models")
    row = page.locator("tr", has_text="失败的")
    until(page, lambda: "16/16 失败" in row.inner_text(), "its failures")
    assert "正常" not in row.inner_text()


def test_d23_the_tabs_of_a_story_stay_on_one_line_on_a_phone(stage: Stage, open_page: Open) -> None:
    made = stage.post("/api/v1/projects/", {"name": "短片", "original_topic": "一座灯塔"})
    page = open_page(f"/story/{made['id']}", viewport=NARROW)
    names = page.locator(".stages [role='tab'] b")
    names.first.wait_for()
    heights = [names.nth(at).bounding_box()["height"] for at in range(names.count())]  # type: ignore[index]
    assert len(heights) == 3
    assert max(heights) < 32


@pytest.mark.parametrize(
    ("language", "words"), [("zh-CN", "格式不对"), ("en-US", "String should match")]
)
def test_d21_a_wrong_field_is_named_in_the_language_of_the_page(
    stage: Stage, open_page: Open, language: str, words: str
) -> None:
    page = open_page("/models?add=1", language=language)
    form = page.locator(".model-form")
    form.locator("input").first.fill("two words")
    form.locator("button[type='submit']").click()
    until(page, lambda: words in form.inner_text(), "a message in the reader's language")
