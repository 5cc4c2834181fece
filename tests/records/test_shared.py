"""Records on PostgreSQL: what it refuses, how it orders, and what its end does to a server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from support.postgres import PostgresServer, pooled, shared_server
from support.stores import new_store
from unspool.errors import RecordsError, SetupError, UnknownRecord
from unspool.records import Records
from unspool.records.presets import find_preset, save_preset
from unspool.records.products import count_products, list_products, save_products
from unspool.records.shared import Address
from unspool.records.tools import find_tools

pytestmark = pytest.mark.timeout(60)  # the first test of a worker starts PostgreSQL

PASSWORD = "p%40ss-w0rd"


@pytest.fixture
async def url(tmp_path: Path) -> str:
    return await new_store("postgresql", tmp_path)


def query(statement: str, url: str | None = None) -> str:
    return shared_server().query(statement, url)


def new_database(options: str = "") -> str:
    name = f"test_{secrets.token_hex(6)}"
    query(f"create database {name} {options}")
    return shared_server().url(name)


async def refusal(url: str) -> str:
    with pytest.raises(SetupError) as refused:
        await Records.open(url)
    message = str(refused.value)
    assert "\n" not in message
    assert ";" in message  # What happened, and after it what to do.
    assert "p@ss" not in message
    assert "p%40ss" not in message
    return message


async def add_products(records: Records, *skus: str, name: str = "鞋") -> None:
    async with records.session() as session:
        await save_products(session, [{"sku": sku, "name": name} for sku in skus])
        await session.commit()


# Types and texts


async def test_every_text_is_ordered_by_its_bytes_and_every_number_has_64_bits(url: str) -> None:
    found = query(
        "select distinct data_type, coalesce(collation_name, '') from information_schema.columns "
        "where table_schema = 'public' and data_type in ('text', 'character varying', 'integer', "
        "'bigint', 'smallint') order by 1",
        url,
    )
    assert found.splitlines() == ["bigint|", "text|C"]
    assert query("select distinct data_type from information_schema.sequences", url) == "bigint"


async def test_a_list_is_ordered_by_code_points(records: Records) -> None:
    skus = ["b", "B", "a", "A", "_", "é", "Z", "中", "乙", "a1", "A-1", "\U0001f45f"]
    await add_products(records, *skus)
    first = [product.sku for product in await list_products(records, limit=4)]
    rest = [product.sku for product in await list_products(records, after=first[-1])]
    assert first + rest == sorted(skus)


async def test_a_search_ignores_the_case_of_a_to_z_alone(records: Records) -> None:
    await add_products(records, "A1", name="École Été")
    for words, count in (("ÉCOLE", 1), ("éCOLE", 0), ("COLE", 1), ("\\", 0), ("%", 0)):
        assert await count_products(records, query=words) == count


async def test_a_text_with_nul_is_stored(records: Records) -> None:
    number = await save_preset(records, {"name": "a\0b", "params": {"stop": "\0"}})
    assert number is not None
    row = await find_preset(records, number)
    assert row.name == ("a\ufffdb" if records.is_shared else "a\0b")
    assert row.params == {"stop": "\0"}


async def test_half_a_character_is_refused_and_stores_nothing(records: Records) -> None:
    for values in ({"name": "\ud800"}, {"name": "ok", "params": {"stop": "\ud800"}}):
        with pytest.raises(Exception, match=r"surrogates|encode"):
            await save_preset(records, values)
    assert await save_preset(records, {"name": "ok"}) is not None


async def test_a_number_of_more_than_32_bits_is_merely_unknown(records: Records) -> None:
    with pytest.raises(UnknownRecord):
        await find_tools(records, [2**40])
    with pytest.raises(UnknownRecord):
        await find_preset(records, 2**40)


# Opening


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql://u:{PASSWORD}@127.0.0.1:1/shop", "does not answer"),
        (f"postgresql://u:{PASSWORD}@nowhere.invalid/shop", "does not answer"),
        (f"postgresql://u:{PASSWORD}@127.0.0.1:port/shop", "cannot be understood"),
        (f"postgresql://u:{PASSWORD}@127.0.0.1/shop?sslmode={PASSWORD}", "cannot be understood"),
        (f"mysql://u:{PASSWORD}@127.0.0.1/shop", "is not the URL of a database"),
        (f"mysql://u:1@x:{PASSWORD}/shop", "is not the URL of a database"),
    ],
)
async def test_a_url_that_leads_nowhere_is_said_so_without_its_password(
    url: str, said: str
) -> None:
    assert said in await refusal(url)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://u:pw@db.example:5433/shop?password=pw", "shop at db.example:5433"),
        ("postgresql://db.example/shop", "shop at db.example"),
        ("postgresql://u:pw@[::1]:5432/shop", "shop at [::1]:5432"),
        ("postgresql://u:pw/pw@db.example/shop", ""),
        ("postgresql://u:pw#pw@db.example/shop", ""),
        ("postgresql://u:pw?pw@db.example/shop", ""),
        ("postgresql://db.example/shop?password=pw@pw", ""),
        ("postgresql://u:pw/shop", ""),
        ("postgresql:///shop?host=/tmp&password=pw", ""),
    ],
)
def test_a_database_is_named_by_what_cannot_hold_a_password(url: str, name: str) -> None:
    assert Address(url).name == "the PostgreSQL database" + (name and f" {name}")


async def test_encryption_that_the_server_lacks_is_said_so(url: str) -> None:
    assert "agree on encryption" in await refusal(f"{url}?sslmode=require")


async def test_a_database_that_is_not_there_is_said_so() -> None:
    assert "does not exist" in await refusal(shared_server().url("absent"))


async def test_a_wrong_password_is_said_so() -> None:
    server = shared_server()
    name = new_database().rpartition("/")[2]
    rules = server.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host {name} all 127.0.0.1/32 scram-sha-256\n{before}")
    query("select pg_reload_conf()")
    url = server.url(name).replace("unspool@", f"unspool:{PASSWORD}@")
    try:
        for _ in range(200):  # the new rules hold soon
            message = await _opened_or_refused(url)
            if message:
                break
    finally:
        rules.write_text(before)
        query("select pg_reload_conf()")
    assert "refuses the user or the password" in message
    assert "p@ss" not in message


async def _opened_or_refused(url: str) -> str:
    try:
        await (await Records.open(url)).aclose()
    except SetupError as error:
        return str(error)
    await asyncio.sleep(0.01)
    return ""


async def test_a_database_that_takes_no_writes_is_said_so(url: str) -> None:
    name = url.rpartition("/")[2]
    query(f"alter database {name} set default_transaction_read_only = on")
    assert "standby, or read-only" in await refusal(url)


async def test_a_user_without_rights_is_told_to_own_the_database() -> None:
    query("do $$ begin create role guest login; exception when duplicate_object then null; end $$")
    url = new_database().replace("unspool@", "guest@")
    assert "owner of the database" in await refusal(url)


async def test_too_many_connections_are_said_so() -> None:
    query("do $$ begin create role guest login; exception when duplicate_object then null; end $$")
    url = new_database("owner guest connection limit 1").replace("unspool@", "guest@")
    records = await Records.open(url)
    async with records.session() as session:
        await session.execute(text("SELECT 1"))
        assert "no connection left" in await refusal(url)
        with pytest.raises(RecordsError, match="no connection left"):
            await count_products(records)
    await records.aclose()


async def test_an_encoding_that_lacks_characters_is_refused() -> None:
    url = new_database("template template0 encoding 'SQL_ASCII' locale 'C'")
    assert "SQL_ASCII" in await refusal(url)


async def test_the_tables_of_another_program_are_left_alone_and_those_of_the_journal_expected() -> (
    None
):
    url = new_database()
    query("create schema journal; create table journal.runs (no bigint)", url)
    await (await Records.open(url)).aclose()
    foreign = new_database()
    query("create table invoices (id int)", foreign)
    assert "'invoices'" in await refusal(foreign)
    assert query("select count(*) from pg_tables where schemaname = 'public'", foreign) == "1"


async def test_a_start_that_fails_half_way_changes_nothing() -> None:
    url = new_database()
    query("create view behaviors as select 1", url)
    assert "cannot be opened" in await refusal(url)
    assert query("select count(*) from pg_tables where schemaname = 'public'", url) == "0"


async def test_a_user_s_own_search_path_does_not_move_the_tables() -> None:
    url = new_database()
    name = url.rpartition("/")[2]
    query("create schema elsewhere", url)
    query(f"alter database {name} set search_path = elsewhere", url)
    await (await Records.open(url)).aclose()
    found = query("select schemaname from pg_tables where tablename = 'products'", url)
    assert found == "public"


async def test_a_pooler_is_refused(url: str) -> None:
    async with pooled(url) as through:
        assert "connection pooler" in await refusal(through)


# A server that ends


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
async def restarted(own_server: PostgresServer) -> AsyncIterator[Records]:
    records = await Records.open(own_server.new_database())
    yield records
    await records.aclose()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_records_outlive_a_restart_of_postgresql(
    own_server: PostgresServer, restarted: Records, mode: str
) -> None:
    records = restarted
    await add_products(records, "A1")
    await asyncio.gather(*(count_products(records) for _ in range(8)))  # all connections are open
    await asyncio.to_thread(own_server.stop, mode)
    for _ in range(3):
        with pytest.raises(RecordsError, match="does not answer"):
            await count_products(records)
    await asyncio.to_thread(own_server.start)
    counts = await asyncio.gather(*(count_products(records) for _ in range(16)))
    assert counts == [1] * 16


async def test_a_table_that_a_newer_server_changes_costs_one_request_at_most(url: str) -> None:
    records = await Records.open(url)
    number = await save_preset(records, {"name": "one"})
    assert number is not None
    for _ in range(8):
        await find_preset(records, number)
    query("alter table presets alter column name type varchar(200)", url)
    with pytest.raises(RecordsError, match="try again"):
        await find_preset(records, number)
    assert (await find_preset(records, number)).name == "one"
    await records.aclose()


async def test_a_transaction_whose_connection_ends_is_told_and_the_next_one_works(
    url: str,
) -> None:
    records = await Records.open(url)

    async def lose() -> None:
        async with records.session() as session:
            pid = await session.scalar(text("SELECT pg_backend_pid()"))
            query(f"select pg_terminate_backend({pid})")
            await session.execute(text("SELECT 1"))

    for _ in range(3):
        with pytest.raises(RecordsError, match="does not answer"):
            await lose()
        assert await count_products(records) == 0
    await records.aclose()
