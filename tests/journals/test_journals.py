"""The contract of every journal, found by its name: what is seen is kept, in order, once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from support.journals import DONE, SPEC, Open, appended, text, written
from support.patience import within
from unspool import Draft, Event, Journal, RunSpec, follow
from unspool.errors import BadCursor, JournalError, JournalFull, StaleEpoch, UnknownRun
from unspool.journals import read_all


async def whole(journal: Journal, run_id: str) -> list[Event]:
    events: list[Event] = []
    while batch := await journal.read(run_id, after=len(events), limit=7):
        events += batch
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return events


async def words(journal: Journal, run_id: str) -> str:
    return "".join(e.data["text"] for e in await whole(journal, run_id) if e.type == "text.delta")


async def test_a_new_run_is_there_with_what_was_asked(store: Journal) -> None:
    pen = await store.create(SPEC)
    (started,) = await whole(store, pen.run_id)
    assert started.type == "run.started"
    assert started.data["input"] == {"prompt": "你好👟"}
    head = await store.head(pen.run_id)
    assert (head.flow, head.model, head.dialect) == ("chat", "m", "plain")
    assert (head.status, head.seq, head.ended_ms) == ("running", 1, None)
    assert head.digest == SPEC.digest


async def test_events_have_their_places_without_a_gap(store: Journal) -> None:
    pen = await written(store, 100)
    events = await whole(store, pen.run_id)
    assert len(events) == 102
    assert await words(store, pen.run_id) == "".join(f"{n} " for n in range(100))


async def test_places_have_no_gap_when_many_write_at_once(store: Journal) -> None:
    async def write() -> str:
        pen = await store.create(SPEC)
        for number in range(50):
            pen.append(text(f"{number} "), text(f"{number} "))
            if number % 7 == 0:
                await pen.commit()
            if number % 3 == 0:
                await asyncio.sleep(0)
        await pen.end(DONE)
        return pen.run_id

    expected = "".join(f"{n} {n} " for n in range(50))
    for run_id in await asyncio.gather(*(write() for _ in range(20))):
        assert await words(store, run_id) == expected


async def test_a_batch_is_short_only_at_the_head_of_the_log(store: Journal) -> None:
    # So long that a journal may have moved its beginning elsewhere while it goes on.
    pen = await store.create(SPEC)
    for _ in range(60):
        pen.append(*[text("长" * 3_000)] * 10)
        await pen.commit()
    for after in (0, 17, 590):
        found = await store.read(pen.run_id, after=after, limit=10_000)
        assert [event.seq for event in found] == list(range(after + 1, 602))
    batches = [batch async for batch in read_all(store, pen.run_id, after=1, upto=600)]
    assert [event.seq for batch in batches for event in batch] == list(range(2, 601))
    await pen.end(DONE)


async def test_reading_goes_on_from_any_place_and_stops_at_any_limit(store: Journal) -> None:
    pen = await written(store, 8, ending=None)
    events = await whole(store, pen.run_id)
    for _ in range(2):
        for after in range(len(events) + 2):
            for limit in (1, 3, 500):
                found = await store.read(pen.run_id, after=after, limit=limit)
                assert list(found) == events[after : after + limit]
        if len(events) == 9:
            await pen.end(DONE)
            events = await whole(store, pen.run_id)


async def test_text_comes_back_to_the_character(store: Journal) -> None:
    odd = [
        "",
        "\n",
        "\r\n",
        "\u2028",
        "\0",
        '"',
        "\\",
        "👩‍👩‍👧",
        "\x1b[31m",
        "a\nb\n",
        "data: x\n\n",
    ]
    pen = await store.create(SPEC)
    pen.append(*map(text, odd))
    await pen.commit()
    for is_ended in (False, True):
        if is_ended:
            await pen.end(DONE)
        found = await store.read(pen.run_id, after=1)
        assert [e.data["text"] for e in found if e.type == "text.delta"] == odd


async def test_what_cannot_be_written_is_refused_and_leaves_no_gap(store: Journal) -> None:
    pen = await store.create(SPEC)
    with pytest.raises(UnicodeEncodeError):
        pen.append(text("good"), text("half a pair: \ud800"))
    pen.append(text("after"))
    await pen.end(DONE)
    events = await whole(store, pen.run_id)
    assert [e.data["text"] for e in events if e.type == "text.delta"] == ["after"]


async def test_a_journal_knows_how_long_its_commits_take_and_how_many_failed(
    store: Journal,
) -> None:
    assert store.commits() == (0.0, 0)
    await written(store, 1)
    took_s, failures = store.commits()
    assert took_s > 0
    assert failures == 0


async def test_nobody_sees_an_event_before_its_commit(opening: Open) -> None:
    journal = await opening(commit_window_s=0.2)
    pen = await written(journal, 1, ending=None)
    pen.append(text("not yet"))
    assert len(await journal.read(pen.run_id, after=0)) == 2
    assert (await journal.head(pen.run_id)).seq == 2
    await pen.commit()
    assert len(await journal.read(pen.run_id, after=0)) == 3


async def test_a_waiting_reader_is_told_of_what_is_new(store: Journal) -> None:
    pen = await store.create(SPEC)
    waiting = asyncio.ensure_future(store.wait(pen.run_id, after=1, timeout_s=5))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    pen.append(text())
    await asyncio.wait_for(waiting, 1)
    assert len(await store.read(pen.run_id, after=1)) == 1


async def test_waiting_ends_by_itself_and_at_once_where_there_is_something(store: Journal) -> None:
    pen = await written(store, 1, ending=None)
    async with within(2):
        await store.wait(pen.run_id, after=1, timeout_s=5)
        await store.wait(pen.run_id, after=2, timeout_s=0.05)
        await pen.end(DONE)
        await store.wait(pen.run_id, after=99, timeout_s=0.05)


async def test_followers_from_any_place_get_every_event_once(store: Journal) -> None:
    pen = await store.create(SPEC)

    async def watch(after: int) -> list[int]:
        seen: list[int] = []
        async with aclosing(follow(store, pen.run_id, after=after)) as batches:
            async for batch in batches:
                seen += [event.seq for event in batch]
        return seen

    async with within(5):
        early = [asyncio.create_task(watch(after)) for after in (0, 0, 1)]
        for number in range(40):
            pen.append(text(str(number)))
            if number % 4 == 0:
                await asyncio.sleep(0.001)
        late = [asyncio.create_task(watch(after)) for after in (0, 1)]
        await pen.end(DONE)
        got = await asyncio.gather(*early, *late)
    full = list(range(1, 43))
    assert got == [full, full, full[1:], full, full[1:]]
    assert await watch(42) == []
    with pytest.raises(BadCursor):
        await watch(43)


async def test_an_ending_and_the_status_are_one(opening: Open) -> None:
    writing, looking = await opening(), await opening()
    pen = await written(writing, 2, ending=None)

    async def look() -> tuple[str, int]:
        head = await looking.head(pen.run_id)
        return head.status, len(await looking.read(pen.run_id, after=0))

    ending = asyncio.create_task(pen.end(Draft("run.failed", {"code": "c"})))
    seen = {await look()}
    while not ending.done():
        await asyncio.sleep(0)
        seen.add(await look())
    await ending
    seen.add(await look())
    # Between the two questions the run may end; a run that has ended has its ending.
    assert ("failed", False) not in {(status, count == 4) for status, count in seen}
    head = await looking.head(pen.run_id)
    assert (head.status, head.seq) == ("failed", 4)
    assert head.ended_ms is not None


async def test_nothing_comes_after_an_ending(store: Journal) -> None:
    pen = await written(store)
    with pytest.raises(StaleEpoch):
        pen.append(text("late"))
    with pytest.raises(StaleEpoch):
        await pen.end(Draft("run.failed"))
    with pytest.raises(UnknownRun):
        await store.claim(pen.run_id)
    assert [e.type for e in await whole(store, pen.run_id)][-1] == "run.completed"


async def test_two_endings_at_once_make_one(store: Journal) -> None:
    pen = await store.create(SPEC)
    ends = [pen.end(DONE), pen.end(Draft("run.cancelled"))]
    results = await asyncio.gather(*ends, return_exceptions=True)
    assert [type(r) for r in results] == [type(None), StaleEpoch]
    assert [e.type for e in await whole(store, pen.run_id)] == ["run.started", "run.completed"]


async def test_an_owner_who_was_replaced_can_write_nothing(store: Journal) -> None:
    old = await written(store, 2, ending=None)
    old.append(text("unseen"))
    new = await store.claim(old.run_id)
    assert new.epoch > old.epoch
    for attempt in (lambda: old.append(text("stale")), lambda: old.append(DONE)):
        with pytest.raises(StaleEpoch):
            attempt()
    with pytest.raises(StaleEpoch):
        await old.end(DONE)
    new.append(text("new"))
    await new.end(DONE)
    assert await words(store, old.run_id) == "0 1 new"


async def test_an_owner_who_was_replaced_from_another_process_can_write_nothing(
    opening: Open,
) -> None:
    first, second = await opening(), await opening()
    old = await written(first, 2, ending=None)
    other = await written(first, 1, ending=None)
    new = await second.claim(old.run_id)
    new.append(text("new"))
    await new.commit()
    with pytest.raises(StaleEpoch):  # at once, if the news of the other pen is quicker
        await appended(old, text("stale"))
    with pytest.raises(StaleEpoch):
        old.append(text("stale"))
    # A run beside it, in the same commit or the next, is not harmed.
    other.append(text("mine"))
    await other.end(DONE)
    await new.end(DONE)
    assert await words(second, old.run_id) == "0 1 new"
    assert await words(first, old.run_id) == "0 1 new"
    assert await words(second, other.run_id) == "0 mine"


async def test_a_stale_ending_is_refused_by_the_store_itself(opening: Open) -> None:
    first, second = await opening(), await opening()
    old = await written(first, 2, ending=None)
    new = await second.claim(old.run_id)
    async with within(2):
        await old.end(DONE)
    assert (await second.head(old.run_id)).status == "running"
    await new.end(Draft("run.cancelled"))
    assert (await first.head(old.run_id)).status == "cancelled"


async def test_unknown_runs_are_unknown_to_every_question(store: Journal) -> None:
    with pytest.raises(UnknownRun):
        await store.head("nobody")
    with pytest.raises(UnknownRun):
        await store.read("nobody", after=0)
    with pytest.raises(UnknownRun):
        await store.claim("nobody")


async def test_a_name_may_hold_any_character(store: Journal) -> None:
    with pytest.raises(UnknownRun):
        await store.head("a\0b")
    with pytest.raises(UnknownRun):
        await store.read("a\0b", after=0)
    assert await store.heads(flow="a\0b") == []
    pen = await store.create(RunSpec("chat", {"prompt": "a\0b"}, model="通义\0千问"))
    await pen.end(DONE)
    (started, _) = await store.read(pen.run_id, after=0)
    assert started.data["model"] == "通义\0千问"


async def test_runs_are_listed_newest_first_in_pages_and_by_what_they_are(store: Journal) -> None:
    pens = [await written(store, 0, ending=None) for _ in range(5)]
    await pens[1].end(DONE)
    await pens[3].end(Draft("run.failed"))
    ids = [pen.run_id for pen in pens]
    assert [h.run_id for h in await store.heads()] == ids[::-1]
    page = await store.heads(limit=2)
    assert [h.run_id for h in page] == [ids[4], ids[3]]
    assert [h.run_id for h in await store.heads(before=ids[3], limit=2)] == [ids[2], ids[1]]
    assert [h.run_id for h in await store.heads(status="failed")] == [ids[3]]
    assert await store.heads(flow="copywriting") == []
    assert [h.run_id for h in await store.heads(flow="chat", status="running")] == [
        ids[4],
        ids[2],
        ids[0],
    ]
    assert [h.run_id for h in await store.heads(is_live=True)] == [ids[4], ids[2], ids[0]]
    assert list(await store.unended()) == [ids[0], ids[2], ids[4]]


async def test_a_run_that_is_too_long_is_refused_and_can_still_end(opening: Open) -> None:
    journal = await opening(max_run_bytes=2_000)
    pen = await journal.create(SPEC)
    pen.append(text("x" * 2_000))
    with pytest.raises(JournalFull):
        pen.append(text("x"))
    await pen.end(Draft("run.incomplete", {"code": "journal_full"}))
    assert (await journal.head(pen.run_id)).status == "incomplete"


async def test_a_writer_who_is_ahead_is_asked_to_wait(store: Journal) -> None:
    pen = await store.create(SPEC)
    while not pen.is_behind:
        pen.append(text("x" * 10_000))
    await pen.commit()
    assert not pen.is_behind
    while not pen.append_text("s", "x" * 10_000):
        assert not pen.is_behind
    assert pen.is_behind
    await pen.commit()
    assert not pen.append_text("s", "x")


async def test_a_text_is_added_and_refused_like_any_event(opening: Open) -> None:
    journal = await opening(max_run_bytes=2_000)
    pen = await journal.create(SPEC)
    pen.append(text("字\n"))
    pen.append_text("s", "字\n")
    await pen.commit()
    _, first, second = await whole(journal, pen.run_id)
    assert (first.type, first.data) == (second.type, second.data)
    pen.append_text("s", "x" * 2_000)
    with pytest.raises(JournalFull):
        pen.append_text("s", "x")
    new = await journal.claim(pen.run_id)
    with pytest.raises(StaleEpoch):
        pen.append_text("s", "stale")
    await new.end(DONE)
    with pytest.raises(StaleEpoch):
        new.append_text("s", "late")


async def test_what_was_accepted_is_kept_when_the_journal_closes(opening: Open) -> None:
    journal = await opening(commit_window_s=0.05)
    pen = await written(journal, 2, ending=None)
    pen.append(text("last"))
    await journal.aclose()
    with pytest.raises(JournalError):
        pen.append(text("too late"))
    again = await opening()
    assert list(await again.unended()) == [pen.run_id]
    assert await words(again, pen.run_id) == "0 1 last"


async def test_a_clock_that_goes_back_changes_no_order(opening: Open) -> None:
    times = iter([1000.0, 999.0, 5.0, 2000.0] + [0.0] * 100)
    journal = await opening(clock=lambda: next(times))
    first = await written(journal, 2)
    second = await written(journal, 0)
    assert await words(journal, first.run_id) == "0 1 "
    assert [h.run_id for h in await journal.heads()] == [second.run_id, first.run_id]
