"""
Holds the events of a model against the behaviours they are to stand on.

An event stands if the person did something at its time, and if its type can come from what was
done around that time. A type is judged by its words, in Chinese and English: a purchase needs a
purchase, while a word such as "compares" may stand on any behaviour. Where a shop names its actions
by words that nobody can know (`4`, `level_up`), a type is not judged.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from unspool.flows.kit.grounding import Finding
from unspool.formats.moments import read_moment

TOLERANCE_S: Final = 5 * 60
"""Between an event and the nearest behaviour: a model may round its time."""

VISIT_S: Final = 30 * 60
"""Without a behaviour, until a visit is over. A type may come from anything in the same visit."""

DAY_S: Final = 24 * 3600

TIMES: Final = ("at", "timestamp", "time", "时间戳", "时间")
ACTIONS: Final = ("action", "behavior_type", "behavior", "type", "行为类型", "行为")
"""Common keys for the time and the kind of a behaviour."""

_KINDS: Final = {
    kind: re.compile(words, re.IGNORECASE)
    for kind, words in {
        "return": r"退货|退款|退换|换货|refund|return(?!ed to)",
        "review": r"评价|评论|晒单|好评|差评|review|comment|rating",
        "page": r"buy_?page|购买页|下单页|确认订单|收银台|结算|结账|checkout",
        "order": r"下单(?!页)|(?<!确认)订单|\border",
        "buy": r"购买(?!页)|购入|买[下了]|付款|支付|成交|[复回]购|purchase|\bbuy|bought|\bpa(id|y)",
        "cart": r"加购|购物车|加入购物|add.?to.?cart|\bcart|basket",
        "favorite": r"收藏|心愿单|favou?rite|\bfav\b|wish.?list|bookmark",
        "share": r"分享|转发|\bshare",
        "size": r"尺码|尺寸表|size",
        "coupon": r"领券|优惠券|领取|coupon|voucher",
        "search": r"搜索|搜了|检索|search",
        "register": r"注册|开卡|入会|sign.?up|register",
        "live": r"直播|live.?stream|broadcast",
        "service": r"客服|咨询|投诉|consult|complain|support",
        "raffle": r"抽奖|中奖|签到|秒杀|拼团|raffle|check.?in|lottery",
    }.items()
}
"""Things done that leave a trace of their own, and their words."""

_FROM: Final = {
    "page": ("page", "order", "buy"),
    "order": ("order", "page", "buy"),
    "buy": ("buy", "order"),
}
"""Kinds of behaviour that an event may come from, where it is not its own kind alone."""

_NOT_DONE: Final = re.compile(
    r"放弃|未|没有?|犹豫|意向|意愿|想要|abandon|without|\bnot\b|\bno\b", re.IGNORECASE
)
"""Words of what was not done: it leaves no trace."""

_LOOK: Final = re.compile(r"查看|浏览|访问|进入|打开|观看|view|look|visit|watch", re.IGNORECASE)
"""Words of a look at something, which the page or the source of a behaviour may name."""

_PLAIN: Final = re.compile(
    r"访问|浏览|启动|打开|进入|登录|查看|看了|关注|对比|比较|比价|了解|犹豫|考虑|离开|退出|流失|活跃|停留|详情|"
    r"兴趣|意向|意图|返回|再次|回访|挑选|选购|逛|点击|行为|商品|\bpv\b|visit|view|brows|click|open|launch|"
    r"log.?in|compar|leave|exit|active|interest|hesitat|consider|detail|look|visit|session|product",
    re.IGNORECASE,
)
"""Words of what may be seen in any behaviour."""


@dataclass(frozen=True, slots=True)
class Known:
    """
    What is known of one person.

    Attributes:
        times: Times of the behaviours in Unix seconds, sorted.
        kinds: The kinds that the words of each behaviour tell.
        words: The words of each behaviour.
        has_all_times: Every behaviour has a time; else times are not judged.
    """

    times: Sequence[float]
    kinds: Sequence[frozenset[str]]
    words: Sequence[str]
    has_all_times: bool = True

    def around(self, at: float, within_s: float) -> range:
        """Return the places of the behaviours within so many seconds of a time."""
        return range(
            bisect_left(self.times, at - within_s), bisect_right(self.times, at + within_s)
        )


def known_from(behaviors: Iterable[Mapping[str, Any]]) -> Known:
    """Return what is known from behaviours with any keys."""
    rows: list[tuple[float, frozenset[str], str]] = []
    has_all_times = True
    for behavior in behaviors:
        given = {**behavior, **(behavior.get("properties") or {})}
        given.pop("properties", None)
        when = next((given[name] for name in TIMES if given.get(name)), "")
        action = " ".join(str(given[name]) for name in ACTIONS if given.get(name))
        try:
            at = read_moment(str(when)).timestamp()
        except ValueError:
            at, has_all_times = 0.0, False
        words = " ".join(str(value) for value in given.values())
        # The page of an action tells more of it; the name of a product does not.
        page = " ".join(str(given.get(name, "")) for name in ("页面", "page"))
        rows.append((at, kinds_of(action) or kinds_of(page), f"{action} {words}"))
    rows.sort(key=lambda row: row[0])
    times, kinds, texts = zip(*rows, strict=True) if rows else ((), (), ())
    return Known(times, kinds, texts, has_all_times)


def kinds_of(words: str) -> frozenset[str]:
    """Return the kinds of things done that words tell; `plain`: anything; empty: unknown words."""
    if _NOT_DONE.search(words):
        return frozenset({"plain"})
    found = {kind for kind, pattern in _KINDS.items() if pattern.search(words)}
    if "page" in found:
        found -= {"buy", "order"}
    return frozenset(found or ({"plain"} if _PLAIN.search(words) else ()))


class Grounds:
    """
    Judges the events of one person in their order; a thing done grounds one event of its kind.

    It is a fold of the events, so a reader that begins anew takes a copy.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._claimed: set[tuple[str, int]] = set()
        self._seen: dict[tuple[str, str], int] = {}

    def copy(self) -> Grounds:
        other = Grounds(self._known)
        other._claimed, other._seen = set(self._claimed), dict(self._seen)
        return other

    def check(self, line: str, kind: str, at: str) -> list[Finding]:
        """Return what does not stand about an event; `at` is `YYYY-MM-DD HH:MM:SS`."""
        known = self._known
        if not known.times:
            return []
        if not known.has_all_times:
            return self._without_times(line, kind, at)
        moment = datetime.strptime(at, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
        day = moment % DAY_S == 0  # the model wrote a date alone
        if day:
            end = moment + DAY_S - 1
            within = near = range(bisect_left(known.times, moment), bisect_right(known.times, end))
        else:
            within = known.around(moment, TOLERANCE_S)
            near = known.around(moment, VISIT_S)
            if not within and near and near.start < bisect_left(known.times, moment) < near.stop:
                within = near  # in the middle of a visit
        if not within:
            return [Finding("time", f"这个时间没有行为：{at}", line, _nearest(known, moment))]
        finding = self._type(line, kind, moment, near) or self._double(line, kind, at, within)
        return [finding] if finding else []

    def _without_times(self, line: str, kind: str, at: str) -> list[Finding]:
        every = range(len(self._known.times))
        finding = self._type(line, kind, 0.0, every) or self._double(line, kind, at, every)
        return [finding] if finding else []

    def _type(self, line: str, kind: str, moment: float, near: range) -> Finding | None:
        """Judge the type, and claim the thing done that it comes from."""
        known = self._known
        theirs = kinds_of(kind)
        if theirs == {"plain"} or any(not known.kinds[at] for at in near):
            return None
        if not theirs:
            shown = any(_shares(kind, known.words[at]) for at in near)
            return None if shown else _no_type(line, kind, known, near)
        for one in sorted(theirs):
            sources = [at for at in near if known.kinds[at] & set(_FROM.get(one, (one,)))]
            if not sources:
                if _LOOK.search(kind) and any(_shares(kind, known.words[at]) for at in near):
                    continue
                return _no_type(line, kind, known, near)
            sources.sort(key=lambda at: abs(known.times[at] - moment))
            free = next((at for at in sources if (one, at) not in self._claimed), None)
            if free is None:
                return Finding("double", f"重复：{kind} 只发生过 {len(sources)} 次", line)
            self._claimed.add((one, free))
        return None

    def _double(self, line: str, kind: str, at: str, within: range) -> Finding | None:
        seen = self._seen[kind, at] = self._seen.get((kind, at), 0) + 1
        return Finding("double", f"重复：{kind} {at}", line) if seen > len(within) else None


def source_of(known: Known, kind: str, moment: float) -> int | None:
    """Return the place of the behaviour that an event comes from: of its kind, then the nearest."""
    day = moment % DAY_S == 0
    near = range(
        bisect_left(known.times, moment - (0 if day else VISIT_S)),
        bisect_right(known.times, moment + (DAY_S - 1 if day else VISIT_S)),
    )
    wanted = {source for one in kinds_of(kind) for source in _FROM.get(one, (one,))}
    return min(
        near,
        key=lambda at: (not known.kinds[at] & wanted, abs(known.times[at] - moment)),
        default=None,
    )


def _no_type(line: str, kind: str, known: Known, near: range) -> Finding:
    actions = dict.fromkeys(known.words[at].split(" ", 1)[0] for at in near)
    return Finding("type", f"没有行为能得出“{kind}”", line, "、".join(list(actions)[:5]))


def _nearest(known: Known, moment: float) -> str:
    place = bisect_left(known.times, moment)
    times = known.times[max(0, place - 1) : place + 1]
    nearest = min(times, key=lambda at: abs(at - moment))
    return f"{datetime.fromtimestamp(nearest, UTC):%Y-%m-%d %H:%M:%S}"


def _shares(kind: str, words: str) -> bool:
    """Whether two characters in a row, or a Latin word, of the type stand in the words."""
    kind, words = kind.casefold(), words.casefold()
    if kind.isascii():
        return any(len(word) > 2 and word in words for word in re.findall(r"[a-z]+", kind))
    return any(kind[at : at + 2] in words for at in range(len(kind) - 1))
