"""Runs and records move into a database and back, and stay what they were."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text as sql

from support.journals import DONE, SPEC, text, words, written
from support.postgres import shared_server
from unspool import Draft, Journal, RunSpec, open_journal
from unspool.core import owned
from unspool.core.backup import back_up
from unspool.core.moving import back_up_database, migrate
from unspool.errors import KeyTaken, RecordsError, SetupError, UnspoolError
from unspool.formats.tenancy import working_for
from unspool.journals import Claim, sqlite_url
from unspool.journals.postgresql_database.schema import LOCK
from unspool.records import Records
from unspool.records.keys import add_key, add_tenant
from unspool.records.moving import tables_of
from unspool.records.samples import seed_samples
from unspool.records.tenant_records import TenantRecords, prepare

pytestmark = pytest.mark.usefixtures("somewhere_else")

BIG = "春夏秋冬" * 2000


def silent(_done: int, _total: int) -> None:
    """Show no progress."""


async def filled(journal: Journal, model: str = "m") -> str:
    """Write runs of every kind; return the id of the live one."""
    first = await written(journal)
    keyed = await journal.create(SPEC, Claim("order 7", "asked"))
    await keyed.end(DONE)
    child = RunSpec("chat", {"prompt": "子"}, model=model, parent=first.run_id)
    await (await journal.create(child)).end(Draft("run.failed", {"code": "x"}))
    fork = RunSpec("chat", {"prompt": "叉"}, forked_from={"run": first.run_id, "step": "s"})
    await (await journal.create(fork)).end(DONE)
    long = await journal.create(SPEC)
    for _ in range(30):  # several pages
        long.append(text(BIG))
        await long.commit()
    await long.end(DONE)
    live = await journal.create(SPEC, Claim("live", "asked"))
    for _ in range(15):  # a page, and events after it
        live.append(text(BIG))
        await live.commit()
    live = await journal.claim(live.run_id)
    live.append(text("the end"))
    await live.commit()
    return live.run_id


async def fill_records(url: str | Path) -> None:
    records = await Records.open(url)
    await seed_samples(records)
    async with records.session() as session:
        for statement in (
            "insert into images values ('d1', 'image/png', :data, 5)",
            "insert into projects (name, original_topic, created_ms, updated_ms) "
            "values ('p', '题', 1, 2)",
            "insert into projects (name, original_topic, created_ms, updated_ms) "
            "values ('gone', '', 1, 2)",
            "delete from projects where name = 'gone'",
            "insert into stages select id, 'plan', 'done', 'r', 'm', 'in', null, "
            "'{\"code\": 1.50}', 3 from projects",
        ):
            values = {"data": bytes(range(256))} if ":data" in statement else {}
            await session.execute(sql(statement), values)
        await session.commit()
    await records.aclose()


async def of_tenant(place: str | Path, tenant: str, *products: str) -> None:
    """Give a tenant products of its own, and an image that nothing has used for long."""
    records = TenantRecords(await Records.open(place), place)
    with working_for(tenant):
        async with records.session() as session:
            image = {"id": f"d-{tenant}", "data": tenant.encode()}
            await session.execute(
                sql("insert into images values (:id, 'image/png', :data, 5)"), image
            )
            for name in products:
                row = "insert into projects (name, original_topic, created_ms, updated_ms) "
                await session.execute(sql(f"{row} values (:name, '', 1, 2)"), {"name": name})
            await session.commit()
    await records.aclose()


async def with_tenants(folder: Path) -> tuple[str, str]:
    """Fill a data directory of two tenants, and of one more that has no records yet."""
    await a_directory(folder)
    records = await Records.open(folder / "records.db")
    rows = [await add_tenant(records, name) for name in ("one", "two", "idle")]
    one, two, _ = [row.id for row in rows if row is not None]
    await add_key(records, one, "till", scopes=["runs:read"])
    await records.aclose()
    await of_tenant(folder / "records.db", one, "a", "b")
    await of_tenant(folder / "records.db", two, "c")
    journal = await open_journal(sqlite_url(folder / "journal.db"))
    for tenant in (one, two, two):
        spec = RunSpec("chat", {"prompt": "你好"}, tenant=tenant)
        await (await journal.create(spec)).end(DONE)
    await journal.aclose()
    return one, two


async def a_directory(folder: Path) -> str:
    """Fill a data directory; return the id of its live run."""
    journal = await open_journal(sqlite_url(folder / "journal.db"))
    run_id = await filled(journal, "a\0b")
    await journal.aclose()
    await fill_records(folder / "records.db")
    return run_id


async def logs(journal: Journal) -> dict[str, list[object]]:
    """Return every run with its facts and all of its events."""
    found: dict[str, list[object]] = {}
    for head in await journal.heads(limit=500):
        events = []
        while batch := await journal.read(head.run_id, after=len(events)):
            events += batch
        found[head.run_id] = [head, *events]
    return found


def rows(path: Path) -> dict[str, Sequence[object]]:
    with closing(sqlite3.connect(path)) as file:
        tables = tables_of(file)
        return {table.name: file.execute(table.select()).fetchall() for table in tables}


def runs(folder: Path) -> list[Sequence[object]]:
    query = "select * from runs left join pages on run = no order by no, first"
    with closing(sqlite3.connect(folder / "journal.db")) as file:
        return file.execute(query).fetchall()


async def test_a_data_directory_moves_into_a_database_and_goes_on_there(tmp_path: Path) -> None:
    live = await a_directory(tmp_path)
    journal = await open_journal(sqlite_url(tmp_path / "journal.db"))
    before = await logs(journal)
    await journal.aclose()
    url = shared_server().new_database()
    moved = await migrate(tmp_path, url, silent)
    assert (moved.runs, moved.unended) == (6, 1)
    journal = await open_journal(url)
    try:
        after = await logs(journal)
        assert list(after) == list(before)
        for run_id, (head, *events) in after.items():
            was, *were = before[run_id]
            assert events == were
            assert str(head).replace("\ufffd", "\\x00") == str(was), run_id
        with pytest.raises(KeyTaken):
            await journal.create(SPEC, Claim("order 7", "asked"))
        assert list(await journal.unended()) == [live]
        (pen,) = await journal.adopt(10)
        assert (pen.run_id, pen.epoch) == (live, 3)
        pen.append(text("more"))
        await pen.end(DONE)
        assert (await words(journal, live))[-2:] == ["the end", "more"]
        newest = await journal.create(SPEC)
        assert (await journal.heads(limit=1))[0].run_id == newest.run_id
        await newest.end(DONE)
    finally:
        await journal.aclose()


async def test_rows_move_whole_and_new_ones_get_new_ids(tmp_path: Path) -> None:
    await a_directory(tmp_path)
    url = shared_server().new_database()
    moved = await migrate(tmp_path, url, silent)
    assert moved.rows == sum(map(len, rows(tmp_path / "records.db").values())) > 100
    ids = shared_server().query(
        "insert into projects (name, original_topic, created_ms, updated_ms) "
        "values ('n', '', 1, 2) returning id; insert into behaviors "
        "select nextval('behaviors_id_seq'), user_id, sku, action, at, stay_s, properties, 'new' "
        "from behaviors limit 1 returning id",
        url,
    )
    assert ids.split() == ["3", str(len(rows(tmp_path / "records.db")["behaviors"]) + 1)]
    query = "select error->>'code', length(data), price from stages, images, products limit 1"
    assert shared_server().query(query, url).startswith("1.50|256|")


async def test_a_backup_of_a_busy_database_is_a_data_directory(tmp_path: Path) -> None:
    url = shared_server().new_database()
    journal = await open_journal(url)
    await filled(journal)
    pen = await journal.create(SPEC)
    pen.append(text("here"))
    await pen.commit()
    await fill_records(url)

    async def write_on() -> None:
        while True:
            pen.append(text("x"))
            await pen.commit()

    writing = asyncio.create_task(write_on())
    copied = await back_up_database(url, tmp_path / "copy", silent)
    writing.cancel()
    await asyncio.wait([writing])
    assert [file.name for file in copied] == ["journal.db", "records.db"]
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == [
        "journal.db",
        "records.db",
    ]
    copy = await open_journal(sqlite_url(tmp_path / "copy" / "journal.db"))
    original, copies = await logs(journal), await logs(copy)
    assert list(copies) == list(original)
    for run_id, (_, *events) in copies.items():
        assert events == original[run_id][1 : 1 + len(events)]
        assert len(events) == len(original[run_id]) - 1 or run_id == pen.run_id
    assert len(await copy.adopt(10)) == 2
    await copy.aclose()
    await pen.end(DONE)
    await journal.aclose()


async def test_a_restored_backup_is_the_database_that_it_was(tmp_path: Path) -> None:
    await a_directory(tmp_path / "data")
    database, restored = shared_server().new_database(), shared_server().new_database()
    await migrate(tmp_path / "data", database, silent)
    await back_up_database(database, tmp_path / "first", silent)
    await migrate(tmp_path / "first", restored, silent)
    await back_up_database(restored, tmp_path / "second", silent)
    assert rows(tmp_path / "first" / "records.db") == rows(tmp_path / "second" / "records.db")
    assert runs(tmp_path / "first") == runs(tmp_path / "second")
    assert rows(tmp_path / "data" / "records.db") == rows(tmp_path / "first" / "records.db")
    with closing(sqlite3.connect(tmp_path / "second" / "records.db")) as file:
        given = dict(file.execute("select * from sqlite_sequence"))
    assert given["projects"] == 2


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "tenants").iterdir())


async def test_runs_and_records_of_tenants_move_into_a_database_and_back(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    one, two = await with_tenants(data)
    url, restored = shared_server().new_database(), shared_server().new_database()
    moved = await migrate(data, url, silent)
    paths = [data / "records.db", *(data / "tenants" / f"{tenant}.db" for tenant in (one, two))]
    assert moved.rows == sum(len(table) for path in paths for table in rows(path).values())
    journal = await open_journal(url)
    counts = [len(await journal.heads(tenant=tenant)) for tenant in ("default", one, two)]
    await journal.aclose()
    assert counts == [6, 1, 2]
    names = "select string_agg(name, '' order by id) from tenant_{}.projects"
    assert [shared_server().query(names.format(t), url).strip() for t in (one, two)] == ["ab", "c"]
    copied = await back_up_database(url, copy, silent)
    assert [file.name for file in copied][2:] == [f"tenants/{t}.db" for t in sorted((one, two))]
    assert files(copy) == files(data)
    for path in paths:
        assert rows(copy / path.relative_to(data)) == rows(path)
    await migrate(copy, restored, silent)
    await back_up_database(restored, tmp_path / "second", silent)
    assert runs(tmp_path / "second") == runs(copy)
    assert rows(tmp_path / "second" / "tenants" / f"{two}.db") == rows(paths[2])


async def test_a_copy_of_a_data_directory_has_all_tenants(tmp_path: Path) -> None:
    data = tmp_path / "data"
    one, two = await with_tenants(data)
    copied = back_up(data, tmp_path / "copy")
    names = ["records.db", *(f"tenants/{tenant}.db" for tenant in sorted((one, two)))]
    assert [file.name for file in copied] == ["journal.db", *names]
    assert [rows(tmp_path / "copy" / name) for name in names] == [rows(data / n) for n in names]
    (data / "tenants" / f"{two}.db").write_bytes(b"not a database" * 500)
    with pytest.raises(SetupError, match="failed"):
        back_up(data, tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


async def test_a_row_of_a_tenant_that_comes_out_otherwise_stops_the_move(tmp_path: Path) -> None:
    one, two = await with_tenants(tmp_path)
    url = shared_server().new_database()
    await prepare(url, [one, two])
    change = "create function other() returns trigger as 'begin new.name = 1; return new; end' "
    on = f"on tenant_{two}.projects for each row execute function other()"
    shared_server().query(f"{change} language plpgsql; create trigger t before insert {on}", url)
    with pytest.raises(RecordsError, match="copy of the table projects differs"):
        await migrate(tmp_path, url, silent)
    left = f"select count(*) from journal.runs union all select count(*) from tenant_{one}.projects"
    assert set(shared_server().query(left, url).split()) == {"0"}
    shared_server().query(f"drop trigger t on tenant_{two}.projects", url)
    assert (await migrate(tmp_path, url, silent)).runs == 9


async def test_rows_of_a_tenant_are_not_overwritten(tmp_path: Path) -> None:
    one, _ = await with_tenants(tmp_path)
    url = shared_server().new_database()
    await of_tenant(url, one, "mine")
    with pytest.raises(SetupError, match="has images already"):
        await migrate(tmp_path, url, silent)


async def test_a_backup_has_tenants_that_nobody_has_opened_since_an_upgrade(tmp_path: Path) -> None:
    one, two = await with_tenants(tmp_path / "data")
    url = shared_server().new_database()
    await migrate(tmp_path / "data", url, silent)
    newest = "drop table {0}.messages, {0}.queues; alter table {0}.conversations drop changes; "
    older = newest + "update {0}.alembic_version set version_num = '0022'"
    shared_server().query(older.format(f"tenant_{two}"), url)
    await back_up_database(url, tmp_path / "copy", silent)
    for tenant in (one, two):
        name = f"tenants/{tenant}.db"
        assert rows(tmp_path / "copy" / name) == rows(tmp_path / "data" / name)


async def test_a_move_that_fails_leaves_nothing_and_may_begin_again(tmp_path: Path) -> None:
    await a_directory(tmp_path)
    url = shared_server().new_database()
    with closing(sqlite3.connect(tmp_path / "journal.db")) as file:
        newest = "rowid = (select max(rowid) from pages)"
        (crc,) = file.execute(f"select crc from pages where {newest}").fetchone()
        file.execute(f"update pages set crc = 1 where {newest}")
        file.commit()
        with pytest.raises(UnspoolError, match="damaged"):
            await migrate(tmp_path, url, silent)
        counts = "select count(*) from journal.runs union all select count(*) from public.products"
        assert set(shared_server().query(counts, url).split()) <= {"0"}
        file.execute(f"update pages set crc = ? where {newest}", (crc,))
        file.commit()
    assert (await migrate(tmp_path, url, silent)).runs == 6


async def test_a_row_that_comes_out_otherwise_stops_the_move(tmp_path: Path) -> None:
    await a_directory(tmp_path)
    url = shared_server().new_database()
    await (await Records.open(url)).aclose()
    change = "create function other() returns trigger as 'begin new.name = 1; return new; end' "
    trigger = "create trigger t before insert on products for each row execute function other()"
    shared_server().query(f"{change} language plpgsql; {trigger}", url)
    with pytest.raises(RecordsError, match="copy of the table products differs"):
        await migrate(tmp_path, url, silent)
    assert shared_server().query("select count(*) from journal.runs", url) == "0"


async def test_no_server_starts_over_a_database_that_is_being_filled(tmp_path: Path) -> None:
    await a_directory(tmp_path)
    url = shared_server().new_database()
    seen: list[str] = []

    def look(_done: int, _total: int) -> None:
        locks = f"select pg_try_advisory_xact_lock({LOCK}), count(*) from journal.runs"
        seen.append(shared_server().query(locks, url))

    moved = await migrate(tmp_path, url, look)
    assert set(seen) == {"f|0"}
    assert shared_server().query("select count(*) from journal.runs", url) == str(moved.runs)


async def test_stores_in_use_or_with_data_are_refused(tmp_path: Path) -> None:
    await a_directory(tmp_path)
    url = shared_server().new_database()
    with owned(tmp_path), pytest.raises(SetupError, match="Another server uses"):
        await migrate(tmp_path, url, silent)
    journal = await open_journal(url)
    with pytest.raises(SetupError, match="A server uses the database"):
        await migrate(tmp_path, url, silent)
    await written(journal)
    await journal.aclose()
    with pytest.raises(SetupError, match="has runs already"):
        await migrate(tmp_path, url, silent)
    other = shared_server().new_database()
    await fill_records(other)
    with pytest.raises(SetupError, match=r"has \w+ already"):
        await migrate(tmp_path, other, silent)
    with pytest.raises(SetupError, match=r"no journal\.db"):
        await migrate(tmp_path / "nothing", other, silent)


async def test_a_backup_needs_tables_of_this_version_and_an_empty_folder(tmp_path: Path) -> None:
    url = shared_server().new_database()
    with pytest.raises(SetupError, match="no runs of Unspool"):
        await back_up_database(url, tmp_path / "copy", silent)
    await (await open_journal(url)).aclose()
    await (await Records.open(url)).aclose()
    shared_server().query("update alembic_version set version_num = '0001'", url)
    with pytest.raises(SetupError, match="Another version"):
        await back_up_database(url, tmp_path / "copy", silent)
    assert not list((tmp_path / "copy").iterdir())
    (tmp_path / "copy" / "mine").touch()
    with pytest.raises(SetupError, match="is not empty"):
        await back_up_database(url, tmp_path / "copy", silent)
    assert (tmp_path / "copy" / "mine").exists()
