"""What a post says is held against its product: inventions are found, the rest is left alone."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import pytest

from unspool.apps.copywriting.grounding import alike, check
from unspool.apps.copywriting.phrases import STYLES
from unspool.apps.copywriting.templates import price_text, template_post
from unspool.flows.kit.grounding import overlap
from unspool.records import samples

SHOE: dict[str, Any] = {
    "sku": "8WZ01CM1",
    "name": "云感透气运动鞋",
    "brand": "云跃里",
    "category": "运动鞋",
    "color": "米白/浅灰",
    "price": 399,
    "currency": "CNY",
    "material": "飞织鞋面、EVA发泡中底、橡胶大底",
    "season": "春夏",
    "selling_points": ["一体飞织鞋面，走一天也不闷脚", "回弹中底柔软不塌，落地轻"],
    "scenes": ["通勤", "逛街"],
}


def products() -> list[dict[str, Any]]:
    folder = samples.__path__[0]
    with Path(folder, "products.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lists = {"selling_points": "；", "scenes": "、"}
    names = {"适用人群", "规格"}
    return [
        {
            **{k: v for k, v in row.items() if v and k not in {*lists, *names, "price"}},
            **{k: row[k].split(mark) for k, mark in lists.items() if row[k]},
            "price": float(row["price"]),
            "currency": "CNY",
            "properties": {k: row[k] for k in names if row[k]},
        }
        for row in rows
    ]


PRODUCTS = products()


@pytest.mark.parametrize(
    ("post", "kind", "quote"),
    [
        ("只要 99 元，真皮，买一送一", "price", "99 元"),
        ("只要 99 元，真皮，买一送一", "material", "真皮"),
        ("只要 99 元，真皮，买一送一", "offer", "买一送一"),
        ("原价四百九十九元，现在便宜了。", "price", "四百九十九元"),
        ("标价 299，不贵。", "price", "299"),
        ("售价：￥1,299，值得。", "price", "￥1,299"),
        ("只要99，先到先得。", "price", "99"),
        ("Now only $59 for this pair.", "price", "$59"),
        ("It costs 399 dollars.", "price", "399 dollars"),
        ("现在下单打八折，两双更划算。", "offer", "八折"),
        ("全场包邮，七天无理由。", "offer", "包邮"),
        ("下单送袜子一双，别错过。", "offer", "下单送袜子一双"),
        ("满300减50，今天就买。", "offer", "满300减50"),
        ("第二件半价！", "offer", "第二件半价"),
        ("限时特价，错过等一年。", "offer", "限时特价"),
        ("领券再下单。", "offer", "领券"),
        ("附赠鞋垫一副。", "offer", "附赠"),
        ("Free shipping today, buy one get one free.", "offer", "Free shipping"),
        ("Take 20% off while it lasts.", "offer", "20% off"),
        ("好评率 98%，放心买。", "percentage", "98%"),
        ("百分之九十的人都说好穿。", "percentage", "百分之九十"),
        ("A genuine leather upper that lasts.", "material", "genuine leather"),
        ("头层牛皮，越穿越软。", "material", "头层牛"),
        ("羊毛内里，冬天也暖。", "material", "羊毛"),
        ("采用碳板，蹬地有力。", "material", "碳板"),
        ("这双鞋防水，雨天照走。", "function", "防水"),
        ("It is waterproof, so walk on.", "function", "waterproof"),
        ("这款黑色的更耐看，颜色是黑色。", "color", "黑"),
        ("一身红色，走到哪里都亮眼。", "color", "红"),
        ("It comes in deep blue.", "color", "blue"),
        ("耐克同款的脚感。", "brand", "耐克"),
        ("As soft as Adidas.", "brand", "Adidas"),
        ("砺锋场的新品。", "brand", "砺锋场"),
    ],
)
def test_d2_an_invention_is_found_with_its_words(post: str, kind: str, quote: str) -> None:
    found = check(post, SHOE, rivals=["砺锋场", "燕澜"])
    assert (kind, quote) in [(finding.kind, finding.quote) for finding in found]
    assert all(finding.message for finding in found)


def test_a_price_finding_says_the_price() -> None:
    (finding,) = check("只要 99 元。", SHOE)
    assert finding.known == "399 元"


def test_a_product_without_a_price_has_no_price_in_its_posts() -> None:
    bare = {"sku": "X", "name": "帆布鞋"}
    assert [finding.kind for finding in check("标价 199 元。", bare)] == ["price"]
    assert check("帆布鞋，配什么都行。", bare) == []


@pytest.mark.parametrize(
    "post",
    [
        "399 元，按每天穿一次算，一年下来每次一块钱出头。",
        "不到四百元的价格，通勤逛街都够用。",
        "价格 399 元，合不合适你心里有数。",
        "它不是真皮，胜在轻，洗起来也省心。",
        "没有花哨的优惠，也不打折，就是一双踏实的鞋。",
        "配黑色西裤也不突兀，搭一件白色衬衫正好。",
        "踩上去像羊毛毯一样软，走一天也不闷脚。",
        "配一双棉袜，搭牛仔裤都行。",
        "比皮鞋轻，比帆布鞋透气。",
        "颜色是米白拼浅灰，白色的部分多一些。",
        "特别适合送给朋友，赠送亲友也体面。",
        "非常柔软，走起来轻。",
        "品质不打折，细节也到位。",
        "这款鞋不防水，下雨天记得换一双。",
        "红灯停绿灯行，走路的日子要一双好鞋。",
        "一折就能收进包里的鞋袋要另买。",
        "Pairs well with black jeans and a white shirt.",
        "It is not leather, and that keeps it light.",
        "Priced at 399 yuan, it asks for a second look.",
        "The knit upper breathes, the rubber sole grips.",
        "No discount, no tricks: a light shoe for the way to work.",
        "In off white and light grey, it goes with anything you own.",
    ],
)
def test_an_honest_post_is_left_alone(post: str) -> None:
    assert check(post, SHOE, rivals=["砺锋场", "燕澜"]) == []


def honest(product: dict[str, Any], rng: Random) -> str:
    """A post as a model writes it, out of the product's facts."""
    points, scenes = product.get("selling_points", []), product.get("scenes", ["日常"])
    name, price = product["name"], price_text(product)
    begin = rng.choice(
        [
            f"最近常有人问起{name}，说说我知道的。",
            f"{rng.choice(scenes)}的时候，想起这款{name}。",
            f"如果只说一点，我会说：{rng.choice(points)}。",
            f"{product.get('brand', '')}的{name}，第一眼不张扬。",
            f"换季了，旧的那款也该歇一歇，看看{name}。",
            f"送给爸妈的话，{name}是个实在的选择。",
        ]
    )
    middle = rng.sample(
        [
            f"{'；'.join(rng.sample(points, min(2, len(points))))}。",
            f"材质是{product.get('material')}，不是什么噱头。",
            f"颜色是{product.get('color')}，配黑色、白色都不出错。",
            f"标价 {price}，没有花里胡哨的满减，也不用凑单。",
            f"{price}，一天用一次，一年下来每次才一块多。",
            f"适合{'、'.join(scenes)}，周末也用得上。",
            "不敢说百搭，至少衣柜里的蓝色牛仔裤都配得上。",
            f"它是{product.get('season')}款，看着天气来就好。",
            "有人拿它和皮鞋比，其实不是一回事。",
        ],
        k=3,
    )
    ends = ["喜欢就点进来看看。", "合适再下手，不着急。", "尺码拿不准，先看看尺码表。"]
    return begin + "".join(middle) + rng.choice(ends)


ENGLISH = [
    "Meet the {name}: {price}, made of {material}. Take your time and look at the pictures.",
    "For {scene}, I keep coming back to this one. {price}, no discount needed.",
    "It comes in {color}. Pair it with black trousers or a white shirt.",
    "About {price} for something you use every day: less than 2 yuan a day over a year.",
    "What it does well: {point}. What it does not do: it is not waterproof leather armour.",
]


def test_two_hundred_honest_posts_of_the_sample_shop_give_no_false_alarm() -> None:
    rng = Random(14)
    brands = sorted({product["brand"] for product in PRODUCTS})
    false, total = [], 0
    for at in range(400):
        product = PRODUCTS[at % len(PRODUCTS)]
        rivals = [brand for brand in brands if brand != product["brand"]]
        facts = {
            **product,
            "price": price_text(product),
            "scene": product.get("scenes", ["work"])[0],
            "point": product.get("selling_points", ["light"])[0],
        }
        for post in (honest(product, rng), rng.choice(ENGLISH).format(**facts)):
            total += 1
            if found := check(post, product, rivals):
                false.append((product["sku"], post, found))
    assert total == 800
    assert len(false) <= 0.02 * total, false[:5]


@pytest.mark.parametrize("style", STYLES)
def test_templates_pass_their_own_checks_for_every_product_and_number(style: str) -> None:
    brands = sorted({product["brand"] for product in PRODUCTS})
    for product in PRODUCTS:
        rivals = [brand for brand in brands if brand != product["brand"]]
        for number in range(1, 11):
            post = template_post(product, style, number)
            assert check(post, product, rivals) == [], (product["sku"], number, post)


@pytest.mark.parametrize("style", STYLES)
def test_three_templates_of_a_run_are_never_alike_nor_the_next_three(style: str) -> None:
    for product in PRODUCTS:
        runs = range(0, 12, 3)
        posts = [template_post(product, style, n, before=run) for run in runs for n in (1, 2, 3)]
        assert len(set(posts)) == len(posts)
        for run in runs:
            for one, other in combinations(posts[run : run + 3], 2):
                assert alike(one, [other]) == [], (product["sku"], one, other)


def test_posts_that_say_the_same_in_almost_the_same_words_are_alike() -> None:
    one = "今天推荐这款云感透气运动鞋，一体飞织鞋面，走一天也不闷脚，喜欢就看看。"
    other = "今天推荐这款云感透气运动鞋：一体飞织鞋面，走一天也不闷脚！喜欢就来看看吧。"
    (finding,) = alike(other, ["别的文案，说的是另一件事。", one])
    assert finding.kind == "alike"
    assert "第 2 条" in finding.message
    assert overlap(one, "家里的鞋子开了个会，决定给它留个位置，按季节算是春夏款。") < 0.2
