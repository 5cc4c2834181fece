"""
How quick the pages are, in figures: `make bench-browser`. Nothing here can fail.

First paint and weight of the first page, the longest frame while 200 events a second come into a
run's page, the chat and the list of runs, and how long a run of 20,000 events takes to be there.
"""

from __future__ import annotations

import gzip
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from .conftest import FLAGS, SIZE, chromium
from .serving import Program
from .stage import Stage, model

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WATCH_FRAMES = """() => {
    window.frames = [];
    let before = performance.now();
    const look = (now) => {
        window.frames.push(now - before);
        before = now;
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
    window.longTasks = [];
    const watch = (list) => window.longTasks.push(...list.getEntries().map((e) => e.duration));
    new PerformanceObserver(watch).observe({ type: 'longtask' });
}"""

EVENTS = 20_000
PER_S = 200
SECONDS = 10


def tell(name: str, value: str) -> None:
    sys.stdout.write(f"{name:58} {value}\n")


def opened(browser: Browser, url: str) -> Page:
    page = browser.new_context(base_url=url, viewport=SIZE, locale="zh-CN").new_page()
    page.set_default_timeout(60_000)
    return page


def first_page(browser: Browser, stage: Stage) -> None:
    page = opened(browser, stage.url)
    weights: list[tuple[int, int]] = []
    page.on(
        "response",
        lambda answer: (
            "/assets/" in answer.url
            and weights.append((len(answer.body()), len(gzip.compress(answer.body(), 9))))
        ),
    )
    paints: list[float] = []
    for _ in range(5):
        weights.clear()
        page.goto("/runs")
        page.wait_for_load_state("networkidle")
        told: Any = page.evaluate(
            "performance.getEntriesByName('first-contentful-paint').map((e) => e.startTime)"
        )
        paints += told
    whole, small = (sum(each[at] for each in weights) // 1024 for at in range(2))
    tell("first page: files, KiB, KiB gzipped", f"{len(weights)}, {whole}, {small}")
    tell("first contentful paint, median of five", f"{statistics.median(paints):.0f} ms")


WORDS = "## 第一节\n\n**粗体**、`代码`和[链接](https://example.com)。\n\n- 一\n- 二\n\n"

PAGES = {
    "a run's page": ("/runs/{run}", ".model-text > .blk"),
    "the chat": ("/pages/debug.html?run={run}", ".model-text"),
    "the list of runs": ("/runs", ".run-row a[href='/runs/{run}']"),
}


def quick_streams(browser: Browser, stage: Stage) -> None:
    step = [{"text": "字字"}, {"text": "，字"}, {"pause_s": 1.6 / PER_S}]
    section = [{"text": WORDS}, *step * 10]
    script = [{"repeat": PER_S * SECONDS // 20, "steps": section}, {"finish": "stop"}]
    stage.register(model("quick", script, limits={"repetition": False}))
    for name, (path, ready) in PAGES.items():
        quick_stream(browser, stage, name, path, ready)


def quick_stream(browser: Browser, stage: Stage, name: str, path: str, ready: str) -> None:
    page = opened(browser, stage.url)
    page.goto("/states")
    run = stage.ask("x", "quick")
    page.goto(path.format(run=run))
    page.locator(ready.format(run=run)).first.wait_for()
    page.evaluate(WATCH_FRAMES)
    began = time.monotonic()
    stage.wait(run)
    frames: list[float] = page.evaluate("window.frames")
    tasks: list[float] = page.evaluate("window.longTasks")
    took = time.monotonic() - began
    page.context.close()
    count = len(stage.events(run))
    tell(f"events a second into {name}", f"{count / took:.0f}")
    frames.sort()
    told = [frames[len(frames) // 2], frames[int(len(frames) * 0.99)], frames[-1]]
    tell("frames in ms: median, 99 of a hundred, longest", ", ".join(f"{it:.0f}" for it in told))
    worst = max(tasks, default=0)
    tell("long tasks (over 50 ms): number, longest", f"{len(tasks)}, {worst:.0f} ms")


def long_run(browser: Browser, stage: Stage, name: str, end: str) -> None:
    """A text of 80,000 characters, in one event after the other."""
    paragraph = [*[{"text": "字字字 "}] * 99, {"text": "字字。" + end}]
    script = [{"repeat": EVENTS // 100, "steps": paragraph}, {"finish": "stop"}]
    stage.register(model(name, script, limits={"repetition": False}))
    run = stage.wait(stage.ask("x", name))["id"]
    times = []
    for _ in range(3):
        page = opened(browser, stage.url)
        page.goto("/states")
        page.wait_for_load_state("networkidle")
        began = time.monotonic()
        page.goto(f"/runs/{run}")
        page.locator("[data-state].completed").wait_for()
        times.append(time.monotonic() - began)
        count = page.locator("[data-events]").inner_text()
        page.context.close()
    median_ms = statistics.median(times) * 1000
    tell(f"a run of {count} events is there, {name.replace('-', ' ')}", f"{median_ms:.0f} ms")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        program = Program(Path(folder) / "data")
        program.start()
        stage = Stage(program.url)
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            first_page(browser, stage)
            quick_streams(browser, stage)
            long_run(browser, stage, "in-paragraphs", "\n\n")
            long_run(browser, stage, "in-one-paragraph", "")
        finally:
            browser.close()
            stage.close()
            program.stop()


if __name__ == "__main__":
    main()
