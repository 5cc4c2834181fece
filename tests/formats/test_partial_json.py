"""JSON that is still being written: told as soon as it can be, the same wherever it is cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.formats.partial_json import MAX_MEMBER_CHARS, CompleteValue, Found, Scanner, Unreadable

GRAPH: dict[str, Any] = {
    "title": '一句"引语"，反斜杠 \\ 和 {括号}',
    "nodes": [{"id": "a", "tags": ["x", "y"]}, {"id": "b", "tags": []}],
    "meta": {"n": 1, "deep": {"m": [1, [2]]}},
    "none": None,
    "empty": [],
}


def told(text: str, *cuts: int, depth: int = 2) -> list[Found]:
    scanner = Scanner(depth)
    edges = [0, *cuts, len(text)]
    return [t for start, end in pairwise(edges) for t in scanner.feed(text[start:end])]


def test_inner_values_are_told_first_and_the_root_last() -> None:
    found = told(json.dumps(GRAPH, ensure_ascii=False))
    assert [t.path for t in found] == [
        ("title",),
        ("nodes", 0),
        ("nodes", 1),
        ("nodes",),
        ("meta", "n"),
        ("meta", "deep"),
        ("meta",),
        ("none",),
        ("empty",),
        (),
    ]
    assert found[-1] == CompleteValue((), GRAPH)
    assert found[1] == CompleteValue(("nodes", 0), GRAPH["nodes"][0])


def test_a_value_is_told_with_the_very_character_that_completes_it() -> None:
    text = '{"a": "x", "b": [1, {"c": 2}]}'
    scanner, ends = Scanner(), {}
    for at, character in enumerate(text, start=1):
        for each in scanner.feed(character):
            ends[each.path] = text[:at]
    assert ends == {
        ("a",): '{"a": "x"',
        ("b", 0): '{"a": "x", "b": [1,',
        ("b", 1): '{"a": "x", "b": [1, {"c": 2}',
        ("b",): '{"a": "x", "b": [1, {"c": 2}]',
        (): text,
    }


@pytest.mark.parametrize("indent", [None, 2])
def test_what_is_told_does_not_depend_on_where_the_text_is_cut(indent: int | None) -> None:
    text = f"好的，如下：\n```json\n{json.dumps(GRAPH, indent=indent)}\n```\n以上 {{}}"
    whole = told(text)
    assert whole[-1] == CompleteValue((), GRAPH)
    for cut in range(len(text) + 1):
        assert told(text, cut) == whole, cut
    assert told(text, *range(1, len(text))) == whole


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), values, max_size=4) | st.lists(values, max_size=4), st.data())
def test_any_json_is_put_together_as_a_decoder_does(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    cut = data.draw(st.integers(0, len(text)))
    depth = data.draw(st.integers(1, 4))
    assert told(text, cut, depth=depth)[-1] == CompleteValue((), value)


BROKEN: dict[str, tuple[str, list[Found]]] = {
    "cut in a string": ('{"a": 1, "b": "x', [CompleteValue(("a",), 1)]),
    "a word that is no value": (
        '{"a": yes, "b": 2}',
        [Unreadable((), '"a": yes'), CompleteValue(("b",), 2), CompleteValue((), {"b": 2})],
    ),
    "a comma too many": (
        "[1, 2,]",
        [CompleteValue((0,), 1), CompleteValue((1,), 2), CompleteValue((), [1, 2])],
    ),
    "a comma too few": (
        '[{"a": 1} {"b": 2} "c"]',
        [
            CompleteValue((0, "a"), 1),
            CompleteValue((0,), {"a": 1}),
            CompleteValue((1, "b"), 2),
            CompleteValue((1,), {"b": 2}),
            CompleteValue((2,), "c"),
            CompleteValue((), [{"a": 1}, {"b": 2}, "c"]),
        ],
    ),
    "no name": ("{1, 2}", [Unreadable((), "1"), Unreadable((), "2"), CompleteValue((), {})]),
    "a list without a name": (
        "{[1]}",
        [CompleteValue(("", 0), 1), CompleteValue(("",), [1]), CompleteValue((), {})],
    ),
    "the wrong bracket": ("[1}", [CompleteValue((0,), 1), CompleteValue((), [1])]),
    "no document": ('他说 "好" , ] } 。', []),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_can_be_read_is_told_and_the_rest_is_no_error(name: str) -> None:
    text, wanted = BROKEN[name]
    assert told(text) == wanted
    assert told(text, *range(1, len(text))) == wanted


def test_deep_nesting_is_unreadable_and_no_recursion() -> None:
    found = told('{"a": ' + "[" * 100_000 + "]" * 100_000 + ', "b": 1}')
    assert [type(t) for t in found] == [Unreadable, CompleteValue, CompleteValue, CompleteValue]
    assert found[1:] == [
        CompleteValue(("a",), []),
        CompleteValue(("b",), 1),
        CompleteValue((), {"a": [], "b": 1}),
    ]


def test_a_member_without_an_end_is_not_kept_for_ever() -> None:
    scanner = Scanner()
    assert scanner.feed('{"a": "') == []
    piece = "x" * 65_536
    for _ in range(MAX_MEMBER_CHARS // len(piece) + 1):
        scanner.feed(piece)
    assert scanner.is_over
    assert scanner.feed('", "b": 1}') == []
