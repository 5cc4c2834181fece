"""Fragments of tool calls, cut and named as servers have been seen to send them."""

from __future__ import annotations

import json

import pytest

from support.fragments import TEXT_A, TEXT_B, A, B, Called, Fragment, part, pieces_of, sent
from unspool.providers import ToolFragment
from unspool.runs.events import Event, encode_event

CALLS: dict[str, tuple[Called, list[Fragment]]] = {
    "placeholder, then the arguments": (
        [("f", A)],
        [part(0, "c", "f", "{}"), *(part(0, arguments=p) for p in pieces_of(TEXT_A))],
    ),
    "placeholder that is an object": (
        [("f", A)],
        [part(0, "c", "f", {}), *(part(0, arguments=p) for p in pieces_of(TEXT_A))],
    ),
    "placeholder null": ([("f", A)], [part(0, "c", "f", "null"), part(0, arguments=TEXT_A)]),
    "placeholder in quotes": ([("f", A)], [part(0, "c", "f", '""'), part(0, arguments=TEXT_A)]),
    "two placeholders": (
        [("f", A)],
        [part(0, "c", "f", "{}"), part(0, arguments="{}"), part(0, arguments=TEXT_A)],
    ),
    "placeholder in one string with them": ([("f", A)], [part(0, "c", "f", "{}" + TEXT_A)]),
    "placeholder behind them": ([("f", A)], [part(0, "c", "f", TEXT_A), part(0, arguments="{}")]),
    "placeholder behind them, with the name": (
        [("f", A)],
        [part(0, "c", "f", TEXT_A), part(0, "c", "f", "{}")],
    ),
    "placeholder alone": ([("f", {})], [part(0, "c", "f", "{}")]),
    "placeholders of two calls": (
        [("f", A), ("g", {})],
        [part(0, "c", "f", "{}"), part(0, arguments=TEXT_A), part(1, "d", "g", "{}")],
    ),
    "placeholder under new ids": (
        [("f", A)],
        [part(0, "c", "f", "{}"), part(0, "d", "", TEXT_A[:4]), part(0, "e", "", TEXT_A[4:])],
    ),
    "one id at two indexes": (
        [("f", A), ("f", B)],
        [
            part(0, "c", "f", ""),
            part(0, arguments=TEXT_A),
            part(1, "c", "f", ""),
            part(1, arguments=TEXT_B),
        ],
    ),
    "one id at two indexes, whole": (
        [("f", A), ("f", B)],
        [part(0, "c", "f", TEXT_A), part(1, "c", "f", TEXT_B)],
    ),
    "one id at two indexes, the same twice": (
        [("f", A), ("f", A)],
        [part(0, "c", "f", TEXT_A), part(1, "c", "f", TEXT_A)],
    ),
    "one id at two indexes, side by side": (
        [("f", A), ("f", B)],
        [
            part(0, "c", "f", ""),
            part(1, "c", "f", ""),
            *(
                part(index, "c", arguments=piece)
                for index, text in enumerate((TEXT_A, TEXT_B))
                for piece in pieces_of(text)
            ),
        ],
    ),
    "one id at two indexes, begun side by side": (
        [("f", A), ("f", B)],
        [
            part(0, "c", "f", TEXT_A[:5]),
            part(1, "c", "f", TEXT_B[:5]),
            part(0, arguments=TEXT_A[5:]),
            part(1, arguments=TEXT_B[5:]),
        ],
    ),
    "one id and two functions": (
        [("f", {}), ("g", B)],
        [part(0, "c", "f", ""), part(1, "c", "g", TEXT_B)],
    ),
    "one id without an index": (
        [("f", A), ("f", B)],
        [part(None, "c", "f", TEXT_A), part(None, "c", "f", TEXT_B)],
    ),
    "a new id in every fragment": (
        [("f", A)],
        [
            part(0, "c0", "f", ""),
            *(part(0, f"c{n}", "", p) for n, p in enumerate(pieces_of(TEXT_A), 1)),
        ],
    ),
    "a new id in every fragment, without an index": (
        [("f", A)],
        [
            part(None, "c0", "f", ""),
            *(part(None, f"c{n}", "", p) for n, p in enumerate(pieces_of(TEXT_A), 1)),
        ],
    ),
    "a new id in every fragment of two calls": (
        [("f", A), ("g", B)],
        [
            part(0, "c0", "f", ""),
            *(part(0, f"c{n}", None, p) for n, p in enumerate(pieces_of(TEXT_A), 1)),
            part(1, "d0", "g", ""),
            *(part(1, f"d{n}", None, p) for n, p in enumerate(pieces_of(TEXT_B), 1)),
        ],
    ),
    "a new id in every fragment of two calls at one index": (
        [("f", A), ("g", B)],
        [
            part(0, "c0", "f", ""),
            *(part(0, f"c{n}", None, p) for n, p in enumerate(pieces_of(TEXT_A), 1)),
            part(0, "d0", "g", ""),
            *(part(0, f"d{n}", None, p) for n, p in enumerate(pieces_of(TEXT_B), 1)),
        ],
    ),
    "a new id and the name in every fragment": (
        [("f", A)],
        [part(0, f"c{n}", "f", p) for n, p in enumerate(pieces_of(TEXT_A))],
    ),
    "an id in the first fragment that says nothing else": (
        [("f", A)],
        [part(0, "c"), part(0, None, "f", TEXT_A)],
    ),
    "the name behind the arguments": (
        [("f", A)],
        [part(0, None, None, TEXT_A), part(0, "c", "f", "")],
    ),
    "the name in every fragment": (
        [("f", A)],
        [*(part(0, "c", "f", p) for p in (*pieces_of(TEXT_A), ""))],
    ),
    "the name in every fragment and no id": (
        [("f", A), ("g", B)],
        [
            *(part(0, None, "f", p) for p in (*pieces_of(TEXT_A), "")),
            *(part(1, None, "g", p) for p in (*pieces_of(TEXT_B), "")),
        ],
    ),
    "an index that counts fragments": (
        [("f", A)],
        [
            part(0, "c", "f", ""),
            *(part(n, None, "", p) for n, p in enumerate(pieces_of(TEXT_A), 1)),
        ],
    ),
    "an index that counts fragments, and one id": (
        [("f", A)],
        [part(n, "c", "f" if n == 0 else None, p) for n, p in enumerate(pieces_of(TEXT_A))],
    ),
    "an index in the first fragment alone": (
        [("f", A)],
        [part(0, "c", "f", ""), *(part(None, arguments=p) for p in pieces_of(TEXT_A))],
    ),
    "an index in the later fragments alone": (
        [("f", A)],
        [part(None, "c", "f", ""), *(part(0, arguments=p) for p in pieces_of(TEXT_A))],
    ),
    "one index, told apart by ids, side by side": (
        [("f", A), ("g", B)],
        [
            part(0, "c", "f", ""),
            part(0, "d", "g", ""),
            part(0, "c", None, TEXT_A),
            part(0, "d", None, TEXT_B),
        ],
    ),
    "one index and one name, told apart by ids, side by side": (
        [("f", A), ("f", B)],
        [
            part(0, "c", "f", TEXT_A[:5]),
            part(0, "d", "f", TEXT_B[:5]),
            part(0, "c", None, TEXT_A[5:]),
            part(0, "d", None, TEXT_B[5:]),
        ],
    ),
    "two functions under one index without ids": (
        [("f", A), ("g", B)],
        [part(0, None, "f", TEXT_A), part(0, None, "g", TEXT_B)],
    ),
    "all so far in every fragment": (
        [("f", A)],
        [part(0, "c", "f", TEXT_A[:n]) for n in range(0, len(TEXT_A) + 1, 4)]
        + [part(0, "c", "f", TEXT_A)],
    ),
    "all once more in one string": ([("f", A)], [part(0, "c", "f", TEXT_A * 2)]),
    "an object inside an object": (
        [("f", {"a": {"b": 1}})],
        [part(0, "c", "f", '{"a": '), part(0, "d", "f", '{"b": 1}'), part(0, "e", "f", "}")],
    ),
    "braces inside a string": (
        [("f", {"code": "if x {y}"})],
        [part(0, "c", "f", '{"code": "if x '), part(0, "d", "f", "{"), part(0, "e", "f", 'y}"}')],
    ),
    "encoded twice": ([("f", A)], [part(0, "c", "f", json.dumps(TEXT_A))]),
    "encoded twice, in pieces": (
        [("f", A)],
        [part(0, "c", "f", ""), *(part(0, arguments=p) for p in pieces_of(json.dumps(TEXT_A)))],
    ),
    "encoded three times": ([("f", A)], [part(0, "c", "f", json.dumps(json.dumps(TEXT_A)))]),
    "encoded twice behind a placeholder": (
        [("f", A)],
        [part(0, "c", "f", "{}"), part(0, arguments=json.dumps(TEXT_A))],
    ),
    "nothing, encoded twice": ([("f", {})], [part(0, "c", "f", '"{}"')]),
    "raw line ends and tabs": (
        [("f", {"city": "Paris\n\tFrance\r\n"})],
        [part(0, "c", "f", '{"city": "Paris\n\tFra'), part(0, arguments='nce\r\n"}')],
    ),
    "raw control characters": ([("f", {"a": "\0\x1b"})], [part(0, "c", "f", '{"a": "\0\x1b"}')]),
    "raw line ends, encoded twice": (
        [("f", {"a": "x\ny"})],
        [part(0, "c", "f", '"{\\"a\\": \\"x\ny\\"}"')],
    ),
    "white space around": ([("f", A)], [part(0, "c", "f", "\n " + TEXT_A), part(0, "c", "", "\n")]),
    "a stub before": ([("f", A)], [{"id": ""}, part(0, "c", "f", TEXT_A)]),
    "a stub with an index before": (
        [("f", A)],
        [part(0, "", "", ""), part(0, "c", "f", TEXT_A)],
    ),
    "a stub behind": ([("f", A)], [part(0, "c", "f", TEXT_A), part(1, "d", "", "")]),
    "a stub between": (
        [("f", A)],
        [part(0, "c", "f", TEXT_A[:4]), {"index": 0, "id": ""}, part(0, arguments=TEXT_A[4:])],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_put_together_from_whatever_fragments(name: str) -> None:
    called, parts = CALLS[name]
    heard = sent(*parts)
    assert (heard.error, heard.called, heard.reason) == (None, called, "tool_calls")
    assert len({call.id for call in heard.calls}) == len(called)
    first = [it for it in heard.outputs if isinstance(it, ToolFragment) and it.id]
    ids = {fragment.index: fragment.id for fragment in first}
    assert [ids[call.index] for call in heard.calls] == [call.id for call in heard.calls]
    for call in heard.calls:
        encode_event(Event(1, "tool.called", 0, {"arguments": call.arguments}))


@pytest.mark.parametrize("name", [name for name in CALLS if "placeholder" in name or "all" in name])
def test_what_only_looks_like_arguments_is_not_shown_either(name: str) -> None:
    heard = sent(*CALLS[name][1])
    if "in one string" in name or "twice" in name:
        return  # nobody can tell while it comes
    for call in heard.calls:
        assert json.loads(heard.fragments_of(call.index) or "{}") == call.arguments


def test_ids_that_are_given_and_differ_are_kept() -> None:
    whole = sent(part(0, "c", "f", TEXT_A), part(1, "d", "f", TEXT_B))
    assert [call.id for call in whole.calls] == ["c", "d"]
    twice = sent(part(0, "c", "f", TEXT_A), part(1, "c", "f", TEXT_B))
    assert twice.calls[0].id == "c"
    late = sent(part(0, None, None, None), part(0, "c", "f", TEXT_A))
    assert [call.id for call in late.calls] == ["c"]
