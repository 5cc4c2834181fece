"""One run, read and acted on: what its page shows is what its log says, and no more."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from .conftest import Open
from .held import Held
from .reading import until, until_said, until_state
from .stage import ADVICE, LETTER, POSTS, Stage

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

    page.locator(".words").hover()
    page.mouse.wheel(0, -600)
    until(page, lambda: lamp.get_attribute("aria-pressed") == "false", "the reader has left")
    top = page.locator(".words").evaluate("(words) => words.scrollTop")
    tall.let(650)
    pill = page.locator("[data-follow]")
    pill.get_by_text("个新事件").wait_for()
    assert page.locator(".words").evaluate("(words) => words.scrollTop") == top

    pill.click()
    until(page, lambda: lamp.get_attribute("aria-pressed") == "true", "it follows again")
    until(page, lambda: is_at_end(page), "the end is in view again")
    tall.let()
    until_state(page, "completed")
    assert is_at_end(page)
    assert lamp.count() == pill.count() == 0
