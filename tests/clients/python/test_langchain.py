"""LangChain's `ChatOpenAI` and `ChatOllama`."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from conftest import Scripted, called, said


class Town(BaseModel):
    """A town."""

    name: str
    people: int


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def chat(url: str, model: str, **how: Any) -> ChatOpenAI:
    return ChatOpenAI(base_url=f"{url}/v1", api_key="any", model=model, max_retries=0, **how)


def clients(url: str, model: str) -> list[Any]:
    responses = chat(url, model, use_responses_api=True)
    return [chat(url, model, stream_usage=True), responses, ChatOllama(base_url=url, model=model)]


WHICH = range(3)
"""Chat Completions, Responses, Ollama."""


@pytest.mark.parametrize("which", WHICH)
def test_it_streams(url: str, scripted: Scripted, which: int) -> None:
    client = clients(url, scripted(said("Rome ", "is ", "old.")))[which]
    pieces = list(client.stream("Say something."))
    assert "".join(piece.text for piece in pieces) == "Rome is old."
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 5


@pytest.mark.parametrize("which", WHICH)
def test_a_tool_goes_round(url: str, scripted: Scripted, which: int) -> None:
    model = scripted(called("weather", {"city": "Rome"}), said("Rain."))
    client = clients(url, model)[which].bind_tools([weather])
    asked = HumanMessage("How is Rome?")
    first = client.invoke([asked])
    (call,) = first.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Rome"})
    answered = ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"], name="weather")
    assert client.invoke([asked, first, answered]).text == "Rain."


@pytest.mark.parametrize("which", WHICH)
def test_structured_output_is_an_object(url: str, scripted: Scripted, which: int) -> None:
    client = clients(url, scripted(said('{"name": "Rome", ', '"people": 3}')))[which]
    form = client.with_structured_output(Town, method="json_schema")
    assert form.invoke("Which town?") == Town(name="Rome", people=3)


def test_a_cut_answer_raises(url: str, scripted: Scripted) -> None:
    client = chat(url, scripted([{"text": "Rome is"}]))
    with pytest.raises(openai.APIError):
        list(client.stream("Say something."))
