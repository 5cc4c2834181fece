"""What chunks may hold, as servers have been seen to fill them: text, thoughts, calls, counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from faults.writing import DONE, STOP, event, meet, say, stream
from unspool.runs.events import Event, encode_event

SMILE = ("\\ud83d", "\\ude00")


def escaped(*texts: str) -> bytes:
    """Chunks whose texts are written as they stand, escapes included."""
    return b"".join(say("@").replace(b"@", text.encode()) for text in texts)


TEXTS: dict[str, tuple[str, bytes]] = {
    "a pair in one chunk": ("今😀!", escaped("今" + "".join(SMILE) + "!")),
    "a pair over two chunks": ("今😀!", escaped("今" + SMILE[0], SMILE[1] + "!")),
    "a pair alone over two chunks": ("今😀!", escaped("今", *SMILE, "!")),
    "a pair around an empty chunk": ("今😀!", escaped("今" + SMILE[0], "", SMILE[1] + "!")),
    "a first half alone": ("今\ufffd推荐", escaped("今" + SMILE[0], "推荐")),
    "a second half alone": ("今\ufffd推荐", escaped("今" + SMILE[1], "推荐")),
    "two first halves": ("\ufffd😀", escaped(SMILE[0], SMILE[0], SMILE[1])),
    "a first half at the end": ("今\ufffd", escaped("今" + SMILE[0])),
    "a half within": ("今\ufffd天", escaped("今" + SMILE[0] + "天")),
    "U+0000": ("一\0二", escaped("一\\u0000二")),
    "control characters that are not escaped": ("一\x01\t二", escaped("一\x01\t二")),
    "not a character": ("a\ufffeb", escaped("a\\ufffeb")),
    "line ends of other alphabets": ("a\u2028b\x85c", escaped("a\u2028b\x85c")),
}


@pytest.mark.parametrize("name", TEXTS)
async def test_text_can_always_be_written_and_nothing_of_it_is_lost(name: str) -> None:
    text, chunks = TEXTS[name]
    result = await meet(stream(chunks, STOP))
    assert (result["outcome"], result["text"]) == ("ok", text)
    line = encode_event(Event(1, "text.delta", 0, {"text": result["text"]}))
    assert json.loads(line)["data"]["text"] == text


async def test_half_a_character_before_a_break_is_told_as_lost() -> None:
    result = await meet(stream(escaped("今" + SMILE[0])))
    assert (result["outcome"], result["text"]) == ("truncated", "今\ufffd")


async def test_halves_of_thoughts_are_joined_too() -> None:
    thoughts = (say(None, reasoning="@").replace(b"@", half.encode()) for half in SMILE)
    result = await meet(stream(*thoughts, say("好"), STOP))
    assert (result["reasoning"], result["text"]) == ("😀", "好")


THOUGHTS: dict[str, bytes] = {
    "reasoning_content": say("", reasoning_content="想一想") + say("好"),
    "reasoning": say("", reasoning="想一想") + say("好"),
    "both, which say the same": say(None, reasoning="想一想", reasoning_content="想一想")
    + say("好"),
    "thinking": say(None, thinking="想一想") + say("好"),
    "parts": say([{"type": "thinking", "thinking": [{"type": "text", "text": "想一想"}]}])
    + say([{"type": "text", "text": "好"}]),
    "a tag": say("<think>想一想</think>\n\n好"),
    "a tag that is cut": say("<th") + say("ink>想一想</thi") + say("nk>\n") + say("\n好"),
    "a tag behind white space": say("\n") + say("<think>想一想</think>好"),
}


@pytest.mark.parametrize("name", THOUGHTS)
async def test_thoughts_are_told_from_the_answer(name: str) -> None:
    result = await meet(stream(THOUGHTS[name], STOP))
    assert (result["outcome"], result["reasoning"], result["text"]) == ("ok", "想一想", "好")


NO_THOUGHTS = ["<", "<th", "<thinker> is a word", "< think>", "a <think>b</think>", "<b>bold</b>"]


@pytest.mark.parametrize("text", NO_THOUGHTS)
async def test_what_only_looks_like_a_tag_is_text(text: str) -> None:
    result = await meet(stream(*(say(sign) for sign in text), STOP))
    assert (result["outcome"], result["text"], result["reasoning"]) == ("ok", text, "")


@pytest.mark.parametrize(
    ("reason", "outcome"), [("stop", "retryable_error"), ("length", "ok"), ("content_filter", "ok")]
)
async def test_thoughts_alone_are_an_answer_only_where_the_reason_explains_it(
    reason: str, outcome: str
) -> None:
    result = await meet(stream(say(None, reasoning="想"), say(finish=reason), DONE))
    assert (result["outcome"], result["reasoning"]) == (outcome, "想")


CUMULATIVE = ("今", "今天", "今天", "今天哈", "今天哈哈", "")


async def test_a_model_that_repeats_itself_is_understood_where_it_is_known_to() -> None:
    chunks = b"".join(say(text) for text in CUMULATIVE)
    thoughts = b"".join(say(None, reasoning=text) for text in ("想", "想一", "想一想"))
    steps = stream(thoughts, chunks, STOP)
    known = await meet(steps, quirks=("cumulative_content",))
    assert (known["text"], known["reasoning"], known["warnings"]) == ("今天哈哈", "想一想", 0)
    unknown = await meet(steps)
    assert unknown["text"] == "".join(CUMULATIVE)


async def test_a_model_that_stops_repeating_itself_loses_nothing() -> None:
    steps = stream(say("今"), say("今天"), say("推荐"), say("今天推荐！"), STOP)
    result = await meet(steps, quirks=("cumulative_content",))
    assert (result["text"], result["warnings"]) == ("今天推荐！", 1)


def call(**fields: Any) -> bytes:
    """A fragment; name and arguments stand in its function."""
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return say(None, tool_calls=[{**fields, "function": function}])


def both(*calls: dict[str, Any]) -> bytes:
    return say(None, tool_calls=list(calls))


A, B = {"city": "北京"}, {"city": "上海"}
TEXT_A, TEXT_B = (json.dumps(city, ensure_ascii=False) for city in (A, B))

CALLS: dict[str, tuple[list[dict[str, Any]], bytes]] = {
    "neither index nor id, one after the other": (
        [A, B],
        call(name="f", arguments=TEXT_A) + call(name="f", arguments=TEXT_B),
    ),
    "neither index nor id, in pieces": (
        [A, B],
        b"".join(
            call(name="f", arguments=text[:5]) + call(arguments=text[5:])
            for text in (TEXT_A, TEXT_B)
        ),
    ),
    "told apart by their places": (
        [A, B],
        both(*({"function": {"name": "f", "arguments": t[:5]}} for t in (TEXT_A, TEXT_B)))
        + both(*({"function": {"arguments": t[5:]}} for t in (TEXT_A, TEXT_B))),
    ),
    "one index for all and no id": (
        [A, B],
        call(index=0, name="f", arguments=TEXT_A) + call(index=0, name="f", arguments=TEXT_B),
    ),
    "the name in every piece": (
        [A],
        b"".join(call(index=0, name="f", arguments=part) for part in (TEXT_A[:4], TEXT_A[4:], "")),
    ),
    "the whole call once more at its end": (
        [A],
        call(index=0, id="c", name="f", arguments=TEXT_A[:7])
        + call(index=0, arguments=TEXT_A[7:])
        + call(index=0, id="c", name="f", arguments=TEXT_A),
    ),
    "an index that begins at one": ([A], call(index=1, id="c", name="f", arguments=TEXT_A)),
    "an index that is text": ([A], call(index="0", id="c", name="f", arguments=TEXT_A)),
    "an id that is a number": ([A], call(index=0, id=7, name="f", arguments=TEXT_A)),
    "arguments that are an object": ([A], call(index=0, id="c", name="f", arguments=A)),
    "no arguments": ([{}, {}], call(id="a", name="f") + call(id="b", name="f", arguments=None)),
    "null as text": ([{}], call(id="a", name="f", arguments="null")),
    "a list that is no list": (
        [A],
        say(None, tool_calls={"id": "c", "function": {"name": "f", "arguments": TEXT_A}}),
    ),
    "no function around it": (
        [A],
        say(None, tool_calls=[{"id": "c", "name": "f", "arguments": TEXT_A}]),
    ),
    "the old form": (
        [A],
        say(None, function_call={"name": "f", "arguments": TEXT_A[:3]})
        + say(None, function_call={"arguments": TEXT_A[3:]}),
    ),
    "a message with all of it": (
        [A],
        event(
            {
                "choices": [
                    {
                        "message": {
                            "content": None,
                            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": A}}],
                        }
                    }
                ]
            }
        ),
    ),
    "a pair over two pieces": (
        [{"a": "😀"}],
        call(index=0, id="c", name="f", arguments='{"a": "\\ud83d')
        + call(index=0, arguments='\\ude00"}'),
    ),
    "half a pair": (
        [{"a": "\ufffd!"}],
        call(index=0, id="c", name="f", arguments='{"a": "\\ud83d!"}'),
    ),
    "a large number": (
        [{"n": 10**25}],
        call(index=0, id="c", name="f", arguments='{"n": 10000000000000000000000000}'),
    ),
}


@pytest.mark.parametrize("name", CALLS)
async def test_calls_are_put_together_as_they_were_meant(name: str) -> None:
    arguments, chunks = CALLS[name]
    result = await meet(stream(chunks, say(finish="tool_calls"), DONE))
    calls = result["tool_calls"]
    assert [(it["name"], it["arguments"]) for it in calls] == [("f", it) for it in arguments]
    assert len({it["id"] for it in calls}) == len(calls)
    assert (result["outcome"], result["finish_reason"]) == ("ok", "tool_calls")
    for it in calls:
        encode_event(Event(1, "tool.called", 0, {"arguments": it["arguments"]}))


NO_CALLS = {
    "cut": '{"city": "北',
    "a list": '["北京"]',
    "text": '"北京"',
    "not a number": '{"n": NaN}',
    "endless": '{"n": Infinity}',
    "too large for a number": '{"n": 1e999}',
    "more digits than Python reads": '{"n": ' + "9" * 5000 + "}",
    "too deep": '{"a":' * 300 + "1" + "}" * 300,
    "far too deep": '{"a":' * 5000 + "1" + "}" * 5000,
    "two objects": "{}{}",
}


@pytest.mark.parametrize("name", NO_CALLS)
async def test_what_is_no_whole_object_is_no_call_and_is_warned_of(name: str) -> None:
    chunks = call(index=0, id="c", name="f", arguments=NO_CALLS[name])
    result = await meet(stream(say("好"), chunks, STOP))
    assert (result["outcome"], result["text"], result["tool_calls"]) == ("ok", "好", [])
    assert result["warnings"] == 1


async def test_a_call_of_a_stream_that_was_cut_is_never_told_as_whole() -> None:
    result = await meet(stream(call(index=0, id="c", name="f", arguments="{}")))
    assert (result["outcome"], result["tool_calls"]) == ("truncated", [])


def counted(usage: Any) -> bytes:
    return event({"choices": [], "usage": usage})


def tokens(prompt: Any, completion: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion}


USAGES: dict[str, tuple[tuple[int, int] | None, bytes]] = {
    "the last one counts": ((3, 4), counted(tokens(1, 2)) + counted(tokens(3, 4))),
    "null is not zero": ((3, 4), counted(tokens(3, 4)) + counted(None)),
    "whole numbers with a point": ((3, 4), counted(tokens(3.0, 4.0))),
    "other names": ((3, 4), counted({"input_tokens": 3, "output_tokens": 4})),
    "in the choice": (
        (3, 4),
        event({"choices": [{"delta": {}, "finish_reason": "stop", "usage": tokens(3, 4)}]}),
    ),
    "beside an empty choice": (
        (3, 4),
        event({"choices": [{"delta": {"content": ""}}], "usage": tokens(3, 4)}),
    ),
    "where Groq puts it": ((3, 4), event({"choices": [], "x_groq": {"usage": tokens(3, 4)}})),
    "nothing for nothing": (None, counted(tokens(0, 0))),
    "negative": (None, counted(tokens(-1, 4))),
    "a fraction": (None, counted(tokens(3, 4.5))),
    "huge": (None, counted(tokens(3, 10**30))),
    "text": (None, counted(tokens("3", "4"))),
    "true": (None, counted(tokens(3, True))),
    "a list": (None, counted([3, 4])),
}


@pytest.mark.parametrize("name", USAGES)
async def test_tokens_are_counted_where_the_count_can_be_right(name: str) -> None:
    counts, chunks = USAGES[name]
    result = await meet(stream(say("好"), say(finish="stop"), chunks, DONE))
    assert (result["outcome"], result["text"]) == ("ok", "好")
    usage = result["usage"]
    got = usage and (usage["prompt_tokens"], usage["completion_tokens"])
    assert got == counts


REASONS = {
    "stop": (
        *("stop", "STOP", "end_turn", "eos_token", "stop_sequence", {"type": "stop"}),
        *("endTurn", "eos_found", "stop-str", "natural", "finished"),
    ),
    "length": (
        *("length", "MAX_TOKENS", "max_output_tokens", "model_length", "maxTokens"),
        *("max_new_tokens", "token_limit", "model_context_window_exceeded"),
    ),
    "content_filter": ("content_filter", "SAFETY", "refusal", "sensitive", "recitation_x"),
    "tool_calls": ("tool_calls", "tool_use", "function_call"),
}


@pytest.mark.parametrize(
    ("reason", "word"), [(reason, word) for reason, words in REASONS.items() for word in words]
)
async def test_an_end_has_one_word_whatever_the_vendor_calls_it(reason: str, word: Any) -> None:
    result = await meet(stream(say("好"), say(finish=word)))
    assert (result["outcome"], result["finish_reason"]) == ("ok", reason)


GIVEN_UP = ["abort", "aborted", "error", "network_error", "insufficient_system_resource"]
GIVEN_UP += ["cancelled", "timed_out", "engine_failure", "MALFORMED_FUNCTION_CALL", "unknown"]
GIVEN_UP += ["pending", "compaction", "a word that nobody knows", "weird_new_reason"]
GIVEN_UP += ["FINISH_REASON_UNSPECIFIED", "OTHER", "client_disconnected", "preempted", "incomplete"]


@pytest.mark.parametrize("word", GIVEN_UP)
async def test_an_answer_that_was_given_up_is_not_whole(word: str) -> None:
    result = await meet(stream(say("好"), say(finish=word), DONE))
    assert (result["outcome"], result["text"]) == ("retryable_error", "好")
    assert result["error"]["kind"] == "server"
