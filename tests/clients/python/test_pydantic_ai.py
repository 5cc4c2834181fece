"""Pydantic AI: `OpenAIChatModel`, `OpenAIResponsesModel` and `AnthropicModel`."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from killable import SLOW, WORDS, KillableServer
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    BinaryContent,
    DeferredToolRequests,
    DeferredToolResults,
    ModelRetry,
    ModelSettings,
)
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.messages import ModelMessagesTypeAdapter
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from conftest import Scripted, called, called_at_once, newest_run, said

Make = Callable[..., Agent[None, Any]]

HALF = [{"text": "half"}, {"fail": "interrupted"}]
SILENT = [{"text": "Rome "}, {"pause_s": 30}, *said("is old.")]
DOT = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


class Town(BaseModel):
    name: str
    people: int


def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def clock() -> str:
    """The time."""
    return "noon"


def broken() -> str:
    """Fails."""
    raise ModelRetry("try later")


def models(url: str, name: str) -> dict[str, Callable[[], Model]]:
    openai = AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    claude = AsyncAnthropic(base_url=url, api_key="any", max_retries=0)
    provider = OpenAIProvider(openai_client=openai)
    return {
        "chat": lambda: OpenAIChatModel(name, provider=provider),
        "responses": lambda: OpenAIResponsesModel(name, provider=provider),
        "anthropic": lambda: AnthropicModel(
            name, provider=AnthropicProvider(anthropic_client=claude)
        ),
    }


@pytest.fixture(params=["chat", "responses", "anthropic"])
def agent(request: pytest.FixtureRequest, url: str) -> Make:
    def make(name: str, **how: Any) -> Agent[None, Any]:
        return Agent(models(url, name)[request.param](), instructions="Short.", **how)

    return make


async def text_of(asked: Agent[None, Any]) -> str:
    """Let it answer as a stream, and return what it showed."""
    async with asked.run_stream("Rome?") as result:
        return "".join([it async for it in result.stream_text(delta=True, debounce_by=None)])


async def read_all(_: Any, events: AsyncIterator[Any]) -> None:
    """Make a run stream: read its events."""
    async for _ in events:
        pass


async def test_an_answer_streams_with_its_thoughts_and_its_usage(
    agent: Make, scripted: Scripted
) -> None:
    asked = agent(scripted([{"reasoning": "hm"}, *said("Rome ", "is ", "old.")]))
    assert await text_of(asked) == "Rome is old."
    result = await asked.run("Rome?", event_stream_handler=read_all)
    parts = result.all_messages()[-1].parts
    assert [part.part_kind for part in parts] == ["thinking", "text"]
    usage = result.usage
    assert (result.output, usage.input_tokens, usage.output_tokens) == ("Rome is old.", 3, 5)


@pytest.mark.parametrize("handler", [None, read_all])
async def test_tools_are_called_at_once_and_one_that_fails_ends_nothing(
    agent: Make, scripted: Scripted, handler: Any
) -> None:
    calls = ("weather", '{"city": "Rome"}'), ("clock", ""), ("broken", "{}")
    asked = agent(scripted(called_at_once(*calls), said("Rain.")), tools=[weather, clock, broken])
    result = await asked.run("Rome?", event_stream_handler=handler)
    assert result.output == "Rain."
    contents = [part.content for part in result.all_messages()[2].parts]
    assert contents == ["rain in Rome", "noon", "try later"]
    assert result.usage.requests == 2


async def test_structured_output_is_an_object(agent: Make, scripted: Scripted) -> None:
    town = {"name": "Rome", "people": 3}
    asked = agent(scripted(called("final_result", town)), output_type=Town)
    assert (await asked.run("Which town?")).output == Town(**town)
    async with asked.run_stream("Which town?") as result:
        assert await result.get_output() == Town(**town)


async def test_a_history_is_what_was_said_and_thoughts_are_no_words_of_the_user(
    agent: Make, scripted: Scripted, url: str
) -> None:
    thought = {"reasoning": "hm"}
    scripts = [[thought, *called("weather", {"city": "Rome"})], [thought, *said("Rain.")]]
    asked = agent(scripted(*scripts, said("Second.")), tools=[weather])
    kept = (await asked.run("Rome?")).all_messages_json()
    history = ModelMessagesTypeAdapter.validate_json(kept)
    assert (await asked.run("And now?", message_history=history)).output == "Second."
    talk = newest_run(url)[0]["data"]["input"]["talk"]
    said_so_far = [(message["role"], message["content"]) for message in talk]
    tool = ("tool", "rain in Rome")
    assert said_so_far == [("user", "Rome?"), ("assistant", ""), tool, ("assistant", "Rain.")]


async def test_an_image_is_shown(agent: Make, scripted: Scripted, url: str) -> None:
    image = BinaryContent(base64.b64decode(DOT), media_type="image/png")
    assert (await agent(scripted(said("A dot."))).run(["What?", image])).output == "A dot."
    (shown,) = newest_run(url)[0]["data"]["input"]["images"]
    assert shown["type"] == "image/png"


async def test_a_run_stops_for_a_person_and_goes_on_later(agent: Make, scripted: Scripted) -> None:
    model = scripted(called("pay", {"euros": 3}), said("Paid."))
    asked = agent(model, output_type=[str, DeferredToolRequests])

    @asked.tool_plain(requires_approval=True)
    def pay(euros: int) -> str:
        return f"paid {euros}"

    stopped = await asked.run("Pay.")
    results = DeferredToolResults(approvals={stopped.output.approvals[0].tool_call_id: True})
    history = stopped.all_messages()
    paid = await asked.run(message_history=history, deferred_tool_results=results)
    assert paid.output == "Paid."


async def test_a_model_that_dies_in_mid_word_is_continued(agent: Make, dying: str) -> None:
    assert await text_of(agent(dying)) == "Rome is old now."


async def test_a_failure_raises_and_is_never_a_silent_end(agent: Make, scripted: Scripted) -> None:
    with pytest.raises(ModelAPIError, match="the script says so"):
        await text_of(agent(scripted(HALF)))
    with pytest.raises(ModelHTTPError, match="the script says so"):
        await agent(scripted(HALF)).run("Rome?")
    with pytest.raises(ModelHTTPError, match="no model 'nobody'") as raised:
        await agent("nobody").run("Rome?")
    assert raised.value.status_code == 404


async def test_leaving_a_stream_stops_the_run(agent: Make, scripted: Scripted, url: str) -> None:
    # Chat Completions need no header for this.
    settings = ModelSettings(extra_headers={"Unspool-When-Left": "cancel"})
    asked = agent(scripted(SILENT), model_settings=settings)
    async with asked.run_stream("Rome?") as result:
        async for _ in result.stream_text(delta=True, debounce_by=None):
            break
    assert newest_run(url)[-1]["type"] == "run.cancelled"


async def test_settings_reach_the_model(agent: Make, scripted: Scripted, url: str) -> None:
    settings = ModelSettings(
        temperature=0.5, max_tokens=99, parallel_tool_calls=False, extra_body={"seed": 7}
    )
    asked = agent(scripted(said("hm")), tools=[weather], model_settings=settings)
    await asked.run("Rome?")
    params = newest_run(url)[0]["data"]["input"]["params"]
    most = params.pop("max_tokens", None) or params.pop("max_completion_tokens")
    wanted = {"temperature": 0.5, "parallel_tool_calls": False, "seed": 7, "tool_choice": "auto"}
    assert (most, params) == (99, wanted)


@pytest.mark.parametrize("kind", ["responses", "anthropic"])
async def test_a_killed_server_raises_and_its_answer_is_whole(tmp_path: Path, kind: str) -> None:
    server = KillableServer(tmp_path)

    async def killed_in_the_middle() -> None:
        async with Agent(models(server.url, "m")[kind]()).run_stream("hi") as result:
            async for _ in result.stream_text(delta=True, debounce_by=None):
                server.kill()

    try:
        script = {"script": {"attempts": [SLOW]}}
        server.ask("/api/models", {"name": "m", "provider": "scripted", "params": script})
        with pytest.raises(ModelAPIError):
            await killed_in_the_middle()
        server.start()
        events = newest_run(server.url)
        assert events[-1]["type"] == "run.completed"
        texts = [event["data"]["text"] for event in events if event["type"] == "text.delta"]
        assert "".join(texts) == "".join(WORDS)
    finally:
        server.kill()
