"""The contract of every journal towards listeners: each event once, in order, after its commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from support.journals import DONE, SPEC, Open, appended, text, words, written
from unspool import Event, Journal
from unspool.errors import StaleEpoch


def heard_by(journal: Journal, run_id: str, after: int) -> list[list[int]]:
    """Listen; return the list that the numbers of the events of each call go to."""
    calls: list[list[int]] = []
    stop = journal.listen(
        run_id, after=after, heard=lambda events: calls.append([event.seq for event in events])
    )
    assert stop is not None
    return calls


async def test_a_listener_hears_each_commit_once_and_the_ending_last(store: Journal) -> None:
    pen, other = await store.create(SPEC), await store.create(SPEC)
    events: list[Event] = []
    assert store.listen(pen.run_id, after=1, heard=events.extend) is not None
    calls, others = heard_by(store, pen.run_id, 1), heard_by(store, other.run_id, 1)
    pen.append(text("a"), text("b"))
    pen.append_text("s", "c")
    other.append(text("x"))
    await pen.commit()
    pen.append_text("s", "d")
    late = heard_by(store, pen.run_id, 4)
    await pen.end(DONE)
    assert [seq for call in calls for seq in call] == list(range(2, 7))
    assert calls[0] == [2, 3, 4], "what was accepted together is heard together"
    assert [seq for call in late for seq in call] == [5, 6]
    assert others == [[2]]
    assert events == list(await store.read(pen.run_id, after=1))


async def test_a_listener_can_begin_only_at_the_last_event_of_a_run_that_goes_on(
    opening: Open,
) -> None:
    journal = await opening(commit_window_s=0.05)
    pen = await written(journal, 1, ending=None)
    pen.append(text("accepted, not committed"))
    for after in (0, 1, 3):
        assert journal.listen(pen.run_id, after=after, heard=print) is None
    calls = heard_by(journal, pen.run_id, 2)
    await pen.end(DONE)
    assert calls == [[3, 4]]
    assert journal.listen(pen.run_id, after=4, heard=print) is None
    assert journal.listen("nobody", after=0, heard=print) is None
    await journal.aclose()


async def test_a_listener_hears_nothing_after_it_has_stopped(store: Journal) -> None:
    pen = await store.create(SPEC)
    calls: list[str] = []
    stops: list[Callable[[], None]] = []

    def listen(name: str, *, stops_all: bool = False) -> None:
        def heard(events: object) -> None:
            calls.append(name)
            for stop in stops if stops_all else []:
                stop()

        stop = store.listen(pen.run_id, after=1, heard=heard)
        assert stop is not None
        stops.append(stop)

    listen("first")
    listen("second", stops_all=True)
    listen("third")
    stops[0]()
    for number in range(3):
        pen.append(text(str(number)))
        await pen.commit()
    assert calls == ["second"]


async def test_a_listener_that_fails_harms_neither_the_run_nor_others(
    store: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    pen, other = await store.create(SPEC), await store.create(SPEC)

    def fail(events: object) -> None:
        raise ValueError("this listener is broken")

    assert store.listen(pen.run_id, after=1, heard=fail) is not None
    calls, others = heard_by(store, pen.run_id, 1), heard_by(store, other.run_id, 1)
    for _ in range(2):
        pen.append(text())
        other.append(text())
        await asyncio.gather(pen.commit(), other.commit())
    assert calls == others == [[2], [3]]
    assert caplog.text.count("is detached") == 1
    await pen.end(DONE)


async def test_a_listener_is_sent_away_when_the_run_has_another_owner(opening: Open) -> None:
    first, second = await opening(), await opening()
    old = await written(first, 2, ending=None)
    calls = heard_by(first, old.run_id, 3)
    old.append(text("nobody will see this"))
    new = await first.claim(old.run_id)
    assert calls == [[]], "a call without events: read again"
    calls = heard_by(first, old.run_id, 3)
    new.append_text("s", "seen")
    await new.commit()
    assert calls == [[4]]
    foreign = await second.claim(old.run_id)
    foreign.append(text("elsewhere"))
    await foreign.commit()
    with pytest.raises(StaleEpoch):  # at once, if the news of the other pen is quicker
        await appended(new, text("stale"))
    assert calls == [[4], []]
    assert first.listen(old.run_id, after=5, heard=print) is None, "another process writes it"
    await foreign.end(DONE)
    assert await words(first, old.run_id) == ["0 ", "1 ", "seen", "elsewhere"]


async def test_a_run_that_another_process_wrote_meanwhile_is_claimed_with_its_new_events(
    opening: Open,
) -> None:
    first, second = await opening(), await opening()
    old = await written(first, 2, ending=None)
    other = await second.claim(old.run_id)
    other.append(text("other "))
    await other.commit()
    again = await first.claim(old.run_id)
    calls = heard_by(first, old.run_id, 4)
    again.append(text("again"))
    await again.end(DONE)
    assert calls[0][0] == 5
    assert await words(first, old.run_id) == ["0 ", "1 ", "other ", "again"]


async def test_a_listener_is_sent_away_when_the_journal_closes(opening: Open) -> None:
    journal = await opening(commit_window_s=0.05)
    pen = await written(journal, 1, ending=None)
    calls = heard_by(journal, pen.run_id, 2)
    pen.append(text("last"))
    await journal.aclose()
    assert calls == [[3], []]
    assert journal.listen(pen.run_id, after=3, heard=print) is None


async def test_events_that_are_taken_back_before_their_commit_are_not_heard(store: Journal) -> None:
    pen = await store.create(SPEC)
    calls = heard_by(store, pen.run_id, 1)
    pen.append(text("good"))
    with pytest.raises(UnicodeEncodeError):
        pen.append(text("half a call"), text("half a pair: \ud800"))
    with pytest.raises(UnicodeEncodeError):
        pen.append_text("s", "half a pair: \ud800")
    pen.append_text("s", "after")
    await pen.commit()
    assert calls == [[2, 3]]
    assert await words(store, pen.run_id) == ["good", "after"]


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
async def test_listeners_miss_nothing_while_many_write_at_once(
    opening: Open, synchronous: str
) -> None:
    journal = await opening(synchronous=synchronous)
    heard: dict[str, list[int]] = {}

    async def write() -> None:
        pen = await journal.create(SPEC)
        calls = heard_by(journal, pen.run_id, 1)
        for number in range(60):
            pen.append_text("s", f"{number} ")
            if number % 3 == 0:
                await asyncio.sleep(0)
            if number % 7 == 0:
                await pen.commit()
        await pen.end(DONE)
        heard[pen.run_id] = [seq for call in calls for seq in call]

    await asyncio.gather(*(write() for _ in range(10)))
    assert list(heard.values()) == [list(range(2, 63))] * 10
