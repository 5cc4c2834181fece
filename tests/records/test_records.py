"""What is kept beside runs: opening, refusing, finding."""

from __future__ import annotations

import asyncio
import importlib
import os
import pkgutil
import sqlite3
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

import unspool.apps
import unspool.records
from unspool.errors import RecordsError, SetupError, UnknownRecord
from unspool.records import Base, Records
from unspool.records.behaviors import behaviors_of, count_behaviors, count_users, save_behaviors
from unspool.records.migrations import revisions
from unspool.records.products import (
    Product,
    count_products,
    find_product,
    list_products,
    save_products,
)
from unspool.records.samples import seed_samples


async def add_products(records: Records, *rows: dict[str, object]) -> tuple[int, int]:
    async with records.session() as session:
        counts = await save_products(session, rows)
        await session.commit()
    return counts


async def refusal(where: str | Path) -> str:
    """What a person is told who starts the program with this database: one sentence."""
    with pytest.raises(SetupError) as refused:
        await Records.open(where)
    message = str(refused.value)
    assert "\n" not in message
    assert ";" in message  # What happened, and after it what to do.
    return message


def allow(path: Path, mode: int) -> None:
    path.chmod(mode)


# Opening


async def test_a_database_is_made_with_its_folder_and_is_still_there_later(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "records.db"
    records = await Records.open(path)
    await add_products(records, {"sku": "A1", "name": "跑鞋"})
    await records.aclose()

    again = await Records.open(str(path))
    assert (await find_product(again, "A1")).name == "跑鞋"
    await again.aclose()


async def test_a_url_opens_the_same_file_as_its_path(tmp_path: Path) -> None:
    by_path = await Records.open(tmp_path / "records.db")
    await add_products(by_path, {"sku": "A1", "name": "跑鞋"})
    by_url = await Records.open(f"sqlite:///{tmp_path}/records.db")
    assert await count_products(by_url) == 1
    assert by_url.where == by_path.where
    await by_url.aclose()
    await by_path.aclose()


async def test_two_programs_may_start_at_once_on_a_new_file(tmp_path: Path) -> None:
    opened = await asyncio.gather(*(Records.open(tmp_path / "records.db") for _ in range(4)))
    assert [await count_products(records) for records in opened] == [0, 0, 0, 0]
    for records in opened:
        await records.aclose()


async def test_the_steps_make_exactly_the_tables_that_the_classes_describe(
    records: Records,
) -> None:
    # A table exists once its module is imported: every system describes its own.
    for package in (unspool.records, unspool.apps):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in module.name:
                importlib.import_module(module.name)

    def differences(connection: Connection) -> list[object]:
        # There a text has no length and a number 64 bits, whatever the class says.
        is_file = connection.dialect.name == "sqlite"
        context = MigrationContext.configure(connection, opts={"compare_type": is_file})
        return list(compare_metadata(context, Base.metadata))

    async with records.session() as session:
        assert await (await session.connection()).run_sync(differences) == []


async def test_a_start_that_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    # A view in the way of the second table: the step fails after it made the first.
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE VIEW behaviors AS SELECT 1")
    connection.close()
    assert "cannot be opened" in await refusal(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("behaviors",)]
    connection.close()


async def test_opening_with_nothing_to_do_is_quick(records: Records, records_url: str) -> None:
    began = time.perf_counter()
    again = await Records.open(records_url)
    took_s = time.perf_counter() - began
    await again.aclose()
    assert took_s < 0.3


async def test_a_reader_is_not_held_up_by_a_writer(records: Records) -> None:
    async with records.session() as writer:
        await save_products(writer, [{"sku": "A1", "name": "跑鞋"}])
        assert await count_products(records) == 0
        await writer.commit()
    assert await count_products(records) == 1


async def test_nothing_is_kept_without_a_commit(records: Records) -> None:
    async with records.session() as session:
        await save_products(session, [{"sku": "A1", "name": "跑鞋"}])
    assert await count_products(records) == 0


async def test_a_session_leaves_the_file_free_whatever_it_did(tmp_path: Path) -> None:
    records = await Records.open(tmp_path / "records.db")
    async with records.session() as session:
        await save_products(session, [{"sku": "1", "name": "鞋"}])
    with pytest.raises(UnknownRecord):
        await find_product(records, "1")
    other = sqlite3.connect(tmp_path / "records.db", isolation_level=None, timeout=0)
    other.execute("begin immediate")
    other.execute("commit")
    # Neither a reader nor a writer is left who needs the old pages.
    assert other.execute("pragma wal_checkpoint(truncate)").fetchone() == (0, 0, 0)
    other.close()
    await records.aclose()


async def test_every_connection_is_prepared_and_chinese_is_readable_in_the_file(
    tmp_path: Path,
) -> None:
    records = await Records.open(tmp_path / "records.db")
    await add_products(records, {"sku": "A1", "name": "跑鞋", "scenes": ["通勤"]})
    async with records.session() as session:
        assert await session.scalar(text("PRAGMA foreign_keys")) == 1
        assert await session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert await session.scalar(text("SELECT scenes FROM products")) == '["通勤"]'
    await records.aclose()


async def test_closing_twice_is_closing(records: Records) -> None:
    await records.aclose()
    await records.aclose()


# Refusing


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    await (await Records.open(path)).aclose()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    message = await refusal(path)
    assert "newer version" in message
    assert "'9999'" in message
    assert repr(revisions()[-1]) in message


async def test_a_file_that_is_not_a_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("只是一些笔记。" * 500, encoding="utf-8")
    before = path.read_bytes()
    assert "is not a database" in await refusal(path)
    assert path.read_bytes() == before


async def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE invoices (id INTEGER)")
    connection.close()
    assert "'invoices'" in await refusal(path)


async def test_a_place_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be created" in await refusal(tmp_path / "file" / "below" / "records.db")
    (tmp_path / "folder").mkdir()
    assert "cannot be opened" in await refusal(tmp_path / "folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_read_only_folder_is_said_so(tmp_path: Path) -> None:
    allow(tmp_path, 0o500)
    assert "folder" in await refusal(tmp_path / "records.db")
    allow(tmp_path, 0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_read_only_file_is_found_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    await (await Records.open(path)).aclose()
    allow(path, 0o400)
    assert "read-only" in await refusal(path)


async def test_a_full_disk_is_said_so(tmp_path: Path) -> None:
    records = await Records.open(tmp_path / "records.db")

    async def write_more_than_there_is_room_for() -> None:
        async with records.session() as session:
            # SQLite answers as it does on a full disk when it may not take another page.
            await session.execute(text("PRAGMA max_page_count = 1"))
            await save_products(session, [{"sku": "A1", "name": "长" * 100_000}])

    with pytest.raises(RecordsError, match="the disk is full"):
        await write_more_than_there_is_room_for()
    await records.aclose()


async def test_what_is_not_the_machine_s_fault_is_not_called_so(records: Records) -> None:
    with pytest.raises(IntegrityError):
        async with records.session() as session:
            await session.execute(text("INSERT INTO products (sku) VALUES ('A1')"))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "://"])
async def test_a_url_that_keeps_nothing_or_says_nothing_is_refused(url: str) -> None:
    await refusal(url)


# Products


async def test_an_unknown_product_is_named_with_64_characters_at_most(records: Records) -> None:
    with pytest.raises(UnknownRecord, match="'NOPE'"):
        await find_product(records, "NOPE")
    with pytest.raises(UnknownRecord) as unknown:
        await find_product(records, "x" * 10_000)
    assert str(unknown.value).count("x") < 70
    assert unknown.value.http_status == 404


async def test_pages_of_products_together_are_all_products_once(records: Records) -> None:
    rows = [{"sku": f"S{number:03}", "name": f"鞋 {number}"} for number in range(25)]
    assert await add_products(records, *rows) == (25, 0)
    seen: list[str] = []
    while page := await list_products(records, after=seen[-1] if seen else "", limit=10):
        seen += [product.sku for product in page]
    assert seen == [row["sku"] for row in rows]
    assert await list_products(records, limit=0) == []


async def test_a_search_takes_its_text_literally_and_ignores_case(records: Records) -> None:
    await add_products(
        records,
        {"sku": "A1", "name": "100%棉袜"},
        {"sku": "b2", "name": "跑鞋", "brand": "砺锋场"},
        {"sku": "C3", "name": "100 双袜"},
    )
    assert [p.sku for p in await list_products(records, query="0%")] == ["A1"]
    assert [p.sku for p in await list_products(records, query=" B2 ")] == ["b2"]
    assert await count_products(records, query="砺锋") == 1
    assert await count_products(records, query="_") == 0
    assert await count_products(records) == 3


async def test_saving_again_changes_what_is_given_and_keeps_the_rest(records: Records) -> None:
    first = {"sku": "A1", "name": "跑鞋", "color": "白", "properties": {"产地": "晋江", "旧": "1"}}
    again = {"sku": "A1", "name": "跑鞋", "price": Decimal("9.90"), "properties": {"旧": ""}}
    assert await add_products(records, first) == (1, 0)
    assert await add_products(records, again) == (0, 1)
    assert await add_products(records, again) == (0, 0)
    product = await find_product(records, "A1")
    assert (product.color, product.price, product.currency) == ("白", Decimal("9.90"), "CNY")
    assert product.properties == {"产地": "晋江"}


def test_facts_are_json_without_gaps() -> None:
    known = Product(
        sku="A1",
        name="跑鞋",
        color="",
        price=Decimal("299.00"),
        currency="CNY",
        selling_points=["轻"],
        scenes=[],
        properties={},
    )
    assert known.facts() == {
        "name": "跑鞋",
        "price": 299,
        "currency": "CNY",
        "selling_points": ["轻"],
    }
    assert Product(sku="A1", name="跑鞋", currency="CNY").facts() == {"name": "跑鞋"}
    assert Product(sku="A1", name="跑鞋", price=Decimal("9.90")).facts()["price"] == 9.9


# Behaviours


async def test_behaviours_come_oldest_first_and_the_latest_of_too_many(records: Records) -> None:
    rows = [
        {"user_id": "u1", "action": "visit", "at": datetime(2025, 11, day, 9, tzinfo=UTC)}
        for day in (3, 1, 2)
    ]
    async with records.session() as session:
        assert await save_behaviors(session, [*rows, *rows[:1]]) == (3, 0)
        await session.commit()
    days = [behavior.at.day for behavior in await behaviors_of(records, "u1", limit=10)]
    assert days == [1, 2, 3]
    latest = await behaviors_of(records, "u1", limit=2)
    assert [behavior.at for behavior in latest] == [
        datetime(2025, 11, 2, 9, tzinfo=UTC),
        datetime(2025, 11, 3, 9, tzinfo=UTC),
    ]
    assert await behaviors_of(records, "nobody", limit=10) == []


# Samples


async def test_samples_fill_an_empty_database_and_no_other(records: Records) -> None:
    assert await seed_samples(records)
    assert await count_products(records) >= 100
    assert 1000 <= await count_behaviors(records) < 1300
    assert await count_users(records) >= 20
    counts = await count_products(records), await count_behaviors(records)
    assert not await seed_samples(records)
    assert (await count_products(records), await count_behaviors(records)) == counts


async def test_samples_leave_one_s_own_data_alone(records: Records) -> None:
    await add_products(records, {"sku": "MINE", "name": "自己的鞋"})
    assert not await seed_samples(records)
    assert await count_products(records) == 1


async def test_the_samples_hold_what_the_examples_speak_of(records: Records) -> None:
    await seed_samples(records)
    shoe = await find_product(records, "8WZ01CM1")
    assert shoe.category == "运动鞋"
    assert all(2 <= len(p.selling_points) <= 4 for p in await list_products(records, limit=500))
    did = await behaviors_of(records, "user_0007", limit=1000)
    assert len(did) == 84
    assert f"{did[0].action} {did[0].at:%Y-%m-%d %H:%M:%S}" == "visit 2025-11-24 09:50:50"
    actions = {behavior.action for behavior in did}
    assert actions == {"visit", "favorite", "share", "size_chart", "buy_page", "purchase"}
    known = {product.sku for product in await list_products(records, limit=500)}
    assert {behavior.sku for behavior in did} - {None} <= known
