"""
Plug point: what a run does.

To add one: a module here with `plug`, a subclass instance of `Flow`. It names the
shape of its input, checks it against what is kept, and says which steps there are
and what each asks for. It sees a `Context` and nothing else: no provider, no
journal, no HTTP. `tests/flows/` finds it and runs it offline.

A flow may be run again from its beginning by a later owner of the run, so it must
ask for the same steps under the same names; `ctx.note` is for what would differ. What is to
be found without reading logs is written by a `KeepingFlow` in its `keep`.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypedDict, TypeVar, Unpack

from pydantic import BaseModel

from .. import plugs

if TYPE_CHECKING:
    from ..records import Records
    from ..runs.run import Run

Input = TypeVar("Input", bound=BaseModel)
"""The flow's input as a pydantic model; its JSON Schema is the flow's public contract."""


Form = TypeVar("Form", bound=BaseModel)
"""What a structured answer is to fit."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a child."""

    run: str | None
    """Its id; None: it was refused, and there is no such run."""
    status: str
    """As runs have it; `failed` also where it was refused."""
    text: str = ""
    result: Any = None
    error: Mapping[str, Any] | None = None
    """`code` and `message`, where it did not complete."""
    items: int = 0
    """Things that it has recognised and told."""


@dataclass(frozen=True, slots=True)
class Call:
    """A whole tool call that a model has made."""

    index: int
    """Its place in the answer, which no other call of the step has."""
    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What came back from a tool, or why nothing did: what the model is told either way."""

    content: str
    code: str = ""
    """Why there is no answer; empty: there is one."""


@dataclass(frozen=True, slots=True)
class CallPlace:
    """Where in which run a call stands: the same again after a crash."""

    run_id: str
    step: str
    index: int

    @property
    def key(self) -> str:
        """What a service is told that must not do one thing twice."""
        return f"{self.run_id}-{self.step}-{self.index}"


class Reader(Protocol):
    """
    Recognises things in the text of a step while it grows, and tells them to its flow's context.

    It is given the whole text from its beginning, in pieces of any size; after a crash, or when
    text was taken back, a new one is given it again. So what it tells must depend on the text
    alone, never on where the pieces end. What the log has already is not said twice.
    """

    def feed(self, text: str) -> None:
        """Take in what comes next."""

    def end(self) -> None:
        """The text is whole."""


class GenerateOptions(TypedDict, total=False):
    """How a model is asked, where it is not asked the plain way."""

    stand_in: bool
    """Whether the built-in offline model may answer where no model is set up (it may); a flow
    that has words of its own for that case says False."""
    params: Mapping[str, Any]
    """Of the vendor's API: `temperature`, `max_tokens` …"""
    tools: Sequence[Mapping[str, Any]]
    """Functions that the model may ask for: `name`, `description`, `parameters` (JSON Schema)."""
    is_bound: bool
    """The answer is bound to a form, such as JSON: where it breaks it is not gone on with in
    words (it is free)."""
    by_lines: bool
    """The answer consists of lines (it does not): a reader is given whole ones, and where it
    breaks in the middle of one it goes on from the last whole line, if half a line can be taken
    back in the contract that the run was asked in."""
    model: str
    """Name of a model or a route; the run's own where none is named."""
    earlier: Sequence[Mapping[str, Any]]
    """Messages before the question, as `providers.Prompt.messages` has them."""
    since: Sequence[Mapping[str, Any]]
    """Messages after it: calls of tools, and what came back."""
    is_unseen: bool
    """Written for the flow alone (it is for all): to be looked at before anything is shown. In
    the log it is like any other step; it is no part of the run's text, and only the native
    contract shows it."""


class Recorder(Protocol):
    """To whom a reader tells what it recognises."""

    def found(self, kind: str, item: Mapping[str, Any], *, step: str = "") -> None:
        """
        Record something structured that was recognised, in the text of `step` if one is named.

        It is taken back with that text.
        """

    def warn(self, message: str, **facts: Any) -> None:
        """Record that something was left out, replaced or repaired."""


class Context(Recorder, Protocol):
    """The one thing a flow holds: its pen."""

    async def generate(
        self,
        text: str,
        *,
        step: str,
        system: str = "",
        read: Callable[[], Reader] | None = None,
        **how: Unpack[GenerateOptions],
    ) -> str:
        """
        Let the model write `step`, streaming into the log, and return its whole text.

        A step that is finished in the log is returned from there; one that was cut goes on.
        `read` makes a reader of the text, which tells what it recognises while it streams.

        Raises:
            ProviderError: No model could finish it. `written(step)` tells how far it got.
        """

    async def structured(
        self, form: type[Form], text: str, *, step: str, **how: Unpack[GenerateOptions]
    ) -> Form:
        """
        Let the model write `step` as JSON that fits a pydantic model, and return that.

        Each field is told while it streams: `item.found`, kind `field`, with `path` and `value`;
        lists and objects member by member. An answer that does not fit is asked for once more,
        as the step `<step>-2`.

        Raises:
            ProviderError: No model could finish it.
            InvalidAnswer: Nor does the second answer fit.
        """

    async def say(self, text: str, *, step: str, model: str = "template") -> str:
        """
        Write known text into `step`, at a readable pace, and finish it.

        What the step holds already stays; `text` comes after it.
        """

    async def note(self, name: str, compute: Callable[[], Awaitable[Any]]) -> Any:
        """Return `compute()`, computed once in the life of the run (it must be JSON)."""

    async def child(
        self, number: int, flow: str, input: Mapping[str, Any], *, model: str = ""
    ) -> Outcome:
        """
        Start run `number` of this run, once in its life, and return what became of it.

        A child is a run like any other, with a stream of its own, and goes on after a crash by
        itself. It is cancelled with its parent; that it fails, or is cancelled or refused, is
        an outcome and no error. Where the server has no room it waits for some. `model` is
        this run's own where none is named. Several may be awaited at once.
        """

    def calls(self, step: str) -> Sequence[Call]:
        """Return the whole tool calls of `step`, in order."""

    def has_called(self, step: str) -> bool:
        """Whether a tool call was begun in `step`, whole or not."""

    async def answer(self, step: str, call: Call, tools: Sequence[Mapping[str, Any]]) -> ToolAnswer:
        """
        Carry out a call of `step` and tell of it; what the log has as its answer is returned.

        `tools` are those that the model was offered and that are carried out here: facts with
        the number of a kept tool as `id`, its `name` and its `parameters`. Whatever goes wrong
        is an answer too. At least once: one that was carried out when the server died, before
        its answer was in the log, is carried out again. Several may be awaited at once.
        """

    def written(self, step: str) -> str:
        """Return the text that `step` has so far."""

    def writer(self, step: str) -> str:
        """Return who wrote `step`: a model's name, or what `say` was told; empty: nobody yet."""

    def progress(
        self, message: str, *, current: int | None = None, total: int | None = None
    ) -> None:
        """Tell people how far we are."""

    def result(self, value: Any) -> None:
        """Set the flow's answer (JSON)."""


class Flow(Generic[Input]):
    """What a run does, in business terms."""

    input_model: type[Input]

    @property
    def description(self) -> str:
        """What it is for, in its author's words: the docstring of its module."""
        return (sys.modules[type(self).__module__].__doc__ or "").strip()

    async def prepare(self, request: Input, records: Records) -> Input:
        """
        Check and complete the input before the run exists; what is returned is kept with it.

        Raises:
            SpecError: The request cannot be met (404 or 422, before any streaming).
        """
        return request

    async def run(self, ctx: Context, request: Input) -> None:
        """Do it."""
        raise NotImplementedError


class KeepingFlow(Flow[Input]):
    """
    A flow of which something is kept beside runs, where the rest of the product can ask for it.

    The log stays the truth: what is kept is made from it alone, when it is whole.
    """

    async def begin(self, run_id: str, request: Input, records: Records) -> None:
        """
        Write down that a run begins, before its flow does anything; as it is, nothing.

        Called again by each later owner of the run, so it must be the same twice.

        Raises:
            SpecError: It cannot go on after all, and ends so.
        """

    async def keep(self, run_id: str, request: Input, run: Run, records: Records) -> None:
        """
        Write down what became of a run.

        Called whichever way the run ends (`run.status`), before anybody is told of the end: who
        reads `run.completed` finds what was kept. `run` is the fold of the whole log, its ending
        included. Called again where the server died in between, so the second time must change
        nothing: name what is kept after the run, and write it in one transaction.

        What is raised here makes a completed run incomplete.
        """
        raise NotImplementedError


def open_flow(name: str) -> Flow[Any]:
    """`chat` is `unspool.flows.chat`."""
    flow: Flow[Any] = plugs.load("flows", name)
    return flow
