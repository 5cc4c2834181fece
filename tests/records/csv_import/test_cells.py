"""Numbers, prices, lists and times as they stand in the cells of other people's files."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from unspool.formats.moments import read_moment
from unspool.records.products import read_currency, read_list, read_number, read_price


@pytest.mark.parametrize(
    ("cell", "price"),
    [
        ("¥1,299.00", "1299.00"),
        ("￥１２９９", "1299.00"),
        ("1299元", "1299.00"),
        ("RMB 1 299.5", "1299.50"),
        ("12,50 €", "12.50"),
        ("1.299,00", "1299.00"),
        ("0.125", "0.13"),
        ("US$ 3", "3.00"),
        ("9999999998.99", "9999999998.99"),
    ],
)
def test_prices_are_read_as_people_write_them(cell: str, price: str) -> None:
    assert read_price(cell) == Decimal(price)


@pytest.mark.parametrize("cell", ["", "-", "null", "NaN", "N/A", " "])
def test_a_word_for_nothing_is_no_price(cell: str) -> None:
    assert read_price(cell) is None
    assert read_currency(cell) == ""


@pytest.mark.parametrize(
    "cell", ["面议", "1,29.9", "299-399", "1e5", "inf", "TBD", "--5", "10000000000"]
)
def test_what_is_no_price_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match=r"price|number"):
        read_price(cell)


def test_a_number_of_a_hundred_thousand_digits_is_refused_quickly() -> None:
    with pytest.raises(ValueError, match="too large"):
        read_price("9" * 100_000)
    with pytest.raises(ValueError, match="not a number"):
        read_number("1,111" * 20_000)


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("美元", "USD"),
        ("日元", "JPY"),
        ("人民币", "CNY"),
        ("eur", "EUR"),
        ("HK$5", "HKD"),
        ("5", ""),
    ],
)
def test_currencies_are_read_by_sign_name_or_code(cell: str, code: str) -> None:
    assert read_currency(cell) == code


def test_a_currency_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="use a code"):
        read_currency("泰铢")


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("", []),
        ("轻", ["轻"]),
        ("轻、软", ["轻", "软"]),
        ("轻、软；稳;", ["轻、软", "稳"]),
        ("轻|软\n稳", ["轻", "软", "稳"]),
        ('["轻;软", " 稳 "]', ["轻;软", "稳"]),
    ],
)
def test_lists_are_read_as_people_write_them(cell: str, parts: list[str]) -> None:
    assert read_list(cell) == parts


@pytest.mark.parametrize("cell", ["[1]", "[轻", "[" * 100_000])
def test_half_a_list_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="JSON list"):
        read_list(cell)


MORNING = datetime(2025, 11, 24, 9, 50, tzinfo=UTC)


@pytest.mark.parametrize(
    "cell",
    [
        "2025-11-24 09:50:00",
        "2025-11-24T09:50:00Z",
        "2025-11-24T17:50:00+08:00",
        "2025/11/24 9:50",
        "2025.11.24 09:50:00.000",
        "2025年11月24日 9时50分",
        "20251124095000",
        "20251124T095000Z",
        "1763977800",
        "1763977800.0",
        "1763977800000",
        "２０２５－１１－２４ ０９：５０",
    ],
)
def test_times_are_read_as_programs_and_people_write_them(cell: str) -> None:
    assert read_moment(cell) == MORNING


def test_a_day_alone_is_its_beginning() -> None:
    assert (
        read_moment("2025-11-24") == read_moment("20251124") == datetime(2025, 11, 24, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "昨天",
        "2025-13-01",
        "11/24/2025",
        "1.5E+09",
        "12",
        "0001-01-01T00:00+23:59",
        "9999-12-31",
    ],
)
def test_what_is_no_time_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match=r"time such as|outside"):
        read_moment(cell)
