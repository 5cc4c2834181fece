"""
The terms of a film set, in Chinese and English, and the names that we store for them.

A model says 推, Push In or dolly in: each is `push`. Of several terms in one answer the first
counts, and at one place the more special one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

MOVEMENTS: Final = {
    "static": "固定",
    "push": "推",
    "pull": "拉",
    "pan": "摇",
    "truck": "移",
    "follow": "跟",
    "crane": "升降",
    "orbit": "环绕",
    "zoom": "变焦",
}
"""Kinds of camera movement, with the terms of a Chinese film set."""

SHOT_SIZES: Final = {
    "extreme_wide": "远景",
    "wide": "全景",
    "medium": "中景",
    "medium_close": "近景",
    "close_up": "特写",
    "extreme_close_up": "大特写",
}
"""From the widest to the tightest."""

MAX_TERM_CHARS: Final = 100
"""Of what a model says for a movement or a shot size; we look no further."""

_OF_MOVEMENT: Final = (
    ("zoom", r"推拉变焦|滑动变焦|变焦|dolly zoom|\bzoom\w*|希区柯克"),
    ("static", r"不[动推拉摇移跟]|无运动|无运镜|固定|静止|静态|定机位|定镜"),
    ("static", r"\b(?:static|fixed|still|stationary|tripod|locked?|lock off|no(?:t|ne)?)\b"),
    ("truck", r"\b(?:dolly|track|move|slide)\w* (?:left|right|sideways|across|along)\b"),
    ("push", r"拉近"),
    ("pull", r"推[远开]|\b(?:dolly|track|move|camera)\w* (?:out|back|backwards?|away)\b"),
    ("push", r"\b(?:dolly|track|move|camera)\w* (?:in|into|forwards?|closer|towards?)\b"),
    ("crane", r"升降|[上下]升|下降|升起|摇臂|垂直移动|升|降"),
    ("crane", r"\b(?:crane|boom|jib|pedestal|ascend|descend|ris(?:e|es|ing))\w*"),
    ("orbit", r"环绕|围绕|绕|旋转|\b(?:orbit|arc|circl|revolv|rotat)\w*|360"),
    ("follow", r"跟[拍随踪摄]?|追[拍随踪]?|\b(?:follow|track|chas|steadicam)\w*"),
    ("pan", r"摇|甩|俯仰|横扫|\b(?:pan|pans|panning|tilt\w*|whip|swish)\b"),
    ("push", r"推|\bpush\w*|\bdolly\b|前进|靠近"),
    ("pull", r"拉|\bpull\w*|后退"),
    ("truck", r"移|\b(?:truck|lateral|slid|crab)\w*"),
)
_OF_SHOT: Final = (
    ("extreme_close_up", r"大特写|微距|\bextreme close\b|\b(?:ecu|xcu|macro)\b"),
    ("medium_close", r"中近景|近景|\bmedium close\b|\bmcu\b|\bclose shot\b"),
    ("close_up", r"特写|\bclose ?up\b|\bcu\b"),
    (
        "extreme_wide",
        r"大?远景|航拍|鸟瞰|\bextreme (?:long|wide)\b|\b(?:ews|els|establishing|aerial)\b",
    ),
    ("medium", r"中景|半身|过肩|\b(?:medium|mid|ms|waist|cowboy|american|two shot)\b"),
    ("medium", r"\bover the shoulder\b"),
    ("wide", r"[中小大]?全景|全身|\b(?:wide|long|full|ws|ls|fs)\b"),
)


def _terms(listed: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[str], list[str]]:
    pattern = "|".join(f"(?P<t{number}>{words})" for number, (_, words) in enumerate(listed))
    return re.compile(pattern), [name for name, _ in listed]


_MOVEMENT: Final = _terms(_OF_MOVEMENT)
_SHOT: Final = _terms(_OF_SHOT)


def movement_named(said: str) -> str | None:
    """Return the movement that a model means; None: it is none that we know."""
    return _named(said, _MOVEMENT, MOVEMENTS)


def shot_named(said: str) -> str | None:
    """Return the shot size that a model means; None: it is none that we know."""
    return _named(said, _SHOT, SHOT_SIZES)


def shots_in(text: str) -> list[str]:
    """Return the shot sizes that a text names, in its order."""
    pattern, names = _SHOT
    return [_name_of(found, names) for found in pattern.finditer(_plain(text))]


def _named(
    said: str, terms: tuple[re.Pattern[str], list[str]], known: Mapping[str, str]
) -> str | None:
    pattern, names = terms
    stored = said.strip().casefold()
    if stored in known:
        return stored
    found = pattern.search(_plain(said[:MAX_TERM_CHARS]))
    return None if found is None else _name_of(found, names)


def _name_of(found: re.Match[str], names: list[str]) -> str:
    assert found.lastgroup is not None
    return names[int(found.lastgroup[1:])]


def _plain(text: str) -> str:
    spaced = re.sub(r"[-_/\s]+", " ", unicodedata.normalize("NFKC", text).casefold())
    return spaced.strip()
