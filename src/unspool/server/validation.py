"""
Messages about invalid requests, in the language that the client asks for (`Accept-Language`).

A message names fields and repeats no value: a value may be NaN, or a secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

MAX_PROBLEMS: Final = 5
"""Problems in one message: more would not be read."""

_ZH: Final[Mapping[str, str]] = {
    "missing": "缺少这一项",
    "extra_forbidden": "没有这一项，请去掉",
    "string_type": "应当是一段文字",
    "string_too_short": "至少要 {min_length} 个字符",
    "string_too_long": "最多 {max_length} 个字符",
    "string_pattern_mismatch": "格式不对，应当符合 {pattern}",
    "int_type": "应当是整数",
    "int_parsing": "应当是整数",
    "int_from_float": "应当是整数",
    "float_type": "应当是数字",
    "float_parsing": "应当是数字",
    "finite_number": "应当是有限的数字",
    "bool_type": "应当是 true 或 false",
    "bool_parsing": "应当是 true 或 false",
    "greater_than": "应当大于 {gt}",
    "greater_than_equal": "不能小于 {ge}",
    "less_than": "应当小于 {lt}",
    "less_than_equal": "不能大于 {le}",
    "multiple_of": "应当是 {multiple_of} 的倍数",
    "literal_error": "只能是 {expected} 之一",
    "enum": "只能是 {expected} 之一",
    "list_type": "应当是一个列表",
    "dict_type": "应当是一个对象",
    "model_type": "应当是一个对象",
    "model_attributes_type": "应当是一个对象",
    "too_short": "至少要 {min_length} 项",
    "too_long": "最多 {max_length} 项",
    "url_parsing": "不是网址",
    "union_tag_invalid": "只能是 {expected_tags} 之一",
    "union_tag_not_found": "缺少 {discriminator}",
    "json_invalid": "请求体不是 JSON",
    "value_error": "不合要求（{error}）",
}
"""By the type of the error (pydantic's list of validation errors)."""


def is_chinese(accept_language: str) -> bool:
    """Whether a client prefers Chinese to English, by `Accept-Language` (RFC 9110)."""
    liked = {"zh": 0.0, "en": 0.0}
    for part in accept_language.split(","):
        language, _, weight = part.partition(";")
        primary = language.strip().lower().partition("-")[0]
        if primary in liked:
            liked[primary] = max(liked[primary], _weight(weight))
    return liked["zh"] > liked["en"]


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0


def invalid_message(problems: Sequence[Mapping[str, Any]], accept_language: str = "") -> str:
    """Return a message about pydantic's errors."""
    chinese = is_chinese(accept_language)
    lines = [_line(problem, chinese=chinese) for problem in problems[:MAX_PROBLEMS]]
    return ("；" if chinese else "; ").join(lines)


def _line(problem: Mapping[str, Any], *, chinese: bool) -> str:
    kind, place = problem["type"], problem["loc"]
    if kind == "json_invalid":  # its place is a number of characters
        at = next((part for part in place if isinstance(part, int)), 0)
        sentence = (
            "请求体不是 JSON（第 {} 个字符）" if chinese else "the body is no JSON: character {}"
        )
        return sentence.format(at + 1)
    name = ".".join(map(str, place)) or "body"
    form = _ZH.get(kind) if chinese else None
    if form is None:
        return f"{name}: {problem['msg']}"
    facts = {name: str(value) for name, value in problem.get("ctx", {}).items()}
    return f"{name}：{form.format_map(_Facts(facts))}"


class _Facts(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "…"
