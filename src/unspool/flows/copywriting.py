"""
Sales copy: some posts for one product, and a template for every post that no model can write.

A reader sees posts, never the trouble behind them: a post that broke in the middle is
finished by the template in the same sentence, and the next post starts with the model again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..errors import ProviderError
from ..records.products import find_product
from . import Context, Flow
from ._copy_texts import MAX_CHARS, MIN_HAN, ending, price_text, template_post

if TYPE_CHECKING:
    from ..records import Records

Style = Literal["natural", "professional", "funny"]

SYSTEM: Final = "你是一名资深电商文案，擅长用平实的话写出打动人的商品推荐，只写事实，不夸大。"

TONES: Final[dict[Style, str]] = {
    "natural": "自然亲切，像朋友之间的推荐",
    "professional": "专业克制，像懂行的选购顾问",
    "funny": "轻松幽默，但不拿读者和别的品牌开玩笑",
}

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
One for each post, so that posts of one product do not begin alike, and the fact it needs:
a model that is told to begin with a colour nobody gave would invent one.
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
"""Of one fact in a prompt: a whole paragraph. Longer ones are pasted by mistake."""

MAX_FACTS: Final = 40
"""In one prompt; a model that is told everything uses nothing."""


class Copy(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str = Field(min_length=1, max_length=64, pattern=r"^\P{Cc}+$")
    """The product's number. No control characters: it stands in prompts, logs and warnings."""
    style: Style = "natural"
    user_id: str | None = Field(None, max_length=64)
    """Whom it is for; kept with the run, not told to the model."""
    count: int = Field(3, ge=1, le=10)
    """Posts. Ten, because there are ten angles; further ones would only repeat."""
    product: dict[str, Any] = Field(default_factory=dict)
    """The product's facts as they were when it was asked. Whatever a client sends is replaced."""


class CopyFlow(Flow[Copy]):
    asked = Copy

    async def prepare(self, asked: Copy, records: Records) -> Copy:
        """
        Put in the facts of the product.

        Raises:
            UnknownRecord: There is no such product.
        """
        product = await find_product(records, asked.sku)
        return asked.model_copy(update={"product": {**product.facts(), "sku": asked.sku}})

    async def run(self, ctx: Context, asked: Copy) -> None:
        posts = [await _post(ctx, asked, number) for number in range(1, asked.count + 1)]
        ctx.result({"posts": posts})


async def _post(ctx: Context, asked: Copy, number: int) -> str:
    step = f"post-{number}"
    prompt = post_prompt(asked, number)
    try:
        return await ctx.generate(prompt, step=step, system=SYSTEM, stand_in=False)
    except ProviderError as error:
        how = "从断开处接着写完" if ctx.written(step) else "改由模板撰写"
        ctx.warn(f"第 {number} 条{how}，原因：{error}", step=step, code=error.code)
    written = ctx.written(step)
    whole = template_post(asked.product, asked.style, number)
    if whole.startswith(written):
        # Also where a template was at work when the server died: it goes on with its own text.
        rest = whole[len(written) :]
    else:
        rest = ending(written, asked.product, asked.style, number)
    await ctx.say(rest, step=step)
    return ctx.written(step)


def post_prompt(asked: Copy, number: int) -> str:
    """Return what a model is asked for post `number`, from 1."""
    angles = [angle for fact, angle in ANGLES if not fact or asked.product.get(fact)]
    return "\n".join(
        [
            f"请为下面的商品写推荐文案。一共要写 {asked.count} 条，这次只写第 {number} 条。",
            "",
            "商品信息：",
            *_fact_lines(asked.product),
            "",
            "要求：",
            f"1. 语气{TONES[asked.style]}。",
            f"2. {angles[(number - 1) % len(angles)]}，开头和结构不要与其他几条雷同。",
            f"3. 写成一段话，{MIN_HAN} 到 {MAX_CHARS} 个字，不要标题、序号和话题标签。",
            "4. 只用上面给出的信息；没有给出的材质、功能、价格、优惠和销量，一律不要写。",
            "5. 不用“最”“第一”“唯一”“顶级”“绝对”这类广告法禁止的词。",
            "6. 直接写正文，不要解释，也不要加引号。",
        ]
    )


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
        # One line each, whatever the shop wrote: a line break would pose as another fact.
        line = " ".join(f"{label}：{'、'.join(said)}".split())
        if any(part.strip() for part in said):
            yield line[:MAX_FACT_CHARS]


plug = CopyFlow()
