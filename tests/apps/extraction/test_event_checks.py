"""D2: an event stands on a behaviour of that person, or it is a finding."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from unspool.apps.extraction.event_checks import Grounds, known_from
from unspool.apps.extraction.privacy import Hiding, alias_of, shown_profile, with_true_id
from unspool.apps.extraction.windows import window_end

DAY = "2025-11-24"


def did(at: str, action: str, **properties: str) -> dict[str, Any]:
    return {"at": f"{DAY} {at}", "action": action, "properties": properties}


CHINESE = [
    did("09:50:50", "访问", 页面="启动APP"),
    did("09:51:02", "浏览", 页面="商品详情"),
    did("09:52:00", "收藏"),
    did("09:53:00", "购买"),
]
ENGLISH = [
    did("09:50:50", "visit", page="home"),
    did("09:51:02", "view"),
    did("09:52:00", "favorite"),
    did("09:53:00", "purchase"),
]
TIANCHI = [
    did("09:50:50", "pv"),
    did("09:51:02", "pv"),
    did("09:52:00", "fav"),
    did("09:53:00", "buy"),
]


def findings(behaviors: list[dict[str, Any]], *events: tuple[str, str]) -> list[str]:
    """The kinds of what is found about these events, in their order."""
    grounds = Grounds(known_from(behaviors))
    found = []
    for kind, at in events:
        when = at if at.startswith("20") else f"{DAY} {at}"
        found += [one.kind for one in grounds.check(f"u|{kind}|{when}|", kind, when)] or ["-"]
    return found


@pytest.mark.parametrize("behaviors", [CHINESE, ENGLISH, TIANCHI], ids=["zh", "en", "tianchi"])
@pytest.mark.parametrize(
    ("kind", "at", "found"),
    [
        ("购买", "2030-01-01 10:00:00", "time"),
        ("浏览商品", "2025-11-23 09:51:02", "time"),
        ("浏览商品", "11:30:00", "time"),
        ("purchase", "2024-11-24 09:53:00", "time"),
        ("分享商品", "09:53:00", "type"),
        ("加购", "09:52:00", "type"),
        ("退货", "09:53:00", "type"),
        ("看直播", "09:51:02", "type"),
        ("shared with a friend", "09:51:02", "type"),
        ("量子纠缠", "09:51:02", "type"),
        ("启动APP", "09:50:50", "-"),
        ("浏览商品", "09:51:02", "-"),
        ("对比多款商品", "09:51:00", "-"),
        ("反复浏览", "09:52:30", "-"),
        ("收藏商品", "09:52:00", "-"),
        ("购买", "09:53:00", "-"),
        ("下单购买", "09:53:00", "-"),
        ("完成支付", "09:53:10", "-"),
        ("viewed products", "09:51:02", "-"),
        ("added to wishlist", "09:52:00", "-"),
        ("Purchase", "09:53:00", "-"),
        ("放弃加购", "09:53:00", "-"),
        ("购买", "2025-11-24 00:00:00", "-"),
    ],
)
def test_an_event_stands_on_a_behaviour_in_any_language_of_the_data(
    behaviors: list[dict[str, Any]], kind: str, at: str, found: str
) -> None:
    assert findings(behaviors, (kind, at)) == [found]


def test_one_purchase_grounds_one_event_and_two_ground_two() -> None:
    events = [("购买", "09:53:00"), ("购买", "09:53:20"), ("购买", "09:54:00")]
    assert findings(CHINESE, *events) == ["-", "double", "double"]
    assert findings([*CHINESE, did("09:53:20", "购买")], *events) == ["-", "-", "double"]


def test_the_same_view_told_twice_is_a_duplicate() -> None:
    twice = ("浏览商品", "09:51:02")
    assert findings([did("09:51:02", "pv")], twice, twice) == ["-", "double"]


def test_a_look_at_the_page_of_an_order_is_no_purchase() -> None:
    pages = [did("09:53:00", "buy_page", 页面="确认订单")]
    assert findings(pages, ("进入下单页", "09:53:00"), ("购买", "09:53:00")) == ["-", "type"]


@pytest.mark.parametrize("action", ["4", "level_up", "完成关卡"])
def test_an_action_that_nobody_can_know_is_not_judged_by_its_type(action: str) -> None:
    behaviors = [did("09:53:00", action)]
    assert findings(behaviors, ("升级", "09:53:00"), ("升级", "2030-01-01 09:53:00")) == [
        "-",
        "time",
    ]


def test_behaviours_without_times_ground_an_event_of_any_time() -> None:
    assert findings([{"type": "buy"}], ("购买", "09:53:00"), ("分享", "09:53:00")) == ["-", "type"]


WORDS = {
    "visit": ["浏览商品", "查看商品详情", "对比商品", "逛店", "深度浏览", "再次访问", "浏览运动鞋"],
    "favorite": ["收藏商品", "收藏", "加入收藏夹"],
    "share": ["分享商品", "分享给好友", "转发商品"],
    "size_chart": ["查看尺码", "查看尺码表", "确认尺码"],
    "cart": ["加购", "加入购物车", "加购商品"],
    "buy_page": ["进入下单页", "下单", "进入结算页", "确认订单"],
    "purchase": ["购买", "完成购买", "支付成功", "购买商品"],
}


def test_two_hundred_true_lines_raise_no_false_alarm() -> None:
    rng = Random(14)
    wrong, total = [], 0
    for _person in range(25):
        at, behaviors, events = datetime.fromisoformat(f"{DAY} 08:00:00"), [], []
        for _behavior in range(24):
            pause = timedelta(seconds=rng.choice([9, 40, 200, 4000]))
            at += pause
            action = rng.choice(list(WORDS))
            behaviors.append({"at": f"{at}", "action": action, "product": "云感透气运动鞋"})
            if rng.random() < 0.4:
                told = at + timedelta(seconds=rng.choice([0, 0, 0, -5, 30]))
                events.append((rng.choice(WORDS[action]), f"{told}"))
        found = findings(behaviors, *events)
        wrong += [event for event, one in zip(events, found, strict=True) if one != "-"]
        total += len(events)
    assert total >= 200
    assert len(wrong) <= 0.02 * total, wrong


# What a vendor may see


@pytest.mark.parametrize(
    "user_id", ["user_0007", "768933", "u1", "VIP-20", "0123456789abcdef0123456789abcdef"]
)
def test_an_id_that_tells_nothing_is_sent(user_id: str) -> None:
    assert alias_of(user_id) == user_id


@pytest.mark.parametrize(
    "user_id",
    ["何思琪", "alice", "a@b.cn", "13812345678", "11010519491231002X", "a|b", "李 雷/北京", "50%"],
)
def test_an_id_that_may_tell_a_person_has_a_stand_in_and_comes_back_in_the_lines(
    user_id: str,
) -> None:
    alias = alias_of(user_id)
    assert alias == "user_1"
    line = f"{alias}|浏览商品|2025-11-24 09:51:02|user_1 很活跃\n"
    assert with_true_id(line, alias, user_id) == line.replace("user_1", user_id, 1)
    assert with_true_id(f"- **{alias}** ｜看", alias, user_id) == f"- **{user_id}** ｜看"
    assert with_true_id(f"关于 {alias}|x", alias, user_id) == f"关于 {alias}|x"


def test_a_vendor_sees_no_name_number_or_address_of_a_person() -> None:
    profile = {"name": "何思琪", "gender": "女", "age": 34, "city": "上海", "income_level": "高"}
    assert shown_profile(profile) == {"gender": "女", "city": "上海", "age": "30–39"}
    behavior = {
        "action": "下单",
        "properties": {
            "收货人": "何思琪",
            "手机号": "13812345678",
            "note": "何思琪，电话 138-1234-5678，hsq@example.com，何思琪同意",
            "page_name": "x",
            "品牌": "云跃里",
        },
    }
    shown = Hiding("何思琪", "user_1", profile).behavior(behavior)["properties"]
    assert shown["note"] == "user_1，电话 （略），（略），user_1同意"
    assert (shown["收货人"], shown["手机号"], shown["品牌"]) == ("（略）", "（略）", "云跃里")


def test_a_window_ends_at_a_pause_and_windows_cover_everything() -> None:
    times = [f"2025-11-24 {9 + n // 60:02d}:{n % 60:02d}:00" for n in range(50)]
    behaviors = [{"at": at} for at in times[:18] + times[25:]]
    assert window_end(behaviors, 0, 20) == 18
    start, ends = 0, []
    while start < len(behaviors):
        start = window_end(behaviors, start, 7)
        ends.append(start)
    assert ends[-1] == len(behaviors)
    assert all(0 < after - before <= 7 for before, after in zip([0, *ends], ends, strict=False))
