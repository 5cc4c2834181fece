"""JSON with raw line ends in it, and where a value that is still being written ends."""

from __future__ import annotations

import json

import pytest

from unspool.formats.lenient_json import Extent, decode, decode_at


@pytest.mark.parametrize("text", ['{"a": "x\ny"}', '["\t"]', ' {"a": [1, {"b": "\\""}]} \n'])
def test_control_characters_in_strings_are_read(text: str) -> None:
    assert decode(text) == json.loads(text, strict=False)


@pytest.mark.parametrize(
    "text", ["", "{", '{"a": NaN}', '{"a": 1e999}', "{} {}", "{'a': 1}", '{"a":' * 9999]
)
def test_nothing_else_is_forgiven(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode(text)


def test_values_behind_each_other_are_read_one_by_one() -> None:
    first, at = decode_at(' {"a": 1} [2]', 0)
    assert (first, decode_at(' {"a": 1} [2]', at)) == ({"a": 1}, ([2], 13))


@pytest.mark.parametrize("text", ['{"a": "}\\"]"}', '["[", {"b": []}]', '"a\\\\"', "{}"])
def test_a_value_is_whole_at_its_last_sign_wherever_it_is_cut(text: str) -> None:
    for cut in range(len(text)):
        extent = Extent()
        extent.feed(text[:cut])
        assert not extent.is_whole, cut
        extent.feed(text[cut:])
        assert extent.is_whole


def test_an_object_may_stand_where_a_value_is_due_and_nowhere_else() -> None:
    due = {'{"a":': True, '{"a": ': True, "[": True, "[1,": True, '{"a"': False, '{"a": "x:': False}
    for text, is_due in due.items():
        extent = Extent()
        extent.feed(text)
        assert extent.expects_value is is_due, text
