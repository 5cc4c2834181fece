"""What a page shows, as a test reads it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

WITHIN_S = 20.0


def text_of(page: Page) -> str:
    """The words of all steps on the page, without stitches, line ends left out."""
    said = page.evaluate(
        """() => [...document.querySelectorAll('.model-text > p')]
            .flatMap((p) => [...p.childNodes].filter((n) => n.nodeType === 3))
            .map((node) => node.data)
            .join('')"""
    )
    return plain(str(said))


def plain(text: str) -> str:
    return re.sub(r"\s+", "", text)


def state_of(page: Page) -> str:
    """The class of the run's own state: `streaming`, `completed` …"""
    names = page.locator("[data-state]").first.get_attribute("class") or ""
    return next(iter(set(names.split()) - {"st", "pill"}), "")


def until(page: Page, holds: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> None:
    """Let the page live until something holds of it."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, what
        page.wait_for_timeout(25)


def until_said(page: Page, chars: int) -> str:
    until(page, lambda: len(text_of(page)) >= chars, f"{chars} characters")
    return text_of(page)


def until_state(page: Page, *states: str) -> None:
    until(page, lambda: state_of(page) in states, " or ".join(states))
