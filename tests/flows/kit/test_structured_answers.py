"""The answer that fits, wherever it stands; and when it is asked for again, and when not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, Field, RootModel

from support.hearing import heard
from support.upstream import DONE, chunk
from unspool import Context, flow
from unspool.testing import play


class Asked(BaseModel):
    about: str = "soup"


class Card(BaseModel):
    title: str
    minutes: int = Field(ge=1)
    tags: list[str] = []


class Loose(BaseModel):
    title: str = ""
    minutes: int = 0


class Titles(RootModel[list[str]]):
    pass


@flow
async def card(ctx: Context, asked: Asked) -> Card:
    """A card."""
    return await ctx.structured(Card, f"A card about {asked.about}", step="card")


@flow
async def loose(ctx: Context, asked: Asked) -> Loose:
    """A card of which nothing is due."""
    return await ctx.structured(Loose, f"A card about {asked.about}", step="card")


@flow
async def titles(ctx: Context, asked: Asked) -> Titles:
    """A list."""
    return await ctx.structured(Titles, f"Titles about {asked.about}", step="titles")


GOOD: dict[str, Any] = {"title": "Soup", "minutes": 3, "tags": ["a", "b"]}
TEXT = json.dumps(GOOD)

ANSWERS = {
    "in a fence": f"Sure:\n```json\n{TEXT}\n```\nEnjoy.",
    "behind braces": f"{{Note: as it is}} Here: {TEXT}",
    "before braces": f"{TEXT}\n{{Note: as it is}}",
    "behind an odd quote": f'You asked "what is it: {TEXT}',
    "behind an open brace and an odd quote": f'{{"so }} {TEXT}',
    "behind an example that does not fit": f'Like {{"title": "…", "minutes": 0}}: {TEXT}',
    "behind its schema": f"{json.dumps(Card.model_json_schema())}\n{TEXT}",
    "before another": f'{TEXT} or {{"title": "Tea", "minutes": 1}}',
    "in a list": f"[{TEXT}]",
    "under a name": f'{{"card": {TEXT}}}',
    "under properties": f'{{"type": "object", "properties": {TEXT}}}',
    "as a string": json.dumps(TEXT),
    "as a string, in prose": f"Here: {json.dumps(TEXT)} as you asked.",
    "a member as a string": json.dumps({**GOOD, "tags": json.dumps(GOOD["tags"])}),
    "written wide": json.dumps(GOOD, indent=2),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_object_that_fits_is_the_answer_wherever_it_stands(name: str) -> None:
    played = await play(card, {}, says=[ANSWERS[name]])
    assert (played.run.status, played.run.result) == ("completed", GOOD)
    assert list(played.run.steps) == ["card"]
    told = {tuple(it["item"]["path"]): it["item"]["value"] for it in played.of("item.found")}
    assert told.items() >= {("title",): "Soup", ("minutes",): 3, ("tags", 0): "a"}.items()


async def test_raw_line_ends_are_read() -> None:
    played = await play(card, {}, says=['{"title": "Soup\nof the day", "minutes": 3}'])
    assert played.run.result == {"title": "Soup\nof the day", "minutes": 3, "tags": []}
    assert played.run.warnings == []


async def test_an_object_with_none_of_the_fields_is_not_the_answer() -> None:
    played = await play(loose, {}, says=['{} and {"note": 1}, so {"title": "Soup"}'])
    assert played.run.result == {"title": "Soup", "minutes": 0}


async def test_a_form_may_be_a_list() -> None:
    played = await play(titles, {}, says=['[here] is {"one": ["a", "b"]}'])
    assert played.run.result == ["a", "b"]


BLANK = {"repeat": 2000, "steps": [{"pause_s": 0.05}, {"text": "\n"}]}
AFTERWARDS: dict[str, list[dict[str, Any]]] = {
    "white space for ever": [BLANK, {"finish": "length"}],
    "silence": [{"pause_s": 60}, {"finish": "stop"}],
    "a break": [{"fail": "interrupted", "code": "connection"}],
    "an error": [{"fail": "unavailable", "code": "overloaded"}],
    "no end": [],
}


@pytest.mark.parametrize("text", [TEXT, json.dumps(TEXT), f'{{"so }} {TEXT}'])
@pytest.mark.parametrize("name", AFTERWARDS)
async def test_an_answer_is_whole_at_its_closing_brace_whatever_comes_then(
    name: str, text: str
) -> None:
    if text != TEXT and name != "white space for ever":
        pytest.skip("only at its end can anybody tell")
    script = [{"text": text[:9]}, {"text": text[9:]}, *AFTERWARDS[name]]
    played = await play(card, {}, says=[script, "never"], retries=2)
    assert (played.run.status, played.run.result) == ("completed", GOOD)
    (attempt,) = played.run.attempts
    assert (attempt.status, played.run.steps["card"].finish_reason) == ("finished", "stop")


async def test_an_answer_that_ends_in_good_order_keeps_the_provider_s_count() -> None:
    usage = {"usage": {"prompt_tokens": 7, "completion_tokens": 9}}
    played = await play(card, {}, says=[[{"text": TEXT}, usage, {"finish": "stop"}]])
    (finished,) = played.of("attempt.finished")
    assert finished["usage"]["basis"] == "measured"


@pytest.mark.parametrize(
    ("reason", "code", "says"),
    [("length", "length", "limit of tokens"), ("content_filter", "refused", "cannot help")],
)
async def test_what_would_end_the_same_way_is_not_asked_for_again(
    reason: str, code: str, says: str
) -> None:
    script = [{"text": "I cannot help with "}, {"text": '{"title'}, {"finish": reason}]
    played = await play(card, {}, says=[script, TEXT])
    assert played.run.status == "incomplete"
    assert played.run.error is not None
    assert played.run.error["code"] == code
    assert says in played.run.error["message"]
    assert len(played.run.attempts) == 1


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_that_was_whole_before_it_was_cut_is_one(reason: str) -> None:
    played = await play(card, {}, says=[[{"text": TEXT + " And"}, {"finish": reason}]])
    assert (played.run.status, played.run.result) == ("completed", GOOD)


async def test_a_refusal_in_plain_words_is_quoted() -> None:
    played = await play(card, {}, says=["I am sorry, but no."])
    assert played.run.error is not None
    assert played.run.error["code"] == "answer_unfit"
    assert "it said: I am sorry, but no." in played.run.error["message"]


REFUSALS = {
    "in a field": [chunk(None, refusal="I am "), chunk(None, refusal="sorry.")],
    "in a part": [chunk([{"type": "refusal", "refusal": "I am sorry."}])],  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_told_apart_from_an_answer(name: str) -> None:
    told = heard([*REFUSALS[name], chunk(None, "stop"), DONE])
    assert (told.said, told.reason) == ("I am sorry.", "content_filter")
