"""Flows of one's own: a file, a decorator, structured output, and trying them."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel, Field

from support.readers import look
from support.servers import Serve
from unspool import Context, flow
from unspool.errors import SetupError, SpecError
from unspool.flows.kit.files import offer_flows
from unspool.testing import play

ROOT = Path(__file__).parent.parent.parent.parent
EXAMPLE = ROOT / "examples" / "my_flows.py"


class Topic(BaseModel):
    topic: str
    count: int = Field(2, ge=1, le=3)


class Card(BaseModel):
    title: str
    minutes: int = Field(ge=1)
    tags: list[str] = []


@flow
async def headlines(ctx: Context, asked: Topic) -> list[str]:
    """Headlines for a topic."""
    numbers = range(1, asked.count + 1)
    return [await ctx.generate(f"{n}: {asked.topic}", step=f"headline-{n}") for n in numbers]


@flow
async def card(ctx: Context, asked: Topic) -> Card:
    """A card."""
    return await ctx.structured(Card, f"A card about {asked.topic}", step="card")


GOOD = {"title": "Soup", "minutes": 3, "tags": ["a", "b"]}


async def test_a_function_is_a_flow_and_what_it_returns_is_the_result() -> None:
    played = await play(headlines, {"topic": "tea"}, says=["One", "Two"])
    assert (played.run.status, played.run.result) == ("completed", ["One", "Two"])
    assert list(played.run.steps) == ["headline-1", "headline-2"]


async def test_the_input_of_a_played_flow_is_checked() -> None:
    with pytest.raises(SpecError, match="count"):
        await play(headlines, {"topic": "tea", "count": 9})


async def test_a_played_model_may_fail_as_its_script_says() -> None:
    broken = [{"text": "The sea at nig"}, {"fail": "interrupted", "code": "reset"}]
    played = await play(headlines, Topic(topic="sea", count=1), says=[broken], retries=0)
    assert played.run.status == "incomplete"
    assert played.run.text == "The sea at nig"


async def test_structured_output_is_told_field_by_field_and_returned_whole() -> None:
    played = await play(card, {"topic": "soup"}, says=[f"Sure:\n```json\n{json.dumps(GOOD)}\n```"])
    assert played.run.result == GOOD
    assert [(i["item"]["path"], i["item"]["value"]) for i in played.of("item.found")] == [
        (["title"], "Soup"),
        (["minutes"], 3),
        (["tags", 0], "a"),
        (["tags", 1], "b"),
    ]
    assert all((i["kind"], i["step"]) == ("field", "card") for i in played.of("item.found"))


async def test_a_field_is_told_before_the_next_one_is_written() -> None:
    text = json.dumps(GOOD)
    cut = text.index("3,") + 2
    script = [{"text": text[:cut]}, {"text": text[cut:]}, {"finish": "stop"}]
    played = await play(card, {"topic": "soup"}, says=[script])
    told = [e.type for e in played.events if e.type in {"text.delta", "item.found"}]
    assert told == ["text.delta", "item.found", "item.found", "text.delta", *["item.found"] * 2]


async def test_an_answer_that_does_not_fit_is_asked_for_once_more_with_what_was_wrong() -> None:
    wrong = json.dumps({**GOOD, "minutes": 0})
    played = await play(card, {"topic": "soup"}, says=[wrong, json.dumps(GOOD)])
    assert (played.run.status, played.run.result) == ("completed", GOOD)
    assert list(played.run.steps) == ["card", "card-2"]
    assert any("minutes" in warning for warning in played.run.warnings)


@pytest.mark.parametrize("rubbish", ["I cannot do that.", "{}", '{"title": yes}', "[1, 2]", "{"])
async def test_rubbish_ends_the_run_with_what_could_be_read_and_no_fault(rubbish: str) -> None:
    played = await play(card, {"topic": "soup"}, says=[rubbish])
    assert played.run.status == "incomplete"
    assert played.run.error is not None
    assert played.run.error["code"] == "answer_unfit"
    assert played.run.steps["card"].text == rubbish


async def test_a_broken_structured_answer_goes_on_from_its_own_beginning() -> None:
    text = json.dumps(GOOD)
    broken = [{"text": text[:12]}, {"fail": "interrupted", "code": "reset"}]
    played = await play(card, {"topic": "soup"}, says=[broken, text], retries=1)
    assert (played.run.result, played.run.text) == (GOOD, text)
    assert [attempt.strategy for attempt in played.run.attempts] == ["first", "prefill"]
    assert len(played.run.items) == 4


async def test_the_built_in_model_answers_in_any_form() -> None:
    played = await play(card, {"topic": "soup"})
    assert played.run.status == "completed"
    Card.model_validate(played.run.result)


# Files


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n", "has no flow"),
        ("def broken(:\n", "cannot be run: SyntaxError"),
        ("import nothing_of_this_name\n", "cannot be run: ModuleNotFoundError"),
        ("from unspool import flow\n@flow\ndef f(ctx, asked): ...\n", "it is not async"),
        ("from unspool import flow\n@flow\nasync def f(ctx): ...\n", "1 parameters"),
        (
            "from unspool import flow\n@flow\nasync def f(ctx, asked: int): ...\n",
            "second parameter",
        ),
        ("from unspool import flow\n@flow\nasync def f(ctx, asked: 'No'): ...\n", "No"),
        (
            "from unspool import flow\nfrom pydantic import BaseModel\n"
            "class A(BaseModel): ...\n@flow\nasync def chat(ctx, asked: A): ...\n",
            "a flow named chat exists already",
        ),
    ],
)
def test_a_file_that_offers_nothing_good_is_told_so_in_one_sentence(
    no_offers: None, tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(SetupError, match=says):
        offer_flows(str(path))


def test_a_file_that_is_not_there_is_told_so(no_offers: None) -> None:
    with pytest.raises(SetupError, match="not a Python file"):
        offer_flows("nowhere.py")


async def test_the_example_is_listed_runs_streams_resumes_and_is_batched(
    no_offers: None, serve_with: Serve, client: httpx.AsyncClient
) -> None:
    url = serve_with(flows=str(EXAMPLE)).url
    listed = {f["name"]: f for f in (await client.get(f"{url}/v1/flows")).json()["flows"]}
    assert {"chat", "copywriting", "batch", "recipe"} <= listed.keys()
    assert listed["recipe"]["says"].startswith("A recipe")
    assert listed["recipe"]["input"]["required"] == ["name"]
    asked = {"flow": "recipe", "input": {"name": "麻婆豆腐"}}
    started = await client.post(f"{url}/v1/runs", json=asked)
    events = f"{url}/v1/runs/{started.json()['id']}/events"
    whole = (await look(client, events)).seen
    kinds = [event["type"] for event in whole.documents]
    assert kinds[-1] == "run.completed"
    assert kinds.count("item.found") >= 6
    rest = (await look(client, events, after="5")).seen
    assert rest.data == whole.data[5:]
    run = (await client.get(events.removesuffix("/events"))).json()
    assert set(run["result"]) == {"title", "minutes", "ingredients", "steps"}
    wrong = {"flow": "recipe", "input": {"name": "x", "guests": 0}}
    assert (await client.post(f"{url}/v1/runs", json=wrong)).status_code == 422
    many = {"flow": "batch", "input": {"flow": "recipe", "items": [{"name": "a"}, {"name": "b"}]}}
    batch = (await client.post(f"{url}/v1/runs", json=many)).json()["id"]
    await look(client, f"{url}/v1/runs/{batch}/events")
    assert (await client.get(f"{url}/v1/runs/{batch}")).json()["result"]["completed"] == 2


async def test_one_flow_is_read_by_its_name(serve_with: Serve, client: httpx.AsyncClient) -> None:
    url = serve_with().url
    says = (await client.get(f"{url}/v1/flows/chat")).json()["says"]
    assert says.startswith("Answers one prompt, calling tools")
    assert (await client.get(f"{url}/v1/flows/nothing")).status_code == 404


def test_a_file_may_be_read_twice(no_offers: None) -> None:
    assert offer_flows(str(EXAMPLE)) == ["recipe"]
    assert offer_flows(f"{EXAMPLE},") == ["recipe"]
