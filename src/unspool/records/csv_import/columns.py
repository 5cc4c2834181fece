"""
The columns of each kind of file: their names in shops' files, and the readers of their cells.

To add a kind: add a line to `importing.Kind`, and a table to `TABLES` with the function that
saves its rows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from ...formats.moments import read_moment
from ..behaviors import MAX_ACTION_CHARS, MAX_STAY_S, save_behaviors
from ..people import MAX_AGE, MAX_USER_CHARS, save_people
from ..products import (
    MAX_SKU_CHARS,
    read_currency,
    read_list,
    read_number,
    read_price,
    save_products,
)
from .csv_file import MAX_FIELD_CHARS


def plain(header: str) -> str:
    """Normalise a header: `User ID`, `user_id` and `ＵｓｅｒＩＤ` become the same."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", header).casefold()))


@dataclass(frozen=True, slots=True)
class ColumnMatch:
    """
    Attributes:
        read: Turns a cell into a value; its `ValueError` continues the sentence "price '?' …".
        names: Other names of this column, normalised by `plain`, separated by spaces.
    """

    read: Callable[[str], Any] = str
    names: str = ""
    required: bool = False
    max_chars: int = MAX_FIELD_CHARS


@dataclass(frozen=True, slots=True)
class Table:
    columns: Mapping[str, ColumnMatch]
    save: Callable[[AsyncSession, Sequence[Mapping[str, Any]]], Awaitable[tuple[int, int]]]


def _read_stay(cell: str) -> float | None:
    stay_s = read_number(cell.removesuffix("秒"))
    if stay_s is not None and not 0 <= stay_s <= MAX_STAY_S:
        raise ValueError("is not a number of seconds")
    return None if stay_s is None else float(stay_s)


def _read_age(cell: str) -> int | None:
    age = read_number(cell.removesuffix("岁"))
    if age is not None and not 0 <= age <= MAX_AGE:
        raise ValueError("is not a number of years")
    return None if age is None else int(age)


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

_USER = ColumnMatch(
    names="用户id 用户编号 会员id 会员编号 用户 uid user customerid memberid visitorid",
    required=True,
    max_chars=MAX_USER_CHARS,
)

TABLES = {
    "people": Table(
        {
            "user_id": _USER,
            "name": ColumnMatch(names="姓名 昵称 用户名 用户名称 username nickname", max_chars=200),
            "gender": ColumnMatch(names="性别 sex", max_chars=32),
            "age": ColumnMatch(_read_age, names="年龄"),
            "city": ColumnMatch(names="城市 所在城市 常住城市 location", max_chars=100),
            "properties": ColumnMatch(_read_object),
        },
        save_people,
    ),
    "products": Table(
        {
            "sku": ColumnMatch(names=_SKU, required=True, max_chars=MAX_SKU_CHARS),
            "name": ColumnMatch(
                names="商品名称 商品名 商品标题 产品名称 产品名 名称 品名 标题 "
                "productname itemname title",
                required=True,
                max_chars=500,
            ),
            "category": ColumnMatch(
                names="商品类别 商品分类 商品类目 产品类别 类别 分类 类目 品类 categoryname",
                max_chars=200,
            ),
            "brand": ColumnMatch(names="品牌 品牌名称 商品品牌 brandname", max_chars=200),
            "color": ColumnMatch(names="颜色 商品颜色 颜色分类 配色 colour", max_chars=200),
            "price": ColumnMatch(
                read_price,
                names="售价 价格 单价 销售价 销售价格 商品价格 saleprice unitprice",
            ),
            "currency": ColumnMatch(read_currency, names="币种 货币 currencycode"),
            "material": ColumnMatch(names="材质 材料 面料 商品材质", max_chars=500),
            "season": ColumnMatch(names="季节 适用季节", max_chars=200),
            "selling_points": ColumnMatch(
                read_list, names="卖点 商品卖点 产品卖点 sellingpoint features highlights"
            ),
            "scenes": ColumnMatch(read_list, names="场景 适用场景 使用场景 scene scenarios"),
            "properties": ColumnMatch(_read_object),
        },
        save_products,
    ),
    "behaviors": Table(
        {
            "user_id": _USER,
            "sku": ColumnMatch(names=_SKU, max_chars=MAX_SKU_CHARS),
            "action": ColumnMatch(
                names="行为类型 用户行为 行为名称 行为 动作 事件类型 事件 "
                "behaviortype behaviourtype behavior behaviour actiontype eventtype event",
                required=True,
                max_chars=MAX_ACTION_CHARS,
            ),
            "at": ColumnMatch(
                read_moment,
                names="时间戳 时间 行为时间 发生时间 访问时间 操作时间 日期时间 "
                "timestamp time ts datetime eventtime",
                required=True,
            ),
            "stay_s": ColumnMatch(
                _read_stay,
                names="停留时长 停留时间 停留秒数 停留时长秒 停留时间秒 浏览时长 浏览时长秒 "
                "stayseconds dwelltime dwellseconds durations durationseconds",
            ),
            "properties": ColumnMatch(_read_object),
        },
        save_behaviors,
    ),
}

OF_PEOPLE = frozenset(
    name
    for ours in ("user_id", "action", "at", "stay_s")
    for name in [plain(ours), *TABLES["behaviors"].columns[ours].names.split()]
)
"""Columns about people, which must not become properties of a product."""
