"""One browser and one server for each file of tests; a fresh profile for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from unspool.server.console import BUILT

from .held import Held
from .serving import Program, first_key, running
from .stage import LETTER, Stage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PLACES = (os.environ.get("CHROMIUM_PATH", ""), "/usr/bin/chromium")
SIZE = {"width": 1360, "height": 860}

numbers = itertools.count()
"""For names of models that are made for one test."""

PATIENCE_MS = 8000
"""Longest wait for what a page is to show."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(60))


def chromium() -> str | None:
    """Where the browser is; None is Playwright's own."""
    return next((place for place in PLACES if place and Path(place).is_file()), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not (BUILT / "index.html").is_file():
        pytest.skip("BROWSER TESTS DO NOT RUN: the console is not built; run make console")
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        pytest.skip("BROWSER TESTS DO NOT RUN: playwright is not installed; make test-browser")
    with sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        except Error as error:
            pytest.skip(f"BROWSER TESTS DO NOT RUN: no Chromium; set CHROMIUM_PATH ({error})"[:300])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served") / "data"


@pytest.fixture(scope="module")
def admin(data_dir: Path) -> str:
    """The first key of a server that wants keys."""
    return first_key(data_dir)


@pytest.fixture(scope="module")
def program(data_dir: Path) -> Iterator[Program]:
    with running(data_dir) as program:
        yield program


@pytest.fixture(scope="module")
def stage(program: Program) -> Iterator[Stage]:
    stage = Stage(program.url)
    yield stage
    stage.close()


@pytest.fixture
def letter(stage: Stage) -> Iterator[Held]:
    """A model that writes `LETTER`, the first sixty characters of it at once."""
    with Held(f"held-{next(numbers)}", LETTER, let=60) as held:
        stage.register(held.model)
        yield held


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: Browser, program: Program) -> Iterator[Open]:
    """Open pages, each with a profile of its own; what goes wrong in one fails the test."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_page(path: str, *, language: str = "zh-CN", dark: bool = False, **more: Any) -> Page:
        scheme = "dark" if dark else "light"
        facts = {"viewport": SIZE, "reduced_motion": "reduce", **more}
        context = browser.new_context(
            base_url=program.url, locale=language, color_scheme=scheme, **facts
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults, faults
