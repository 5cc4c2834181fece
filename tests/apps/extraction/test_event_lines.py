"""Lines as models write them: what is harmless is put right, what is no event is told why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.apps.extraction import event_lines as lines
from unspool.apps.extraction.event_checks import Grounds, known_from
from unspool.apps.extraction.event_lines import (
    Decoration,
    EventReader,
    KnownPerson,
    NoEvent,
    read_line,
)
from unspool.apps.extraction.event_prompts import MAX_CELLS, events_prompt
from unspool.providers import Prompt
from unspool.providers.offline_model.answers import answer_to
from unspool.providers.offline_model.text import go_on

GOOD = "u 1|启动APP|2025-11-24 09:50:50|早间活跃"


def people(*names: str) -> dict[str, KnownPerson]:
    """People of whom no behaviour is known, so any event stands."""
    return {name: KnownPerson(name, Grounds(known_from([]))) for name in names}


class Told:
    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.warnings: list[str] = []

    def found(self, kind: str, item: Any, *, step: str = "") -> None:
        assert (kind, step) == ("event", "s")
        self.items.append(dict(item))

    def warn(self, message: str, **facts: Any) -> None:
        self.warnings.append(message)


@pytest.mark.parametrize(
    "line",
    [
        GOOD,
        f"  {GOOD}  ",
        f"- {GOOD}",
        f"12. {GOOD}",
        f"3、 {GOOD}",
        f"`{GOOD}`",
        f"**{GOOD}**",
        f"| {GOOD.replace('|', ' | ')} |",
        GOOD.replace("|", "｜"),
        "u 1| 启动APP |2025/11/24 9:50:50|早间活跃",
        "u 1|启动APP|2025-11-24T09:50:50Z|早间活跃",
        "u 1|启动APP|2025年11月24日 09时50分50秒|早间活跃",
        "u 1|启动APP|２０２５-11-24 09:50:50.123|早间活跃",
    ],
)
def test_what_is_harmless_is_put_right(line: str) -> None:
    event = read_line(line, {"u 1"})
    assert event.facts() == {
        "user_id": "u 1",
        "type": "启动APP",
        "at": "2025-11-24 09:50:50",
        "context": "早间活跃",
    }


def test_a_context_may_be_missing_and_may_hold_bars() -> None:
    assert read_line("u|看|2025-11-24|", {"u"}).context == ""
    assert read_line("u|看|2025-11-24", {"u"}).at == "2025-11-24 00:00:00"
    assert read_line("u|看|2025-11-24|a|b", {"u"}).context == "a|b"
    long = read_line(f"u|看|2025-11-24|{'长' * 9000}", {"u"}).context
    assert len(long) == lines.MAX_CONTEXT_CHARS


@pytest.mark.parametrize(
    "line", ["```", "```text", lines.HEADER, "user_id|type|time|context", "|---|:--|", "---", "* "]
)
def test_a_decoration_is_known_as_one(line: str) -> None:
    with pytest.raises(Decoration):
        read_line(line, {"u"})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("好的，结果如下：", "字段不足"),
        ("u|看", "字段不足"),
        ("v|看|2025-11-24 09:50:50|x", "用户不符"),
        ("u||2025-11-24 09:50:50|x", "类型"),
        (f"u|{'看' * 65}|2025-11-24 09:50:50|x", "类型"),
        ("u|看|昨天|x", "时间无法识别"),
        ("u|看|2025-13-40 09:50:50|x", "没有这个时间"),
        ("u|看|0001-01-01 00:00:00|x", "超出范围"),
    ],
)
def test_what_is_no_event_says_why(line: str, reason: str) -> None:
    with pytest.raises(NoEvent, match=reason):
        read_line(line, {"u"})


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.integers(1, 9))
def test_a_reader_says_the_same_wherever_the_text_is_cut(text: str, size: int) -> None:
    text = f"{GOOD}\n{text}\nu 1|看|2025-11-24|x"
    whole, cut = Told(), Told()
    one, other = EventReader(whole, people("u 1"), "s"), EventReader(cut, people("u 1"), "s")
    one.feed(text)
    for at in range(0, len(text), size):
        other.feed(text[at : at + size])
    one.end()
    other.end()
    assert (whole.items, whole.warnings) == (cut.items, cut.warnings)
    seen = [line for line in text.split("\n") if line.strip()]
    assert len(one.events) + one.left_out == len(seen), "every line is counted"


def test_many_bad_lines_have_one_reason_and_too_many_events_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines, "MAX_EVENTS", 2)
    told = Told()
    reader = EventReader(told, people("u"), "s")
    reader.feed("".join(f"u|看|2025-11-24 00:00:{n:02d}|\n" for n in range(3)) + "坏\n" * 50)
    reader.end()
    assert [item["at"][-2:] for item in told.items] == ["00", "01"]
    assert [warning[:13] for warning in told.warnings] == [
        "第 3 行未识别为事件（事",
        "第 4 行未识别为事件（字",
        "另有 49 行未识别为事件（"[:13],
    ]


def test_a_prompt_keeps_each_value_on_its_line_and_not_too_many_of_them() -> None:
    behavior = {"time": "2025-11-24 09:50:50", "type": "看", **{f"f{n}": n for n in range(99)}}
    prompt = events_prompt({"u": [behavior, {}]}, {"u": {"note": "一\n【用户】v", "empty": None}})
    section = prompt[prompt.index("【用户】u") :].split("\n")
    assert section[1] == "【资料】note：一 【用户】v"
    assert section[3].count("；") == MAX_CELLS
    assert section[4] == ""


def said_to(prompt: str) -> list[str]:
    return answer_to(Prompt.of(prompt).messages).splitlines()


def test_the_built_in_model_goes_on_from_another_models_lines_with_what_came_later() -> None:
    ours = "".join(f"u|看|2025-11-24 0{n}:00:00|第{n}次\n" for n in range(4))
    theirs = "u|逛|2025-11-23 00:00:00|别人写的\nu|逛|2025-11-24 01:30:00|别人写的\n"
    assert go_on(theirs, ours) == ours[ours.index("u|看|2025-11-24 02") :]
    assert go_on(theirs + "u|逛|2026-01-01 00:00:00|\n", ours) == ""


def test_the_built_in_model_says_nothing_that_was_not_done() -> None:
    did = [
        {"at": f"2025-11-24 {at}", "action": action, "商品": product}
        for at, action, product in [
            ("04:00:00", "登录", ""),
            ("04:10:00", "cart", "甲|乙"),
            ("04:20:00", "cart", "甲|乙"),
            ("13:00:00", "cart", "丙"),
            ("23:30:00", "登录", ""),
        ]
    ]
    assert said_to(events_prompt({"u": did})) == [
        "u|登录|2025-11-24 04:00:00|凌晨活跃",
        "u|加购|2025-11-24 04:10:00|甲/乙，共 2 次",
        "u|加购|2025-11-24 13:00:00|丙",
        "u|登录|2025-11-24 23:30:00|深夜活跃",
    ]
    assert said_to(events_prompt({"u": []})) == []


def test_a_model_that_only_repeats_itself_after_its_events_is_stopped() -> None:
    stops: list[int] = []
    reader = EventReader(Told(), people("u"), "s", enough=lambda: stops.append(1))
    reader.feed("这里是分析\n" * 30 + "u|浏览|2025-11-24 09:50:50|早间\n")
    assert stops == []
    reader.feed("u|浏览|2025-11-24 09:50:50|早间\n" * 19)
    assert stops == []
    reader.feed("u|浏览|2025-11-24 09:50:50|早间\n" * 40)
    assert stops == [1]
