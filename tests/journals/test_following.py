"""Runs that another process writes, read where no ring and no look brings news in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from support.harness.connection import Connection
from support.journals import DONE, new_store, text, written
from support.patience import within
from support.readers import until
from unspool import Event, Journal, Settings, open_journal
from unspool.journals.postgresql import PostgreSQLJournal
from unspool.journals.postgresql_database import following, membership
from unspool.viewing.cursor import Cursor
from unspool.viewing.event_stream import WRITE
from unspool.viewing.tape_stream import TapeStream
from unspool.viewing.viewers import Viewing

pytestmark = pytest.mark.timeout(60)  # the first one starts PostgreSQL


@pytest.fixture
async def journals(tmp_path: Path) -> AsyncIterator[list[PostgreSQLJournal]]:
    """Two of one database."""
    async with AsyncExitStack() as opened:
        url, found = new_store("postgresql", tmp_path), []
        for _ in range(2):
            journal = await open_journal(url)
            opened.push_async_callback(journal.aclose)
            assert isinstance(journal, PostgreSQLJournal)
            found.append(journal)
        yield found


@pytest.fixture
def no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "FOLLOWED_S", -1.0)
    monkeypatch.setattr(following, "POLL_S", 3600.0)


async def whole(journal: Journal, run_id: str) -> list[Event]:
    return list(await journal.read(run_id, after=0))


async def test_who_knows_the_head_of_a_run_can_read_up_to_it(
    no_news: None, journals: list[PostgreSQLJournal]
) -> None:
    writes, reads = journals
    pen = await written(writes, 1, ending=None)
    assert len(await whole(reads, pen.run_id)) == 2
    await _at_rest(reads)
    pen.append(text())
    await pen.commit()
    assert len(await whole(reads, pen.run_id)) == 2  # nobody has told it
    assert (await reads.head(pen.run_id)).seq == 3
    assert len(await whole(reads, pen.run_id)) == 3
    await pen.end(DONE)
    assert (await reads.head(pen.run_id)).ended_ms is not None
    assert (await whole(reads, pen.run_id))[-1].is_terminal


async def test_a_viewer_cut_at_one_server_goes_on_at_another_that_lags(
    no_news: None, journals: list[PostgreSQLJournal], tmp_path: Path
) -> None:
    writes, reads = journals
    pen = await written(writes, 1, ending=None)
    await whole(reads, pen.run_id)
    await _at_rest(reads)
    pen.append(text())
    await pen.commit()
    tapes = _viewing(reads, tmp_path).tapes
    assert (await tapes.rest_of_event(pen.run_id, "native", 3, 0)).startswith(b"id: 3\n")
    await pen.end(DONE)
    assert await tapes.has_more(pen.run_id, "native", 3)
    assert not await tapes.has_more(pen.run_id, "native", 4)


async def test_a_run_that_is_wanted_twice_keeps_its_listeners(
    journals: list[PostgreSQLJournal],
) -> None:
    writes, reads = journals
    pen = await written(writes, 1, ending=None)
    first = reads._following.want(pen.run_id)
    await until(lambda: pen.run_id not in reads._following._opening)
    second = reads._following.want(pen.run_id)
    await first
    heard: list[Event] = []
    assert reads.listen(pen.run_id, after=2, heard=heard.extend) is not None
    await second
    pen.append(text())
    await pen.commit()
    await until(lambda: bool(heard), pause_s=0.01)
    assert [event.seq for event in heard] == [3]


async def test_viewers_who_come_at_once_from_other_places_each_get_their_rest(
    journals: list[PostgreSQLJournal], tmp_path: Path
) -> None:
    writes, reads = journals
    pen = await written(writes, 20)
    viewing = _viewing(reads, tmp_path)
    places = [15, 5, 10, 1, 20, 7]

    async def rest(after: int) -> bytes:
        there = Connection(None, 0.0, lambda: True)
        stream = TapeStream(viewing, pen.run_id, "native", Cursor(after))
        scope = {
            "type": "http",
            "extensions": {WRITE: {"write": there.write, "push": there.push}},
        }
        await stream.play(scope, there.receive, there.send)
        return bytes(there.got)

    async with within(10):
        rests = await asyncio.gather(*(rest(place) for place in places))
    assert [each.count(b"id: ") for each in rests] == [22 - place for place in places]
    viewing.close()


async def _at_rest(journal: PostgreSQLJournal) -> None:
    """Return when it has looked for news for the last time."""
    await until(lambda: not journal._following._news.is_set())
    async with journal._following._link._lock:
        pass


def _viewing(journal: Journal, path: Path) -> Viewing:
    return Viewing(journal, Settings(_env_file=None, data_dir=path))  # type: ignore[call-arg]
