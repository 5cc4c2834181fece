"""What a page shows, as a test reads it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Locator, Page, Route

WITHIN_S = 20.0


def text_of(page: Page) -> str:
    """
    The words of all steps on the page, without stitches and buttons, line ends left out.

    What has come before is drawn: a page says elsewhere that a run has ended, a frame earlier.
    """
    until_drawn(page)
    said = page.evaluate(
        """() => [...document.querySelectorAll('.model-text > :is(p, .blk)')]
            .map((part) => {
                const words = part.cloneNode(true);
                for (const other of words.querySelectorAll('.code > header, annotation'))
                    other.remove();
                return words.textContent;
            })
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


def until_count(parts: Locator, count: int) -> None:
    """Wait for so many parts: those that a page draws later are not missing yet."""
    until(parts.page, lambda: parts.count() == count, f"{count} of {parts}")


def until_said(page: Page, chars: int) -> str:
    until(page, lambda: len(text_of(page)) >= chars, f"{chars} characters")
    return text_of(page)


def until_state(page: Page, *states: str) -> None:
    """Let the page live until the run has one of these states, and what it changed is drawn."""
    until(page, lambda: state_of(page) in states, " or ".join(states))
    until_drawn(page)


def until_drawn(page: Page) -> None:
    """Texts are drawn in the frame after the change: wait for the one after that."""
    page.evaluate(
        "() => new Promise((is) => requestAnimationFrame(() => requestAnimationFrame(is)))"
    )


class Late:
    """The first answer of an address, as true as when it was asked for; a test lets it come."""

    def __init__(self, page: Page, address: str | re.Pattern[str]) -> None:
        self._page = page
        self._answers: list[tuple[Route, APIResponse]] = []
        page.route(address, self._hold, times=1)

    def _hold(self, route: Route) -> None:
        self._answers.append((route, route.fetch()))

    def asked(self) -> None:
        """Wait until the server has answered."""
        until(self._page, lambda: self._answers != [], "the answer")

    def come(self) -> None:
        """Let it come, and the page act on it."""
        self.asked()
        route, answer = self._answers.pop()
        with self._page.expect_event("requestfinished", lambda it: it == route.request):
            route.fulfill(response=answer)
        until_drawn(self._page)


class Record:
    """
    Each text that a part of a page has shown since, in order, for however short a time.

    A page changes between two looks of a test; its own observer sees every change. Make the
    record before that which changes the page. It begins anew with a page that is loaded anew.
    """

    def __init__(self, page: Page, selector: str) -> None:
        self._page = page
        self._selector = selector
        self._place = page.evaluate(
            """(selector) => {
                const look = () =>
                    [...document.querySelectorAll(selector)]
                        .filter((part) => part.checkVisibility())
                        .map((part) => part.textContent)
                        .join('\\n');
                const seen = [look()];
                const record = () => {
                    const now = look();
                    if (now !== seen.at(-1)) seen.push(now);
                };
                const kinds = { attributes: true, characterData: true, childList: true };
                new MutationObserver(record).observe(document, { ...kinds, subtree: true });
                return (window.records ??= []).push(seen) - 1;
            }""",
            selector,
        )

    def all(self) -> list[str]:
        shown: list[str] = self._page.evaluate("(at) => window.records[at]", self._place)
        return shown

    def until(self, holds: Callable[[str], bool], what: str) -> None:
        """Let the page live until it has shown such a text, now or before."""
        until(self._page, lambda: any(map(holds, self.all())), f"{self._selector}: {what}")

    def until_said(self, words: str) -> None:
        self.until(lambda shown: words in shown, words)
