"""The journal in a SQLite file: what is in the file, and what is told of a file that is wrong."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from support.journals import DONE, SPEC, opened, text, words
from unspool import Draft
from unspool.errors import JournalError, SetupError
from unspool.journals import sqlite_url
from unspool.journals.live import live_run as parts
from unspool.journals.sqlite_file import store as _store


def asked(path: Path, sql: str) -> list[tuple[object, ...]]:
    """What another program finds in the file."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


async def test_what_is_seen_is_in_the_file_and_what_is_not_is_not(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with opened(path, commit_window_s=0.1) as journal:
        pen = await journal.create(SPEC)
        pen.append(text("first"))
        await pen.commit()
        pen.append(text("second"))
        rows = asked(path, "select group_concat(cast(data as text), '') from segments")
        assert await words(journal, pen.run_id) == ["first"]
        assert "first" in str(rows)
        assert "second" not in str(rows)
        await pen.commit()
        rows = asked(path, "select group_concat(cast(data as text), '') from segments")
        assert await words(journal, pen.run_id) == ["first", "second"]
        assert "second" in str(rows)


async def test_a_copy_made_at_any_moment_holds_everything_that_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A copy of two files is of one moment only if nothing is moved between them meanwhile.
    monkeypatch.setattr(_store, "CHECKPOINT_S", 60)
    monkeypatch.setattr(parts, "PAGE_BYTES", 600)
    path = tmp_path / "journal.db"
    seen: list[dict[str, list[str]]] = []
    async with opened(path) as journal:
        pens = [await journal.create(SPEC) for _ in range(3)]
        for number in range(12):
            for pen in pens[number // 4 :]:
                pen.append(text(f"{number} " + "x" * 40))
            await asyncio.sleep(0.004 if number % 2 else 0)
            if number in (3, 7):
                await pens[number // 4].end(DONE)
            copy = tmp_path / f"copy-{number}"
            copy.mkdir()
            for name in ("journal.db", "journal.db-wal"):
                shutil.copy(tmp_path / name, copy)
            seen.append({pen.run_id: await words(journal, pen.run_id) for pen in pens})
    for number, before in enumerate(seen):
        async with opened(tmp_path / f"copy-{number}" / "journal.db") as again:
            assert {run_id: await words(again, run_id) for run_id in before} == before, number
            for run_id in await again.unended():
                await (await again.claim(run_id)).end(Draft("run.incomplete"))
            assert await again.unended() == {}


WRITER = """
import asyncio, sys
from unspool import Draft, RunSpec, open_journal, follow

async def main():
    journal = await open_journal(sys.argv[1])
    pen = await journal.create(RunSpec("chat", {}))
    async def write():
        number = 0
        while True:
            pen.append(Draft("text.delta", {"step": "s", "text": f"{number} " + "x" * 300}))
            number += 1
            await asyncio.sleep(0.0005)
    writing = asyncio.create_task(write())
    async for batch in follow(journal, pen.run_id):
        print(pen.run_id, batch[-1].seq, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [3, 60, 300])
async def test_a_killed_process_loses_nothing_that_anybody_saw(tmp_path: Path, lines: int) -> None:
    url = sqlite_url(tmp_path / "journal.db")
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, url, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    told = [await writer.stdout.readline() for _ in range(lines)]
    writer.kill()
    told += (await writer.stdout.read()).splitlines(keepends=True)
    await writer.wait()
    run_id, seq = [line.decode().split() for line in told if line.endswith(b"\n")][-1]
    async with opened(tmp_path / "journal.db") as journal:
        found = await words(journal, run_id)
        assert len(found) >= int(seq) - 1
        assert [word.split()[0] for word in found] == [str(n) for n in range(len(found))]
        await (await journal.claim(run_id)).end(Draft("run.incomplete"))
        assert (await journal.head(run_id)).status == "incomplete"


async def test_a_long_run_moves_to_pages_and_reads_the_same_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PAGE_BYTES", 1_000)
    path = tmp_path / "journal.db"
    expected = [f"{number} " + "x" * 50 for number in range(100)]
    async with opened(path) as journal:
        pen = await journal.create(SPEC)
        for word in expected:
            pen.append(text(word))
            await pen.commit()
        assert len(asked(path, "select 1 from pages")) > 3
        assert len(journal._live[pen.run_id].lines) < 30, "what is in a page is let go of"
        assert await words(journal, pen.run_id) == expected
        for after in range(101):
            for limit in (1, 13, 500):
                found = await journal.read(pen.run_id, after=after, limit=limit)
                places = [event.seq for event in found]
                assert places == list(range(after + 1, after + 1 + len(places)))
                assert 1 <= len(places) <= limit
    async with opened(path) as again:
        assert await words(again, pen.run_id) == expected
        pen = await again.claim(pen.run_id)
        pen.append(text("last"))
        await pen.end(DONE)
        assert await words(again, pen.run_id) == [*expected, "last"]
    async with opened(path) as again:
        assert await words(again, pen.run_id) == [*expected, "last"]


async def test_segments_of_ended_runs_are_deleted_and_those_of_others_are_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    async with opened(path) as journal:
        early = await journal.create(SPEC)
        for _ in range(50):
            early.append(text())
            await early.commit()
        late = await journal.create(SPEC)
        late.append(text("kept"))
        await late.commit()
        assert len(asked(path, "select 1 from segments")) > 50
        await early.end(DONE)
        late.append(text("too"))
        await late.commit()
        late.append(text("!"))
        await late.commit()
        assert len(asked(path, "select 1 from segments")) <= 5
    async with opened(path) as again:
        assert await words(again, early.run_id) == ["字"] * 50
        assert await words(again, late.run_id) == ["kept", "too", "!"]


TORN = "cast(replace(cast(data as text), 'kept', 'torn') as blob)"


async def refusal(path: Path) -> str:
    """What a person is told who starts the program with this file: one sentence or two."""
    with pytest.raises(SetupError) as refused:
        async with opened(path):
            pass
    message = str(refused.value)
    assert str(path) in message
    assert "Traceback" not in message
    return message


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with opened(path) as journal:
        await journal.create(SPEC)
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version=99")
    assert "newer unspool" in await refusal(path)
    assert len(asked(path, "select 1 from runs")) == 1


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be one " * 100, b"x" * 200]
)
async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    await refusal(path)
    assert path.read_bytes() == content


async def test_a_place_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "--data-dir" in await refusal(tmp_path / "file" / "journal.db")
    (tmp_path / "folder.db").mkdir()
    await refusal(tmp_path / "folder.db")


async def test_a_damaged_page_is_told_and_the_runs_beside_it_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with opened(path) as journal:
        hurt, well = await journal.create(SPEC), await journal.create(SPEC)
        for pen in (hurt, well):
            pen.append(text("kept"))
            await pen.end(DONE)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"update pages set data = {TORN} where run = 1")
    async with opened(path) as journal:
        with pytest.raises(JournalError, match="damaged"):
            await journal.read(hurt.run_id, after=0)
        assert await words(journal, well.run_id) == ["kept"]
        assert len(await journal.heads()) == 2


async def test_a_damaged_segment_is_told_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with opened(path) as journal:
        pen = await journal.create(SPEC)
        pen.append(text("kept"))
        await pen.commit()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"update segments set data = {TORN}")
    assert "damaged" in await refusal(path)
