"""The page of `examples/` as its first lines say to open it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.servers import clean_env

from .serving import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "chat.html"
START_S = 20.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, folder = free_port(), tmp_path_factory.mktemp("chat")
    argv = [sys.executable, "-m", "uvicorn", "examples.chat_app:app", "--port", str(port)]
    env = clean_env(UNSPOOL_DATA_DIR=str(folder / "data"))
    with (folder / "log").open("wb") as log:
        serving = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=log, stderr=log)
    url, end = f"http://127.0.0.1:{port}", time.monotonic() + START_S
    try:
        while not is_ready(url):
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.05)
        yield url
    finally:
        serving.terminate()
        serving.wait(10)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(15_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{url}/chat")
    yield page
    context.close()
    assert not faults, faults


def newest(url: str) -> dict[str, Any]:
    (run, *_) = httpx.get(f"{url}/v1/runs", trust_env=False).json()["runs"]
    return dict(httpx.get(f"{url}/v1/runs/{run['id']}", trust_env=False).json())


def ask(page: Page, prompt: str) -> None:
    page.fill("input", prompt)
    page.click("[name=ask]")
    page.wait_for_function("() => document.querySelector('main').lastChild.textContent.length > 9")


def answers(page: Page) -> list[str]:
    return [each.text_content() or "" for each in page.query_selector_all(".assistant")]


IS_OVER = "() => document.forms[0].elements.stop.disabled"


def test_the_page_of_forty_lines_streams_and_survives_a_refresh(page: Page, url: str) -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 40
    assert f"{EXAMPLE.stem}_app:app" in EXAMPLE.read_text()
    ask(page, "请介绍运动鞋的特点")
    assert page.is_enabled("[name=stop]"), "it is shown while it is written"
    page.reload()
    page.wait_for_function("() => document.querySelector('.assistant')?.textContent.length > 9")
    page.wait_for_function(IS_OVER)
    first = newest(url)
    assert (first["status"], answers(page)) == ("completed", [first["text"]])
    ask(page, "再短一点")
    page.wait_for_function(IS_OVER)
    second = newest(url)
    assert second["id"] != first["id"]
    page.reload()
    page.wait_for_function("() => document.querySelectorAll('.assistant').length === 2")
    page.wait_for_function(IS_OVER)
    assert answers(page) == [first["text"], second["text"]]
    (started, *_) = httpx.get(
        f"{url}/v1/runs/{second['id']}/export", params={"format": "jsonl"}, trust_env=False
    ).text.splitlines()
    assert first["text"][:20] in started, "the model is told what was said before"


def test_stop_stops_the_run_at_the_server(page: Page, url: str) -> None:
    ask(page, "请介绍运动鞋的特点")
    page.click("[name=stop]")
    page.wait_for_function(IS_OVER)
    run = newest(url)
    assert run["status"] == "cancelled"
    assert answers(page) == [run["text"]]


def test_stop_in_its_first_moment_stops_the_run_that_has_no_id_yet(page: Page, url: str) -> None:
    page.evaluate(
        """() => {
            const { stop } = document.forms[0].elements
            new MutationObserver(() => {
                if (stop.disabled || window.hasStopped) return
                window.hasStopped = true
                stop.click()
            }).observe(stop, { attributes: true })
        }"""
    )
    page.fill("input", "请介绍运动鞋的特点")
    page.click("[name=ask]")
    page.wait_for_function("() => window.hasStopped")
    page.wait_for_function(IS_OVER)
    assert newest(url)["status"] == "cancelled"
