"""Files as others made them become tables; what is wrong in them is told, not swallowed."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from unspool.errors import SpecError
from unspool.records import Records
from unspool.records.behaviors import behaviors_of, count_behaviors
from unspool.records.csv_import.importing import ImportReport, import_csv
from unspool.records.products import count_products, find_product

SHOES = "商品编码,商品名称,售价\nA1,轻便跑鞋,￥299.00\nA2,高帮帆布鞋,129\n"
VISITS = "用户ID,商品ID,行为类型,时间戳\nu1,A1,visit,1512189107\nu1,,share,1512189108\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.csv"


def write(file: Path, content: str | bytes) -> None:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


async def products(records: Records, file: Path, content: str, **mapping: str) -> ImportReport:
    write(file, content)
    return await import_csv(records, "products", file, mapping)


async def behaviors(records: Records, file: Path, content: str, **mapping: str) -> ImportReport:
    write(file, content)
    return await import_csv(records, "behaviors", file, mapping)


async def refusal(records: Records, file: Path, kind: str = "products", **mapping: str) -> str:
    with pytest.raises(SpecError) as refused:
        await import_csv(records, kind, file, mapping)
    assert await count_products(records) == 0
    return str(refused.value)


# What a file is written in


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("gbk", "gb18030"),
        ("gb18030", "gb18030"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
async def test_any_usual_encoding_is_found(
    records: Records, file: Path, written: str, found: str, packed: bool
) -> None:
    content = SHOES.encode(written)
    write(file, gzip.compress(content) if packed else content)
    report = await import_csv(records, "products", file)
    assert (report.encoding, report.read, report.added) == (found, 2, 2)
    assert report.columns["sku"] == "商品编码"
    assert (await find_product(records, "A1")).name == "轻便跑鞋"


async def test_big_endian_utf_16_is_found_by_its_mark(records: Records, file: Path) -> None:
    write(file, b"\xfe\xff" + SHOES.encode("utf-16-be"))
    assert (await import_csv(records, "products", file)).added == 2


async def test_the_encoding_is_the_one_of_the_last_byte_too(records: Records, file: Path) -> None:
    rows = "".join(f"B{number},{'shoe' * 20}\n" for number in range(15_000))
    write(file, f"sku,name\n{rows}".encode() + "C1,跑鞋\n".encode("gbk"))
    report = await import_csv(records, "products", file)
    assert (report.encoding, report.added) == ("gb18030", 15_001)
    assert (await find_product(records, "C1")).name == "跑鞋"


async def test_damaged_utf_8_is_not_read_as_other_characters(records: Records, file: Path) -> None:
    good = "sku,name\n" + "A1,轻便透气的缓震跑步鞋以及高帮帆布鞋\n" * 3
    write(file, good.encode() + b"A2,\xe8\xb7\n")
    message = await refusal(records, file)
    assert "as utf-8 it breaks off in line 5" in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n\n  \n", "no header"),
        (b"sku,name" + b"x" * 2_000_000, "no header"),
        (b"PK\x03\x04rest of a workbook", "save the sheet as CSV"),
        (b"sku,name\nA1,\x80\xff\n", "none of UTF-8"),
        (b"\xff\xfesku", "none of UTF-8"),
        ("sku,name\nA1,x\n".encode("utf-16-le"), "save the file as UTF-8"),
        (gzip.compress(SHOES.encode(), mtime=0)[:-9], "cannot be read"),
        (b"\x1f\x8bnot packed at all", "cannot be read"),
    ],
)
async def test_a_file_that_is_no_csv_is_refused_with_the_reason(
    records: Records, file: Path, content: bytes, reason: str
) -> None:
    write(file, content)
    assert reason in await refusal(records, file)


async def test_a_path_that_is_no_file_is_refused(records: Records, tmp_path: Path) -> None:
    assert "No such file" in await refusal(records, tmp_path / "missing.csv")
    assert "is not a file" in await refusal(records, tmp_path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_the_delimiter_is_that_of_the_header(
    records: Records, file: Path, delimiter: str
) -> None:
    rows = [["sku", "name", "selling_points"], ["A1", "跑鞋", '"轻；软, 稳;暖|净"']]
    report = await products(
        records, file, "\r\n".join(delimiter.join(row) for row in rows) + "\r\n"
    )
    assert (report.added, report.errors) == (1, [])
    assert (await find_product(records, "A1")).selling_points == ["轻", "软, 稳", "暖", "净"]


async def test_a_file_of_one_column_too_few_says_so(records: Records, file: Path) -> None:
    write(file, "sku\nA1\n")
    assert "no column looks like name" in await refusal(records, file)


async def test_a_kind_nobody_knows_is_refused(records: Records, file: Path) -> None:
    write(file, SHOES)
    assert "have: people, products, behaviors" in await refusal(records, file, kind="shops")


# Lines and wrong rows


async def test_a_wrong_row_costs_itself_and_is_told_by_its_line(
    records: Records, file: Path
) -> None:
    report = await products(
        records,
        file,
        "sku,name,price\n"
        'A1,"两行的\n名字",1\n'
        "\n"
        ",没有编码,1\n"
        "A3,价钱不明,面议\n"
        "A4,少一格\n"
        "A5,多一格,1,2\n"
        "A6,\0,1\n"
        f"{'A' * 65},太长,1\n"
        '"A7\n\n",负数,-1\n'
        "A8,好的,1\n",
    )
    assert report.errors == [
        (5, "sku is empty"),
        (7, "2 cells under 3 headers"),
        (8, "4 cells under 3 headers"),
        (9, "a cell holds a NUL: this is not text"),
        (10, "sku is longer than 64 characters"),
    ]
    assert report.lost_cells == [
        (6, "price '面议' is not a number"),
        (11, "price '-1' is negative or too large for a price"),
    ]
    assert (report.read, report.added, report.skipped, report.unchanged) == (9, 4, 5, 0)
    assert (report.lost, (await find_product(records, "A3")).price) == (2, None)
    assert (await find_product(records, "A1")).name == "两行的\n名字"


async def test_a_quote_that_never_closes_costs_one_row(records: Records, file: Path) -> None:
    rows = "".join(f"B{number},跑鞋,\n" for number in range(1000))
    report = await products(records, file, f'sku,name,note\nA1,"开了,\n{rows}A2,"好的","x"\n')
    assert report.errors == [(2, "a quote never closes, or is not written twice inside a cell")]
    assert report.added == 1001


async def test_a_cell_has_a_limit(records: Records, file: Path) -> None:
    long = "长" * 100_001
    rows = f'A1,{long}\nA2,{long * 2}\nA3,{long * 11}\nA4,"{long * 2}"\nA5,好的\n'
    report = await products(records, file, f"sku,name\n{rows}")
    assert [line for line, _ in report.errors] == [2, 3, 4, 5]
    assert all("long" in reason for _, reason in report.errors)
    assert report.added == 1


async def test_a_file_without_line_ends_does_not_fill_the_memory(
    records: Records, file: Path
) -> None:
    write(file, b"sku,name\nA1,x\nA2," + b"x" * 30_000_000 + b"\nA3,x\n")
    tracemalloc.start()
    report = await import_csv(records, "products", file)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [line for line, _ in report.errors] == [3]
    assert report.added == 2
    assert peak_bytes < 12_000_000


async def test_the_report_keeps_a_hundred_errors_and_counts_all(
    records: Records, file: Path
) -> None:
    report = await products(records, file, "sku,name\n" + ",x\n" * 1234 + "A1,x\n")
    assert len(report.errors) == 100
    assert (report.read, report.skipped, report.added) == (1235, 1234, 1)


async def test_rows_without_any_text_are_blank_lines(records: Records, file: Path) -> None:
    report = await products(records, file, "\n\nsku,name\n\n,\n ,\nA1,x\n,\n")
    assert (report.read, report.added, report.skipped) == (1, 1, 0)


async def test_progress_is_told_after_each_batch(records: Records, file: Path) -> None:
    seen: list[tuple[int, float]] = []
    write(file, "sku,name\n" + "".join(f"A{n},x\n" for n in range(1200)))
    report = await import_csv(
        records,
        "products",
        file,
        on_progress=lambda so_far: seen.append((so_far.added, so_far.done)),
    )
    assert [added for added, _ in seen] == [500, 1000, 1200]
    assert all(0 < done <= 1 for _, done in seen)
    assert report.done == 1.0


# Importing again


async def test_products_are_changed_and_never_doubled(records: Records, file: Path) -> None:
    assert (await products(records, file, SHOES)).added == 2
    same = await products(records, file, SHOES)
    assert (same.added, same.changed, same.unchanged) == (0, 0, 2)
    cheaper = await products(records, file, SHOES.replace("129", "99"))
    assert (cheaper.added, cheaper.changed, cheaper.unchanged) == (0, 1, 1)
    assert (await find_product(records, "A2")).price == Decimal("99.00")
    assert await count_products(records) == 2


async def test_behaviours_are_never_doubled(records: Records, file: Path) -> None:
    assert (await behaviors(records, file, VISITS)).added == 2
    more = await behaviors(records, file, VISITS + "u1,A1,visit,1512189109\n")
    assert (more.added, more.changed, more.unchanged) == (1, 0, 2)
    assert await count_behaviors(records, "u1") == 3


async def test_one_file_imported_twice_at_once_is_there_once(records: Records, file: Path) -> None:
    rows = "".join(f"u{number},visit,{1512189107 + number}\n" for number in range(2000))
    write(file, f"user_id,action,at\n{rows}")
    reports = await asyncio.gather(*(import_csv(records, "behaviors", file) for _ in range(3)))
    assert sum(report.added for report in reports) == 2000
    assert await count_behaviors(records) == 2000


async def test_the_same_behaviour_in_another_spelling_of_time_is_the_same(
    records: Records, file: Path
) -> None:
    await behaviors(records, file, VISITS)
    again = VISITS.replace("1512189107", "2017-12-02T12:31:47+08:00")
    assert (await behaviors(records, file, again)).added == 0


# Columns


async def test_columns_of_ours_are_found_and_the_rest_is_kept(records: Records, file: Path) -> None:
    report = await behaviors(
        records,
        file,
        "User ID,货号,行为,时间,停留时长（秒）,页面,,properties\n"
        'u1,A1,加购,2025/11/24 9:50,12.5,详情,7,"{""ab"": [1]}"\n',
    )
    assert report.columns == {
        "user_id": "User ID",
        "sku": "货号",
        "action": "行为",
        "at": "时间",
        "stay_s": "停留时长（秒）",
        "properties": "properties",
    }
    (did,) = await behaviors_of(records, "u1", limit=9)
    assert (did.sku, did.action, did.stay_s) == ("A1", "加购", 12.5)
    assert did.at == datetime(2025, 11, 24, 9, 50, tzinfo=UTC)
    assert did.properties == {"ab": [1], "页面": "详情", "column 7": "7"}


async def test_a_mapping_says_what_names_do_not(records: Records, file: Path) -> None:
    report = await products(records, file, "甲,乙,名称\nA1,跑鞋,x\n", sku="甲", name="乙")
    assert report.columns == {"sku": "甲", "name": "乙"}
    assert (await find_product(records, "A1")).properties == {"名称": "x"}


async def test_a_mapping_to_nothing_names_what_there_is(records: Records, file: Path) -> None:
    write(file, "甲,name\nA1,跑鞋\n")
    assert "the file has: 甲, name" in await refusal(records, file, sku="编码")
    message = await refusal(records, file, colour="甲")
    assert "products have no column 'colour'; have: sku, name" in message


async def test_a_required_column_must_be_found_and_found_once(records: Records, file: Path) -> None:
    write(file, "货号,商品ID,name\nA1,7,跑鞋\n")
    message = await refusal(records, file)
    assert "'货号' and '商品ID' could each be sku" in message
    assert "`sku=<header>`" in message
    assert (await import_csv(records, "products", file, {"sku": "货号"})).added == 1
    assert (await find_product(records, "A1")).properties == {"商品ID": "7"}


async def test_our_own_name_wins_and_a_doubtful_one_is_kept_as_it_is(
    records: Records, file: Path
) -> None:
    header = "货号,sku,name,售价,单价,备注,备注\n"
    report = await products(records, file, header + "X,A1,跑鞋,1,2,甲,乙\n")
    assert report.columns == {"sku": "sku", "name": "name"}
    product = await find_product(records, "A1")
    assert product.price is None
    assert product.properties == {
        "货号": "X",
        "售价": "1",
        "单价": "2",
        "备注": "甲",
        "备注 (2)": "乙",
    }


async def test_who_bought_a_product_is_not_a_property_of_it(records: Records, file: Path) -> None:
    report = await products(
        records, file, "用户ID,sku,name,行为类型,时间戳,产地\nu1,A1,x,buy,1,晋江\n"
    )
    assert report.left_out == ["用户ID", "行为类型", "时间戳"]
    assert (await find_product(records, "A1")).properties == {"产地": "晋江"}


async def test_the_sign_of_a_price_is_its_currency(records: Records, file: Path) -> None:
    await products(records, file, 'sku,name,price\nA1,x,$12.50\nA2,x,"¥1,299.00"\nA3,x,7\n')
    found = [await find_product(records, sku) for sku in ("A1", "A2", "A3")]
    assert [(p.price, p.currency) for p in found] == [
        (Decimal("12.50"), "USD"),
        (Decimal("1299.00"), "CNY"),
        (Decimal("7.00"), "CNY"),
    ]


async def test_json_in_a_cell_cannot_carry_half_a_character_into_the_database(
    records: Records, file: Path
) -> None:
    report = await products(
        records, file, 'sku,name,properties\nA1,x,"{""a"":""\\ud800""}"\nA2,x,[1]\nA3,x,{}\n'
    )
    assert [line for line, _ in report.lost_cells] == [2, 3]
    assert (report.added, report.errors) == (3, [])
