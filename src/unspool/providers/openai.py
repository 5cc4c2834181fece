"""
Any endpoint that speaks OpenAI's Chat Completions with `stream: true`.

Alibaba Bailian (DashScope), DeepSeek, Moonshot, vLLM, llama.cpp and many more do, each with
its own idea of it: what they have been seen to send is read here as it was meant. The vendor's
own SDK is not used: it ends silently when a stream is cut, and one bad chunk ends it with an
error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from ..formats.sse import Frame
from . import Model, Prompt, Request, Sink
from .upstream.answer import Answer
from .upstream.chat_state import ChatState
from .upstream.cumulative import Cumulative
from .upstream.documents import Documents
from .upstream.openai_request import request_for
from .upstream.prompts import of_prefill
from .upstream.reading import AnswerReader
from .upstream.token_counts import openai_counts
from .upstream.turn_states import has_tools
from .upstream.vendor_errors import error_in

REASONING: Final = ("reasoning_content", "reasoning", "thinking")
"""Fields in which thinking aloud comes; where there are several, each says the same."""

TEXTS: Final = frozenset({"text", "output_text", "refusal"})
THOUGHTS: Final = frozenset({"thinking", "reasoning", "reasoning_content"})
"""Types of parts, where content is a list of them."""

_COMPLAINT: Final = re.compile(
    rb"error|exception|fail|unavailable|timed? ?out|overload|limit|refused|denied", re.IGNORECASE
)
"""Words of a server that has given up; what else is no chunk may be anything."""

Mapped = Mapping[str, Any]


class _WireDelta(msgspec.Struct, gc=False):
    # Whatever comes is taken and looked at later: one odd field must not cost the others.
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    thinking: Any = None
    reasoning_details: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    error: Any = None
    extra_content: Any = None


class _Choice(msgspec.Struct, gc=False):
    delta: _WireDelta | None = None
    message: _WireDelta | None = None
    text: Any = None
    finish_reason: Any = None
    index: Any = None
    usage: Any = None
    error: Any = None
    content_filter_results: Any = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    x_groq: Any = None
    base_resp: Any = None


class _PlainDelta(msgspec.Struct, gc=False):
    content: str
    reasoning_content: None = None
    reasoning: None = None
    thinking: None = None
    reasoning_details: None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    error: None = None
    extra_content: None = None


class _PlainChoice(msgspec.Struct, gc=False):
    delta: _PlainDelta
    finish_reason: None = None
    index: Literal[0] = 0
    usage: None = None
    error: None = None


class _PlainStatus(msgspec.Struct, gc=False):
    status_code: Literal[0] = 0


class _PlainChunk(msgspec.Struct, gc=False):
    """A chunk with text and nothing else that we read: any other fails to decode as one."""

    choices: tuple[_PlainChoice]
    usage: None = None
    error: None = None
    x_groq: None = None
    base_resp: _PlainStatus | None = None


_chunks = Documents(_Chunk)
_decode = msgspec.json.Decoder(_Chunk).decode
_decode_plain = msgspec.json.Decoder(_PlainChunk).decode


class OpenAI:
    def request(self, model: Model, prompt: Prompt) -> Request:
        """See `providers.Provider`."""
        return request_for(model, prompt)

    def reader(self, model: Model, prompt: Prompt, sink: Sink) -> AnswerReader:
        """See `providers.Provider`."""
        reading = _Reading(model, prompt)
        explain = of_prefill if prompt.prefix else None
        reader = AnswerReader(model, sink, reading.take, explain=explain, plain=reading)
        reader.state = reading.state.data
        return reader


class _Reading:
    """One answer, chunk by chunk."""

    def __init__(self, model: Model, prompt: Prompt) -> None:
        count = {**model.params, **prompt.params}.get("n")
        self._is_one = count in (None, 1)
        """We asked for one choice. Some gateways put its text and its calls into two."""
        self._caller: Any = None
        """The choice whose calls count: the first that makes any."""
        self.state = ChatState(with_thoughts=has_tools(model, prompt))
        is_cumulative = "cumulative_content" in model.quirks
        self._said = Cumulative() if is_cumulative else None
        self._thought = Cumulative() if is_cumulative else None
        self._has_deltas = False
        self._has_refused = False
        self._complaint = ""
        """What a server wrote in plain words where a chunk should be, and nothing since."""

    def may_be_plain(self) -> bool:
        """Whether chunks that hold only text mean just that."""
        return self._has_deltas and self._said is None and not self._complaint

    @staticmethod
    def plain_text(chunk: bytes) -> str:
        """See `reading.PlainChunks`."""
        data = chunk[6:-2]
        is_event = chunk.startswith(b"data: ") and chunk.endswith(b"\n\n")
        if not is_event or b"\n" in data or b"\r" in data:
            return ""
        try:
            text = _decode_plain(data).choices[0].delta.content
        except (ValueError, RecursionError):
            return ""
        may_be_tag = "</" in text or "<t" in text or text[-1:] == "<"
        return "" if may_be_tag else text  # see `think_tags`

    def take(self, frame: Frame, answer: Answer) -> None:
        try:
            chunk = _decode(frame.data)
        except (ValueError, RecursionError):
            self._take_other(frame, answer)
            return
        if chunk.choices and frame.event is None and not chunk.error:
            self._complaint = ""
            self._chunk(chunk, answer)  # nearly every frame
        else:
            self._take_rare(frame, chunk, answer)

    def _take_other(self, frame: Frame, answer: Answer) -> None:
        """Take in what is no chunk, or not at first sight."""
        data = frame.data.strip()
        if _is_done(data):
            if self._complaint and not answer.is_whole:
                answer.report(self._complaint)
            answer.is_done = True
        elif frame.event == "error":
            answer.report(_error_of(data))
        elif data:
            if data.startswith(b"["):
                answer.heed(data)
            if data[:1] not in b"{[<" and _COMPLAINT.search(data):
                self._complaint = data.decode("utf-8", "replace")
            for chunk in _chunks.read_all(data, answer):
                self._take_rare(Frame(data), chunk, answer)

    def _take_rare(self, frame: Frame, chunk: _Chunk, answer: Answer) -> None:
        if frame.event == "error":
            answer.report(_error_of(frame.data))
        if chunk.error and (error := error_in({"error": chunk.error})):
            answer.report(error)
        if not chunk.choices:
            answer.heed(frame.data)
        self._chunk(chunk, answer)
        if frame.event == "done":
            answer.is_done = True

    def _chunk(self, chunk: _Chunk, answer: Answer) -> None:
        usage = chunk.usage
        if isinstance(chunk.x_groq, dict):
            if error := error_in(chunk.x_groq):
                answer.report(error)
            usage = usage or chunk.x_groq.get("usage")
        if chunk.base_resp and (error := error_in({"base_resp": chunk.base_resp})):
            answer.report(error)
        if usage is not None:
            answer.count(openai_counts(usage))
        for choice in chunk.choices or ():
            if not choice.index:  # of several choices only the first is the answer
                self._choice(choice, answer)
            elif self._is_one:
                self._other_choice(choice, chunk, answer)

    def _other_choice(self, choice: _Choice, chunk: _Chunk, answer: Answer) -> None:
        """Take in calls, or a whole text, that the first choice does not have."""
        said = choice.delta or choice.message or _WireDelta()
        if said.tool_calls and self._caller in (None, choice.index):
            self._caller = choice.index
            self._calls(said.tool_calls, answer)
            if isinstance(choice.finish_reason, str):
                answer.finish(choice.finish_reason)
        messages = [it.message for it in chunk.choices or () if not it.index and it.message]
        if choice.message and said.content and not any(it.content for it in messages):
            self._content(said.content, answer)

    def _choice(self, choice: _Choice, answer: Answer) -> None:
        if choice.error and (error := error_in({"error": choice.error})):
            answer.report(error)
        delta = choice.delta
        if delta is not None:
            self._has_deltas = True
        elif not self._has_deltas:
            # All of it at once; beside or behind deltas it would say the same again.
            delta = choice.message
        if delta is not None:
            self._delta(delta, answer)
        elif choice.text is not None:
            self._content(choice.text, answer)
        if choice.usage is not None:
            answer.count(openai_counts(choice.usage))
        if choice.content_filter_results and _is_filtered(choice.content_filter_results):
            answer.filtered()
        if choice.finish_reason:
            self._finish(choice.finish_reason, answer)

    def _finish(self, reason: Any, answer: Answer) -> None:
        if isinstance(reason, dict):
            reason = reason.get("type")
        if isinstance(reason, str):
            answer.finish("refusal" if self._has_refused and reason == "stop" else reason)

    def _delta(self, delta: _WireDelta, answer: Answer) -> None:
        if thought := delta.reasoning_content or delta.reasoning or delta.thinking:
            self._reason(thought, answer)
            self.state.thought(_field_of(delta), thought)
        if delta.reasoning_details or delta.extra_content:
            self._keep(delta, has_thought=bool(thought), answer=answer)
        if content := delta.content:
            if type(content) is str and self._said is None:  # the path of every token
                answer.text(content)
            else:
                self._content(content, answer)
        if delta.refusal:
            self._has_refused = True
            self._content(delta.refusal, answer)
        if delta.tool_calls:
            self._caller = 0
            self._calls(delta.tool_calls, answer)
        if delta.function_call:
            _call({"function": delta.function_call}, None, answer)
        if delta.error and (error := error_in({"error": delta.error})):
            answer.report(error)

    def _keep(self, delta: _WireDelta, *, has_thought: bool, answer: Answer) -> None:
        """Keep what is to be sent back; details are also thoughts where no field has them."""
        if (details := delta.reasoning_details) and not has_thought:
            self._reason(details, answer)
        self.state.keep(details, delta.extra_content)

    def _content(self, content: Any, answer: Answer) -> None:
        if type(content) is str:
            answer.text(content if self._said is None else self._said.rest_of(content, answer))
        elif isinstance(content, list):
            for part in content:
                self._part(part, answer)
        elif isinstance(content, dict):
            self._part(content, answer)
        else:
            answer.skip("a chunk whose content is no text was left out")

    def _reason(self, thought: Any, answer: Answer) -> None:
        text = thought if type(thought) is str else _text_in(thought)
        answer.reasoning(text if self._thought is None else self._thought.rest_of(text, answer))

    def _calls(self, calls: Any, answer: Answer) -> None:
        """Take in the fragments of one chunk; where they are not numbered, their places count."""
        listed = calls if isinstance(calls, list) else [calls]
        for place, call in enumerate(listed):
            if isinstance(call, dict):
                self.state.call(call, place)
                _call(call, place if len(listed) > 1 else None, answer)

    def _part(self, part: Any, answer: Answer) -> None:
        kind = part.get("type", "text") if isinstance(part, dict) else None
        if kind in THOUGHTS:
            self._reason(part, answer)
        elif kind in TEXTS or isinstance(part, str):
            self._has_refused = self._has_refused or kind == "refusal"
            self._content(_text_in(part), answer)
        elif kind is not None:
            answer.skip(f"a part of the answer that is no text was left out: {str(kind)[:64]}")


def _text_in(value: Any) -> str:
    """Return the text of a part, which may have parts of its own."""
    match value:
        case str():
            return value
        case list():
            return "".join(_text_in(item) for item in value)
        case dict():
            names = ("text", "content", "refusal", "summary", *REASONING)
            return next((_text_in(value[name]) for name in names if value.get(name)), "")
        case _:
            return ""


def _field_of(delta: _WireDelta) -> str:
    """Return the field in which a delta has its thought."""
    return next(name for name in REASONING if getattr(delta, name))


def _call(call: Mapped, place: int | None, answer: Answer) -> None:
    function = call.get("function")
    function = function if isinstance(function, dict) else call
    index, id, name = call.get("index"), call.get("id"), function.get("name")
    arguments = function.get("arguments")
    answer.tool(
        index=index if type(index) is int else place,
        id=str(id) if id else None,
        name=name if isinstance(name, str) else None,
        arguments=arguments,
    )


def _is_filtered(results: Any) -> bool:
    """Whether a filter that works beside the answer (Azure) took something out of it."""
    found = results.values() if isinstance(results, dict) else ()
    return any(isinstance(it, dict) and it.get("filtered") is True for it in found)


def _is_done(data: bytes) -> bool:
    """Whether it is `[DONE]`, quoted or in small letters as some write it."""
    return data.strip(b"\"' ;").upper() in {b"[DONE]", b"DONE"}


def _error_of(data: bytes) -> Mapped | str:
    text = data.decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return error_in(document) or (document if isinstance(document, dict) else str(document))


plug = OpenAI()
