"""LlamaIndex's `OpenAILike`."""

from __future__ import annotations

from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

from conftest import Scripted, called, said


class Town(BaseModel):
    """A town."""

    name: str
    people: int


def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def llm(url: str, model: str) -> OpenAILike:
    how: dict[str, Any] = {"is_chat_model": True, "is_function_calling_model": True}
    return OpenAILike(model=model, api_base=f"{url}/v1", api_key="any", max_retries=0, **how)


def test_it_streams(url: str, scripted: Scripted) -> None:
    own = llm(url, scripted(said("Rome ", "is ", "old.")))
    pieces = list(own.stream_chat([ChatMessage(role="user", content="Say something.")]))
    assert "".join(piece.delta or "" for piece in pieces) == "Rome is old."


def test_a_tool_goes_round(url: str, scripted: Scripted) -> None:
    own = llm(url, scripted(called("weather", {"city": "Rome"}), said("Rain.")))
    answer = own.predict_and_call(
        [FunctionTool.from_defaults(weather)],
        user_msg="How is Rome?",
        allow_parallel_tool_calls=False,
    )
    assert answer.response == "rain in Rome"


def test_structured_output_is_an_object(url: str, scripted: Scripted) -> None:
    own = llm(url, scripted(called("Town", {"name": "Rome", "people": 3})))
    asked = [ChatMessage(role="user", content="Which town?")]
    assert own.as_structured_llm(Town).chat(asked).raw == Town(name="Rome", people=3)
