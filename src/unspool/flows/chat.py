"""
Answers one prompt, calling tools on the way.

With registered tools (`tool_ids`) each round is a step: the model calls tools, the calls run
side by side, the model gets their answers and is asked again, until it answers in text. A
failing tool never ends a run: its error is an answer too. Calls of some tools wait for a person
who approves them; a call that is declined, or that nobody answers, is answered with that.
"""

from __future__ import annotations

import asyncio
import json
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from ..errors import ProviderError, SpecError, Unanswered
from ..formats.images import read_data_url
from ..formats.json_schema import misfits
from ..records.images import find_images, save_images
from ..records.tools import find_tools
from . import Call, Context, Flow, ToolAnswer
from .kit.gather import together
from .kit.images import Images, StoredImage

if TYPE_CHECKING:
    from ..records import Records

MAX_ROUNDS: Final = 8
"""In which a model may call tools; in the round after them it must answer. Few jobs need more,
and models that run in circles are common."""

MAX_REPEATS: Final = 2
"""Times that a round repeats after a tool call broke off."""

MAX_AT_ONCE: Final = 8
"""Calls that run at once: a model may make a hundred in one answer."""

MAX_TOOLS: Final = 128
"""OpenAI's limit."""

MAX_TALK: Final = 1000
"""Earlier messages: a thousand fill the context of any model."""


ToolNumber = Annotated[int, Field(ge=1, lt=2**63)]
"""Databases take no greater one."""


class ChatTool(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[\p{L}\p{M}\p{N}_-]{1,64}$")
    """The pattern that OpenAI and Anthropic both accept."""
    description: str = Field("", max_length=20_000)
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    """JSON Schema of its arguments."""


class StoredChatTool(ChatTool):
    id: int
    approve: bool = False
    """A person must agree to each call."""


class MadeCall(BaseModel):
    """A call that the model made in an earlier answer."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=256)
    name: str = Field(max_length=128)
    arguments: dict[str, Any]


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant", "system", "tool"]
    content: str = Field(max_length=200_000)
    tool_calls: list[MadeCall] = Field(
        default_factory=list, max_length=MAX_TOOLS, exclude_if=operator.not_
    )
    """Of an answer: what it called."""
    tool_call_id: str = Field("", max_length=256, exclude_if=operator.not_)
    """Of a `tool`: the call that it answers; and the name of the tool."""
    name: str = Field("", max_length=128, exclude_if=operator.not_)
    images: Images = Field(default_factory=list)
    turn_state: dict[str, Any] | None = None
    """Of an answer: `turn_state` of its last `step.finished`, for the model that wrote it."""


class Chat(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(max_length=200_000)
    """Empty only beside images, which are a question then."""
    system: str = Field("You are a helpful sales assistant.", max_length=200_000)
    images: Images = Field(default_factory=list)
    """For models that take them."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Passed to the model: `temperature`, `max_tokens` …"""
    tools: list[ChatTool] = Field(default_factory=list, max_length=MAX_TOOLS)
    """Functions of the client that the model may call; the server does not run them."""
    tool_ids: list[ToolNumber] = Field(default_factory=list, max_length=MAX_TOOLS)
    """Numbers of registered tools that the model may call; the server runs them."""
    kept_tools: list[StoredChatTool] = Field(default_factory=list)
    """Those tools as they were at the request. The server replaces whatever a client sends."""
    talk: list[ChatMessage] = Field(default_factory=list, max_length=MAX_TALK)
    """Earlier messages, oldest first."""
    since: list[ChatMessage] = Field(
        default_factory=list, max_length=MAX_TALK, exclude_if=operator.not_
    )
    """Messages after the prompt: calls of the client's own tools, and their answers."""
    wire: dict[str, Any] = Field(default_factory=dict, exclude_if=operator.not_)
    """What the client's contract wants to know again of its request; it changes no answer."""
    after_turn: int = Field(0, ge=0)
    """In a conversation: the turn that it follows; 0: it begins one."""
    left_out: int = Field(0, ge=0)
    """Turns of the conversation that the model does not get: they are too old or too long."""
    unshown: int = Field(0, ge=0)
    """Images of earlier turns that the model does not get again."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not (self.prompt or self.images):
            place: tuple[int | str, ...] = ("prompt",)
            empty = InitErrorDetails(
                type="string_too_short", loc=place, input="", ctx={"min_length": 1}
            )
            raise ValidationError.from_exception_data("Chat", [empty])
        return self


class ChatFlow(Flow[Chat]):
    input_model = Chat

    async def prepare(self, request: Chat, records: Records) -> Chat:
        """
        Add the registered tools to the input, and store its images.

        Raises:
            UnknownRecord: No tool has that number, or no image that digest.
            SpecError: Two tools share a name, so a call would not say which one it means.
        """
        if request.images or any(message.images for message in request.talk):
            request = await _stored(request, records)
        if not (request.tools or request.tool_ids or request.kept_tools):
            return request  # nearly all
        rows = await find_tools(records, request.tool_ids) if request.tool_ids else []
        stored = [
            StoredChatTool(
                id=row.id,
                name=row.name,
                description=row.description,
                parameters=row.parameters,
                approve=row.approve,
            )
            for row in rows
        ]
        names = [tool.name for tool in (*request.tools, *stored)]
        if shared := next((name for name in names if names.count(name) > 1), None):
            raise SpecError(f"two tools are named {shared}; offer one of them, or rename the other")
        return request.model_copy(update={"kept_tools": stored})

    async def run(self, ctx: Context, request: Chat) -> None:
        if request.left_out:
            ctx.warn(
                f"the model is not told of {request.left_out} earlier turns; they stay in view"
            )
        if request.unshown:
            ctx.warn(f"the model does not get {request.unshown} images of earlier turns again")
        since = _said(request.since)
        for number in range(1, MAX_ROUNDS + 2):
            step = await _round(ctx, request, number, since)
            calls = ctx.calls(step)
            if not request.kept_tools or not calls:
                return
            if number > MAX_ROUNDS:
                raise ProviderError(
                    f"the model called tools in {MAX_ROUNDS} rounds and again when it had to "
                    "answer; ask for less at a time, or offer it fewer tools",
                    code="too_many_rounds",
                )
            of_client = {tool.name for tool in request.tools}
            ours = [call for call in calls if call.name not in of_client]
            answers = await _answers(ctx, step, ours, request)
            if len(answers) < len(calls):
                return  # the client answers the calls of its own tools
            since += _messages(ctx.written(step), calls, answers, ctx.turn_state(step))


async def _round(
    ctx: Context, request: Chat, number: int, since: Sequence[Mapping[str, Any]]
) -> str:
    """
    Ask once, and again if a tool call broke off; return the step that is whole.

    No model can continue half a call, and nothing can run one whose arguments are not JSON. If
    the step holds no text there is nothing to take back: the next step makes the call anew. At a
    limit of tokens it would break off again.
    """
    params = dict(request.params)
    if request.kept_tools and number > MAX_ROUNDS:
        params["tool_choice"] = "none"
    elif number > 1:
        params.pop("tool_choice", None)  # a model forced to call would call for ever
    for repeat in range(MAX_REPEATS + 1):
        step = "answer" if number == 1 else f"answer-{number}"
        step += f"-again-{repeat}" if repeat else ""
        error = await _ask(ctx, request, step, params, since)
        is_prose = bool(ctx.written(step)) and not ctx.has_called(step)
        if error is not None and request.kept_tools and is_prose:
            # The answer began in text, so text may continue it: that loses no call.
            error = await _ask(ctx, request, step, {**params, "tool_choice": "none"}, since)
        is_lost = bool(request.kept_tools) and ctx.has_called(step) and not ctx.written(step)
        if error is None and (request.tools or request.kept_tools):
            error = _unread(ctx, step, for_client=bool(request.tools))
        if error is None:
            return step
        if not is_lost or repeat == MAX_REPEATS or error.code == "length":
            raise error
        ctx.warn("a tool call broke off; the model is asked again", step=step)
    raise AssertionError("the last repeat returns or raises")


def _unread(ctx: Context, step: str, *, for_client: bool) -> ProviderError | None:
    """Return the error of a step whose tool calls cannot be read; it is not whole without them."""
    if not ctx.has_called(step):
        return None
    # A client has seen the beginning of each call, and would take a cut one for whole.
    if ctx.calls(step) and not (for_client and ctx.has_cut_call(step)):
        return None
    if ctx.ending(step) == "length":
        return ProviderError(
            "the answer reached its limit of tokens inside a tool call; allow it more "
            "(`max_tokens`), or ask for less",
            code="length",
        )
    return ProviderError(
        "the model's tool calls cannot be read: their arguments are not a JSON object; "
        "try again, or use another model",
        code="unreadable_calls",
    )


async def _ask(
    ctx: Context,
    request: Chat,
    step: str,
    params: Mapping[str, Any],
    since: Sequence[Mapping[str, Any]],
) -> ProviderError | None:
    """Let the model write a step; return the error that cut it short, if any."""
    try:
        await ctx.generate(
            request.prompt,
            step=step,
            system=request.system,
            params=params,
            tools=_offered(request),
            images=[{"sha256": it.sha256} for it in request.images if not isinstance(it, str)],
            earlier=_said(request.talk),
            since=since,
        )
    except ProviderError as error:
        return error
    return None


def _said(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Return messages as `providers.Prompt` has them."""
    return [message.model_dump(exclude_defaults=True) for message in messages]


async def _stored(request: Chat, records: Records) -> Chat:
    """Return the request with the digests of its images, which are in the records then."""
    sent = [*request.images, *(image for message in request.talk for image in message.images)]
    read = {url: read_data_url(url) for url in sent if isinstance(url, str)}
    await save_images(records, read.values())
    named = [image.sha256 for image in sent if not isinstance(image, str)]
    known = await find_images(records, named) if named else {}

    def kept(images: Images) -> list[StoredImage]:
        found = [read[it] if isinstance(it, str) else known[it.sha256] for it in images]
        return [StoredImage(sha256=it.sha256, type=it.type, bytes=len(it.data)) for it in found]

    talk = [it.model_copy(update={"images": kept(it.images)}) for it in request.talk]
    return request.model_copy(update={"images": kept(request.images), "talk": talk})


def _offered(request: Chat) -> list[dict[str, Any]]:
    tools = [tool.model_dump() for tool in request.tools]
    return tools + [tool.model_dump(exclude={"id", "approve"}) for tool in request.kept_tools]


async def _answers(
    ctx: Context, step: str, calls: Sequence[Call], request: Chat
) -> dict[int, ToolAnswer]:
    """Run calls side by side; return the answers by the index of their call."""
    tools = [tool.model_dump() for tool in request.kept_tools]
    to_approve = {tool.name: tool.parameters for tool in request.kept_tools if tool.approve}
    slots = asyncio.Semaphore(MAX_AT_ONCE)

    async def answer_one(call: Call) -> ToolAnswer:
        schema = to_approve.get(call.name)
        # A call that cannot be carried out is no question for people.
        is_asked = schema is not None and not misfits(schema, call.arguments)
        refusal = await _refusal(ctx, step, call) if is_asked else None
        async with slots:
            return await ctx.answer(step, call, tools, instead=refusal)

    answers = await together(answer_one(call) for call in calls)
    return {call.index: answer for call, answer in zip(calls, answers, strict=True)}


async def _refusal(ctx: Context, step: str, call: Call) -> ToolAnswer | None:
    """Ask people for a call; return what the model gets if they do not agree to it."""
    about = {"id": call.id, "name": call.name, "arguments": call.arguments}
    place = f"{step}/call-{call.index}"
    try:
        given = await ctx.ask(f"May the model call {call.name}?", step=place, call=about)
    except Unanswered:
        return _refused("unanswered", "nobody has approved this call in its time")
    if given.is_declined:
        reason = f": {given.reason}" if given.reason else ""
        return _refused("declined", f"a person has declined this call{reason}")
    return None


def _refused(code: str, message: str) -> ToolAnswer:
    error = {"error": {"code": code, "message": message}}
    return ToolAnswer(json.dumps(error, ensure_ascii=False), code)


def _messages(
    text: str,
    calls: Sequence[Call],
    answers: Mapping[int, ToolAnswer],
    turn_state: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """Return a round as messages: the model's text and calls, then the tools' answers."""
    tool_calls = [
        {"id": call.id, "name": call.name, "arguments": dict(call.arguments)} for call in calls
    ]
    tool_messages = [
        {
            "role": "tool",
            "tool_call_id": call.id,
            "name": call.name,
            "content": answers[call.index].content,
        }
        for call in calls
    ]
    said: dict[str, Any] = {"role": "assistant", "content": text, "tool_calls": tool_calls}
    if turn_state is not None:
        said["turn_state"] = turn_state
    return [said, *tool_messages]


plug = ChatFlow()
