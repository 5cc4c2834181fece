"""S0.14: experiments on sales copy, what became of it, and products by rules."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import httpx
import pytest

from support.copywriting import LONG, input_of
from support.readers import COPY, SHOE, post
from support.servers import Serve, Served, ServeModel
from support.upstream import Upstream, answer
from unspool.apps.copywriting.product_analysis import analysis
from unspool.apps.copywriting.records.experiments import drawn

ARMS = [{"name": "model"}, {"name": "words", "writer": "template"}]


async def begin(client: httpx.AsyncClient, served: Served, **more: Any) -> httpx.Response:
    body = {"name": "ab", "arms": ARMS, **more}
    return await client.post(f"{served.url}/api/experiments", json=body)


async def test_s0_14_a_person_stays_on_one_side_and_the_sides_are_drawn_by_weight(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    assert (await begin(client, served)).status_code == 201
    sides: dict[str, set[str]] = {}
    for number in range(24):
        user = f"u{number % 12}"
        done = await post(client, served.url + COPY, {**SHOE, "user_id": user, "count": 1})
        copies = (await client.get(f"{served.url}/api/copies?limit=1")).json()["copies"]
        assert copies[0]["run"] == done.run_id
        sides.setdefault(user, set()).add(copies[0]["arm"])
    assert all(len(side) == 1 for side in sides.values())
    assert set.union(*sides.values()) == {"model", "words"}


async def test_s0_14_an_arm_has_its_own_writer_model_and_prompt(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    served = serve_model()
    arm = {"name": "short", "model": "tested", "prompt": "只写一句话。\n不要标点。"}
    upstream.play = [answer(LONG)]
    await begin(client, served, arms=[arm, {"name": "never", "weight": 1e-9}])
    # The weight of the other arm is next to nothing; whoever asks is on this side.
    await post(client, served.url + COPY, {**SHOE, "count": 1})
    asked = upstream.requests[0].body["messages"][-1]["content"]
    assert asked.endswith("要求：\n只写一句话。\n不要标点。")


async def test_s0_14_outcomes_make_a_report_with_an_interval_that_warns_of_few(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    await begin(client, served)
    for number in range(6):
        body = {**SHOE, "user_id": f"u{number}", "count": 1}
        done = await post(client, served.url + COPY, body)
        outcome = f"{served.url}/v1/runs/{done.run_id}/outcome"
        said = await client.post(outcome, json={"is_adopted": number % 2 == 0, "step": "post-1"})
        assert said.json() == {"run": done.run_id, "is_adopted": number % 2 == 0, "step": "post-1"}
    report = (await client.get(f"{served.url}/api/experiments/ab")).json()["report"]
    arms = report["arms"]
    assert [arm["name"] for arm in arms] == ["model", "words"]
    assert sum(arm["judged"] for arm in arms) == 6
    assert sum(arm["adopted"] for arm in arms) == 3
    for arm in arms:
        if arm["judged"]:
            assert 0 <= arm["low"] <= arm["rate"] <= arm["high"] <= 1
    assert report["verdict"] == "too_early"
    assert "few" in [warning["code"] for warning in report["warnings"]]
    copies = (await client.get(f"{served.url}/api/copies?experiment=ab")).json()["copies"]
    assert {copy["is_adopted"] for copy in copies} == {True, False}
    assert all(copy["models"] == ["template"] and copy["total_ms"] >= 0 for copy in copies)


async def test_an_outcome_said_again_replaces_the_first_and_an_unknown_run_has_none(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    done = await post(client, shared_server.url + COPY, {**SHOE, "count": 1})
    outcome = f"{shared_server.url}/v1/runs/{done.run_id}/outcome"
    for is_adopted in (True, False):
        await client.post(outcome, json={"is_adopted": is_adopted})
    copies = (await client.get(f"{shared_server.url}/api/copies")).json()["copies"]
    assert next(c for c in copies if c["run"] == done.run_id)["is_adopted"] is False
    unknown = f"{shared_server.url}/v1/runs/nothing/outcome"
    assert (await client.post(unknown, json={"is_adopted": True})).status_code == 404
    assert (await client.post(outcome, json={"is_adopted": "often"})).status_code == 422


async def test_one_experiment_goes_on_at_a_time_and_its_arms_stay(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    place = f"{served.url}/api/experiments"
    assert (await begin(client, served)).status_code == 201
    assert (await begin(client, served)).status_code == 422
    assert (await begin(client, served, name="other")).status_code == 422
    ended = await client.patch(f"{place}/ab", json={"is_active": False})
    assert ended.json()["is_active"] is False
    assert (await begin(client, served, name="other")).status_code == 201
    assert (await client.patch(f"{place}/ab", json={"is_active": True})).status_code == 422
    listed = (await client.get(place)).json()["experiments"]
    assert {each["name"] for each in listed} == {"ab", "other"}
    assert (await client.delete(f"{place}/other")).status_code == 204
    for wrong in (
        client.get(f"{place}/other"),
        client.delete(f"{place}/other"),
        client.patch(f"{place}/other", json={"is_active": False}),
    ):
        assert (await wrong).status_code == 404


@pytest.mark.parametrize(
    "arms",
    [
        [{"name": "alone"}],
        [{"name": "a"}, {"name": "a"}],
        [{"name": "a"}, {"name": "b", "weight": 0}],
        [{"name": "a"}, {"name": "b", "model": "no-such-model"}],
        [{"name": "a"}, {"name": "b", "writer": "monkey"}],
    ],
)
async def test_an_experiment_that_cannot_be_is_refused(
    shared_server: Served, client: httpx.AsyncClient, arms: list[Any]
) -> None:
    assert (await begin(client, shared_server, arms=arms)).status_code in {404, 422}


async def test_an_arm_that_has_won_writes_for_everybody_until_it_is_taken_back(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    place = f"{served.url}/api/experiments/ab"
    await begin(client, served)

    async def newest() -> dict[str, Any]:
        await post(client, served.url + COPY, {**SHOE, "count": 1})
        return dict((await client.get(f"{served.url}/api/copies?limit=1")).json()["copies"][0])

    won = (await client.patch(place, json={"winner": "words"})).json()
    assert (won["is_active"], won["winner"]) == (False, "words")
    assert won["ended_at"]
    for _ in range(4):
        copied = await newest()
        assert (copied["experiment"], copied["arm"]) == ("", "words"), "it is counted no more"
    assert (await client.patch(place, json={"winner": ""})).json()["winner"] == ""
    assert (await newest())["arm"] == ""
    again = (await client.patch(place, json={"is_active": True})).json()
    assert (again["is_active"], again["ended_at"]) == (True, None)
    for wrong in ({"winner": "nobody"}, {"winner": "words", "is_active": True}):
        assert (await client.patch(place, json=wrong)).status_code == 422
    assert (await client.get(place)).json()["is_active"] is True, "nothing is half done"


async def test_a_new_experiment_goes_before_an_old_winner(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    await begin(client, served)
    await client.patch(f"{served.url}/api/experiments/ab", json={"winner": "words"})
    await begin(client, served, name="next")
    await post(client, served.url + COPY, {**SHOE, "count": 1})
    copied = (await client.get(f"{served.url}/api/copies?limit=1")).json()["copies"][0]
    assert copied["experiment"] == "next"


async def test_a_report_is_by_style_and_by_category_too(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    await begin(client, served)
    for at, (sku, style) in enumerate(
        [("8WZ01CM1", "natural"), ("8WZ01CM1", "funny"), ("8BG01GY1", "funny")]
    ):
        body = {"sku": sku, "style": style, "user_id": f"u{at}", "count": 1}
        done = await post(client, served.url + COPY, body)
        outcome = f"{served.url}/v1/runs/{done.run_id}/outcome"
        await client.post(outcome, json={"is_adopted": style == "funny"})
    report = (await client.get(f"{served.url}/api/experiments/ab")).json()["report"]

    def sums(parts: list[Any]) -> dict[str, tuple[int, int]]:
        return {
            part["name"]: (
                sum(arm["judged"] for arm in part["arms"]),
                sum(arm["adopted"] for arm in part["arms"]),
            )
            for part in parts
        }

    assert sums(report["by_style"]) == {"natural": (1, 0), "funny": (2, 2)}
    assert sums(report["by_category"]) == {"运动鞋": (2, 1), "包袋": (1, 1)}


def test_thompson_sampling_draws_the_better_arm_more_often_and_never_forgets_the_other() -> None:
    rng = Random(1933)
    cases = {"good": (30, 50), "poor": (15, 50), "new": (0, 0)}
    weights = dict.fromkeys(cases, 1.0)
    drawn_arms = Counter(drawn(cases, weights, rng.betavariate) for _ in range(2000))
    assert drawn_arms["good"] > 5 * drawn_arms["poor"]
    assert drawn_arms["new"] > 200, "of a new arm nobody knows yet"


def test_while_nothing_is_known_the_weights_decide() -> None:
    rng = Random(7)
    cases = {"often": (0, 0), "seldom": (0, 0)}
    shares = Counter(
        drawn(cases, {"often": 4.0, "seldom": 1.0}, rng.betavariate) for _ in range(999)
    )
    assert shares["often"] > 3 * shares["seldom"]


async def test_where_weights_learn_a_person_stays_and_the_run_keeps_its_arm(
    serve_with: Serve, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    made = await begin(client, served, learns=True)
    assert made.json()["learns"] is True
    sides: dict[str, set[str]] = {}
    for number in range(18):
        user = f"u{number % 6}"
        done = await post(client, served.url + COPY, {**SHOE, "user_id": user, "count": 1})
        told = await input_of(client, served, done.run_id)
        sides.setdefault(user, set()).add(told["arm"]["name"])
    assert all(len(side) == 1 for side in sides.values())


# Products, and what rules tell of them


async def test_a_product_is_analysed_by_rules_from_its_own_words(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    url = f"{shared_server.url}/ai/analyze/product"
    told = (await client.post(url, json={"sku": "8WZ01CM1"})).json()
    assert told["sku"] == "8WZ01CM1"
    assert "回弹中底柔软不塌，落地轻" in told["selling_points"]
    assert told["scenes"] == ["通勤", "逛街", "日常健走"]
    assert {"运动", "通勤"} <= set(told["style_tags"])
    assert {"女", "上班族"} <= set(told["people"])
    assert "闷热、捂汗" in told["pain_points"]
    assert (await client.post(url, json={"sku": "none"})).status_code == 404
    assert (await client.post(url, json={})).status_code == 422


def test_of_a_product_of_which_nothing_is_known_nothing_is_told() -> None:
    assert not any(analysis({"sku": "X", "name": "X"}).values())
    assert analysis({"material": "牛皮"})["selling_points"] == ["材质：牛皮"]


async def test_products_are_listed_searched_and_paged(
    shared_server: Served, client: httpx.AsyncClient
) -> None:
    url = f"{shared_server.url}/api/products"
    page = (await client.get(url, params={"limit": 2})).json()
    assert page["total"] == 102
    rest = (await client.get(url, params={"limit": 2, "after": page["next"]})).json()
    assert rest["products"][0]["sku"] > page["products"][-1]["sku"]
    found = (await client.get(url, params={"q": "运动鞋"})).json()
    assert 0 < found["total"] < 102
    one = (await client.get(f"{url}/8WZ01CM1")).json()
    assert one["name"] == "云感透气运动鞋"
    assert (await client.get(f"{url}/none")).status_code == 404
