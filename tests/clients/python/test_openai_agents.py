"""The Agents SDK of OpenAI (`openai-agents`), over Responses and over Chat Completions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    RunState,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)
from agents.exceptions import ModelBehaviorError
from killable import SLOW, WORDS, KillableServer
from openai import APIConnectionError, APIError, AsyncOpenAI, InternalServerError, NotFoundError
from pydantic import BaseModel

from conftest import Scripted, called, called_at_once, newest_run, said

set_tracing_disabled(True)

Make = Callable[..., Agent[Any]]

KINDS = {"responses": OpenAIResponsesModel, "chat": OpenAIChatCompletionsModel}
HALF = [{"text": "half"}, {"fail": "interrupted"}]
SILENT = [{"text": "Rome "}, {"pause_s": 30}, *said("is old.")]


class Town(BaseModel):
    name: str
    people: int


@function_tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


@function_tool
def clock() -> str:
    """The time."""
    return "noon"


@function_tool
def broken() -> str:
    """Fails."""
    raise ValueError("no")


@function_tool(needs_approval=True)
def pay(euros: int) -> str:
    """Pays."""
    return f"paid {euros}"


@pytest.fixture
async def opened(url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def agent(opened: AsyncOpenAI, kind: str) -> Make:
    def make(model: str, **how: Any) -> Agent[Any]:
        how.setdefault("model_settings", ModelSettings(include_usage=True))
        return Agent(name="a", model=KINDS[kind](model, opened), instructions="Short.", **how)

    return make


async def text_of(result: Any) -> str:
    """Read a stream to its end, and return what it showed."""
    shown = ""
    async for event in result.stream_events():
        is_raw = event.type == "raw_response_event"
        if is_raw and event.data.type == "response.output_text.delta":
            shown += event.data.delta
    return shown


async def test_an_answer_streams_with_its_thoughts_and_its_usage(
    agent: Make, scripted: Scripted
) -> None:
    result = Runner.run_streamed(
        agent(scripted([{"reasoning": "hm"}, *said("Rome ", "is ", "old.")])), "Rome?"
    )
    assert await text_of(result) == result.final_output == "Rome is old."
    assert [item.type for item in result.new_items] == ["reasoning_item", "message_output_item"]
    usage = result.context_wrapper.usage
    assert (usage.requests, usage.input_tokens, usage.output_tokens) == (1, 3, 5)


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_tools_are_called_at_once_and_one_that_fails_ends_nothing(
    agent: Make, scripted: Scripted, is_streamed: bool
) -> None:
    calls = ("weather", '{"city": "Rome"}'), ("clock", ""), ("broken", "{}")
    asked = agent(scripted(called_at_once(*calls), said("Rain.")), tools=[weather, clock, broken])
    if is_streamed:
        result: Any = Runner.run_streamed(asked, "Rome?")
        await text_of(result)
    else:
        result = await Runner.run(asked, "Rome?")
    assert result.final_output == "Rain."
    outputs = [it["output"] for it in result.to_input_list() if "output" in it]
    assert outputs[:2] == ["rain in Rome", "noon"]
    assert result.context_wrapper.usage.requests == 2


async def test_structured_output_is_an_object(agent: Make, scripted: Scripted) -> None:
    model = scripted(said('{"name": "Rome", ', '"people": 3}'))
    result = await Runner.run(agent(model, output_type=Town), "Which town?")
    assert result.final_output == Town(name="Rome", people=3)


async def test_a_session_and_a_handoff_keep_what_was_said(
    agent: Make, scripted: Scripted, url: str
) -> None:
    second = agent(scripted(said("Second.")), handoff_description="answers")
    second.name = "other"
    first = agent(
        scripted(
            [{"reasoning": "hm"}, *called("weather", {"city": "Rome"})],
            said("Rain."),
            called_at_once(("transfer_to_other", "{}")),
        ),
        tools=[weather],
        handoffs=[second],
    )
    session = SQLiteSession("s")
    await Runner.run(first, "Rome?", session=session)
    result = await Runner.run(first, "And now?", session=session)
    assert (result.final_output, result.last_agent) == ("Second.", second)
    asked = newest_run(url)[0]["data"]["input"]
    roles = [message["role"] for message in asked["talk"]]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert [message["role"] for message in asked["since"]] == ["assistant", "tool"]


async def test_a_run_stops_for_a_person_and_goes_on_from_its_kept_state(
    agent: Make, scripted: Scripted
) -> None:
    asked = agent(scripted(called("pay", {"euros": 3}), said("Paid.")), tools=[pay])
    stopped = await Runner.run(asked, "Pay.")
    kept = json.dumps(stopped.to_state().to_json())
    state = await RunState.from_json(asked, json.loads(kept))
    state.approve(state.get_interruptions()[0])
    assert (await Runner.run(asked, state)).final_output == "Paid."


async def test_a_model_that_dies_in_mid_word_is_continued(agent: Make, dying: str) -> None:
    result = Runner.run_streamed(agent(dying), "Rome?")
    assert await text_of(result) == result.final_output == "Rome is old now."


async def test_a_failure_raises_and_is_never_a_silent_end(agent: Make, scripted: Scripted) -> None:
    with pytest.raises((APIError, ModelBehaviorError), match="the script says so"):
        await text_of(Runner.run_streamed(agent(scripted(HALF)), "Rome?"))
    with pytest.raises(InternalServerError, match="the script says so"):
        await Runner.run(agent(scripted(HALF)), "Rome?")
    with pytest.raises(NotFoundError, match="no model 'nobody'"):
        await Runner.run(agent("nobody"), "Rome?")


async def test_cancel_stops_the_run(agent: Make, scripted: Scripted, url: str) -> None:
    # Chat Completions need no header for this.
    settings = ModelSettings(extra_headers={"Unspool-When-Left": "cancel"})
    result = Runner.run_streamed(agent(scripted(SILENT), model_settings=settings), "Rome?")
    async for event in result.stream_events():
        if event.type == "raw_response_event":
            result.cancel()
    assert newest_run(url)[-1]["type"] == "run.cancelled"


async def test_settings_reach_the_model(agent: Make, scripted: Scripted, url: str) -> None:
    settings = ModelSettings(
        temperature=0.5,
        max_tokens=99,
        tool_choice="weather",
        parallel_tool_calls=False,
        verbosity="low",
        metadata={"a": "b"},
        extra_body={"seed": 7, "stop": ["X"]},
        extra_headers={"Unspool-User": "anna"},
    )
    asked = agent(scripted(said("hm")), tools=[weather], model_settings=settings)
    await Runner.run(asked, "Rome?")
    begun = newest_run(url)[0]
    assert begun["data"]["input"]["params"] == {
        "temperature": 0.5,
        "max_tokens": 99,
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "verbosity": "low",
        "seed": 7,
        "stop": ["X"],
    }


async def test_a_killed_server_raises_and_its_answer_is_whole_and_goes_on(tmp_path: Path) -> None:
    server = KillableServer(tmp_path)
    ids = []

    async def killed_in_the_middle(client: AsyncOpenAI) -> None:
        asked = Agent("a", model=OpenAIResponsesModel("m", client))
        async for event in Runner.run_streamed(asked, "hi").stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.created":
                ids.append(event.data.response.id)
            elif event.type == "raw_response_event" and event.data.type.endswith("text.delta"):
                server.kill()

    try:
        scripts = {"script": {"attempts": [SLOW]}}
        server.ask("/api/models", {"name": "m", "provider": "scripted", "params": scripts})
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any") as first:
            with pytest.raises(APIConnectionError):
                await killed_in_the_middle(first)
        server.start()
        newest_run(server.url)
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any") as again:
            assert (await again.responses.retrieve(ids[0])).output_text == "".join(WORDS)
            asked = Agent("a", model=OpenAIResponsesModel("m", again))
            await Runner.run(asked, "And now?", previous_response_id=ids[0])
        talk = newest_run(server.url)[0]["data"]["input"]["talk"]
        assert [message["content"] for message in talk] == ["hi", "".join(WORDS)]
    finally:
        server.kill()
