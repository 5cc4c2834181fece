"""Objects in texts that say other things, too, whole and while they are written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unspool.formats.json_objects import ObjectScanner, objects_in, unwrapped, wrapped_in
from unspool.formats.partial_json import CompleteValue

SOUP = {"title": "Soup", "minutes": 20, "tags": ["a", {"b": "}"}]}
TEXT = json.dumps(SOUP)

SEEN = {
    "alone": TEXT,
    "in a fence": f"Sure!\n```json\n{TEXT}\n```\nEnjoy {{this}}.",
    "behind braces": f"I fill it in. {{Note: as it is}}\n{{}} {TEXT}",
    "behind a brace that is not closed": f"Use {{ to open it: {TEXT}",
    "behind a format string": f"Like {{title}} and {{{{minutes}}}}: {TEXT} {{end}}",
    "behind an odd quote": f'The user asked "what is it: {TEXT}',
    "behind an apostrophe": f"It's this: {TEXT}. Isn't it?",
    "behind a list": f"[1] see below, [note] {TEXT}",
    "in a list": f"[{TEXT}]",
    "behind an example": f'For example {{"title": "Tea"}}. Now: {TEXT}',
    "written wide": json.dumps(SOUP, indent=4),
    "with a brace on a line of its own": TEXT.replace("{", "{\n\n   ", 1),
}


def live(text: str, size: int) -> list[Any]:
    scanner = ObjectScanner()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    found = [value for piece in pieces for value in scanner.feed(piece)]
    return [it.value for it in found if isinstance(it, CompleteValue) and it.path == ()]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("name", SEEN)
def test_an_object_is_seen_at_its_closing_brace_wherever_it_stands(name: str, size: int) -> None:
    text = SEEN[name]
    assert SOUP in live(text, size)
    end = text.rindex('"}"}]}') + 6 if name != "written wide" else len(text)
    assert SOUP in live(text[:end], size)
    assert SOUP not in live(text[: end - 1], size)


HIDDEN = {
    **SEEN,
    "behind an open brace and an odd quote": f'{{"odd }} and {TEXT}',
    "behind half of it": f'{{"title": "So\n\nAgain: {TEXT}',
    "as a string": json.dumps(TEXT),
    "as a string in a fence": f"```json\n{json.dumps(TEXT)}\n```",
    "as a string of a string": json.dumps(json.dumps(TEXT)),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_whole_text_gives_up_every_object_in_it(name: str) -> None:
    found = [inner for value in objects_in(HIDDEN[name]) for inner in wrapped_in(value)]
    assert SOUP in found


def test_raw_line_ends_in_strings_are_forgiven() -> None:
    text = '{"title": "Soup\nof the day", "tags": ["\t"]}'
    wanted = {"title": "Soup\nof the day", "tags": ["\t"]}
    assert live(text, 5) == list(objects_in(text)) == [wanted]


@pytest.mark.parametrize("text", ["", "no object", "{", '{"a"', "{a: 1}", '{"a": NaN}', "}{"])
def test_what_is_no_object_is_none(text: str) -> None:
    assert list(objects_in(text)) == []
    assert all(value == {} for value in live(text, 2))


@pytest.mark.parametrize("sign", ['{"', '{"a":', "{", '"{\\"', '{"a":1}{', "[{"])
def test_text_that_only_looks_like_objects_costs_no_more_than_its_length(sign: str) -> None:
    for value in objects_in(sign * 20_000):
        assert value == {"a": 1}
    live(sign * 20_000, 100)


def test_lists_are_found_where_they_are_wanted() -> None:
    assert list(objects_in(f"Here [is]: [{TEXT}, 1]", "[")) == [[SOUP, 1]]


def test_wrapped_values_come_from_the_outside_in() -> None:
    value = {"answer": [SOUP, {"x": {"deep": {"deeper": 1}}}]}
    assert list(wrapped_in(value))[:3] == [value, value["answer"], SOUP]
    assert unwrapped({"a": '[1, "x\n"]', "b": "[no]", "c": 1}) == {
        "a": [1, "x\n"],
        "b": "[no]",
        "c": 1,
    }
