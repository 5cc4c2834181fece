"""The journal in a SQLite file when the disk is full, the file held, or every commit synced."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from support.journals import DONE, SPEC, fill, full_disk, opened, text, words
from support.patience import within
from support.readers import until
from unspool import Draft
from unspool.errors import JournalError, JournalFull, StaleEpoch
from unspool.journals.live import group_commit as _group_commit


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """The file as long as another program writes in it."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as db:
        db.execute("begin immediate")
        yield
        db.execute("rollback")


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
async def test_a_full_disk_stops_writers_and_not_readers_and_the_ending_lands_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synchronous: str
) -> None:
    monkeypatch.setattr(_group_commit, "FAILED_RETRY_S", 0.05)
    path = tmp_path / "journal.db"
    async with opened(path, synchronous=synchronous) as journal:
        ended = await journal.create(SPEC)
        ended.append(text("kept"))
        await ended.end(DONE)
        pen = await journal.create(SPEC)
        with full_disk(journal, path):
            with pytest.raises(JournalFull):
                await fill(pen)
            with pytest.raises(JournalFull):
                pen.append(text("more"))
            with pytest.raises(JournalFull):
                await journal.create(SPEC)
            seen = await words(journal, pen.run_id)
            assert await words(journal, ended.run_id) == ["kept"]
            assert len(await journal.heads()) == 2
            # A small ending fits where text did not; this one has to wait for space.
            large = Draft("run.incomplete", {"message": "x" * 50_000})
            ending = asyncio.create_task(pen.end(large))
            await asyncio.sleep(0.15)
            assert not ending.done()
        async with within(2):
            await ending
        assert await words(journal, pen.run_id) == seen
        assert (await journal.head(pen.run_id)).status == "incomplete"
        after = await journal.create(SPEC)
        after.append(text("again"))
        await after.end(DONE)
    async with opened(path) as again:
        assert await words(again, pen.run_id) == seen
        assert await words(again, after.run_id) == ["again"]
        assert await again.unended() == {}


async def test_a_journal_whose_disk_is_full_can_be_closed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with opened(path) as journal:
        pen = await journal.create(SPEC)
        full = full_disk(journal, path)
        full.__enter__()  # and it stays so until the journal is closed
        with pytest.raises(JournalFull):
            await fill(pen)
        large = Draft("run.incomplete", {"message": "x" * 50_000})
        ending = asyncio.create_task(pen.end(large))
        await asyncio.sleep(0)
    async with within(1):
        await ending
    async with opened(path) as again:
        assert set(await words(again, pen.run_id)) <= {"x" * 2_000}


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
async def test_a_file_that_another_program_holds_for_a_moment_fails_nothing(
    tmp_path: Path, synchronous: str
) -> None:
    path = tmp_path / "journal.db"
    async with opened(path, synchronous=synchronous) as journal:
        pen, ending = [await journal.create(SPEC) for _ in range(2)]
        with locked(path):
            pen.append(text("patience"))
            ending.append(text("patience"))
            work = [
                asyncio.create_task(pen.commit()),
                asyncio.create_task(ending.end(DONE)),
                asyncio.create_task(journal.create(SPEC)),
            ]
            await asyncio.sleep(0.3)
            assert not any(task.done() for task in work)
            assert await words(journal, pen.run_id) == []
        async with within(2):
            *_, new = await asyncio.gather(*work)
        assert await words(journal, pen.run_id) == ["patience"]
        assert (await journal.head(ending.run_id)).status == "completed"
        await pen.end(DONE)
        await new.end(DONE)


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
async def test_a_claim_waits_for_a_file_that_another_program_holds_for_a_moment(
    tmp_path: Path, synchronous: str
) -> None:
    path = tmp_path / "journal.db"
    async with opened(path, synchronous=synchronous) as journal:
        old = await journal.create(SPEC)
        with locked(path):
            claiming = asyncio.create_task(journal.claim(old.run_id))
            await asyncio.sleep(0.1)
        async with within(2):
            await (await claiming).end(DONE)
        assert (await journal.head(old.run_id)).status == "completed"


async def test_a_file_that_is_held_while_it_is_opened_is_waited_for(tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    with closing(sqlite3.connect(new, isolation_level=None, check_same_thread=False)) as db:
        db.execute("begin exclusive")
        # Opening is not asynchronous: it holds up the loop, so a thread lets go of the file.
        releasing = threading.Timer(0.3, db.execute, ["rollback"])
        releasing.start()
        async with opened(new) as journal:
            await journal.create(SPEC)
        releasing.join()


async def test_with_every_commit_on_the_disk_everything_is_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db", synchronous="FULL") as journal:
        (level,) = journal._store._db.execute("pragma synchronous").fetchone()
        assert level == 2

        async def write(count: int) -> str:
            pen = await journal.create(SPEC)
            for number in range(count):
                pen.append(text(str(number)))
                await asyncio.sleep(0)
            await pen.end(DONE)
            return pen.run_id

        counts = range(0, 60, 7)
        ids = await asyncio.gather(*map(write, counts))
        for run_id, count in zip(ids, counts, strict=True):
            assert await words(journal, run_id) == [str(number) for number in range(count)]


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
async def test_a_run_claimed_in_the_middle_of_a_commit_has_one_owner(
    tmp_path: Path, synchronous: str
) -> None:
    async with opened(tmp_path / "journal.db", synchronous=synchronous) as journal:
        for _ in range(20):
            old = await journal.create(SPEC)
            old.append(text("old"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            new = await journal.claim(old.run_id)
            with pytest.raises(StaleEpoch):
                old.append(text("stale"))
            new.append(text("new"))
            await new.end(DONE)
            assert await words(journal, old.run_id) in (["old", "new"], ["new"])


async def test_an_ending_that_comes_while_a_commit_is_tried_again_leaves_the_log_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_group_commit, "FAILED_RETRY_S", 0.01)
    for number in range(5):
        path = tmp_path / f"journal-{number}.db"
        async with opened(path, synchronous="FULL") as journal:
            pen = await journal.create(SPEC)
            with full_disk(journal, path):
                pen.append(text("x" * 50_000))
                with pytest.raises(JournalFull):
                    await pen.commit()
            # There is space again. The ending comes just when what waited is being written.
            await until(lambda: journal._group_commit._writing is not None)
            await pen.end(Draft("run.incomplete"))
            assert await words(journal, pen.run_id) in ([], ["x" * 50_000])
            assert (await journal.head(pen.run_id)).status == "incomplete"


async def test_a_claim_that_failed_leaves_the_journal_usable(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with opened(path) as journal:
        pen = await journal.create(SPEC)
        pen.append(text())
        await pen.commit()
        db = journal._store._db
        # The claim has begun its transaction when the file will not be changed.
        update, deny = sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DENY
        db.set_authorizer(lambda action, *_: deny if action == update else sqlite3.SQLITE_OK)
        with pytest.raises(JournalError):
            await journal.claim(pen.run_id)
        db.set_authorizer(None)
        new = await journal.claim(pen.run_id)
        new.append(text("too"))
        async with within(2):
            await new.end(DONE)
        assert await words(journal, pen.run_id) == ["字", "too"]
