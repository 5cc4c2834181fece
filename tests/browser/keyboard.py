"""Walks a page by the keyboard alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

MAX_STEPS: Final = 120
"""More presses of Tab than anybody makes."""


def tab_to(page: Page, place: Locator) -> None:
    """Press Tab until the focus is there, and see that it shows."""
    place.wait_for()
    for _ in range(MAX_STEPS):
        page.keyboard.press("Tab")
        if place.evaluate("(element) => element === document.activeElement"):
            assert place.is_visible(), "the focus is on something that nobody sees"
            return
    raise AssertionError(f"no focus after {MAX_STEPS} presses of Tab: {place}")
