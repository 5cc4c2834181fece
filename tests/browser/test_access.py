"""No serious violation of accessibility on any page, in both languages and both themes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import Open
from .stage import ADVICE, Stage, broken, model, whole

AXE = Path(__file__).parents[2] / "console" / "node_modules" / "axe-core" / "axe.min.js"
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
}
SERIOUS = {"serious", "critical"}

PAGES = (
    "/runs",
    "/runs?first=1",
    "/runs/{run}",
    "/pages/debug.html?run={run}&pair=1",
    "/copy",
    "/experiments",
    "/flows?flow=copywriting",
    "/models?model=whole",
    "/extraction",
    "/graph",
    "/graph?show=patterns",
    "/graph?show=dropOff",
    "/story",
    "/data",
    "/usage",
    "/states",
)


@pytest.fixture(scope="module")
def run(stage: Stage) -> str:
    down = [{"fail": "refused", "code": "overloaded", "message": "no"}]
    thought = [{"reasoning": "先想"}]
    stage.register(
        model("broken", {"attempts": [broken(ADVICE, 40, 500, silence_s=0), down]}),
        model("whole", whole(ADVICE, 500, first_s=0, before=thought)),
    )
    stage.route("best", "broken", "whole")
    return str(stage.wait(stage.ask("明天适合晨跑吗？", "best"))["id"])


@pytest.mark.parametrize("path", PAGES)
def test_no_serious_violation(path: str, run: str, open_page: Open) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci in console/")
    page = open_page(path.format(run=run))
    page.wait_for_load_state("networkidle")
    # By the debugger, which the page's policy does not bind.
    code = AXE.read_text()
    found: list[Any] = []
    page.evaluate(code)
    for _language in range(2):
        for _theme in range(2):
            told = page.evaluate("(rules) => axe.run(document, rules)", RULES)
            found += [
                (each["id"], node["target"], node["failureSummary"])
                for each in told["violations"]
                if each["impact"] in SERIOUS
                for node in each["nodes"]
            ]
            page.locator(".toggles button").nth(1).click()
        page.locator(".toggles button").nth(0).click()
    assert not found, found[:6]
