"""
One prompt, one answer, and the tools that were called for on the way.

With tools that are kept (`tool_ids`) each round is a step: the model calls, its calls are
carried out side by side, what came back is told to it, and it is asked again, until it answers
in text. A call that goes wrong is an answer too, so nothing that a tool does ends the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..errors import ProviderError, SpecError
from ..records.tools import find_tools
from . import Call, Context, Flow, ToolAnswer
from .kit.gather import together

if TYPE_CHECKING:
    from ..records import Records

MAX_ROUNDS: Final = 8
"""In which a model may call; in the one after them it has to answer. Work that needs more is
rare, and a model that goes round in circles is not."""

MAX_AGAIN: Final = 2
"""Times that a round whose call broke off is asked for again."""

MAX_AT_ONCE: Final = 8
"""Calls carried out at a time: a model may make a hundred in one answer."""

MAX_TOOLS: Final = 128
"""As many as OpenAI allows."""

MAX_TALK: Final = 1000
"""Earlier messages."""


class ChatTool(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """As OpenAI and Anthropic allow it."""
    description: str = Field("", max_length=4000)
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    """JSON Schema of its arguments."""


class StoredChatTool(ChatTool):
    id: int


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant"]
    content: str = Field(max_length=200_000)


class Chat(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(min_length=1, max_length=200_000)
    system: str = Field("You are a helpful sales assistant.", max_length=50_000)
    params: dict[str, Any] = Field(default_factory=dict)
    """Passed to the model: `temperature`, `max_tokens` …"""
    tools: list[ChatTool] = Field(default_factory=list, max_length=MAX_TOOLS)
    """Functions that the model may ask for; its calls are told, not run."""
    tool_ids: list[int] = Field(default_factory=list, max_length=MAX_TOOLS)
    """Numbers of kept tools; calls of these are carried out."""
    kept_tools: list[StoredChatTool] = Field(default_factory=list)
    """Those tools as they were when it was asked. Whatever a client sends is replaced."""
    talk: list[ChatMessage] = Field(default_factory=list, max_length=MAX_TALK)
    """What was said before, oldest first."""
    left_out: int = Field(0, ge=0)
    """Turns of a conversation that were too old, or too long, to be told again."""


class ChatFlow(Flow[Chat]):
    input_model = Chat

    async def prepare(self, request: Chat, records: Records) -> Chat:
        """
        Put in the tools that are kept.

        Raises:
            UnknownRecord: There is none of that number.
            SpecError: Two of one name: a call could not be told from the other's.
        """
        rows = await find_tools(records, request.tool_ids) if request.tool_ids else []
        kept = [
            StoredChatTool(
                id=row.id, name=row.name, description=row.description, parameters=row.parameters
            )
            for row in rows
        ]
        names = [tool.name for tool in (*request.tools, *kept)]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise SpecError(f"two tools are named {twice}; offer one of them, or rename the other")
        return request.model_copy(update={"kept_tools": kept})

    async def run(self, ctx: Context, request: Chat) -> None:
        if request.left_out:
            ctx.warn(
                f"the model is not told of {request.left_out} earlier turns; they stay in view"
            )
        since: list[dict[str, Any]] = []
        for number in range(1, MAX_ROUNDS + 2):
            step = await _round(ctx, request, number, since)
            calls = ctx.calls(step)
            if not request.kept_tools or not calls:
                return
            if number > MAX_ROUNDS:
                raise ProviderError(
                    f"the model called tools in {MAX_ROUNDS} rounds, and again where it was to "
                    "answer; ask for less at a time, or offer it fewer tools",
                    code="too_many_rounds",
                )
            facts = {tool.name for tool in request.tools}
            answers = await _answers(
                ctx, step, [it for it in calls if it.name not in facts], request
            )
            if len(answers) < len(calls):
                return  # whoever has named those tools answers their calls
            since += _messages(ctx.written(step), calls, answers)


async def _round(
    ctx: Context, request: Chat, number: int, since: Sequence[Mapping[str, Any]]
) -> str:
    """
    Ask once, and again where a call broke off; return the step that is whole.

    Half a call cannot be gone on with, and one whose arguments are no JSON cannot be carried
    out. Where nothing else was said there is nothing to take back: the next step makes it anew.
    """
    params = dict(request.params)
    if request.kept_tools and number > MAX_ROUNDS:
        params["tool_choice"] = "none"
    elif number > 1:
        params.pop("tool_choice", None)  # one that must call would call for ever
    for again in range(MAX_AGAIN + 1):
        step = "answer" if number == 1 else f"answer-{number}"
        step += f"-again-{again}" if again else ""
        error = await _ask(ctx, request, step, params, since)
        is_prose = bool(ctx.written(step)) and not ctx.has_called(step)
        if error is not None and request.kept_tools and is_prose:
            # It began in words, so it may be gone on with in words: no call is lost by that.
            error = await _ask(ctx, request, step, {**params, "tool_choice": "none"}, since)
        is_lost = bool(request.kept_tools) and ctx.has_called(step) and not ctx.written(step)
        if error is None and is_lost and not ctx.calls(step):
            error = ProviderError(
                "the model's calls cannot be read: their arguments are not a JSON object",
                code="unreadable_calls",
            )
        if error is None:
            return step
        if not is_lost or again == MAX_AGAIN:
            raise error
        ctx.warn("a tool call broke off and is asked for again", step=step)
    raise AssertionError("the last one has returned or raised")


async def _ask(
    ctx: Context,
    request: Chat,
    step: str,
    params: Mapping[str, Any],
    since: Sequence[Mapping[str, Any]],
) -> ProviderError | None:
    """Let the model write a step; return why it is not whole."""
    try:
        await ctx.generate(
            request.prompt,
            step=step,
            system=request.system,
            params=params,
            tools=_offered(request),
            earlier=[said.model_dump() for said in request.talk],
            since=since,
        )
    except ProviderError as error:
        return error
    return None


def _offered(request: Chat) -> list[dict[str, Any]]:
    tools = [tool.model_dump() for tool in request.tools]
    return tools + [tool.model_dump(exclude={"id"}) for tool in request.kept_tools]


async def _answers(
    ctx: Context, step: str, calls: Sequence[Call], request: Chat
) -> dict[int, ToolAnswer]:
    """Carry out calls side by side; return the answers by the places of their calls."""
    tools = [tool.model_dump() for tool in request.kept_tools]
    room = asyncio.Semaphore(MAX_AT_ONCE)

    async def answer(call: Call) -> ToolAnswer:
        async with room:
            return await ctx.answer(step, call, tools)

    answers = await together(answer(call) for call in calls)
    return {call.index: said for call, said in zip(calls, answers, strict=True)}


def _messages(
    text: str, calls: Sequence[Call], answers: Mapping[int, ToolAnswer]
) -> list[dict[str, Any]]:
    """Return a round as the model is told it: what it said and called, and what came back."""
    called = [
        {"id": call.id, "name": call.name, "arguments": dict(call.arguments)} for call in calls
    ]
    received = [
        {
            "role": "tool",
            "tool_call_id": call.id,
            "name": call.name,
            "content": answers[call.index].content,
        }
        for call in calls
    ]
    return [{"role": "assistant", "content": text, "tool_calls": called}, *received]


plug = ChatFlow()
