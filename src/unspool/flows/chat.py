"""One prompt, one answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from . import Context, Flow


class Tool(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """As OpenAI and Anthropic allow it."""
    description: str = Field("", max_length=4000)
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    """JSON Schema of its arguments."""


class Chat(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(min_length=1, max_length=200_000)
    system: str = Field("You are a helpful sales assistant.", max_length=50_000)
    params: dict[str, Any] = Field(default_factory=dict)
    """Passed to the model: `temperature`, `max_tokens` …"""
    tools: list[Tool] = Field(default_factory=list, max_length=128)
    """Functions that the model may ask for; its calls are told, not run."""


class ChatFlow(Flow[Chat]):
    asked = Chat

    async def run(self, ctx: Context, asked: Chat) -> None:
        tools = [tool.model_dump() for tool in asked.tools]
        await ctx.generate(
            asked.prompt, step="answer", system=asked.system, params=asked.params, tools=tools
        )


plug = ChatFlow()
