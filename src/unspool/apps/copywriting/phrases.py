"""
The sentences of sales copy, by style.

Nothing is claimed that the facts do not say, and no superlatives: advertising law
forbids them. To add a style: a `Style` in `STYLES`, and its name in `copywriting.Copy`.

The words in braces: `name`, `label` (这款运动鞋：name), `kind`, `sku`, `color`, `material`,
`season`, `price`, `points`, `scenes`, `scene` (one of them); and, always there, `wear`
(穿, 戴, 背 or 用) and `unit` (双, 件 …).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Opening:
    """Ways to say one kind of beginning, and the facts that follow it, in order."""

    sentences: tuple[str, ...]
    then: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Style:
    """A sentence is used only where all words in its braces are known."""

    openings: tuple[Opening, ...]
    """The first one opens the first post, the others take turns."""
    facts: Mapping[str, tuple[str, ...]]
    fillers: tuple[str, ...]
    """True of anything: for products of which little is known."""
    closings: tuple[str, ...]
    trail: str
    """A clause after text that broke inside a sentence."""
    rest: str
    """A clause that ends a sentence which somebody else began."""
    colon: str
    """The same, where the sentence stopped at a colon."""


STYLES: Final[Mapping[str, Style]] = {
    "natural": Style(
        openings=(
            Opening(
                (
                    "今天推荐{label}。",
                    "今天推荐{label}。几句话就能说完。",
                    "今天推荐{label}。慢慢看，不着急。",
                ),
                ("points", "color", "scenes", "price"),
            ),
            Opening(
                (
                    "{scene}{wear}什么好？可以看看{name}。",
                    "说到{scene}，我会想起{name}。",
                    "要是正在为{scene}做准备，不妨看看{name}。",
                    "购物车里还有空位的话，看看{name}吧。",
                ),
                ("color", "points", "material", "price"),
            ),
            Opening(
                (
                    "想添一{unit}新的{kind}吗？{name}可以放进备选。",
                    "旧的那{unit}{kind}陪你很久了吧？也看看{name}。",
                    "挑{kind}挑花了眼，就停下来看看{name}。",
                    "想添点新东西吗？{name}可以放进备选。",
                ),
                ("material", "points", "season", "price"),
            ),
            Opening(
                (
                    "逛到{name}，停下来多看了两眼。",
                    "刷到{name}，顺手把资料读了一遍。",
                    "有人问起{name}，我把知道的写在这里。",
                ),
                ("points", "season", "scenes", "color"),
            ),
            Opening(
                (
                    "关于{name}，拣要紧的说。",
                    "{name}，用大白话讲一遍。",
                    "先不说喜不喜欢，说说{name}是什么样的。",
                ),
                ("color", "material", "scenes", "points", "price"),
            ),
        ),
        facts={
            "points": (
                "说点实在的：{points}。",
                "它的长处很具体：{points}。",
                "让人留意的地方：{points}。",
            ),
            "color": (
                "颜色是{color}，合不合心意，看图就知道。",
                "{color}这个颜色，配什么由你做主。",
            ),
            "material": (
                "用的是{material}，手感留给你来评。",
                "材质是{material}，打理照着标签来就好。",
            ),
            "season": ("它是{season}款，看着天气{wear}就好。", "按季节算，它是{season}款。"),
            "scenes": ("{scenes}的时候，可以{wear}上它。", "适合{scenes}，总有用得上的时候。"),
            "price": (
                "价格 {price}，合不合适，你心里有数。",
                "标价 {price}，喜欢就先收藏。",
                "{price}，按{wear}的次数摊一摊，再决定也不迟。",
            ),
        },
        fillers=(
            "买东西不用急，对着自己的习惯想一想，合适了再下手。",
            "规格和图片先看仔细，拿不准的地方多看两眼总没有错。",
            "要是身边刚好有人也在找，不妨把这一条转给他看看。",
            "先放进收藏夹，晚上得空再细细比较，也是个好办法。",
        ),
        closings=(
            "喜欢的话，点进来看看吧。",
            "合眼缘，就带它回家。",
            "先看看，再慢慢决定。",
            "也许下一个包裹里就有它。",
            "有想问的，留言就好。",
        ),
        trail="一时说不完",
        rest="其余的细节，可以到详情页慢慢看。",
        colon="都写在详情页里，可以慢慢看。",
    ),
    "professional": Style(
        openings=(
            Opening(
                (
                    "为您介绍{label}，货号 {sku}。",
                    "本期介绍{label}，货号 {sku}。",
                    "为您介绍{label}。",
                ),
                ("points", "material", "scenes", "price"),
            ),
            Opening(
                (
                    "{name}的选购要点整理如下。",
                    "选购{name}之前，请先了解以下几点。",
                    "以下是{name}的主要信息，供您比较。",
                ),
                ("material", "color", "points", "season"),
            ),
            Opening(
                (
                    "如需为{scene}选购{kind}，可以了解{name}。",
                    "面向{scene}选{kind}，可将{name}列入比较。",
                    "若主要用途是{scene}，不妨了解{name}。",
                    "选购同类商品时，可将{name}列入比较。",
                ),
                ("points", "season", "color", "price"),
            ),
            Opening(
                (
                    "选商品先看用料：{name}的材质为{material}。",
                    "从用料说起，{name}的材质为{material}。",
                    "先看{name}的基本信息。",
                ),
                ("points", "scenes", "season", "price"),
            ),
            Opening(
                (
                    "判断{name}是否合适，可看用途、规格和预算三项。",
                    "{name}是否适合您？可以从几项信息来判断。",
                    "选{name}之前，先想清三件事：何处用、何时用、预算多少。",
                ),
                ("scenes", "price", "color", "points"),
            ),
        ),
        facts={
            "points": ("产品特点：{points}。", "设计重点：{points}。", "主要卖点：{points}。"),
            "color": ("本款颜色为{color}。", "配色为{color}，以收到的实物为准。"),
            "material": ("主要材质为{material}。", "材质为{material}，洗护方式请以标签为准。"),
            "season": ("属于{season}款，可结合当地气温选择。", "按季节划分，属于{season}款。"),
            "scenes": ("适用场景包括{scenes}。", "建议用于{scenes}等场合。"),
            "price": ("标价 {price}，以结算页面为准。", "参考价格 {price}，请以下单时显示的为准。"),
        },
        fillers=(
            "选购前建议核对规格与尺寸，并与日常使用习惯对照。",
            "若对规格仍有疑问，可先咨询客服，确认之后再下单。",
            "建议先明确使用场合与预算，再与同类商品逐项比较。",
            "收到商品后请先检查外观与配件，确认无误再开始使用。",
        ),
        closings=(
            "更多参数，请见商品详情页。",
            "以上供您参考，祝选购顺利。",
            "如有疑问，欢迎咨询后再下单。",
            "请结合自身需要选择。",
            "欢迎对照规格，按需选购。",
        ),
        trail="限于篇幅",
        rest="其余信息请见商品详情页。",
        colon="详见商品详情页。",
    ),
    "funny": Style(
        openings=(
            Opening(
                (
                    "报告，{name}已在门口排队，等你点名。",
                    "钱包先别躲，{name}只是路过打个招呼。",
                    "叮咚，{name}向你的购物车发来好友申请。",
                ),
                ("points", "color", "price", "scenes"),
            ),
            Opening(
                (
                    "{scene}缺个搭子？{name}报名了。",
                    "听说你惦记着{scene}？{name}已经把行李收拾好了。",
                    "据说每个购物车都缺一个主角，{name}举手了。",
                ),
                ("color", "points", "price", "material"),
            ),
            Opening(
                (
                    "采访一下{name}：请用三句话介绍自己。",
                    "面试开始，请{name}做个自我介绍。",
                    "有请今天的嘉宾{name}，掌声稀稀拉拉也行。",
                ),
                ("points", "material", "scenes", "price"),
            ),
            Opening(
                (
                    "你的{kind}们开了个会，决定给{name}留个位置。",
                    "家里的{kind}听说{name}要来，连夜往旁边挪了挪。",
                    "购物车开了个会，决定给{name}留个位置。",
                ),
                ("season", "points", "color", "price"),
            ),
            Opening(
                (
                    "我和钱包商量了一晚上，它终于肯看一眼{name}。",
                    "先说好，看完{name}再心动，不许抢跑。",
                    "本来只想随便逛逛，结果{name}先跟我打了招呼。",
                ),
                ("material", "color", "scenes", "points", "price"),
            ),
        ),
        facts={
            "points": (
                "简历上写着“{points}”，没敢多写一个字。",
                "才艺展示环节：{points}。请评委打分。",
                "自我介绍很短：{points}。说完就站好了。",
            ),
            "color": ("今天的打扮是{color}，照镜子照了半天。", "一身{color}，站在那里假装很镇定。"),
            "material": (
                "身体成分：{material}，没有添加废话。",
                "出身交代清楚：{material}，绝不吹牛。",
            ),
            "season": (
                "工作档期写的是{season}，请按天气派活。",
                "自称{season}款，跟天气预报很熟。",
            ),
            "scenes": ("{scenes}，随叫随到，不收出场费。", "业务范围：{scenes}，其他的可以商量。"),
            "price": ("身价 {price}，眼缘不另收费。", "出场费 {price}，掌声另算，可以赊账。"),
        },
        fillers=(
            "它不会替你上班，也不会替你减肥，但至少不会催你回消息。",
            "犹豫的话先收藏，反正收藏夹从来不嫌挤，也不会笑话你。",
            "理智说再想想，手指已经往下滑了，你说该听谁的？",
            "看完要是没有心动，就当它陪你聊了半分钟的天。",
        ),
        closings=(
            "剩下的，就看你的手指了。",
            "行不行，给个眼神。",
            "购物车见，不见不散。",
            "要不，先加个购物车试试缘分？",
            "散会，记得带它走。",
        ),
        trail="台词太长，先喘口气",
        rest="剩下的，详情页里接着演。",
        colon="且看详情页分解。",
    ),
}
