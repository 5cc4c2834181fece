"""What only the journal in PostgreSQL can do wrong: several processes, and a database that goes."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import asyncpg
import pytest

from support.harness.cluster import free_port
from support.harness.proxy import Cable
from support.journals import DONE, SPEC, text, words, written
from support.patience import within
from support.postgres import shared_server
from support.readers import until
from unspool import Draft, Event, open_journal
from unspool.errors import SetupError, StaleEpoch
from unspool.journals.live.live_run import PAGE_BYTES
from unspool.journals.postgresql import PostgreSQLJournal
from unspool.journals.postgresql_database.connections import SETTINGS

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
NOTIFICATION = b"A"
"""The type of a message that NOTIFY sends."""

Opening = Callable[[], Awaitable[PostgreSQLJournal]]


@pytest.fixture
def url() -> str:
    return shared_server().new_database()


@pytest.fixture
async def opening(url: str) -> AsyncIterator[Opening]:
    opened: list[PostgreSQLJournal] = []

    async def open_one() -> PostgreSQLJournal:
        journal = await open_journal(url)
        assert isinstance(journal, PostgreSQLJournal)
        opened.append(journal)
        return journal

    yield open_one
    for journal in reversed(opened):
        await journal.aclose()


async def test_a_run_that_is_wanted_twice_is_followed_once(opening: Opening) -> None:
    writing, looking = await opening(), await opening()
    pen = await written(writing, 2, ending=None)
    reading = asyncio.create_task(looking.read(pen.run_id, after=0))
    # The request of the reader is under way while others ask for the run.
    while not reading.done():
        await asyncio.sleep(0)
        looking._following.want(pen.run_id)
    heard: list[Event] = []
    assert looking.listen(pen.run_id, after=3, heard=heard.extend) is not None
    await until(lambda: not looking._following._opening)
    pen.append(text())
    await pen.commit()
    await until(lambda: bool(heard))
    assert [event.seq for event in heard] == [4]


async def buried(journal: PostgreSQLJournal, other: PostgreSQLJournal) -> int:
    """Let another process take a journal for dead and take its runs."""
    old = journal._writer.id
    assert await other.adopt(20) is not None
    for run_id in await journal._reading.unended_of(old):
        await other.claim(run_id)
    await other._membership.bury(old)
    return old


async def test_a_process_that_wakes_is_a_new_writer_and_forgets_its_runs(opening: Opening) -> None:
    frozen, other = await opening(), await opening()
    pen = await written(frozen, 2, ending=None)
    calls: list[object] = []
    assert frozen.listen(pen.run_id, after=3, heard=calls.append) is not None
    old = await buried(frozen, other)
    await until(lambda: frozen._writer.id != old)  # by a beat: it has nothing to commit
    assert calls == [()]
    assert pen.run_id not in frozen._live
    with pytest.raises(StaleEpoch):
        pen.append(text("of the old epoch"))
    again = await written(frozen)
    assert await words(other, again.run_id) == ["0 ", "1 ", "2 "]
    assert await words(frozen, pen.run_id) == ["0 ", "1 "]


async def test_a_new_writer_keeps_its_first_segments(opening: Opening) -> None:
    frozen, other = await opening(), await opening()
    membership = frozen._membership
    await written(frozen)
    await buried(frozen, other)
    await until(lambda: membership._locked == frozen._writer.id)
    # As after five seconds; the old writer had more segments than the new one has.
    membership._kept = [(0.0, writer, 1000 + n) for _, writer, n in membership._kept]
    pen = await written(frozen, 2, ending=None)
    frozen._live[pen.run_id].first_segment = None  # its commit is not published yet
    await membership._link.run(membership._delete_old)
    assert await words(other, pen.run_id) == ["0 ", "1 "]


async def test_a_process_learns_from_a_life_sign_that_a_run_was_claimed(opening: Opening) -> None:
    first, second = await opening(), await opening()
    pen = await written(first, 2, ending=None)
    kept = await written(first, 1, ending=None)
    new = await second.claim(pen.run_id)
    await until(lambda: pen.run_id not in first._live)
    assert kept.run_id in first._live
    new.append(text("elsewhere"))
    await new.end(DONE)
    assert await words(first, pen.run_id) == ["0 ", "1 ", "elsewhere"]


async def test_a_claim_whose_answer_was_lost_is_found_again(
    opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await opening(), await opening()
    pen = await written(first, 2, ending=None)
    from unspool.journals.postgresql_database import adopting

    async def lost(*args: object) -> object:
        await take(*args)  # type: ignore[arg-type]
        raise ConnectionResetError

    take = adopting.take
    with monkeypatch.context() as patch:
        patch.setattr(adopting, "take", lost)
        with suppress(Exception):
            await second.claim(pen.run_id)
    assert pen.run_id not in second._live
    (new,) = await second.adopt(20)
    assert new.run_id == pen.run_id
    await new.end(DONE)


@pytest.mark.parametrize("is_left", [False, True], ids=["ended", "released"])
async def test_an_end_that_comes_while_a_page_is_written_is_written_after_it(
    opening: Opening, is_left: bool
) -> None:
    journal, other = await opening(), await opening()
    pen = await journal.create(SPEC)
    pen.append(text("x" * PAGE_BYTES))
    await pen.commit()
    async with journal._writer.lock:
        pen.append(text("paged"))
        await until(lambda: journal._group_commit._writing is not None)
        released = Draft("run.released", {"epoch": 1})
        end = asyncio.create_task(pen.release(released) if is_left else pen.end(DONE))
        await until(lambda: journal._live[pen.run_id].ending is not None)
        between = asyncio.create_task(journal._writer.lock.acquire())
        await asyncio.sleep(0)
    await between  # after the commit of the page, and before that of the end
    place = await other._reading.place(pen.run_id)
    journal._writer.lock.release()
    assert place is not None
    assert place[1:] == (journal._writer.id, False)
    await end
    place = await other._reading.place(pen.run_id)
    assert place is not None
    assert place[1:] == ((0, False) if is_left else (journal._writer.id, True))


async def test_a_run_whose_request_was_cancelled_is_adopted(
    opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await opening()
    async with journal._writer.lock:
        creating = asyncio.create_task(journal.create(SPEC))
        await until(lambda: journal._group_commit._writing is not None)
        creating.cancel()
        await asyncio.wait([creating])
    await journal._group_commit.idle()
    assert len(await journal.unended()) == 1
    journal._adopting._checked_at = 0.0
    (pen,) = await journal.adopt(20)
    await pen.end(DONE)


async def test_what_was_done_in_a_section_is_done_though_its_connection_was_lost(
    opening: Opening, url: str
) -> None:
    journal = await opening()
    done = []
    async with journal.exclusive("messages 1"):
        db = await asyncpg.connect(url)
        ended = await db.fetch(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where state = 'idle in transaction' and datname = current_database()"
        )
        await db.close()
        done.append("first")
    async with journal.exclusive("messages 1"):
        done.append("second")
    assert [row[0] for row in ended] == [True]
    assert done == ["first", "second"]


async def test_an_older_program_reads_a_newer_journal_as_long_as_that_allows_it(
    url: str, opening: Opening
) -> None:
    await written(await opening())
    server = shared_server()
    server.query("update journal.format set version = version + 1", url)
    assert len(await (await opening()).heads()) == 1
    server.query("update journal.format set readable_from = version", url)
    with pytest.raises(SetupError, match="newer unspool"):
        await opening()


async def test_a_line_without_messages_is_refused_at_the_start(url: str) -> None:
    server = shared_server()
    async with Cable(server.port, drops=NOTIFICATION) as pooler:
        with pytest.raises(SetupError, match="pooler in transaction mode"):
            # The first answer, whether there is TLS, would be no message.
            await open_journal(url.replace(str(server.port), str(pooler.port)) + "?sslmode=disable")


@pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")
@pytest.mark.parametrize("ignored", ["", f"ignore_startup_parameters = {','.join(SETTINGS)}\n"])
async def test_a_pooler_in_transaction_mode_is_refused_at_the_start(ignored: str, url: str) -> None:
    assert PGBOUNCER is not None
    server, port = shared_server(), free_port()
    config = server.folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port} user=unspool\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\npool_mode = transaction\n{ignored}"
    )
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    command = [*(user if os.geteuid() == 0 else []), PGBOUNCER, "-q", str(config)]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        pooled = url.replace(str(server.port), str(port))
        async with within(15):
            while True:
                with pytest.raises(SetupError) as refused:
                    await open_journal(pooled)
                if "does not answer" not in str(refused.value):
                    break
                await asyncio.sleep(0.1)
        assert "pooler" in str(refused.value)
    finally:
        process.kill()
        await process.wait()
