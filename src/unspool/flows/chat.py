"""One prompt, one answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from . import Context, Flow


class Chat(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(min_length=1, max_length=200_000)
    system: str = Field("You are a helpful sales assistant.", max_length=50_000)
    params: dict[str, Any] = Field(default_factory=dict)
    """Passed to the model: `temperature`, `max_tokens` …"""


class ChatFlow(Flow[Chat]):
    asked = Chat

    async def run(self, ctx: Context, asked: Chat) -> None:
        await ctx.generate(asked.prompt, step="answer", system=asked.system, params=asked.params)


plug = ChatFlow()
