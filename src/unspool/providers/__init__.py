"""
Plug point: where text comes from.

To add one: a module here with `plug`, an object with `request` and `reader`. Both are pure:
`request` turns a prompt into the bytes to send, a reader turns the bytes of the answer into
outputs. `upstream.exchange.ask` moves the bytes in between. A provider does not retry, count, log,
or know what a run is. `tests/providers/` finds it and runs the contract against it.
`upstream.answer.Answer` keeps the rules that hold for every vendor, `upstream.reading.AnswerReader`
cuts a body into frames: an adapter says what to send and what each frame means.

The contract: a reader whose `end` returns has told its sink exactly one `Finish`, last but for a
`Usage`. Where the bytes stop without a positive end signal, `end` raises instead:
`ProviderUnavailable` when nothing had come, `ProviderInterrupted` when something had.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from .. import plugs
from ..errors import ProviderError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one attempt may take; see `settings.Settings` for the meaning of each."""

    connect_s: float = 5.0
    first_event_s: float | None = None
    """None, here and below: by what the model is (`upstream.patience`)."""
    idle_s: float | None = None
    progress_s: float | None = None
    silent_s: float = 30.0
    total_s: float | None = None
    max_event_bytes: int = 4 * 1024 * 1024
    repetition: bool = True
    """An answer that repeats itself without end is broken off (`generation.repetition`)."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What a million tokens cost."""

    prompt: float
    completion: float
    cached: float | None = None
    """Of prompt tokens that the provider had in its cache; None: as any other."""
    written: float | None = None
    """Of prompt tokens that the provider wrote to its cache; None: as any other."""
    currency: str = "USD"


FREE = Prices(0.0, 0.0, currency="CNY")
"""Of models that run on one's own machine."""


@dataclass(frozen=True, slots=True)
class Model:
    """A deployment: which provider, where, under which name, within which limits."""

    name: str
    """What we call it."""
    provider: str
    upstream_name: str = ""
    """What the provider calls it."""
    base_url: str = ""
    api_key: str = field(default="", repr=False)
    limits: Limits = Limits()
    params: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of every request to it; those of a request go before them."""
    prefill: str = ""
    """How it continues a text (`upstream.vendors.PREFILLS`); empty: as its vendor does."""
    quirks: frozenset[str] = frozenset()
    """Its deviations from its vendor (`upstream.vendors.QUIRKS`)."""
    max_parallel: int | None = None
    """Answers that it gives at once; further requests wait in a line. None: any number."""
    prices: Prices | None = None
    """None: what is known of its vendor; where nothing is known, a cost is unknown."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may ask for."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    """JSON Schema of its arguments."""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that stands beside the text of a message."""

    type: str
    """`image/png`, `image/jpeg`, `image/webp` or `image/gif`."""
    data: bytes = field(repr=False)

    @property
    def base64(self) -> str:
        return base64.b64encode(self.data).decode()

    @property
    def url(self) -> str:
        return f"data:{self.type};base64,{self.base64}"


@dataclass(frozen=True, slots=True)
class Handle:
    """An answer that the provider keeps: read on after its event number `after`."""

    id: str
    after: int | None = None
    """None: from its beginning."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked."""

    messages: tuple[Mapping[str, Any], ...]
    """
    `{"role": "system" | "user" | "assistant", "content": …}`, oldest first. An assistant may
    have `tool_calls` (`{"id", "name", "arguments": {…}}`), what came back from one is
    `{"role": "tool", "tool_call_id", "name", "content"}`; each provider writes them its way. An
    assistant's `turn_state` is the `TurnState` of that answer. A user's `images` (`Image`) stand
    before the text.
    """
    prefix: str = ""
    """Text already written, and the model is to go on from there (`Model.prefill`)."""
    rendered: str = ""
    """The messages as the model's own template writes them; `prefix` goes on from there."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Further parameters of the vendor's API, passed through (`temperature`, `max_tokens`)."""
    tools: tuple[Tool, ...] = ()
    handle: Handle | None = None
    """Read on in this answer instead of asking for another."""
    is_bound: bool = False
    """The answer is bound to a form, which the messages describe: prose has no place in it."""

    @classmethod
    def of(cls, text: str, *, system: str = "", **params: Any) -> Prompt:
        """A single question, with a system message if there is one to say."""
        head = ({"role": "system", "content": system},) if system else ()
        set_params = {name: value for name, value in params.items() if value is not None}
        return cls(messages=(*head, {"role": "user", "content": text}), params=set_params)

    @property
    def has_images(self) -> bool:
        return any(message.get("images") for message in self.messages)

    @property
    def question(self) -> str:
        """The last thing a person said."""
        request = (m["content"] for m in reversed(self.messages) if m["role"] == "user")
        return str(next(request, ""))

    @property
    def system(self) -> str:
        return "\n".join(str(m["content"]) for m in self.messages if m["role"] == "system")


class Text(msgspec.Struct, frozen=True, gc=False):
    """A delta of the answer."""

    text: str


class Reasoning(msgspec.Struct, frozen=True, gc=False):
    """A delta of the model's thinking aloud; never part of the answer."""

    text: str


class ThoughtAloud(msgspec.Struct, frozen=True, gc=False):
    """All text of this answer so far was the model's thinking, and no part of the answer."""


class ToolFragment(msgspec.Struct, frozen=True, gc=False):
    """A delta of a tool call; `arguments` of one `index` are to be joined."""

    index: int
    id: str | None = None
    name: str | None = None
    """`id` and `name` stand in the first fragment of an index alone."""
    arguments: str = ""


class ToolCall(msgspec.Struct, frozen=True):
    """A whole tool call: its arguments are a JSON object. Told at the end of an answer."""

    index: int
    id: str
    name: str
    arguments: dict[str, Any]


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The provider keeps the answer under this id: a broken stream can be read on."""

    id: str


class TurnState(msgspec.Struct, frozen=True, gc=False):
    """
    What the provider wants back when the talk goes on after this answer (`upstream.turn_states`).

    Opaque to all but the provider that wrote it: it is stored, and comes back in a message.
    """

    by: str
    """The deployment that wrote it; no other gets it."""
    data: dict[str, Any]


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens as counted by the provider (`measured`) or by us; the last one counts."""

    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None = None
    """Of the prompt's tokens, those that the provider had in its cache."""
    measured: bool = True
    written_tokens: int | None = None
    """Of the prompt's tokens, those that the provider wrote to its cache."""


class Finish(msgspec.Struct, frozen=True, gc=False):
    """
    The provider said that the answer is whole.

    `reason`: stop, length, tool_calls, content_filter, or a vendor's own word.
    """

    reason: str
    has_refused: bool = False
    """The vendor says that the text is a refusal, and no answer."""


class Silent(msgspec.Struct, frozen=True, gc=False):
    """Nothing has come for `for_s` seconds that belongs to the answer."""

    for_s: float
    is_alive: bool
    """Bytes without output have come in that time: the vendor's pings."""


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """Something in the stream was left out; `message` says what, for the log."""

    message: str


Delta = Text | Reasoning | ToolFragment
Output = Delta | ThoughtAloud | ToolCall | TurnState | Accepted | Usage | Finish | Skipped | Silent


@dataclass(frozen=True, slots=True)
class Request:
    """What to send over HTTP. A body (JSON) makes it a POST."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """The answer of a model inside this process."""

    pieces: Callable[[], Iterable[tuple[float, bytes]]]
    """Seconds to wait, and then bytes. May raise ProviderError."""
    is_from_file: bool = False
    """It reads a file before its first piece, so a thread opens it."""


class Sink(Protocol):
    """Takes the outputs of an answer, in order, as plain calls."""

    @property
    def is_full(self) -> bool:
        """The source should pause and await `drain`."""

    def text(self, text: str) -> None:
        """Take a delta of the answer, never empty. Every token takes this path."""

    def take(self, output: Output) -> None:
        """Take any output."""

    async def drain(self) -> None:
        """Return when the sink has room again."""


class BodyReader(Protocol):
    """Reads one answer. Does no I/O; `feed` it bytes cut anywhere, then call `end` once."""

    is_whole: bool
    """The provider gave an end; only usage may follow."""
    is_done: bool
    """Nothing of interest follows: stop reading."""
    traits: frozenset[str]
    """Quirks that the answer showed (`upstream.vendors.QUIRKS`)."""
    is_calling: bool
    """A tool call has begun; vendors may hold its arguments back until they are whole."""

    def feed(self, chunk: bytes) -> bool:
        """
        Tell the sink what `chunk` completes; return whether that was any output.

        Raises:
            ProviderError: The provider reported an error, or its bytes make no sense. `end` is
                still to be called with it, and says what it comes to.
        """

    def end(self, broken: ProviderError | None) -> None:
        """
        Tell the sink the rest. `broken` is the error that ended the reading, if one did.

        Raises:
            ProviderRefused: The same request will fail again.
            ProviderUnavailable: Nothing came; trying again may help.
            ProviderInterrupted: The stream broke after some output.
        """


class Provider(Protocol):
    def request(self, model: Model, prompt: Prompt) -> Request | LocalAnswer:
        """
        Return the request that asks `model`.

        Raises:
            ProviderRefused: The model cannot be asked so.
        """

    def reader(self, model: Model, prompt: Prompt, sink: Sink) -> BodyReader:
        """Return a reader of the answer to that request."""


def open_provider(name: str) -> Provider:
    """`openai` is `unspool.providers.openai`."""
    provider: Provider = plugs.load("providers", name)
    return provider
