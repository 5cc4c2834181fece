"""Thoughts as users of many vendors have reported them: twice, in tags, closed by nobody."""

from __future__ import annotations

from typing import Any

import pytest

from providers.test_field_kinds import finish, thought, told
from providers.test_readers import Heard, model_for, read
from support.upstream import END, chunk
from unspool.providers import ThoughtAloud


def details(*texts: str, **more: Any) -> bytes:
    found = [{"type": "reasoning.text", "text": text} for text in texts]
    return chunk("", reasoning_details=found, **more)


TWICE: dict[str, tuple[bytes, ...]] = {
    "details alone": (details("他问"), details("好"), chunk("好")),
    "details beside a field": (
        details("他问", reasoning="他问"),
        details("好", reasoning="好"),
        chunk("好"),
    ),
    "details in summary": (
        chunk("", reasoning_details=[{"type": "reasoning.summary", "summary": "他问好"}]),
        chunk("好"),
    ),
    "a tag beside a field": (
        chunk("<think>\n他问", reasoning_content="他问"),
        chunk("好", reasoning_content="好"),
        chunk("\n</think>\n\n好"),
    ),
    "a tag behind a field": (
        chunk(None, reasoning_content="他问好"),
        chunk("<think>\n他问好\n</think>\n\n好"),
    ),
    "a tag before a field": (
        chunk("<think>他问"),
        chunk("好</think>", reasoning_content="他问好"),
        chunk("\n\n好"),
    ),
    "the end of a tag behind a field": (
        chunk(None, reasoning_content="他问好"),
        chunk("</thi"),
        chunk("nk>\n\n好"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TWICE)
def test_a_thought_is_told_once(name: str) -> None:
    heard = told("openai", *TWICE[name], *END)
    assert (thought(heard), heard.said, finish(heard)) == ("他问好", "好", "stop")


UNOPENED = {
    "on a line": ("Okay, a greeting.", "\n</th", "ink>\n\n", "Hello", "!"),
    "at once": ("Okay, a greeting.\n</think>\nHello!",),
    "a token of its own": ("Okay, a", " greeting.\n", "</think>", "\n\n", "Hello!"),
    "a token of its own, and no line": ("Okay,", " a greeting.", "</think>", "Hello!"),
    "cut after each character": tuple("Okay, a greeting.\n</think>\n\nHello!"),
    "behind other tags": ("Use <b>bold</b>", " and a < b.\n", "</think>\n", "Hello!"),
}


@pytest.mark.parametrize("name", UNOPENED)
def test_a_tag_that_closes_what_nobody_opened_takes_the_text_back(name: str) -> None:
    heard = read(model_for("openai"), [*map(chunk, UNOPENED[name]), *END])
    at = heard.outputs.index(ThoughtAloud())
    after = Heard(heard.outputs[at + 1 :])
    assert (after.said, finish(after), heard.error) == ("Hello!", "stop", None)
    known = told("openai", *map(chunk, UNOPENED[name]), *END, quirks=frozenset({"thinks_first"}))
    assert known.said == "Hello!"
    assert thought(known).strip() == "".join(UNOPENED[name]).split("</think>")[0].strip()


TEXTS = [
    "The tag `</think>` ends a thought.",
    "Write </think> at the end.",
    "An example:\n<think>\nhm\n</think>\nthe answer",
    "a < b, </div>, </thinker>",
    "It ends with </think>",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_text_about_tags_is_a_text(text: str, size: int) -> None:
    pieces = [chunk(text[at : at + size]) for at in range(0, len(text), size)]
    heard = read(model_for("openai"), [*pieces, *END])
    assert (heard.said, thought(heard), finish(heard)) == (text, "", "stop")
    assert ThoughtAloud() not in heard.outputs


def test_a_model_that_thinks_first_may_not_think() -> None:
    known = told("openai", chunk("Hello"), chunk("!"), *END, quirks=frozenset({"thinks_first"}))
    assert (known.said, finish(known)) == ("Hello!", "stop")


def test_thoughts_that_were_told_as_text_are_no_answer() -> None:
    heard = read(model_for("openai"), [chunk("Hm.\n</think>\n"), *END])
    assert heard.error == ("ProviderInterrupted", "empty")
