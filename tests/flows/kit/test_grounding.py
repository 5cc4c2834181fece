"""Grounding: the parts that the systems' checks share."""

from __future__ import annotations

from typing import Any

import pytest

from unspool.flows.kit.grounding import (
    MAX_FINDINGS,
    Finding,
    amounts,
    number,
    overlap,
    repeated,
    report,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("399", 399),
        ("1,299.50", 1299.5),
        ("九十九", 99),
        ("三百九十九", 399),
        ("两千零五", 2005),
        ("十二", 12),
        ("一万两千", 12000),
        ("三点五", 3.5),
        ("八五", 85),
        ("", None),
        ("鞋", None),
    ],
)
def test_a_number_is_read_in_digits_and_in_chinese(text: str, value: float | None) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("只要 99 元，买一送一", [("99 元", 99, "money")]),
        ("¥399，限时八折", [("¥399", 399, "money"), ("八折", 8, "discount")]),
        ("打 85 折，八五折", [("85 折", 8.5, "discount"), ("八五折", 8.5, "discount")]),
        ("九十九块钱带回家", [("九十九块钱", 99, "money")]),
        ("78% of 12 people", [("78%", 78, "percent"), ("12 people", 12, "count")]),
        ("百分之九十一的人", [("百分之九十一", 91, "percent")]),
        ("镜头 12 秒，7 天内", [("12 秒", 12, "seconds"), ("7 天", 7, "days")]),
        ("一双舒服的鞋", []),
    ],
)
def test_amounts_are_found_with_their_units(text: str, found: list[tuple[str, float, str]]) -> None:
    assert [(a.quote, a.value, a.unit) for a in amounts(text)] == found


def test_overlap_ignores_marks_and_spaces() -> None:
    assert overlap("舒适的运动鞋，走一天也不累。", "舒适的运动鞋 走一天也不累！") == 1
    assert overlap("舒适的运动鞋，走一天也不累。", "周末去爬山，脚下要稳。") == 0
    assert overlap("", "任何文字") == 0


def test_a_model_that_invents_without_end_makes_a_bounded_number_of_warnings() -> None:
    class Kept:
        def __init__(self) -> None:
            self.warnings: list[dict[str, Any]] = []

        def found(self, kind: str, item: Any, *, step: str = "") -> None: ...

        def warn(self, message: str, **facts: Any) -> None:
            self.warnings.append({"message": message, **facts})

    ctx = Kept()
    report(ctx, [Finding("price", "价格不符", "x" * 999, "399")] * 1000, step="post-1")
    assert len(ctx.warnings) == MAX_FINDINGS + 1
    assert ctx.warnings[-1]["count"] == 1000 - MAX_FINDINGS
    assert {w["code"] for w in ctx.warnings} == {"ungrounded"}
    assert max(len(w.get("quote", "")) for w in ctx.warnings) == 200


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("回弹，" + "落地轻，" * 9 + "通勤必备", "落地轻，"),
        ("very very very good", ""),
        ("轻便，轻便，轻便。", ""),
        ("哈哈哈哈哈哈哈哈", "哈哈"),
        ("a b " * 2000, "a b "),
        ("----------------", ""),
        ("好。" + "走一天也不觉得闷，价格在399元以内。" * 3, "走一天也不觉得闷，价格在399元以内。"),
        ("走一天也不觉得闷，价格在399元以内。" * 2, ""),
        ("", ""),
    ],
)
def test_a_part_that_repeats_itself_is_found(text: str, part: str) -> None:
    assert repeated(text) == part
