"""
Plug point: wire contracts of clients.

To add one: a module here with `plug`, an object with `routes` and `encoder`. A
dialect is a codec between a wire contract and our events: its routes turn a request
into a `RunSpec`, its encoder turns events into frames. `tests/dialects/` finds
it and resumes it after every event; `conformance/` shows its bytes.

An encoder is a fold: it may keep state, but only from the events. On resume we feed it the events
that the viewer already has and drop their frames. So the next frame is the same as without the
reconnect.

Frames get their `id` from the log. Where one event makes several frames, the earlier
ones are `<seq>.1`, `<seq>.2` … and the last is `<seq>`, so that a whole number always
means "I have all of that event".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from .. import plugs
from ..formats.sse import Frame
from ..providers import Model
from ..runs.events import Event
from ..runs.options import RunOptions, read_options
from ..runs.run import RunSpec

NATIVE: Final = "native"

_TYPE: Final = b'{"type":"'


class Encoder(Protocol):
    """
    Turns the events of one run into frames.

    One with an attribute `run_id` gets the id of its run before the first event.
    """

    def encode(self, event: Event) -> Sequence[bytes]:
        """Return the data of each frame that `event` makes in this contract, often none."""


@dataclass(frozen=True, slots=True)
class CompleteAnswer:
    """An ended run in one dialect."""

    run_id: str
    frames: Sequence[bytes]
    """The data of every frame."""


async def _options_of(request: Request) -> RunOptions:
    # A plain function would run in a thread, which costs as much as the rest of the request.
    return read_options(request.scope["headers"])


Options = Annotated[RunOptions, Depends(_options_of)]
"""A parameter of a route: the run options in the request's headers."""


class RunGateway(Protocol):
    """Starts runs for the routes of dialects."""

    async def stream(self, spec: RunSpec, options: RunOptions) -> Response:
        """
        Start a run and answer with its stream in the spec's dialect.

        Raises:
            SpecError: The request is invalid; it becomes a 4xx answer, before the stream begins.
        """

    async def whole(self, spec: RunSpec, options: RunOptions) -> CompleteAnswer:
        """
        Start a run, wait for its end, and return all frames of its stream.

        Raises:
            SpecError: As for `stream`.
        """

    async def answer(
        self, spec: RunSpec, options: RunOptions, write: Callable[[CompleteAnswer], Response]
    ) -> Response:
        """
        Start a run, and answer with what `write` makes of its whole stream.

        A client who leaves before that leaves the run, as a viewer of a stream does.

        Raises:
            SpecError: As for `stream`.
        """

    async def lines(self, spec: RunSpec, options: RunOptions) -> Response:
        """
        Start a run and answer with its stream, each frame a line.

        Raises:
            SpecError: As for `stream`.
        """

    async def begin(self, spec: RunSpec, options: RunOptions) -> str:
        """
        Start a run, and return its id.

        Raises:
            SpecError: As for `stream`.
        """

    async def events(self, run_id: str) -> Sequence[Event]:
        """
        Return all events of a run so far.

        Raises:
            UnknownRun: There is no such run.
        """

    def model(self, number: int) -> Model:
        """
        Return the model with this number.

        Raises:
            UnknownRecord: No model has it.
        """


class Dialect(Protocol):
    """
    A wire contract.

    One whose clients need an `event:` line has a true attribute `is_named`: the data of all its
    frames is JSON that begins with the field `type`, which is the name. One whose clients know
    errors of another shape than ours has a list `refusals`, of `Refusals`.
    """

    trailer: bytes
    """Data of a frame sent once after the last event; empty for none. It has no id."""
    can_rewind: bool | Literal["line"]
    """
    Whether the contract can take back text that was sent (`step.rewound`).

    `line`: only half a line (`at` is where it began), because it sends whole lines only and holds
    the half one back. Where the flow writes lines, a break then costs no more than that half.
    """

    def routes(self, gateway: RunGateway) -> APIRouter:
        """Return the paths of the contract."""

    def encoder(self) -> Encoder:
        """Return an encoder that has seen nothing yet."""


class Refusals(Protocol):
    """
    How a contract writes what a request is refused with, and whatever else goes wrong before a
    stream begins.
    """

    paths: Sequence[str]
    """Its paths; each covers those below it."""

    def refusal(self, status: int, code: str, message: str) -> tuple[int, bytes]:
        """Return the status and the body for an error that we would answer in our own shape."""


class VisibleEvents:
    """Leaves out the text of unseen steps."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._unseen: set[str] = set()

    def encode(self, event: Event) -> Sequence[bytes]:
        if event.type == "step.started" and event.data.get("unseen"):
            self._unseen.add(event.data["step"])
        if not self._unseen or event.data.get("step") not in self._unseen:
            return self._encoder.encode(event)
        # Attempts and warnings of unseen steps are shown: they cost money.
        is_shown = event.type.partition(".")[0] in {"attempt", "warning"}
        return self._encoder.encode(event) if is_shown else ()


def encoder_for(name: str, run_id: str = "") -> Encoder:
    """Return an encoder of a dialect that has seen nothing yet; the native one shows the log."""
    encoder = open_dialect(name).encoder()
    if hasattr(encoder, "run_id"):
        encoder.run_id = run_id
    return encoder if name == NATIVE else VisibleEvents(encoder)


def open_dialect(name: str) -> Dialect:
    """`native` is `unspool.dialects.native`."""
    dialect: Dialect = plugs.load("dialects", name)
    return dialect


def with_ids(seq: int, datas: Sequence[bytes]) -> list[tuple[str, bytes]]:
    """Number the frames of event `seq`: `<seq>.1` …, the last one `<seq>`."""
    last = len(datas)
    return [
        (str(seq) if k == last else f"{seq}.{k}", data) for k, data in enumerate(datas, start=1)
    ]


def frames_of(seq: int, datas: Sequence[bytes], *, is_named: bool = False) -> list[bytes]:
    """Encode the frames of event `seq`, numbered as `with_ids` does."""
    return [
        Frame(data, id=number, event=_type_of(data) if is_named else None).encode()
        for number, data in with_ids(seq, datas)
    ]


def names_frames(name: str) -> bool:
    """Whether the frames of a dialect have an `event:` line."""
    return bool(getattr(open_dialect(name), "is_named", False))


def _type_of(data: bytes) -> str:
    assert data.startswith(_TYPE), data
    return data[len(_TYPE) : data.index(b'"', len(_TYPE))].decode()


def trailer_of(name: str) -> bytes:
    """Return the encoded frame that a dialect sends after the last event; empty for none."""
    trailer = open_dialect(name).trailer
    return Frame(trailer).encode() if trailer else b""
