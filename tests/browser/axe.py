"""Asks axe what is wrong with a page, in both languages and both themes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

AXE = Path(__file__).parents[2] / "console" / "node_modules" / "axe-core" / "axe.min.js"
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
}
SERIOUS = {"serious", "critical"}


def violations(page: Page, toggles: Locator) -> list[Any]:
    """Return what is serious; `toggles` are the buttons for language and theme."""
    found: list[Any] = []
    for _language in range(2):
        for _theme in range(2):
            found += serious(page)
            toggles.nth(1).click()
        toggles.nth(0).click()
    return found


def serious(page: Page) -> list[Any]:
    """Return what is serious in a page as it is."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci in console/")
    # By the debugger, which the page's policy does not bind.
    page.evaluate(AXE.read_text())
    told = page.evaluate("(rules) => axe.run(document, rules)", RULES)
    return [
        (each["id"], node["target"], node["failureSummary"])
        for each in told["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]
