"""
Holds what a model says against what is known.

Each system has a check of its own: a pure function from a text, and the facts, to findings. Here
is what the checks share. A finding becomes a warning in the log; the statement that it marks is
never counted, averaged or drawn.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from .. import Recorder

CODE: Final = "ungrounded"
"""The code of the warning."""

MAX_FINDINGS: Final = 20
"""Findings of one step that are recorded one by one; a model may invent without end."""

MAX_QUOTE_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """A statement that what is known contradicts, or does not support."""

    kind: str
    """Stable word for programs: `price`, `time`, `alike` …"""
    message: str
    """For people."""
    quote: str = ""
    """The words concerned, as they stand in the text."""
    known: str = ""
    """What is known instead; empty: nothing is."""


def report(ctx: Recorder, findings: Iterable[Finding], *, step: str, **place: Any) -> None:
    """
    Record each finding as a warning; those above the limit as one more, with their number.

    `place` says where in the step's result it is, as facts of the warning.
    """
    found = list(findings)
    for one in found[:MAX_FINDINGS]:
        quote, known = one.quote[:MAX_QUOTE_CHARS], one.known[:MAX_QUOTE_CHARS]
        ctx.warn(
            one.message, step=step, code=CODE, kind=one.kind, quote=quote, known=known, **place
        )
    if (more := len(found) - MAX_FINDINGS) > 0:
        ctx.warn(f"另有 {more} 处与已知不符", step=step, code=CODE, kind="more", count=more)


def overlap(one: str, other: str, size: int = 3) -> float:
    """
    Return the share (0 to 1) of the shorter text's character n-grams that the other has too.

    Letters and digits count, in one case; spaces, marks and width do not.
    """
    grams = sorted((_grams(one, size), _grams(other, size)), key=len)
    return len(grams[0] & grams[1]) / len(grams[0]) if grams[0] else 0.0


def _grams(text: str, size: int) -> set[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())
    return {plain[i : i + size] for i in range(len(plain) - size + 1)}


_AGAIN: Final = re.compile(r"(\w.{1,29}?)\1{3,}", re.DOTALL)
_SENTENCE_AGAIN: Final = re.compile(r"(\w[^。！？!?\n]{9,149}[。！？!?\n])\1{2,}")

MAX_SEARCHED_CHARS: Final = 4000
"""The search takes the square of a repeated part."""


def repeated(text: str) -> str:
    """Return a part that stands four times in a row, or a sentence three times; empty: none."""
    text = text[:MAX_SEARCHED_CHARS]
    found = _AGAIN.search(text) or _SENTENCE_AGAIN.search(text)
    return found[1] if found else ""


Unit = Literal["money", "percent", "discount", "seconds", "days", "count"]


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with its unit in a text."""

    quote: str
    """As it stands in the text."""
    value: float
    """In the unit: yuan or the text's currency, percent, tenths of the price (`八折` is 8) …"""
    unit: Unit
    at: int
    """The place of its first character."""


_DIGIT: Final = "零〇一二两三四五六七八九"
_NUMBER: Final = rf"(?:\d[\d,]*(?:\.\d+)?|[{_DIGIT}十百千万亿]+(?:点[{_DIGIT}]+)?)"

_UNITS: Final[tuple[tuple[Unit, str], ...]] = (
    ("percent", rf"百分之(?P<a>{_NUMBER})|(?P<b>\d[\d,]*(?:\.\d+)?)\s*(?:%|％|percent\b)"),
    ("discount", rf"(?P<a>{_NUMBER})\s*折"),
    (
        "money",
        rf"[¥￥$€£]\s*(?P<a>\d[\d,]*(?:\.\d+)?)"
        rf"|(?P<b>{_NUMBER})\s*(?:元|块钱?|人民币|(?:rmb|cny|yuan|dollars?|euros?)\b)",
    ),
    ("seconds", rf"(?P<a>{_NUMBER})\s*(?:秒钟?|(?:seconds?|secs?|s)\b)"),
    ("days", rf"(?P<a>{_NUMBER})\s*(?:天|日(?!\d)|days?\b)"),
    ("count", rf"(?P<a>{_NUMBER})\s*(?:个人|人|位|次|条|(?:people|persons?|users?|times)\b)"),
)

_PATTERNS: Final = tuple((unit, re.compile(form, re.IGNORECASE)) for unit, form in _UNITS)


def amounts(text: str) -> list[Amount]:
    """Return the numbers with a unit in a text, in its order, Chinese numerals too."""
    found = []
    for unit, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            groups = match.groupdict()
            value = number(groups.get("a") or groups.get("b") or "")
            if value is not None:
                if unit == "discount" and value > 10:  # 八五折 and 85 折: 8.5
                    value /= 10
                found.append(Amount(match[0], value, unit, match.start()))
    return sorted(found, key=lambda amount: amount.at)


_DIGITS: Final = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {
    "〇": 0,
    "两": 2,
}
_SCALES: Final = {"十": 10, "百": 100, "千": 1000}
_GROUPS: Final = {"万": 10_000, "亿": 100_000_000}


def number(text: str) -> float | None:
    """Return the value of a written number, in digits or Chinese numerals; None: it is none."""
    plain = unicodedata.normalize("NFKC", text).replace(",", "").strip()
    if not plain:
        return None
    if plain[0].isdigit():
        try:
            return float(plain)
        except ValueError:
            return None
    whole, _, part = plain.partition("点")
    if any(c not in _DIGITS for c in part):
        return None
    value = _numeral(whole)
    if value is None:
        return None
    return float(f"{value}.{''.join(str(_DIGITS[c]) for c in part)}") if part else float(value)


def _numeral(text: str) -> int | None:
    if len(text) > 1 and all(c in _DIGITS for c in text):  # 二〇二五, 八五
        return int("".join(str(_DIGITS[c]) for c in text))
    total = section = digit = 0
    for c in text:
        if c in _DIGITS:
            digit = _DIGITS[c]
        elif c in _SCALES:
            section += (digit or 1) * _SCALES[c]
            digit = 0
        elif c in _GROUPS:
            total = (total + section + digit) * _GROUPS[c]
            section = digit = 0
        else:
            return None
    return total + section + digit
