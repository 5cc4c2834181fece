"""
Sales copy without a model: whole posts from patterns, and endings for broken ones.

A post is an opening, sentences for the facts there are, and a closing. A hash of SKU
and style decides which ones and the number of the post turns the choice, so the posts of a
product differ from each other. `phrases` has the words.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .audience import CLOSINGS, Leaning
from .phrases import STYLES, Style

MIN_HAN: Final = 60
"""Fewest Chinese characters of a post: below, it looks like a label."""

MAX_CHARS: Final = 140
"""Most characters of a post, punctuation included: what people read without scrolling."""


@dataclass(frozen=True, slots=True)
class Size:
    """How long a post is: characters, `least` of them Chinese ones."""

    least: int
    enough: int
    """From here on no further fact is added: four facts are a post, ten are a list."""
    most: int


SIZES: Final[Mapping[str, Size]] = {
    "short": Size(30, 40, 70),
    "usual": Size(MIN_HAN, 90, MAX_CHARS),
    "long": Size(MIN_HAN, 210, 240),
}
"""Of each length. A long one has all facts; we add no empty sentences to make it longer."""

_MAX_NAME_CHARS: Final = 40
"""Longer names (made for search engines) leave no room for a sentence around them."""

_MAX_FACT_CHARS: Final = 20
"""Longer facts are left out: half of one may mean something else than the whole."""

_MAX_POINTS_CHARS: Final = 30
"""Of all selling points in one post."""

_SEAM_CHARS: Final = 3
"""So much of a word must be there to finish it: 运动 may become anything, 轻量缓 may not."""

SUPERLATIVES: Final = re.compile(
    "最|第一|唯一|顶级|极致|绝对|首选|国家级|世界级|万能|永久|史无前例|独一无二|百分之百|100%"
)
"""Advertising law forbids these, or nobody can prove them: we leave such facts out."""

_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_FIELD: Final = re.compile(r"\{(\w+)\}")
_LATIN_SEAM: Final = re.compile(r"[0-9A-Za-z][\u3400-\u9fff]|[\u3400-\u9fff][0-9A-Za-z]")
_PRICE_AHEAD: Final = re.compile(r"(价|价格|只要|只需|仅需|才|[￥¥$])\s*[为是：:]?\s*$")
_TWO_COLORS: Final = re.compile(r"^(\w{1,4})/(\w{1,4})$")
_SEASONS: Final = ("春", "夏", "秋", "冬")
_TAG: Final = re.compile(r"[#＃]\S*\s*$")
_CLAUSE_MARKS: Final = "，,；;、：:—"
_STOPS: Final = "。！？!?….～~\n"
_PAIRS: Final = {"”": "“", "’": "‘", "」": "「", "』": "『", "）": "（", "》": "《", "】": "【"}

_USES: Final = (
    (re.compile("鞋|靴|袜"), "穿", "双"),
    (re.compile("裤|裙"), "穿", "条"),
    (re.compile("衣|衫|外套|夹克|羽绒服|风衣|T恤"), "穿", "件"),
    (re.compile("帽"), "戴", "顶"),
    (re.compile("[背书挎肩提腰胸钱]包"), "背", "只"),
)

_SIGNS: Final = {
    "CNY": "元",
    "USD": "美元",
    "EUR": "欧元",
    "JPY": "日元",
    "HKD": "港元",
    "GBP": "英镑",
}


def template_post(
    product: Mapping[str, Any],
    style: str,
    number: int,
    leaning: Leaning = "",
    before: int = 0,
    size: Size = SIZES["usual"],
) -> str:
    """
    Return post `number` (from 1) of a product, of such a size as far as its facts allow.

    The first post ends as a reader of such a leaning is spoken to. `before` posts were written
    already, in earlier runs: these are the next ones.
    """
    is_first, number = number == 1, before + number
    voice, words = STYLES[style], _words(product, number)
    turn = _hash(product.get("sku"), style)
    # The first post opens with the first pattern; the others take turns.
    others = len(voice.openings) - 1
    round_, place = divmod(turn % others + number - 2, others) if number > 1 else (0, -1)
    opening = voice.openings[place + 1]
    post = _pick(opening.sentences, words, turn + round_)
    closings = (is_first and CLOSINGS.get(leaning)) or voice.closings
    closing = closings[(turn + number) % len(closings)]
    for fact in opening.then:
        sentence = _pick(voice.facts[fact], words, turn + number)
        if len(post) < size.enough and len(post + sentence + closing) <= size.most:
            post += sentence
    for extra in range(len(voice.fillers)):
        if _han(post + closing) >= size.least:
            break
        post += voice.fillers[(turn + number + extra) % len(voice.fillers)]
    return post + closing


def ending(broken: str, product: Mapping[str, Any], style: str, number: int) -> str:
    """
    Return an ending for a broken post, so that both together read well.

    It may have broken inside a word, a clause or a pair of quotes, after a comma, or after a whole
    sentence; even the whole post may be there. If an ending of ours broke, the answer is its rest.
    """
    voice = STYLES[style]
    closing = voice.closings[(_hash(product.get("sku"), style) + number) % len(voice.closings)]
    ours = (*voice.closings, voice.rest, voice.colon, voice.trail + "，" + voice.rest)
    if (rest := _rest_of(broken, ours, at_least=_SEAM_CHARS + 1)) is not None:
        return rest
    last = broken.rstrip(" \t")[-1:]
    inside = _unclosed(broken)
    if _TAG.search(broken):
        # Among hashtags is no place for a sentence.
        return f"{inside}\n{closing}"
    if not last or _may_stop_at(last, broken):
        return inside + closing
    if last in _CLAUSE_MARKS and not inside:
        return _clause(voice, last)
    completed = _completed(broken, product)
    if completed is not None:
        return f"{completed}{inside}，{voice.rest}"
    trail = "具体数字以页面为准" if last.isdigit() else voice.trail
    return f"……{inside}{trail}，{voice.rest}"


def _words(product: Mapping[str, Any], number: int) -> dict[str, str]:
    """Return the words for the braces, without missing or unfit facts."""
    sku = _text(product.get("sku"))
    kind = _kind(product)
    points, scenes = _list(product.get("selling_points")), _list(product.get("scenes"))
    # Each post has other points, so that posts differ and together they use all of them.
    some = max(1, len(points) // 3)
    points = _fit(_turned(points, some * (number - 1))[:some], _MAX_POINTS_CHARS)
    scenes = _fit(_turned(scenes, number - 1), _MAX_FACT_CHARS)
    name = _name(product) or f"这款{kind or '商品'}"
    bare = name.removeprefix("这款")
    label = "这款{kind}：{name}" if kind and kind not in bare else "这款{name}"
    label = _filled(label, {"kind": kind, "name": bare})
    season = _fact(product.get("season")).removesuffix("款")
    wear, unit = _use(kind + name)
    words = {
        "name": name,
        "label": label,
        "kind": kind,
        "sku": sku if len(sku) <= _MAX_FACT_CHARS else "",
        "color": _TWO_COLORS.sub(r"\1拼\2", _fact(product.get("color"))).replace("/", "、"),
        "material": _joined(re.split(r"\s*[+＋/]\s*", _fact(product.get("material"))), "和"),
        "season": f"{season}季" if season in _SEASONS else season,
        "price": price_text(product),
        "points": _joined(points, "、"),
        "scenes": _joined(scenes, "和"),
        "scene": scenes[0] if scenes else "",
        "wear": wear,
        "unit": unit,
    }
    return {word: value for word, value in words.items() if value}


def _name(product: Mapping[str, Any]) -> str:
    name, brand = _text(product.get("name")), _fact(product.get("brand"))
    whole = name
    if brand.lower() not in name.lower():
        whole = _filled("{brand}{name}", {"brand": brand, "name": name})
    return next((it for it in (whole, name) if it and len(it) <= _MAX_NAME_CHARS), "")


def _kind(product: Mapping[str, Any]) -> str:
    """`鞋靴 > 运动鞋` is a 运动鞋; categories that are not Chinese do not fit into a sentence."""
    last = re.split(r"[>/|\\,，、\-—\s]+", _fact(product.get("category")))[-1]
    return last if 0 < len(last) <= 8 and len(_HAN.findall(last)) >= len(last) - 1 else ""


def _use(what: str) -> tuple[str, str]:
    return next(((wear, unit) for kind, wear, unit in _USES if kind.search(what)), ("用", "款"))


def price_text(product: Mapping[str, Any]) -> str:
    """Return `459 元`, or "" where there is no price."""
    price = _text(product.get("price"))
    if not re.fullmatch(r"\d{1,9}(\.\d+)?", price) or not float(price):
        return ""
    currency = _text(product.get("currency")) or "CNY"
    amount = price.rstrip("0").rstrip(".") if "." in price else price
    return f"{amount} {_SIGNS.get(currency, currency)}"


def _text(value: Any) -> str:
    return " ".join(str(value).split()) if isinstance(value, str | int | float) else ""


def _fact(value: Any) -> str:
    text = _text(value).strip("。；;，,、.")
    return text if len(text) <= _MAX_FACT_CHARS and not SUPERLATIVES.search(text) else ""


def _list(value: Any) -> list[str]:
    facts = map(_fact, value) if isinstance(value, list | tuple) else ()
    return list(dict.fromkeys(fact for fact in facts if fact))


def _turned(items: Sequence[str], by: int) -> list[str]:
    by = by % len(items) if items else 0
    return [*items[by:], *items[:by]]


def _fit(items: Iterable[str], chars: int) -> list[str]:
    """Return the first items, at most three, that together are not longer than `chars`."""
    fitting: list[str] = []
    for item in items:
        if len(fitting) < 3 and sum(map(len, fitting)) + len(item) <= chars:
            fitting.append(item)
    return fitting


def _joined(items: Sequence[str], last: str) -> str:
    if any(mark in item for item in items for mark in "，、和"):
        return "；".join(items)
    return last.join(part for part in ("、".join(items[:-1]), *items[-1:]) if part)


def _pick(sentences: Sequence[str], words: Mapping[str, str], turn: int) -> str:
    """Return one of the sentences that use the most known facts; "" if none fits."""
    needs = [set(_FIELD.findall(sentence)) for sentence in sentences]
    fitting = [len(need - {"wear", "unit"}) for need in needs if need <= words.keys()]
    most = [
        sentence
        for sentence, need in zip(sentences, needs, strict=True)
        if need <= words.keys() and len(need - {"wear", "unit"}) == max(fitting)
    ]
    return _filled(most[turn % len(most)], words) if most else ""


def _filled(sentence: str, words: Mapping[str, Any]) -> str:
    """Put the words in, with a space where a Chinese character meets a Latin one."""
    filled = ""
    # Splitting at a group gives text, field, text, field … in turn.
    for number, part in enumerate(_FIELD.split(sentence)):
        piece = words[part] if number % 2 else part
        filled += " " + piece if _LATIN_SEAM.match(filled[-1:] + piece[:1]) else piece
    return filled


def _han(text: str) -> int:
    return len(_HAN.findall(text))


def _hash(*parts: object) -> int:
    digest = hashlib.blake2b("\n".join(map(str, parts)).encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big")


def _may_stop_at(last: str, text: str) -> bool:
    """Whether a sentence may end with this character: a mark, a closed quote, an emoji."""
    if last == "." and text.rstrip(" \t")[-2:-1].isdigit():
        return False
    return last in _STOPS or last in _PAIRS or unicodedata.category(last) in ("So", "Sk")


def _clause(voice: Style, last: str) -> str:
    if last in "：:":
        return voice.colon
    return ("等等，" if last == "、" else "") + voice.rest


def _unclosed(text: str) -> str:
    """Return what closes the quotes and brackets that are open at the end."""
    closing = {opener: closer for closer, opener in _PAIRS.items()}
    stack: list[str] = []
    for character in text:
        if character in closing:
            stack.append(character)
        elif stack and _PAIRS.get(character) == stack[-1]:
            stack.pop()
    return "".join(closing[opener] for opener in reversed(stack))


def _rest_of(text: str, values: Iterable[str], *, at_least: int) -> str | None:
    """Return the rest of the value whose beginning ends `text`, the longest such beginning."""
    found = [
        (length, value[length:])
        for value in values
        for length in range(1, len(value) + 1)
        if length >= min(at_least, len(value)) and length > 1 and text.endswith(value[:length])
    ]
    return max(found)[1] if found else None


def _completed(broken: str, product: Mapping[str, Any]) -> str | None:
    """Return what is missing of the fact in whose middle `broken` ends, or None."""
    price = price_text(product)
    for length in range(len(price), 0, -1):
        ahead = _PRICE_AHEAD.search(broken[:-length]) if broken.endswith(price[:length]) else None
        if ahead:
            return price.split(" ")[0][length:] if ahead[0][0] in "￥¥$" else price[length:]
    names = ("sku", "name", "brand", "category", "color", "material", "season")
    facts = [_text(product.get(name)) for name in names]
    facts += _list(product.get("selling_points")) + _list(product.get("scenes"))
    return _rest_of(broken, (fact for fact in facts if fact), at_least=_SEAM_CHARS)
