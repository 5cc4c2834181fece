"""Personal over all products: what a person looked at decides what a post says first, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from support.copywriting import LONG, input_of
from support.readers import COPY, SHOE, copy_posts, post
from support.servers import Serve, Served, ServeModel
from support.upstream import Upstream, answer
from unspool.apps.copywriting.audience import reader_lines
from unspool.apps.copywriting.records.tastes import Seen, in_order, reasons
from unspool.records.behaviors import save_behaviors

FACTS: dict[str, Any] = {
    "sku": "A",
    "category": "运动鞋",
    "brand": "云跃里",
    "price": 399,
    "selling_points": ["走一天也不闷脚", "回弹中底落地轻", "后跟不磨脚踝"],
    "scenes": ["通勤", "逛街", "健走"],
}


def seen(sku: str, price: float | None = 300, **more: Any) -> Seen:
    usual: dict[str, Any] = {"category": "", "brand": "", "points": [], "scenes": []}
    return Seen(sku, price=price, **{**usual, "is_bought": False, **more})


def test_points_and_scenes_come_in_the_order_of_what_was_looked_at() -> None:
    others = [
        seen("B", scenes=["健走"], points=["后跟加厚，不磨脚踝"]),
        seen("C", scenes=["健走", "逛街"], points=["后跟不磨脚踝"]),
    ]
    ordered = in_order(FACTS, others)
    assert ordered["scenes"] == ["健走", "逛街", "通勤"]
    assert ordered["selling_points"][0] == "后跟不磨脚踝"
    assert sorted(ordered["selling_points"]) == sorted(FACTS["selling_points"])
    assert in_order(FACTS, []) == FACTS


def test_every_reason_says_of_how_many_products_it_is() -> None:
    others = [
        seen("B", 459, category="运动鞋", brand="云跃里", scenes=["通勤"], is_bought=True),
        seen("C", 299, category="运动鞋", scenes=["通勤"]),
        seen("D", 359, category="跑步鞋", brand="云跃里"),
        seen("E", None, category="运动鞋"),
    ]
    assert reasons(FACTS, others) == [
        {"kind": "category", "value": "运动鞋", "count": 3, "bought": 1},
        {"kind": "brand", "value": "云跃里", "count": 2, "bought": 1},
        {"kind": "scene", "value": "通勤", "count": 2, "bought": 1},
        {"kind": "price", "low": 299, "high": 459, "count": 3, "place": "inside"},
    ]


@pytest.mark.parametrize(
    ("price", "place"), [(99, "below"), (300, "inside"), (330, "inside"), (900, "above")]
)
def test_a_price_has_its_place_among_those_looked_at(price: int, place: str) -> None:
    others = [seen(f"P{at}", 300 + 10 * at) for at in range(4)]
    (reason,) = [r for r in reasons({**FACTS, "price": price}, others) if r["kind"] == "price"]
    assert reason["place"] == place


@pytest.mark.parametrize("others", [[], [seen("B", category="运动鞋", brand="云跃里")]])
def test_one_other_product_is_chance_and_no_taste(others: list[Seen]) -> None:
    assert reasons(FACTS, others) == []


def test_a_prompt_tells_the_taste_and_nobody() -> None:
    others = [
        seen(sku, price, category="运动鞋")
        for sku, price in zip("BCD", (99, 120, 150), strict=True)
    ]
    (*_, line) = reader_lines({}, reasons(FACTS, others))
    assert "还看过 3 款运动鞋" in line
    assert "常看 99 到 150 元的商品，这款更贵" in line
    assert reader_lines({}, []) == []


async def _looked(served: Served, user_id: str, skus: list[str]) -> None:
    at = datetime(2025, 11, 24, 9, 50, tzinfo=UTC)
    rows = [
        {"user_id": user_id, "sku": sku, "action": "visit", "at": at + timedelta(minutes=number)}
        for number, sku in enumerate(skus)
    ]
    async with served.core.records.session() as session:
        await save_behaviors(session, rows)
        await session.commit()


async def test_s0_14_a_reader_who_looked_at_other_shoes_is_told_what_fits_and_why(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    await served.call(lambda: _looked(served, "fan-2", ["8WZ01BK1", "8WZ02PK1", "8WZ03GY1"]))
    upstream.play = [answer(LONG)]
    done = await post(client, served.url + COPY, {**SHOE, "user_id": "fan-2", "count": 1})
    told = await input_of(client, served, done.run_id)
    kinds = {reason["kind"]: reason for reason in told["reasons"]}
    assert kinds["category"]["count"] == 3
    assert kinds["brand"]["value"] == "云跃里"
    assert kinds["price"]["place"] == "inside"
    asked = upstream.requests[0].question
    assert "还看过 3 款运动鞋" in asked
    assert "fan-2" not in asked


async def test_s0_14_without_a_model_the_template_chooses_its_points_for_the_reader(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    await served.call(lambda: _looked(served, "fan-3", ["8WZ03GY1"] * 1 + ["8WZ02PK1"]))
    mine = await post(client, served.url + COPY, {**SHOE, "user_id": "fan-3", "count": 1})
    plain = await post(client, served.url + COPY, {**SHOE, "user_id": "nobody", "count": 1})
    told = await input_of(client, served, mine.run_id)
    usual = await input_of(client, served, plain.run_id)
    assert told["product"]["scenes"][0] == "通勤"
    assert sorted(told["product"]["selling_points"]) == sorted(usual["product"]["selling_points"])


async def test_s0_14_the_style_that_was_adopted_for_a_person_is_used_where_none_is_asked(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    body = {"sku": SHOE["sku"], "user_id": "fan-4", "count": 1}
    for at in range(3):
        done = await post(client, served.url + COPY, {**body, "style": "funny"})
        outcome = f"{served.url}/v1/runs/{done.run_id}/outcome"
        await client.post(outcome, json={"is_adopted": True, "step": "post-1"})
        again = await post(client, served.url + COPY, body, frames=1)
        style = again.seen.documents[0]["style"]
        assert style == ("funny" if at == 2 else "natural")
    asked = await post(client, served.url + COPY, {**body, "style": "professional"})
    assert asked.seen.documents[0]["style"] == "professional"
    assert all(copy_posts(asked.seen.documents, total=1, style="professional"))
