"""
Take a picture of every page in both languages, both themes and two widths: `make every-page`.

The pictures go into build/pages, to be looked at; nothing keeps them. A page that is wider than its
window, or writes an error to the browser's console, is listed at the end. `make every-page
ONLY="runs run dark phone"` takes some of them: names of pages, and of what they may look like.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import scene
from .screens import LANGUAGES, dressed, extraction, settle, story

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from playwright.sync_api import Browser, Page, ViewportSize

    from .stage import Stage

FOLDER = Path(__file__).parents[2] / "build" / "pages"
WIDTHS: dict[str, ViewportSize] = {
    "desk": {"width": 1360, "height": 850},
    "phone": {"width": 390, "height": 844},
}
THEMES = ("light", "dark")

Look = tuple[str, str, str]
"""Language, theme, width."""


SLOW = {"extraction", "graph", "graph-patterns", "graph-dropoff", "story"}
"""Pages whose runs take long; they are made only for these."""


def addresses(stage: Stage, only: Collection[str]) -> dict[str, str]:
    """The pages asked for, or every page, by the name of its picture."""
    runs = scene.play(stage)
    is_slow = not only or bool(SLOW & set(only))
    person, graph = extraction(stage) if is_slow else ("", "")
    board = story(stage) if is_slow else 0
    batch = stage.start("batch", {"flow": "copywriting", "items": BATCH})
    stage.wait(batch)
    pages = {
        "guide": "/guide",
        "chat": f"/pages/debug.html?run={runs['advice']},{runs['advice-2']}",
        "copy": f"/copy?run={runs['copy']}&sku=8WZ01CM1",
        "experiments": "/experiments",
        "extraction": f"/extraction?run={person}",
        "graph": f"/graph?run={graph}",
        "graph-patterns": f"/graph?run={graph}&show=patterns",
        "graph-dropoff": f"/graph?run={graph}&show=dropOff",
        "stories": "/story",
        "story": f"/story/{board}?stage=storyboard",
        "flows": "/flows?flow=copywriting",
        "runs": "/runs",
        "run": f"/runs/{runs['seam']}",
        "run-batch": f"/runs/{batch}",
        "run-view": f"/view/{runs['seam']}",
        "run-unknown": "/runs/01m0000000000000000000000",
        "cases": "/cases",
        "models": "/models?model=qwen-plus",
        "models-add": "/models?add=1",
        "prompts": "/prompts?preset=1",
        "tools": "/tools?tool=1",
        "data-products": "/data/products",
        "data-behaviors": "/data/behaviors",
        "data-people": "/data/people",
        "data-person": "/data/people?id=user_0007",
        "data-import": "/data/import",
        "usage": "/usage?days=7",
        "settings": "/settings",
        "states": "/states",
        "first": "/runs?first=1",
    }
    return {name: path for name, path in pages.items() if not only or name in only}


BATCH = [
    {"sku": "8WZ01CM1", "style": style, "count": 1} for style in ("natural", "professional")
] * 3


def wrong_with(page: Page) -> str:
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return f"{wide} px wider than the window" if wide > 0 else ""


def take(browser: Browser, stage: Stage, pages: dict[str, str], look: Look) -> Iterator[str]:
    """Take all pages in one look; yield what is wrong with one."""
    language, theme, width = look
    context = browser.new_context(
        base_url=stage.url,
        locale=LANGUAGES[language],
        color_scheme="dark" if theme == "dark" else "light",
        viewport=WIDTHS[width],
        reduced_motion="reduce",
    )
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    for name, path in pages.items():
        said.clear()
        page.goto(path)
        settle(page)
        file = FOLDER / f"{name}-{language}-{theme}-{width}.png"
        page.screenshot(path=file)
        if found := "; ".join([*said, *filter(None, [wrong_with(page)])]):
            yield f"{file.name}: {found}"
    context.close()


def looks(words: Collection[str]) -> list[Look]:
    """All looks; or those with the words given, where a word names a language, theme or width."""
    kinds = (tuple(LANGUAGES), THEMES, tuple(WIDTHS))
    return list(itertools.product(*([it for it in kind if it in words] or kind for kind in kinds)))


def main(words: Collection[str]) -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    only = set(words) - {*LANGUAGES, *THEMES, *WIDTHS}
    with dressed() as (browser, stage):
        pages = addresses(stage, only)
        troubles = [each for look in looks(words) for each in take(browser, stage, pages, look)]
    sys.stdout.write("\n".join([f"{FOLDER.name}: {len(pages)} pages", *troubles, ""]))
    return bool(troubles)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
