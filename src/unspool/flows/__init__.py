"""
Plug point: what a run does.

To add one: write a module here with `plug`, an instance of a subclass of `Flow`. It names the
model of its input, checks the input against the records, and generates its steps. It sees a
`Context` and nothing else: no provider, no journal, no HTTP. `tests/flows/` finds it and runs
it offline.

A later owner of the run may run the flow again from its beginning, so the flow must ask for the
same steps under the same names; `ctx.note` remembers a value that would differ. A `KeepingFlow`
also writes records in its `keep`, for results that people look up without reading logs.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypedDict, TypeVar, Unpack

from pydantic import BaseModel

from .. import plugs
from ..runs.questions import GivenAnswer

if TYPE_CHECKING:
    from ..records import Records
    from ..runs.run import Run

Input = TypeVar("Input", bound=BaseModel)
"""The flow's input as a pydantic model; its JSON Schema is the flow's public contract."""


Form = TypeVar("Form", bound=BaseModel)
"""The pydantic model that a structured answer must fit."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child run ended."""

    run: str | None
    """Its id; None: the server refused it, so there is no such run."""
    status: str
    """The status of the run; `failed` also if the server refused it."""
    text: str = ""
    result: Any = None
    error: Mapping[str, Any] | None = None
    """`code` and `message`, if it did not complete."""
    items: int = 0
    """Number of items that it found."""
    calls: Sequence[Mapping[str, Any]] = ()
    """The whole tool calls of its steps: `name` and `arguments` of each."""


@dataclass(frozen=True, slots=True)
class Call:
    """A whole tool call of a model."""

    index: int
    """Its place in the answer, unique within the step."""
    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """The answer of a tool, or the reason why there is none; the model gets either."""

    content: str
    code: str = ""
    """Stable code of the failure; empty: the tool answered."""


@dataclass(frozen=True, slots=True)
class CallPlace:
    """Where a call stands: run, step and index. It stays the same after a crash."""

    run_id: str
    step: str
    index: int

    @property
    def key(self) -> str:
        """The idempotency key of the call, for services that must not act twice."""
        return f"{self.run_id}-{self.step}-{self.index}"


class Reader(Protocol):
    """
    Recognises items in the text of a step while the text grows, and records them in the context.

    It gets the whole text from the beginning, in pieces of any size. After a crash or a rewind,
    a new reader gets the text again. So its items must depend on the text alone, never on where
    the pieces end. The context skips items that the log holds already.
    """

    def feed(self, text: str) -> None:
        """Take in the next piece of text."""

    def end(self) -> None:
        """Take note that the text is whole."""


class GenerateOptions(TypedDict, total=False):
    """Options of one request to a model; the default of each is in brackets."""

    stand_in: bool
    """Let the built-in offline model answer if no model is set up (True). A flow with a text of
    its own for that case sets False."""
    params: Mapping[str, Any]
    """Parameters of the vendor's API: `temperature`, `max_tokens` … (none)."""
    tools: Sequence[Mapping[str, Any]]
    """Functions that the model may call: `name`, `description`, `parameters` (JSON Schema)."""
    is_bound: bool
    """The answer must keep a format such as JSON, so no instruction in words may continue it
    after a break (False)."""
    by_lines: bool
    """The answer consists of lines (False). A reader gets whole lines. If the answer breaks
    inside a line, it continues after the last whole line, provided that the run's dialect can
    take half a line back."""
    model: str
    """Name of a model or a route (the run's own)."""
    earlier: Sequence[Mapping[str, Any]]
    """Messages before the prompt, in the form of `providers.Prompt.messages`."""
    since: Sequence[Mapping[str, Any]]
    """Messages after the prompt: tool calls and their answers."""
    images: Sequence[Mapping[str, Any]]
    """Stored images that stand before the text, by their `sha256` (none). Messages of `earlier`
    may have `images` too."""
    is_unseen: bool
    """Only the flow reads this step, to check it before people see anything (False). The log
    holds it like any other step, but it is not part of the run's text, and only the native
    dialect shows it."""
    first_text_s: float
    """
    Give the step up where its readers have seen no text of it so many seconds after the run
    began, or none for so long in the middle; of an unseen step, where it is not whole (no limit).
    The request is closed, and the error has the code `out_of_time`.
    """
    max_chars: int
    """
    Let the text end with the sentence that is open at this character (no limit). A text whose
    sentence does not end soon is given up: the error has the code `no_end`.
    """


class Recorder(Protocol):
    """Where a reader records the items it recognises."""

    def found(self, kind: str, item: Mapping[str, Any], *, step: str = "") -> None:
        """
        Record an item, recognised in the text of `step` if one is named.

        A rewind of that step takes the item back too.
        """

    def warn(self, message: str, **facts: Any) -> None:
        """Record that the run left out, replaced or repaired something."""


class Context(Recorder, Protocol):
    """
    A flow's only access to its run: it generates steps and records facts.

    Attributes:
        first_text_s: The server's setting, for flows with a text of their own.
        model: The model or route that the request names; empty: it names none.
    """

    first_text_s: float
    model: str

    async def generate(
        self,
        text: str,
        *,
        step: str,
        system: str = "",
        read: Callable[[], Reader] | None = None,
        **options: Unpack[GenerateOptions],
    ) -> str:
        """
        Let the model write `step`, streaming into the log, and return its whole text.

        If the log holds the finished step, its text comes from there; a step that was cut
        continues. `read` makes a reader that recognises items while the text streams.

        Raises:
            ProviderError: No model could finish it. `written(step)` returns what there is.
        """

    async def structured(
        self, form: type[Form], text: str, *, step: str, **options: Unpack[GenerateOptions]
    ) -> Form:
        """
        Let the model write `step` as JSON that fits a pydantic model, and return that object.

        Each field becomes an `item.found` of kind `field` while it streams, with `path` and
        `value`; lists and objects come member by member. If the answer does not fit, the model
        is asked once more, in the step `<step>-2`.

        Raises:
            ProviderError: No model could finish it.
            InvalidAnswer: The second answer does not fit either.
        """

    async def say(self, text: str, *, step: str, model: str = "template") -> str:
        """
        Write known text into `step`, at a readable speed, and finish it.

        Text that the step holds already stays; `text` comes after it.
        """

    async def note(self, name: str, compute: Callable[[], Awaitable[Any]]) -> Any:
        """Return `compute()`, computed once in the life of the run (it must be JSON)."""

    def noted(self, name: str) -> Any:
        """Return what `note` has computed under this name; None: nothing yet."""

    async def ask(
        self,
        text: str,
        *,
        step: str,
        schema: Mapping[str, Any] | None = None,
        within_s: float = 86_400.0,
        call: Mapping[str, Any] | None = None,
    ) -> GivenAnswer:
        """
        Ask a person, and wait for the answer, once in the life of the run.

        The run's status is `waiting`; it costs nothing and survives restarts. Somebody answers with
        `POST /v1/runs/{id}/answers`, or declines, which is an answer too. Without a `schema` (of an
        object) the answer's value is a text. With `call` (`id`, `name`, `arguments`) people approve
        that call, and the answer has no value.

        Raises:
            Unanswered: Nobody has answered within `within_s`, at most 30 days.
        """

    async def child(
        self, number: int, flow: str, input: Mapping[str, Any], *, model: str = ""
    ) -> Outcome:
        """
        Start child `number` of this run, once in its life, and return how it ended.

        A child is a run like any other: it has a stream of its own and recovers by itself after
        a crash. Cancelling the parent cancels it. If it fails, or is cancelled or refused, that
        is its outcome, not an error of the parent. It waits while the server is full. `model`
        defaults to this run's own. Several children may run at once.
        """

    def calls(self, step: str) -> Sequence[Call]:
        """Return the whole tool calls of `step`, in order."""

    def turn_state(self, step: str) -> Mapping[str, Any] | None:
        """
        Return what the provider wants back with the turn of `step`, for `turn_state` of its
        message in `since` or `earlier`; None: nothing. It is opaque, and no text for people.
        """

    def has_called(self, step: str) -> bool:
        """Whether the model began a tool call in `step`, whole or not."""

    def has_cut_call(self, step: str) -> bool:
        """Whether the model began a tool call in `step` that never became whole."""

    async def answer(
        self,
        step: str,
        call: Call,
        tools: Sequence[Mapping[str, Any]],
        *,
        instead: ToolAnswer | None = None,
    ) -> ToolAnswer:
        """
        Carry out a call of `step` and record its answer; an answer in the log is returned as is.

        With `instead` it is not carried out: that is its answer.

        `tools` describes the registered tools that the model may call: number (`id`), `name` and
        `parameters` of each. A failure is an answer too. Calls run at least once: if the server
        dies after a call and before its answer is in the log, the call runs again. Several calls
        may run at once.
        """

    def written(self, step: str) -> str:
        """Return the text that `step` has so far."""

    def writer(self, step: str) -> str:
        """Return the author of `step`: a model's name, or `say`'s `model`; empty: none yet."""

    def ending(self, step: str) -> str:
        """Return the reason for the end of `step` (`providers.Finish`); empty: it has none yet."""

    def enough(self, step: str) -> None:
        """
        Say that the text of `step` is whole, for its reader to call.

        The provider has a moment to end in good order; then its request is closed. A break after
        this is none.
        """

    def progress(
        self, message: str, *, current: int | None = None, total: int | None = None
    ) -> None:
        """Record how far the run is, in a message for people."""

    def result(self, value: Any) -> None:
        """Set the flow's answer (JSON)."""


class Flow(Generic[Input]):
    """What a run does, in business terms."""

    input_model: type[Input]
    aside: Sequence[str] = ()
    """Fields that `prepare` sets anew each time: equal requests, which may share a run, differ in
    them."""

    @property
    def description(self) -> str:
        """Its purpose, in its author's words: the docstring of its module."""
        return (sys.modules[type(self).__module__].__doc__ or "").strip()

    async def prepare(self, request: Input, records: Records) -> Input:
        """
        Check and complete the input before the run exists; the log stores what this returns.

        Raises:
            SpecError: The request cannot be met (404 or 422, before any streaming).
        """
        return request

    async def run(self, ctx: Context, request: Input) -> None:
        """Generate the run's steps and set its result."""
        raise NotImplementedError


class KeepingFlow(Flow[Input]):
    """
    A flow that also writes records, so that the rest of the product can query its results.

    The log stays the truth: `keep` derives the records from the whole log alone.
    """

    async def begin(self, run_id: str, request: Input, records: Records) -> None:
        """
        Record that a run begins, before its flow does anything. The default records nothing.

        Each later owner of the run calls it again, so calling it twice must change nothing.

        Raises:
            SpecError: The run cannot proceed; it fails with this error.
        """

    async def keep(self, run_id: str, request: Input, run: Run, records: Records) -> None:
        """
        Write the records of a run.

        The runner calls it however the run ends (`run.status`), before it commits the ending: a
        reader of `run.completed` finds the records in place. `run` is the fold of the whole log,
        its ending included. If the server dies in between, it is called again, and the second
        call must change nothing: key the records by the run, and write them in one transaction.

        An exception here makes a completed run incomplete.
        """
        raise NotImplementedError


def open_flow(name: str) -> Flow[Any]:
    """
    Return a flow by its name: `chat` is `unspool.flows.chat`.

    Raises:
        UnknownPlug: There is no such flow.
    """
    flow: Flow[Any] = plugs.load("flows", name)
    return flow
