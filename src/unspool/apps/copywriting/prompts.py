"""Prompts for a post: the product's facts, the reader, and the wishes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from .audience import reader_lines
from .request import Copy, Style, Tone
from .templates import price_text

SYSTEM: Final = "你是一名资深电商文案，擅长用平实的话写出打动人的商品推荐，只写事实，不夸大。"

TONES: Final[dict[Style, str]] = {
    "natural": "自然亲切，像朋友之间的推荐",
    "professional": "专业克制，像懂行的选购顾问",
    "funny": "轻松幽默，但不拿读者和别的品牌开玩笑",
}

TURNS: Final[dict[Tone, str]] = {
    "": "",
    "warm": "，再温暖体贴一些",
    "restrained": "，再克制冷静一些",
    "lively": "，再活泼轻快一些",
    "direct": "，再直接一些，少铺垫",
}
"""How a tone that was chosen turns the style's."""

ANGLES: Final = (
    ("selling_points", "从一个具体的卖点写起"),
    ("scenes", "从日常使用的一个场景写起"),
    ("", "从购买前常有的一个疑问写起"),
    ("color", "从颜色和搭配写起"),
    ("material", "从材质写起"),
    ("season", "从季节和天气写起"),
    ("", "从一天里的某个时刻写起"),
    ("", "从替换旧物的理由写起"),
    ("", "从送给身边的人写起"),
    ("price", "从价格和使用次数写起"),
)
"""
One for each post, so that posts of one product begin differently, with the fact it needs: a model
asked to begin with an unknown colour would invent one.
"""

LABELS: Final = {
    "sku": "货号",
    "name": "名称",
    "category": "品类",
    "brand": "品牌",
    "color": "颜色",
    "price": "价格",
    "material": "材质",
    "season": "季节",
    "selling_points": "卖点",
    "scenes": "适用场景",
}

MAX_FACT_CHARS: Final = 500
"""Characters of one fact in a prompt: a whole paragraph. Longer ones were pasted by mistake."""

MAX_FACTS: Final = 40
"""Facts in one prompt; a model that gets all of them uses none."""


def post_prompt(request: Copy, number: int) -> str:
    """Return the prompt for post `number`, from 1."""
    return "\n".join(
        [
            f"请为下面的商品写推荐文案。一共要写 {request.count} 条，这次只写第 {number} 条。",
            "",
            "商品信息：",
            *_fact_lines(request.product),
            *reader_lines(request.interest, request.reasons),
            "",
            "要求：",
            *(request.arm.prompt.splitlines() or _wishes(request, number)),
            *_own_wish(request),
            *_other_posts(request),
        ]
    )


def rewrite_prompt(request: Copy, number: int, post: str, problems: list[str]) -> str:
    """Return the prompt to rewrite a post that did not pass."""
    return "\n".join(
        [
            post_prompt(request, number),
            "",
            "上一稿没有通过检查：",
            post,
            f"问题：{'；'.join(problems)}。",
            "请改写这一条，改掉这些问题，其余要求不变。直接写正文。",
        ]
    )


def _wishes(request: Copy, number: int) -> list[str]:
    low, high = request.chars
    return [
        f"1. 语气{TONES[request.style]}{TURNS[request.tone]}。",
        f"2. {_angle(request, number)}，开头和结构不要与其他几条雷同。",
        f"3. 写成一段话，{low} 到 {high} 个字，不要标题、序号和话题标签。",
        "4. 只用上面给出的信息；没有给出的材质、功能、价格、优惠和销量，一律不要写。",
        "5. 不用“最”“第一”“唯一”“顶级”“绝对”这类广告法禁止的词。",
        "6. 直接写正文，不要解释，也不要加引号。",
    ]


def _own_wish(request: Copy) -> list[str]:
    """A person's own words, at the end, where they count most."""
    return [f"另外请照这些话写：{request.wish.strip()}"] if request.wish.strip() else []


def _other_posts(request: Copy) -> list[str]:
    lines = [f"- {' '.join(post.split())}" for post in request.others if post.strip()]
    return ["", "下面几条已经写好，开头、句式和卖点都不要与它们雷同：", *lines] if lines else []


def _angle(request: Copy, number: int) -> str:
    """Return how this post begins and what it is about; the next runs go on where this one ends."""
    at, product = request.before + number - 1, request.product
    angles = [angle for fact, angle in ANGLES if not fact or product.get(fact)]
    points = product.get("selling_points")
    wish = angles[at % len(angles)]
    if isinstance(points, list) and len(points) > 1:
        point = " ".join(str(points[at % len(points)]).split())[:MAX_FACT_CHARS]
        wish += f"，重点写“{point}”，别的卖点留给其他几条"
    return wish


def _fact_lines(product: Mapping[str, Any]) -> list[str]:
    """One `名称：…` for each fact, ours first, then those under the shop's own names."""
    facts = {**product, "price": price_text(product)}
    known = {label: facts[name] for name, label in LABELS.items() if name in facts}
    properties = product.get("properties")
    others = properties if isinstance(properties, Mapping) else {}
    lines = _lines({**known, **{str(k): v for k, v in others.items() if k not in known}})
    return [line for line, _ in zip(lines, range(MAX_FACTS), strict=False)]


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    for label, value in facts.items():
        parts = value if isinstance(value, list) else [value]
        said = [str(part) for part in parts if isinstance(part, str | int | float)]
        # One line each, whatever the shop wrote: a line break would look like another fact.
        line = " ".join(f"{label}：{'、'.join(said)}".split())
        if any(part.strip() for part in said):
            yield line[:MAX_FACT_CHARS]
