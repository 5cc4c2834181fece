"""LangChain's `ChatOpenAI` over Unspool: `pip install langchain-openai`, then run this file."""

import os
from collections.abc import Iterator

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

URL = os.environ.get("UNSPOOL_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("UNSPOOL_KEY", "none")  # a server on your own machine needs none


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"{city}: light rain, 14 °C"


def model(name: str = "offline", url: str = URL) -> ChatOpenAI:
    return ChatOpenAI(base_url=f"{url}/v1", api_key=KEY, model=name)


def stream(chat: ChatOpenAI, question: str) -> Iterator[str]:
    """The answer, piece by piece; where it is cut, this raises."""
    return (piece.text for piece in chat.stream(question))


def with_tools(chat: ChatOpenAI, question: str) -> str:
    """Answer with the tool, as often as the model calls it."""
    able, talk = chat.bind_tools([weather]), [HumanMessage(question)]
    while (answer := able.invoke(talk)).tool_calls:
        talk += [answer, *(weather.invoke(call) for call in answer.tool_calls)]
    return answer.text


if __name__ == "__main__":
    for piece in stream(model(), "请介绍运动鞋的特点"):
        print(piece, end="", flush=True)
