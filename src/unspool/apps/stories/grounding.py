"""
Holds a storyboard against its text, and camera movements against their scenes.

A storyboard tells its whole text, in more than one scene if the text is long, within the wanted
time, with the characters that it lists. A movement fits its reason and the shot size of its scene.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from unspool.flows.kit.grounding import Finding, number, overlap

from .film import SHOT_SIZES, shots_in

Item = Mapping[str, Any]

TOLD: Final = 0.25
"""Share of a sentence's strings of characters that the scenes have too, if they tell it."""

LEFT_OUT: Final = 0.2
"""Share of a text that may be in no scene: an opening, a call to follow the channel."""

LONG_SENTENCES: Final = 4
LONG_CHARS: Final = 80
"""From both on, a text is too long for a single scene."""

MANY_TIMES: Final = 3
"""So many scenes with one narration are a loop; two may be a refrain."""

MIN_SENTENCE_CHARS: Final = 6
"""A shorter one says too little to be looked for."""

OFF: Final = 0.3
"""So far the scenes together may be from the wanted time."""

_CHINESE: Final = re.compile(r"[\u3400-\u9fff]")
_SENTENCE: Final = re.compile(r"[^。！？!?\n.]+(?:[.](?=\S)[^。！？!?\n.]+)*[。！？!?.]*")

_REMARK: Final = re.compile(r"^[ \t]*[（(\[【][^\n]*[）)\]】][ \t]*$", re.MULTILINE)
"""A line in brackets: a direction or a note, which nobody speaks."""

_CROWD: Final = re.compile(
    r"路人|行人|人群|观众|群众|众人|大家|旁白|解说|无|没有|none|narrator|crowd|people|passer", re.I
)
"""Nobody in particular: such a name needs no place in the list."""


def check_storyboard(text: str, wish: str, scenes: Sequence[Item]) -> list[Finding]:
    """Return what a storyboard as a whole lacks; fields are the reader's to check."""
    return [*_coverage(text, scenes), *_length(wish, scenes), *_narrations(scenes)]


def mark(kind: str, why: str, quote: str = "", known: str = "") -> Finding:
    """Return a finding whose message has its quote: the frames of S4 show messages alone."""
    return Finding(kind, f"{why}：{quote}" if quote else why, quote, known)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, without those of a few characters and whole remarks."""
    text = _REMARK.sub("", text)
    found = (part.strip() for part in _SENTENCE.findall(text))
    return [part for part in found if len(part) >= MIN_SENTENCE_CHARS]


def _coverage(text: str, scenes: Sequence[Item]) -> Iterator[Finding]:
    parts = sentences(text)
    chars = sum(map(len, parts))
    if len(scenes) == 1 and len(parts) >= LONG_SENTENCES and chars >= LONG_CHARS:
        yield mark("single", "这么长的文案只有一个镜头", known=str(len(parts)))
    told = "\n".join(f"{s['title']}\n{s['description']}\n{s['narration']}" for s in scenes)
    is_chinese = bool(_CHINESE.search(text))
    if not any(s["narration"] for s in scenes) or is_chinese != bool(_CHINESE.search(told)):
        return  # pictures in other words, or in another language: only people can tell
    size = 2 if is_chinese else 5
    left = [part for part in parts if overlap(part, told, size) < TOLD]
    if sum(map(len, left)) > LEFT_OUT * chars:
        for part in dict.fromkeys(left):
            yield mark("coverage", "这句话不在任何镜头里", quote=part)


def _narrations(scenes: Sequence[Item]) -> Iterator[Finding]:
    said = Counter(scene["narration"].strip() for scene in scenes)
    for narration, times in said.items():
        if times >= MANY_TIMES and len(narration) >= MIN_SENTENCE_CHARS:
            yield mark("loop", "好几个镜头的旁白一样", quote=narration, known=str(times))


# Length

_TIME: Final = re.compile(
    r"(?P<before>[^，。；,;\n]{0,12}?)"
    r"(?P<n>\d+(?:\.\d+)?|[一二两三四五六七八九十百半]+)\s*(?:个)?"
    r"(?P<unit>秒|分钟|分(?!镜|之|成|为)|seconds?\b|secs?\b|s\b|minutes?\b|mins?\b)"
    r"(?P<half>半?)(?P<after>[^，。；,;\n]{0,8})",
    re.IGNORECASE,
)
_EACH: Final = re.compile(r"每|各|单个|\beach\b|\bper\b|\bevery\b|前|后|开头|结尾|first|last", re.I)
_AT_MOST: Final = re.compile(
    r"不超过|不要超过|最多|以内|之内|内|under|within|at most|max|up to", re.I
)
_AT_LEAST: Final = re.compile(r"不少于|至少|以上|超过|at least|min\b|over", re.I)


def total_s(scenes: Sequence[Item]) -> float:
    """Return the seconds of the scenes that have a length."""
    return float(sum(scene.get("duration_s") or 0 for scene in scenes))


def _length(wish: str, scenes: Sequence[Item]) -> Iterator[Finding]:
    total = total_s(scenes)
    if not scenes or not all(scene.get("duration_s") for scene in scenes):
        return
    for found in _TIME.finditer(wish):
        around = found["before"] + found["after"]
        value = 0.5 if found["n"] == "半" else number(found["n"])
        if value is None or _EACH.search(around):
            continue
        wanted = (value + 0.5 * bool(found["half"])) * (1 if found["unit"][0] in "秒sS" else 60)
        least = 0.0 if _AT_MOST.search(around) else wanted * (1 - OFF)
        most = wanted if _AT_MOST.search(around) else wanted * (1 + OFF)
        if _AT_LEAST.search(around) and not _AT_MOST.search(around):
            least, most = wanted, float("inf")
        if not least <= total <= most:
            said = found[0].strip()
            yield mark("length", "各镜头加起来不是要的时长", quote=said, known=f"{total:g} s")
        return


# Characters


def check_characters(scene: Item, characters: Sequence[Item]) -> Iterator[Finding]:
    """Return the characters of a scene that are not in the story's list, if it has one."""
    listed = [one["name"].casefold() for one in characters]
    for name in scene["characters"] if listed else ():
        plain = name.casefold()
        is_listed = any(one in plain or plain in one for one in listed)
        if not is_listed and not _CROWD.search(name):
            known = "、".join(one["name"] for one in characters)
            yield mark("character", "人物表里没有这个人物", quote=name, known=known)


# Camera

_MOVES: Final = re.compile(
    r"跟[着随拍]|追[着随]|推[近进向]|拉[远开]|环绕|摇[向到]|横移|升起|"
    r"\b(?:follow|push(?:es)? in|pull(?:s)? (?:out|back)|orbit|pan(?:s)? (?:to|across))\w*",
    re.IGNORECASE,
)
_DENIED: Final = re.compile(
    r"(?:不|没有?|无需|别|而非|而不是|不再|避免|no|not|without|never)\s*\S{0,2}$", re.I
)
_WAY: Final = re.compile(
    r"从(?P<a>[^，。；,;]{1,12}?)(?:推|拉|摇|移|升|降|过渡|切|慢慢|缓缓|逐渐)*(?:到|至|成|向)"
    r"(?P<b>[^，。；,;]{1,12})|from (?P<c>[^,.;]{1,40}?) to (?P<d>[^,.;]{1,40})",
    re.IGNORECASE,
)
_SIZES: Final = list(SHOT_SIZES)

TOO_FAR: Final[Mapping[tuple[str, str], str]] = {
    ("push", "extreme_close_up"): "已经是最近的景别，不能再推近",
    ("crane", "extreme_close_up"): "这么近的景别看不出升降",
    ("orbit", "extreme_close_up"): "这么近的景别看不出环绕",
    ("follow", "extreme_close_up"): "这么近的景别跟不住人",
}
"""Movements that a shot size has no room for."""


def check_camera(camera: Item, scene: Item) -> Iterator[Finding]:
    """Return what in a movement contradicts its own reason or the scene's shot size."""
    movement, size = camera["movement"], scene.get("shot_size")
    if movement is None:
        return
    reason = f"{camera.get('movement_text', '')} {camera['reason']}".strip()
    if why := TOO_FAR.get((movement, size or "")):
        said = camera.get("movement_text") or movement
        yield mark("camera", why, quote=said, known=size or "")
    if movement == "static":
        for found in _MOVES.finditer(reason):
            if not _DENIED.search(reason[: found.start()]):
                yield mark("camera", "固定机位，理由却说镜头在动", quote=found[0])
                return
    if movement in {"push", "pull"}:
        yield from _ways(movement, reason)


def _ways(movement: str, reason: str) -> Iterator[Finding]:
    for found in _WAY.finditer(reason):
        start, end = (shots_in(found[a] or found[b] or "") for a, b in (("a", "c"), ("b", "d")))
        if not start or not end:
            continue
        tighter = _SIZES.index(end[0]) - _SIZES.index(start[-1])
        if tighter <= 0 if movement == "push" else tighter >= 0:
            yield mark("camera", "景别的变化和运镜相反", quote=found[0])
