"""
Products: the subjects of sales copy.

An unknown text is empty, never null: "no colour given" has one form.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Numeric, String, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from ..errors import UnknownRecord
from . import Base, Records, hold, holds, insert_into

MAX_SKU_CHARS = 64
"""Longest product number; those of shops have 8 to 20 characters."""

MAX_PAGE_ROWS = 500
"""Most rows of one query; a page of a list shows 20 to 100."""

HOME_CURRENCY = "CNY"
"""Currency of a price that names none."""


class Product(Base):
    __tablename__ = "products"

    sku: Mapped[str] = mapped_column(String(MAX_SKU_CHARS), primary_key=True)
    name: Mapped[str] = mapped_column(String(500))
    category: Mapped[str] = mapped_column(String(200), default="")
    brand: Mapped[str] = mapped_column(String(200), default="")
    color: Mapped[str] = mapped_column(String(200), default="")
    price: Mapped[Decimal | None] = mapped_column(Numeric(12, 2), default=None)
    currency: Mapped[str] = mapped_column(String(8), default=HOME_CURRENCY)
    material: Mapped[str] = mapped_column(String(500), default="")
    season: Mapped[str] = mapped_column(String(200), default="")
    selling_points: Mapped[list[str]] = mapped_column(default=list)
    scenes: Mapped[list[str]] = mapped_column(default=list)
    properties: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """All other columns of the file, under their own names."""

    def facts(self) -> dict[str, Any]:
        """Return the facts for a copywriter as JSON, without the empty ones."""
        price = None
        if self.price is not None:
            # 299, not 299.0: a model repeats it in the copy.
            whole = self.price == self.price.to_integral_value()
            price = int(self.price) if whole else float(self.price)
        facts = {
            "name": self.name,
            "category": self.category,
            "brand": self.brand,
            "color": self.color,
            "price": price,
            "currency": None if price is None else self.currency,
            "material": self.material,
            "season": self.season,
            "selling_points": self.selling_points,
            "scenes": self.scenes,
            "properties": self.properties,
        }
        return {name: value for name, value in facts.items() if value not in (None, "", [], {})}


async def find_product(records: Records, sku: str) -> Product:
    """
    Return the product with exactly this number.

    Raises:
        UnknownRecord: There is none.
    """
    async with records.session() as session:
        product = await session.get(Product, sku)
    if product is None:
        shown = sku if len(sku) <= MAX_SKU_CHARS else f"{sku[: MAX_SKU_CHARS - 1]}…"
        raise UnknownRecord(
            f"no product with SKU {shown!r}; check the number, or import the product first"
        )
    return product


async def names_of(records: Records, skus: Collection[str]) -> dict[str, str]:
    """Return the names of the known ones among these products, by SKU."""
    wanted = select(Product.sku, Product.name).where(Product.sku.in_(skus))
    async with records.session() as session:
        return {row.sku: row.name for row in await session.execute(wanted)}


async def list_products(
    records: Records, *, query: str = "", after: str = "", offset: int = 0, limit: int = 50
) -> list[Product]:
    """
    Return products in the order of their SKU.

    SKU, name, category, brand or colour must contain `query`, in any case; `after` is the last
    SKU of the previous page, or `offset` the number of rows before; `limit` is at most
    `MAX_PAGE_ROWS`.
    """
    wanted = select(Product).where(*_matching(query)).order_by(Product.sku)
    if after:
        wanted = wanted.where(Product.sku > after)
    wanted = wanted.offset(max(0, offset)).limit(max(0, min(limit, MAX_PAGE_ROWS)))
    async with records.session() as session:
        return list(await session.scalars(wanted))


async def count_products(records: Records, *, query: str = "") -> int:
    """Return the number of products that match `query`."""
    async with records.session() as session:
        counted = await session.scalar(
            select(func.count()).select_from(Product).where(*_matching(query))
        )
    return counted or 0


def _matching(query: str) -> list[ColumnElement[bool]]:
    query = query.strip()
    if not query:
        return []
    searched = (Product.sku, Product.name, Product.category, Product.brand, Product.color)
    return [or_(*(holds(column, query) for column in searched))]


_TABLE = Base.metadata.tables[Product.__tablename__]


async def save_products(
    session: AsyncSession, rows: Sequence[Mapping[str, Any]]
) -> tuple[int, int]:
    """
    Add products, or change those whose SKU is stored already. The caller commits.

    A missing column changes nothing. Properties are merged; an empty one is removed.

    A row has `sku`, and a new one has `name`. Returns the number of added and the number of
    changed products.
    """
    await hold(session, "products")  # so that nothing changes between reading and merging
    skus = {row["sku"] for row in rows}
    stored = await session.execute(select(_TABLE).where(_TABLE.c.sku.in_(skus)))
    before = {values["sku"]: dict(values) for values in stored.mappings()}
    now = dict(before)
    for row in rows:
        now[row["sku"]] = _merged(now.get(row["sku"], _EMPTY), row)
    changes = [values for sku, values in now.items() if values != before.get(sku)]
    if changes:
        adding = insert_into(session, Product)
        replaced = {name: adding.excluded[name] for name in _EMPTY}
        await session.execute(
            adding.on_conflict_do_update(index_elements=["sku"], set_=replaced), changes
        )
    added = len(now) - len(before)
    return added, len(changes) - added


_EMPTY: dict[str, Any] = {
    "name": "",
    "category": "",
    "brand": "",
    "color": "",
    "price": None,
    "currency": HOME_CURRENCY,
    "material": "",
    "season": "",
    "selling_points": [],
    "scenes": [],
    "properties": {},
}


def _merged(old: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    properties = {**old["properties"], **row.get("properties", {})}
    return {
        **old,
        **row,
        "currency": row.get("currency") or old["currency"],
        "properties": {name: value for name, value in properties.items() if value != ""},
    }


# Reading the cells of shops' files

# In this order: the later signs are parts of the earlier ones.
_SIGNS = {
    "HK$": "HKD", "NT$": "TWD", "$": "USD", "€": "EUR", "£": "GBP", "¥": "CNY",
    "港元": "HKD", "美元": "USD", "欧元": "EUR", "日元": "JPY", "元": "CNY",
    "人民币": "CNY", "RMB": "CNY", "YUAN": "CNY",
}  # fmt: skip
_CODE = re.compile(r"(?<![A-Z])[A-Z]{3}(?![A-Z])")
_MONEY = re.compile(r"[A-Z]{0,3}[$€£¥]|[港美欧日]?元|人民币|(?<![A-Z])[A-Z]{3}(?![A-Z])")
_NUMBER = re.compile(r"([+-]?)(\d+|\d{1,3}(?:,\d{3})+)(?:\.(\d+))?")
_COMMA_NUMBER = re.compile(r"([+-]?)(\d+|\d{1,3}(?:\.\d{3})+),(\d{1,2})")
_NOTHING = {"", "-", "--", "NULL", "NONE", "NAN", "N/A", "\\N"}


def _plain(cell: str) -> str:
    """Normalise full-width digits and signs; turn words for "nothing" into an empty text."""
    text = unicodedata.normalize("NFKC", cell).strip().upper()
    return "" if text in _NOTHING else text


def read_number(cell: str) -> Decimal | None:
    """
    Read a number with or without thousands separators; an empty cell is None.

    Raises:
        ValueError: It is not a number.
    """
    text = "".join(_plain(cell).split())
    if not text:
        return None
    found = _NUMBER.fullmatch(text) or _COMMA_NUMBER.fullmatch(text)
    if not found:
        raise ValueError("is not a number")
    sign, whole, part = found.groups(default="0")
    whole = whole.replace(",", "").replace(".", "")
    return Decimal(f"{sign}{whole}.{part}")


def read_price(cell: str) -> Decimal | None:
    """
    Read `¥1,299.00`, `1299元`, `$12.5` or `12,50 €`, rounded to hundredths.

    Raises:
        ValueError: It is not a number, is negative, or has more than ten digits.
    """
    text = _plain(cell)
    if not text:
        return None
    price = read_number(_MONEY.sub("", text))
    if price is None:
        raise ValueError("is not a number")
    if not 0 <= price < Decimal(10) ** 10 - 1:
        raise ValueError("is negative or too large for a price")
    return price.quantize(Decimal("0.01"), ROUND_HALF_UP)


def read_currency(cell: str) -> str:
    """
    Return the code of the currency in a cell; empty if the cell names none.

    The cell may be a price. `¥` is the yuan; a file in yen needs a column with JPY.

    Raises:
        ValueError: The cell names an unknown currency.
    """
    text = _plain(cell)
    if not re.search(r"[^\d\s.,+-]", text):
        return ""
    for sign, code in _SIGNS.items():
        if sign in text:
            return code
    if found := _CODE.search(text):
        return found.group()
    raise ValueError("is not a known currency; use a code such as CNY")


def read_list(cell: str) -> list[str]:
    """
    Read `["轻", "软"]`, or a text split at `；`, `|` or new lines, or else at `、`.

    Raises:
        ValueError: It begins like a JSON list, but is not a list of texts.
    """
    if cell.lstrip().startswith("["):
        try:
            parts = msgspec.json.decode(cell, type=list[str])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ValueError("is not a JSON list of texts") from error
    elif re.search(r"[;；|｜\n]", cell):
        parts = re.split(r"[;；|｜\n]", cell)
    else:
        parts = cell.split("、")
    return [part.strip() for part in parts if part.strip()]
