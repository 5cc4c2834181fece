"""A live run waits for people while a question of its log is open, and every journal tells so."""

from __future__ import annotations

import pytest

from support.journals import DONE, SPEC, Open, appended, text, words, written
from unspool import Draft, Journal
from unspool.errors import StaleEpoch
from unspool.journals.live.live_run import PAGE_BYTES


def asked(step: str = "q") -> Draft:
    return Draft("question.asked", {"step": step, "text": "Which?", "until_ms": 1})


def answered(step: str = "q") -> Draft:
    return Draft("question.answered", {"step": step, "outcome": "answered", "value": "this"})


async def status(journal: Journal, run_id: str) -> str:
    """Return the status of a live run; every question to the journal has the same answer."""
    found = (await journal.head(run_id)).status
    for name in ("running", "waiting"):
        heads = await journal.heads(status=name)
        assert {head.run_id for head in heads if head.run_id == run_id} == (
            {run_id} if name == found else set()
        )
        assert {head.status for head in heads} <= {name}
    assert run_id in {head.run_id for head in await journal.heads(is_live=True)}
    return found


async def test_a_run_waits_from_its_first_question_to_its_last_answer(store: Journal) -> None:
    pen, other = await store.create(SPEC), await written(store, 1, ending=None)
    assert await status(store, pen.run_id) == "running"
    for draft, expected in (
        (asked("a"), "waiting"),
        (asked("b"), "waiting"),
        (answered("a"), "waiting"),
        (text("meanwhile"), "waiting"),
        (answered("b"), "running"),
        (asked("c"), "waiting"),
    ):
        await appended(pen, draft)
        assert await status(store, pen.run_id) == expected
        assert await store.unended() == {pen.run_id: expected, other.run_id: "running"}
    pen.append(answered("c"), asked("d"), answered("d"))
    await pen.commit()
    assert await status(store, pen.run_id) == "running"


async def test_a_run_that_ends_waits_no_more(store: Journal) -> None:
    pen = await store.create(SPEC)
    await appended(pen, asked())
    await pen.end(Draft("run.cancelled"))
    assert (await store.head(pen.run_id)).status == "cancelled"
    assert await store.heads(status="waiting") == await store.heads(is_live=True) == []
    assert await store.unended() == {}


async def test_a_run_that_begins_with_an_open_question_waits(store: Journal) -> None:
    pen = await store.create(SPEC, history=[asked("a"), answered("a"), asked("b")])
    assert await status(store, pen.run_id) == "waiting"
    await appended(pen, answered("b"))
    assert await status(store, pen.run_id) == "running"


async def test_a_question_that_is_not_written_lets_no_run_wait(store: Journal) -> None:
    pen = await written(store, 1, ending=None)
    with pytest.raises(UnicodeEncodeError):
        pen.append(asked(), text("half a pair: \ud800"))
    await appended(pen, text())
    assert await status(store, pen.run_id) == "running"
    await appended(pen, asked())
    with pytest.raises(UnicodeEncodeError):
        pen.append(answered(), text("half a pair: \ud800"))
    await appended(pen, text())
    assert await status(store, pen.run_id) == "waiting"
    await appended(pen, answered())
    assert await status(store, pen.run_id) == "running"


@pytest.mark.parametrize("size", [0, PAGE_BYTES], ids=["short", "in pages"])
async def test_the_next_owner_knows_which_questions_are_open(opening: Open, size: int) -> None:
    first, second = await opening(), await opening()
    old = await first.create(SPEC)
    old.append(asked("a"), asked("b"), answered("a"), text('"question.asked"'))
    for _ in range(3):
        await appended(old, text("x" * (size // 2)))
    assert await status(second, old.run_id) == "waiting"
    await appended(old, asked("c"))
    new = await second.claim(old.run_id)
    assert await status(second, old.run_id) == "waiting"
    with pytest.raises(StaleEpoch):
        await appended(old, answered("b"))
    for journal in (first, second):
        assert await status(journal, old.run_id) == "waiting"
    await appended(new, answered("c"))
    assert await status(second, old.run_id) == "waiting"
    await appended(new, answered("b"))
    for journal in (first, second):
        assert await status(journal, old.run_id) == "running"
    await new.end(DONE)
    assert "".join(await words(first, old.run_id)) == '"question.asked"' + "x" * (size // 2 * 3)


async def test_a_long_run_waits_from_the_commit_that_moves_it_to_pages(opening: Open) -> None:
    journal, other = await opening(), await opening()
    pen = await journal.create(SPEC)
    for draft, expected in ((asked(), "waiting"), (answered(), "running")):
        await appended(pen, text("x" * PAGE_BYTES))
        await appended(pen, draft)
        for each in (journal, other):
            assert await status(each, pen.run_id) == expected


async def test_a_run_waits_while_it_has_no_owner(opening: Open) -> None:
    first = await opening()
    pen = await first.create(SPEC)
    await appended(pen, asked())
    await pen.release(Draft("run.released", {"epoch": 1}))
    await first.aclose()
    second = await opening()
    assert await status(second, pen.run_id) == "waiting"
    assert await second.unended() == {pen.run_id: "waiting"}
    (adopted,) = await second.adopt(1)
    await appended(adopted, Draft("run.recovered", {"epoch": adopted.epoch, "reason": "stopped"}))
    assert await status(second, pen.run_id) == "waiting"
    await appended(adopted, answered())
    assert await status(second, pen.run_id) == "running"
