"""A run of thirty-six attempts and twenty thousand events: its page stays a page."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from unspool.journals import open_journal, sqlite_url
from unspool.runs.events import Draft
from unspool.runs.run import RunSpec

from .conftest import Open
from .reading import until, until_count, until_state
from .serving import Program

ATTEMPTS = 36
PIECES = 550
"""Of each attempt; some 20,000 events in all."""

SAID = "今天推荐这双云感慢跑鞋，脚踝和膝盖都没有平时那种酸胀。"
CUT = "the provider's stream stopped, and this is all that it said. " * 4 + "Really all"


def drafts() -> Iterator[Draft]:
    """Three posts at the same time, each broken off and gone on with eleven times."""
    steps = [f"post-{number}" for number in (1, 2, 3)]
    for step in steps:
        yield Draft("step.started", {"step": step})
    for number in range(1, ATTEMPTS + 1, len(steps)):
        for more, step in enumerate(steps):
            strategy = "first" if number == 1 else "prefill"
            facts = {"model": "cut", "provider": "openai", "strategy": strategy}
            yield Draft("attempt.started", {"step": step, "number": number + more, **facts})
        for at in range(PIECES):
            for step in steps:
                text = SAID[at % len(SAID)]
                yield Draft("text.delta", {"step": step, "text": text})
        for more, step in enumerate(steps):
            failed = {"code": "truncated", "message": CUT, "wrote": True, "usage": None}
            yield Draft("attempt.failed", {"step": step, "number": number + more, **failed})


async def write(folder: Path) -> tuple[str, int]:
    """Write the run through the journal, as a server does; return its id and last event."""
    journal = await open_journal(sqlite_url(folder / "journal.db"))
    pen = await journal.create(RunSpec("copywriting", {"sku": "8WZ01CM1", "style": "natural"}))
    batch: list[Draft] = []
    for draft in drafts():
        batch.append(draft)
        if len(batch) == 500:
            pen.append(*batch)
            await pen.commit()
            batch = []
    pen.append(*batch)
    ending = {"code": "truncated", "message": CUT}
    await pen.end(Draft("run.incomplete", ending))
    head = await journal.head(pen.run_id)
    await journal.aclose()
    return pen.run_id, head.seq


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, int]:
    folder = tmp_path_factory.mktemp("long") / "data"
    folder.mkdir()
    run, last = asyncio.run(write(folder))
    return folder, run, last


@pytest.fixture(scope="module")
def program(written: tuple[Path, str, int]) -> Iterator[Program]:
    program = Program(written[0])
    program.start()
    yield program
    program.stop()


def test_its_lists_scroll_and_its_events_never_lose_their_place(
    written: tuple[Path, str, int], open_page: Open
) -> None:
    _, run, last = written
    assert last > 19_800
    page = open_page(f"/runs/{run}")
    until_state(page, "incomplete")
    assert page.locator("[data-events]").inner_text() == f"{last:,}"

    # Posts that are written at the same time are a row each, for every attempt.
    stretches = page.locator(".ev", has_text="text.delta")
    assert stretches.first.inner_text().count(f"×{PIECES}") == 1
    page.get_by_role("button", name="逐条").click()
    rows = page.locator(".ev")
    events = page.locator(".events .box")
    for size in ({"width": 1360, "height": 700}, {"width": 1360, "height": 860}):
        page.set_viewport_size(size)
        assert (events.bounding_box() or {})["height"] >= 200
    assert 10 < rows.count() < 120
    events.evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    until(page, lambda: rows.last.inner_text().startswith("1\n"), "the first event")
    assert rows.count() < 120
    assert (events.bounding_box() or {})["height"] >= 200

    page.locator("[data-tab=attempts]").click()
    box = page.locator("[data-attempts]")
    until_count(box.locator("[data-attempt]"), ATTEMPTS)
    assert box.evaluate("(box) => box.scrollHeight > box.clientHeight")
    box.locator(f"[data-attempt='{ATTEMPTS}'] button").click()
    assert page.locator("[data-one-attempt] [data-said]").inner_text() == CUT
    until_count(page.locator("[data-one-attempt]").get_by_text("续写前缀"), 1)


def test_an_event_is_read_whole_and_its_text_stands_below_the_list(
    written: tuple[Path, str, int], open_page: Open
) -> None:
    _, run, last = written
    page = open_page(f"/runs/{run}")
    until_state(page, "incomplete")
    page.locator(".ev.brk", has_text="attempt.failed").first.click()
    detail = page.locator("[data-event]")
    assert detail.locator("[data-said]").inner_text() == CUT
    assert '"wrote": true' in detail.locator("[data-json]").inner_text()
    assert (page.locator(".events .box").bounding_box() or {})["height"] >= 200
    detail.get_by_role("button", name="上一个事件").click()
    until(page, lambda: f"seq {last - 2}" in page.locator("[data-place]").inner_text(), "earlier")
    detail.get_by_role("button", name="关闭").click()
    until(page, lambda: f"seq {last} /" in page.locator("[data-place]").inner_text(), "the end")

    page.locator(".ev", has_text="text.delta").first.click()
    text = detail.locator("[data-row-text]").inner_text()
    assert text == (SAID * 30)[:PIECES]


def test_notes_in_the_margin_do_not_cover_each_other(
    written: tuple[Path, str, int], open_page: Open
) -> None:
    page = open_page(f"/runs/{written[1]}")
    until_state(page, "incomplete")
    notes = page.locator("[data-step='post-1'] .note")
    until_count(notes, ATTEMPTS // 3 - 1)
    assert notes.first.get_by_text("已见文字一字未改").is_hidden()
    notes.first.locator("summary").click()
    notes.first.get_by_text("已见文字一字未改").wait_for()
    boxes = notes.evaluate_all(
        """(notes) => notes.map((note) => {
            const { top, bottom } = note.getBoundingClientRect();
            return [top, bottom];
        })"""
    )
    assert all(above[1] <= below[0] for above, below in itertools.pairwise(boxes))
