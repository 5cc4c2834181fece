"""
Holds a post against the facts of its product.

A statement is a finding if the facts contradict it, or if it promises something that only facts can
give: a price, an offer, a percentage, a material, a colour, a brand, a function. Everything else is
the writer's. What is denied (不是真皮), compared (像棉花一样) or worn with it (配黑色西裤) is no
statement about the product. `claims` has the words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from unspool.flows.kit.grounding import Amount, Finding, amounts, number, overlap, repeated

from .claims import (
    BARE_PRICE,
    BRANDS,
    COLOR_CLAIM,
    COLORS,
    DENIED,
    ENGLISH_COLOR_CLAIM,
    FUNCTIONS,
    GARMENTS,
    MATERIALS,
    OFFERS,
    OTHER_THING,
    PER_USE,
    ROUGHLY,
    Wording,
)
from .templates import price_text

ALIKE: Final = 0.6
"""Share of three-character strings in common from which two posts are one; facts alone are half."""

ROUGH: Final = 0.1
"""So far a price may be from one that is said to be rough (不到 400 元)."""

_CLAUSE: Final = re.compile(r"[，。！？；,!?;\n]|\.(?=\s|$)")


def check(post: str, product: Mapping[str, Any], rivals: Iterable[str] = ()) -> list[Finding]:
    """
    Return what the product's facts do not support, in the order of the kinds.

    Args:
        post: Chinese or English.
        product: Its facts, as `Product.facts` returns them.
        rivals: Brands of the shop's other products.
    """
    plain = _narrow(post)
    known = plain_facts(product)
    found = [
        *_offers(plain, known),
        *_prices(plain, product, known),
        *_percentages(plain, known),
        *_claims(plain, known, "material", MATERIALS, str(product.get("material", ""))),
        *_claims(plain, known, "function", FUNCTIONS, ""),
        *_colors(plain, known, str(product.get("color", ""))),
        *_brands(plain, product, known, rivals),
        *_loops(plain),
    ]
    once = {(finding.kind, finding.quote): finding for finding in found}
    return [_as_written(finding, plain, post) for finding in once.values()]


def _narrow(text: str) -> str:
    """Return wide digits, letters and signs as usual ones, each in its place; marks stay."""
    narrow = ((c, unicodedata.normalize("NFKC", c)) for c in text)
    return "".join(n if len(n) == 1 and (n.isalnum() or n in "%¥$") else c for c, n in narrow)


def _as_written(finding: Finding, plain: str, post: str) -> Finding:
    at = plain.find(finding.quote)
    return replace(finding, quote=post[at : at + len(finding.quote)]) if at >= 0 else finding


def _loops(plain: str) -> list[Finding]:
    part = repeated(plain)
    return [Finding("loop", f"“{part}”一再重复", part * 4)] if part else []


def alike(post: str, others: Sequence[str]) -> list[Finding]:
    """Return a finding if the post is nearly one of the others."""
    for at, other in enumerate(others, start=1):
        if overlap(post, other) >= ALIKE:
            return [Finding("alike", f"和第 {at} 条几乎一样", known=other[:40])]
    return []


def plain_facts(product: Mapping[str, Any]) -> str:
    """Return all that is known of a product as one text, in lower case."""
    return unicodedata.normalize("NFKC", " | ".join(_texts(product))).casefold()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif value is not None:
        yield str(value)


def _clause(text: str, at: int) -> tuple[str, str]:
    """Return the parts of the clause before and from character `at`."""
    begin = max((cut.end() for cut in _CLAUSE.finditer(text, 0, at)), default=0)
    end = _CLAUSE.search(text, at)
    return text[begin:at], text[at : end.start() if end else len(text)]


def _is_denied(text: str, at: int) -> bool:
    return bool(DENIED.search(_clause(text, at)[0]))


def _offers(text: str, known: str) -> Iterator[Finding]:
    for match in OFFERS.finditer(text):
        quote = match[0]
        if quote.casefold() not in known and not _is_denied(text, match.start()):
            yield Finding("offer", f"商品没有“{quote}”这样的优惠", quote)


def _prices(text: str, product: Mapping[str, Any], known: str) -> Iterator[Finding]:
    price = product.get("price")
    has_price = isinstance(price, int | float)
    said = [a for a in amounts(text) if a.unit == "money"]
    said += [
        Amount(n, value, "money", max(m.start("n"), m.start("m")))
        for m in BARE_PRICE.finditer(text)
        if (value := number(n := m["n"] or m["m"])) is not None
    ]
    offers = [match.span() for match in OFFERS.finditer(text)]
    for amount in said:
        before, rest = _clause(text, amount.at)
        if any(begin <= amount.at < end for begin, end in offers) or PER_USE.search(before + rest):
            continue
        if re.search(rf"(?<!\d){re.escape(amount.quote.casefold())}(?![\d.])", known):
            continue
        after = text[amount.at + len(amount.quote) :][:3]
        rough = ROUGH if ROUGHLY.search(before[-3:] + "|" + after) else 0.0
        is_right = has_price and abs(amount.value - float(price or 0)) <= rough * float(price or 0)
        if not is_right or not _is_currency(amount.quote, product):
            message = f"价格“{amount.quote}”与商品不符"
            yield Finding("price", message, amount.quote, price_text(product))


def _is_currency(quote: str, product: Mapping[str, Any]) -> bool:
    signs = {"$": "USD", "€": "EUR", "£": "GBP", "dollar": "USD", "euro": "EUR"}
    named = {code for sign, code in signs.items() if sign in quote.casefold()}
    return not named or product.get("currency", "CNY") in named


def _percentages(text: str, known: str) -> Iterator[Finding]:
    shares = {a.value for a in amounts(known) if a.unit == "percent"}
    offers = [match.span() for match in OFFERS.finditer(text)]
    for amount in amounts(text):
        is_offer = any(begin <= amount.at < end for begin, end in offers)
        if amount.unit == "percent" and amount.value not in shares and not is_offer:
            message = f"商品信息里没有“{amount.quote}”这个比例"
            yield Finding("percentage", message, amount.quote)


def _claims(
    text: str, known: str, kind: str, claims: Sequence[Wording], said: str
) -> Iterator[Finding]:
    folded = text.casefold()
    for claim in claims:
        if any(word in known for word in claim.supported_by):
            continue
        for match in claim.pattern.finditer(folded):
            if match[0] in known or _is_of_another(text, match.start(), match.end(), known):
                continue
            quote = text[match.start() : match.end()]
            what = "材质" if kind == "material" else "功能"
            yield Finding(kind, f"商品信息里没有“{quote}”这种{what}", quote, said)
            break


def _is_of_another(text: str, begin: int, end: int, known: str) -> bool:
    """Whether words are about another thing than the product: denied, compared, worn with it."""
    before, _ = _clause(text, begin)
    if _is_denied(text, begin) or OTHER_THING.search(before):
        return True
    thing = GARMENTS.match(text[end:])
    return thing is not None and (thing["it"] or thing["it2"]).casefold() not in known


def _colors(text: str, known: str, said: str) -> Iterator[Finding]:
    known_hues = {hue for hue, words in COLORS.items() if any(w in known for w in words)}
    folded = text.casefold()
    for pattern in (COLOR_CLAIM, ENGLISH_COLOR_CLAIM):
        for match in pattern.finditer(folded):
            word = match["color"] or match["color2"]
            begin = match.start("color" if match["color"] else "color2")
            hues = {hue for hue, words in COLORS.items() if word in words}
            if not hues or hues & known_hues or word in known:
                continue
            before, _ = _clause(text, begin)
            if DENIED.search(before) or OTHER_THING.search(before):
                continue
            quote = text[begin : begin + len(word)]
            yield Finding("color", f"颜色“{quote}”与商品不符", quote, said)


def _brands(
    text: str, product: Mapping[str, Any], known: str, rivals: Iterable[str]
) -> Iterator[Finding]:
    brand = str(product.get("brand", ""))
    shop = [rival for rival in rivals if len(rival) > 1 and rival.casefold() not in known]
    named = re.compile("|".join([BRANDS.pattern, *map(re.escape, shop)]), re.IGNORECASE)
    for match in named.finditer(text):
        if match[0].casefold() not in known:
            yield Finding("brand", f"品牌“{match[0]}”与商品不符", match[0], brand)
