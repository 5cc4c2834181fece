"""
Tables from anyone's CSV file.

What a file is (packed or not, its encoding, its delimiter) is found out by looking; what
its columns are is told by `mapping`, by our own names, or by names that many shops use.
A row that is wrong is skipped and reported with its line; it never stops the others.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from ..errors import SpecError
from . import Records
from .behaviors import (
    MAX_ACTION_CHARS,
    MAX_STAY_S,
    MAX_USER_CHARS,
    read_moment,
    save_behaviors,
)
from .csvfile import MAX_FIELD_CHARS, Row, encoding_of, opened, rows_of
from .products import (
    MAX_SKU_CHARS,
    read_currency,
    read_list,
    read_number,
    read_price,
    save_products,
)

BATCH_ROWS = 500
"""Rows of one transaction: others who write wait a few milliseconds at most."""

MAX_ERRORS_KEPT = 100
"""Wrong rows told one by one; who has more of them has one reason for all."""

MAX_HEADERS_SHOWN = 30
"""Headers told when one was not found: a screenful."""

Kind = Literal["products", "behaviors"]


@dataclass(slots=True)
class ImportReport:
    """
    What became of a file.

    Attributes:
        read: Rows seen below the header, blank lines not counted.
        added: Rows that are new in the database.
        changed: Rows that were there and are different now.
        skipped: Rows that are wrong.
        errors: Line in the file (the first one of the row, from 1) and reason, of the first
            `MAX_ERRORS_KEPT` wrong rows.
        encoding: What the file is written in.
        columns: Which of its headers was taken for which of our columns.
        left_out: Headers that went nowhere: who did what when is no property of a product.
        done: Share of the file that was read, 0 to 1.
    """

    read: int = 0
    added: int = 0
    changed: int = 0
    skipped: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)
    encoding: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    done: float = 0.0

    @property
    def unchanged(self) -> int:
        """Rows that said what the database, or a row before them, said already."""
        return self.read - self.added - self.changed - self.skipped

    def skip(self, line: int, reason: str) -> None:
        self.skipped += 1
        if len(self.errors) < MAX_ERRORS_KEPT:
            self.errors.append((line, reason))


async def import_csv(
    records: Records,
    kind: Kind,
    path: str | Path,
    mapping: Mapping[str, str] | None = None,
    on_progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """
    Take in a CSV file, packed with gzip or not, reading it as a stream.

    Products are added or changed by their SKU; behaviours that are there already are left
    alone. So a file may be imported again, also after an import that was cut off: what was
    committed stays, `BATCH_ROWS` rows at a time.

    `mapping` is our column -> their header. The rest is found by name; what is none of our
    columns goes into `properties`. `on_progress` is called after each commit with the
    report so far.

    Raises:
        SpecError: The file or the mapping cannot be used; nothing was imported.
        SetupError: The database cannot be written.
    """
    if kind not in _TABLES:
        raise SpecError(f"no kind {kind[:64]!r} of file; have: {', '.join(_TABLES)}")
    path = Path(path)
    report = ImportReport(encoding=await asyncio.to_thread(encoding_of, path))
    with (
        opened(path) as (plain, done),
        # Line ends as they are: those inside quotes belong to the cell.
        TextIOWrapper(plain, encoding=report.encoding, newline="") as text,
    ):
        rows = rows_of(text)
        plan = _Plan(kind, await asyncio.to_thread(next, rows, None), mapping or {})
        report.columns, report.left_out = plan.columns, plan.left_out
        # In threads: a running server goes on streaming while a file is read.
        while batch := await asyncio.to_thread(_next_batch, rows, plan, report):
            async with records.session() as session:
                added, changed = await _TABLES[kind].save(session, batch)
                await session.commit()
            report.added += added
            report.changed += changed
            report.done = done()
            if on_progress is not None:
                on_progress(report)
    report.done = 1.0
    return report


def _next_batch(rows: Iterator[Row], plan: _Plan, report: ImportReport) -> list[dict[str, Any]]:
    """Read on until there are `BATCH_ROWS` good rows, or to the end."""
    batch: list[dict[str, Any]] = []
    for line, cells in rows:
        report.read += 1
        if isinstance(cells, str):
            report.skip(line, cells)
            continue
        try:
            batch.append(plan.values(cells))
        except ValueError as error:
            report.skip(line, str(error))
        if len(batch) == BATCH_ROWS:
            break
    return batch


# Columns


@dataclass(frozen=True, slots=True)
class _Column:
    """
    Attributes:
        read: Turns a cell into a value; its `ValueError` goes on after "price '?' …".
        names: What else this column is called, as `_plain` leaves it, between spaces.
    """

    read: Callable[[str], Any] = str
    names: str = ""
    required: bool = False
    max_chars: int = MAX_FIELD_CHARS


@dataclass(frozen=True, slots=True)
class _Table:
    columns: Mapping[str, _Column]
    save: Callable[[AsyncSession, Sequence[Mapping[str, Any]]], Awaitable[tuple[int, int]]]


def _read_stay(cell: str) -> float | None:
    stay_s = read_number(cell.removesuffix("秒"))
    if stay_s is not None and not 0 <= stay_s <= MAX_STAY_S:
        raise ValueError("is not a number of seconds")
    return None if stay_s is None else float(stay_s)


def _read_object(cell: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.json.decode(cell or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("is not a JSON object") from error
    return found


_SKU = (
    "商品id 商品编码 商品编号 商品代码 产品id 产品编码 产品编号 货号 款号 "
    "skuid skucode itemid itemcode productid productcode productno"
)

_TABLES = {
    "products": _Table(
        {
            "sku": _Column(names=_SKU, required=True, max_chars=MAX_SKU_CHARS),
            "name": _Column(
                names="商品名称 商品名 商品标题 产品名称 产品名 名称 品名 标题 "
                "productname itemname title",
                required=True,
                max_chars=500,
            ),
            "category": _Column(
                names="商品类别 商品分类 商品类目 产品类别 类别 分类 类目 品类 categoryname",
                max_chars=200,
            ),
            "brand": _Column(names="品牌 品牌名称 商品品牌 brandname", max_chars=200),
            "color": _Column(names="颜色 商品颜色 颜色分类 配色 colour", max_chars=200),
            "price": _Column(
                read_price,
                names="售价 价格 单价 销售价 销售价格 商品价格 saleprice unitprice",
            ),
            "currency": _Column(read_currency, names="币种 货币 currencycode"),
            "material": _Column(names="材质 材料 面料 商品材质", max_chars=500),
            "season": _Column(names="季节 适用季节", max_chars=200),
            "selling_points": _Column(
                read_list, names="卖点 商品卖点 产品卖点 sellingpoint features highlights"
            ),
            "scenes": _Column(read_list, names="场景 适用场景 使用场景 scene scenarios"),
            "properties": _Column(_read_object),
        },
        save_products,
    ),
    "behaviors": _Table(
        {
            "user_id": _Column(
                names="用户id 用户编号 会员id 会员编号 用户 uid user customerid memberid visitorid",
                required=True,
                max_chars=MAX_USER_CHARS,
            ),
            "sku": _Column(names=_SKU, max_chars=MAX_SKU_CHARS),
            "action": _Column(
                names="行为类型 用户行为 行为名称 行为 动作 事件类型 事件 "
                "behaviortype behaviourtype behavior behaviour actiontype eventtype event",
                required=True,
                max_chars=MAX_ACTION_CHARS,
            ),
            "at": _Column(
                read_moment,
                names="时间戳 时间 行为时间 发生时间 访问时间 操作时间 日期时间 "
                "timestamp time ts datetime eventtime",
                required=True,
            ),
            "stay_s": _Column(
                _read_stay,
                names="停留时长 停留时间 停留秒数 停留时长秒 停留时间秒 浏览时长 浏览时长秒 "
                "stayseconds dwelltime dwellseconds durations durationseconds",
            ),
            "properties": _Column(_read_object),
        },
        save_behaviors,
    ),
}


class _Plan:
    """
    Which cell of a row goes where.

    Attributes:
        columns: Our column -> their header.
        left_out: Headers that go nowhere.

    Raises:
        SpecError: The mapping names what is not there, or a required column is not found.
    """

    def __init__(self, kind: Kind, first: Row | None, mapping: Mapping[str, str]) -> None:
        if first is None or isinstance(first[1], str):
            raise SpecError("the file has no header that can be read; its first row names columns")
        self._headers = _headers(first[1])
        self._plain = [_plain(header) for header in self._headers]
        table = _TABLES[kind].columns
        self._places: dict[str, int] = {}
        for ours, theirs in mapping.items():
            if ours not in table:
                raise SpecError(f"{kind} have no column {ours[:64]!r}; have: {', '.join(table)}")
            self._places[ours] = self._place_of(theirs)
        for ours, column in table.items():
            if ours not in self._places:
                self._look_for(ours, column)
        if "price" in self._places:
            # The sign of a price is the currency, where no column says it.
            self._places.setdefault("currency", self._places["price"])
        self.columns = {ours: self._headers[at] for ours, at in self._places.items()}
        self._reading = [(at, ours, table[ours]) for ours, at in self._places.items()]
        rest = sorted(set(range(len(self._headers))) - set(self._places.values()))
        # A list of sales can be read as products; its buyers must not end up in copy.
        foreign = _PEOPLE if kind == "products" else frozenset()
        self._rest = [(at, self._headers[at]) for at in rest if self._plain[at] not in foreign]
        self.left_out = [self._headers[at] for at in rest if self._plain[at] in foreign]

    def _place_of(self, theirs: str) -> int:
        for headers, wanted in (
            (self._headers, theirs.strip()),
            (self._plain, _plain(theirs)),
        ):
            if wanted and wanted in headers:
                return headers.index(wanted)
        raise SpecError(f"the file has no column {theirs[:64]!r}; {self._listed()}")

    def _look_for(self, ours: str, column: _Column) -> None:
        places: list[int] = []
        # Our own name wins over another one that may mean the same.
        for names in ([_plain(ours)], column.names.split()):
            places = places or [
                at
                for at, header in enumerate(self._plain)
                if header in names and at not in self._places.values()
            ]
        if len(places) == 1:
            self._places[ours] = places[0]
        elif column.required:
            several = " and ".join(repr(self._headers[at][:64]) for at in places)
            reason = (
                f"{several} could each be {ours}" if several else f"no column looks like {ours}"
            )
            raise SpecError(f"{reason}; say which it is with `{ours}=<header>`; {self._listed()}")

    def _listed(self) -> str:
        shown = [header[:64] for header in self._headers[:MAX_HEADERS_SHOWN]]
        more = len(self._headers) - len(shown)
        return f"the file has: {', '.join(shown)}" + (f" and {more} more" if more else "")

    def values(self, cells: list[str]) -> dict[str, Any]:
        """
        Return a row's values by our columns.

        Raises:
            ValueError: The row is wrong; the message is for people.
        """
        if len(cells) != len(self._headers):
            raise ValueError(f"{len(cells)} cells under {len(self._headers)} headers")
        for cell in cells:
            if len(cell) > MAX_FIELD_CHARS:
                raise ValueError(f"a cell is longer than {MAX_FIELD_CHARS:,} characters")
            if "\0" in cell:
                raise ValueError("a cell holds a NUL: this is not text")
        values = {ours: _value(ours, column, cells[at]) for at, ours, column in self._reading}
        values["properties"] = values.get("properties", {}) | {
            header: cells[at].strip() for at, header in self._rest
        }
        return values


def _value(ours: str, column: _Column, cell: str) -> Any:
    text = cell.strip()
    if column.required and not text:
        raise ValueError(f"{ours} is empty")
    if len(text) > column.max_chars:
        raise ValueError(f"{ours} is longer than {column.max_chars} characters")
    try:
        return column.read(text)
    except ValueError as error:
        shown = text if len(text) <= 40 else f"{text[:39]}…"
        raise ValueError(f"{ours} {shown!r} {error}") from error


def _plain(header: str) -> str:
    """`User ID`, `user_id` and `ＵｓｅｒＩＤ` are the same header."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", header).casefold()))


_PEOPLE = frozenset(
    name
    for ours in ("user_id", "action", "at", "stay_s")
    for name in [_plain(ours), *_TABLES["behaviors"].columns[ours].names.split()]
)


def _headers(cells: list[str]) -> list[str]:
    """Return one name for each column, no two of them the same."""
    if any("\0" in cell for cell in cells):
        raise SpecError("the header is not text (UTF-16 without a mark?); save the file as UTF-8")
    seen: Counter[str] = Counter()
    headers = []
    for number, cell in enumerate(cells, start=1):
        header = cell.strip() or f"column {number}"
        seen[header] += 1
        headers.append(header if seen[header] == 1 else f"{header} ({seen[header]})")
    return headers
