"""
Take a picture of every page, in both languages: `make screenshots`.

The server is one of its own, with the models and runs of `scene.py`; the pictures are made
smaller by Pillow (256 colours are enough) and put into docs/screenshots.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy
from PIL import Image
from playwright.sync_api import sync_playwright

from . import scene
from .conftest import FLAGS, SIZE, chromium
from .serving import Program
from .stage import LETTER, Stage, broken, model, whole

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
COLOURS = 256
SELDOM = 64
LANGUAGES = {"zh": "zh-CN", "en": "en-US"}

Act = Callable[["Page"], None]


def settle(page: Page, wait_s: float = 0.7) -> None:
    page.wait_for_load_state("domcontentloaded")
    page.wait_for_timeout(wait_s * 1000)


PAIRS = (
    ("deepseek-v3", "qwen-turbo"),
    ("deepseek-r1", "qwen-max"),
    ("glm-4-flash", "kimi-latest"),
    ("doubao-lite", "hunyuan-lite"),
)


def live_run(stage: Stage, number: int, chars: int) -> str:
    """A run that has come so far, behind a seam, when its picture is taken."""
    down = [{"pause_s": 0.4}, {"fail": "refused", "code": "overloaded", "message": "overloaded"}]
    first, second = PAIRS[number]
    prices = {"prompt": 1, "completion": 2, "currency": "CNY"}
    breaking = {"attempts": [broken(LETTER, 92, 30), down]}
    stage.register(
        model(first, breaking, prices=prices), model(second, whole(LETTER, 19), prices=prices)
    )
    stage.route(f"live-{number}", first, second)
    run = stage.ask(scene.ASKED, f"live-{number}")
    stage.until(run, lambda told: len(told["text"]) > chars)
    return run


def story(stage: Stage) -> int:
    http = httpx.Client(base_url=stage.url, trust_env=False, timeout=60)
    topic = "守塔人老周在岛上住了三十一年。灯塔要改成自动的了，他在抽屉底下找到一封没有寄出去的信。"
    asked = {"name": "灯塔来信", "original_topic": topic}
    number = int(http.post("/api/v1/projects/", json=asked).json()["id"])
    drafts = [("rewrite", "offline"), ("rewrite", "story-default"), ("storyboard", "offline")]
    for kind, name in drafts:
        http.post(f"/api/v1/projects/{number}/{kind}-stream/", json={"model": name})
    return number


def extraction(stage: Stage) -> tuple[str, str]:
    """Events of some people, and a graph of them: the runs of one person and of the graph."""
    http = httpx.Client(base_url=stage.url, trust_env=False, timeout=120)
    for number in (1, 2, 3, 4, 7, 9):
        path = f"/api/v1/events/extract/user_{number:04}/llm-stream"
        http.post(path, json={"model": "offline", "force": True})
    kept = http.get("/api/people/user_0007/events").json()
    answer = http.post("/api/v1/causal-graph/generate/llm-stream", json={"model": "offline"})
    return str(kept["run"]), str(answer.headers.get("x-run-id", ""))


def experiment(stage: Stage) -> None:
    """Two sides of sales copy, and what became of a few of their posts."""
    http = httpx.Client(base_url=stage.url, trust_env=False, timeout=60)
    arms = [{"name": "model"}, {"name": "template", "writer": "template"}]
    http.post("/api/experiments", json={"name": "model-or-template", "arms": arms})
    for number in range(24):
        run = stage.start(
            "copywriting",
            {"sku": "8WZ01CM1", "user_id": f"user_{number:04}", "count": 1},
            "qwen-plus",
        )
        stage.wait(run)
        stage_arm = stage.run(run)["text"]
        is_adopted = number % 5 < (3 if len(stage_arm) > 100 else 2)
        http.post(f"/v1/runs/{run}/outcome", json={"is_adopted": is_adopted, "step": "post-1"})
    http.patch("/api/experiments/model-or-template", json={"is_active": False})


class Camera:
    def __init__(self, browser: Browser, stage: Stage) -> None:
        self._browser = browser
        self._stage = stage

    def take(
        self,
        name: str,
        path: str,
        *,
        dark: bool = False,
        narrow: bool = False,
        act: Act = settle,
        languages: tuple[str, ...] = ("zh", "en"),
    ) -> None:
        size = {"width": 390, "height": 828} if narrow else SIZE
        for language in languages:
            context = self._browser.new_context(
                base_url=self._stage.url,
                locale=LANGUAGES[language],
                color_scheme="dark" if dark else "light",
                viewport=size,
                reduced_motion="reduce",
            )
            page = context.new_page()
            page.goto(path)
            act(page)
            file = FOLDER / f"{name}-{language}.png"
            page.screenshot(path=file)
            context.close()
            shrink(file)
            sys.stdout.write(f"{file.name}: {file.stat().st_size // 1024} KiB\n")


def shrink(file: Path) -> None:
    """To a palette: the colours that fill the page as they are, and some for all that is seldom."""
    with Image.open(file) as picture:
        plain = picture.convert("RGB")
    seldom = plain.quantize(SELDOM, method=Image.Quantize.MAXCOVERAGE).getpalette() or []
    pixels = numpy.asarray(plain).reshape(-1, 3)
    colours, places, counts = numpy.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    often = colours[numpy.argsort(-counts)[: COLOURS - SELDOM]]
    rest = numpy.array(seldom[: 3 * SELDOM], dtype=numpy.uint8).reshape(-1, 3)
    palette = numpy.concatenate([often, rest]).astype(numpy.int32)
    far = numpy.array([((palette - each) ** 2).sum(axis=1).argmin() for each in colours])
    small = Image.fromarray(
        far[places.reshape(-1)].astype(numpy.uint8).reshape(plain.height, plain.width), "P"
    )
    small.putpalette(palette.astype(numpy.uint8).tobytes())
    small.save(file, optimize=True)


def take_all(camera: Camera, stage: Stage, runs: dict[str, str]) -> None:
    camera.take("first-visit", "/runs?first=1")
    camera.take("run-dark", f"/runs/{runs['seam']}", dark=True)
    camera.take("run-narrow", f"/runs/{runs['seam']}", narrow=True)
    camera.take("debug", f"/pages/debug.html?run={runs['advice']},{runs['advice-2']}")
    camera.take("copy", f"/copy?run={runs['copy']}&sku=8WZ01CM1")
    camera.take("flows", "/flows?flow=copywriting")
    camera.take("models", "/models?model=qwen-plus")
    camera.take("usage", "/usage?days=7")
    camera.take("states", "/states")


def take_live(camera: Camera, stage: Stage) -> None:
    """Last, as their models and routes would stand in the other pictures."""
    for number, language in enumerate(LANGUAGES):
        run = live_run(stage, number, 150)
        camera.take("run", f"/runs/{run}", languages=(language,))
        stage.cancel(run)
        other = live_run(stage, number + 2, 100)
        camera.take("runs", "/runs", languages=(language,))
        stage.cancel(other)


@contextmanager
def dressed() -> Iterator[tuple[Browser, Stage]]:
    """A browser, and a server with the models and the experiment of the pictures."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        program = Program(Path(folder) / "data")
        program.start()
        stage = Stage(program.url)
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            scene.register(stage)
            experiment(stage)
            yield browser, stage
        finally:
            browser.close()
            stage.close()
            program.stop()


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with dressed() as (browser, stage):
        runs = scene.play(stage)
        camera = Camera(browser, stage)
        take_all(camera, stage, runs)
        camera.take("story", f"/story/{story(stage)}")
        person, graph = extraction(stage)
        camera.take("extraction", f"/extraction?run={person}")
        camera.take("graph", f"/graph?run={graph}")
        take_live(camera, stage)


if __name__ == "__main__":
    main()
