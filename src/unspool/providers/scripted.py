"""
The provider that plays a script: deltas, pauses and faults, from data.

For demonstrations, and for trying one's own flows against a model that stalls or
dies at a chosen place. A script is a JSON list of steps:

    [{"reasoning": "嗯"}, {"text": "今天"}, {"pause_s": 0.5}, {"text": "推荐"},
     {"tool": {"index": 0, "id": "c1", "name": "f", "arguments": "{}"}},
     {"repeat": 3, "steps": [{"text": "好"}]},
     {"usage": {"prompt_tokens": 3, "completion_tokens": 5}}, {"finish": "stop"}]

or ends badly: without `finish` it is a stream that stopped, and `fail` says how:

    {"fail": "refused" | "unavailable" | "interrupted", "code": "rate_limited",
     "status": 429, "retry_after_s": 1, "message": "slow down"}

`{"attempts": [[…], […]]}` plays the n-th script at the n-th attempt and the last one
ever after. Attempts are counted by the model's name as long as the process lives,
over all callers: a demonstration that must start anew takes a new name.

The script is the parameter `script` of the prompt or of the model, or else the file that
the model's `upstream_name` is the path of. `prompt.prefix`, where the script's text begins with
it, is not sent again: neither is what stands before its end, pauses included.

The contract of providers holds whatever the script says: `unavailable` and
`interrupted` are one failure, raised as the former if nothing came before it and as
the latter if something did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
)

from ..errors import ProviderRefused
from . import LocalAnswer, Model, Prompt, Sink, ToolFragment, Usage
from .upstream.local import Failure, LocalLine, LocalReader

MAX_STEPS: Final = 100_000
"""Most steps of one script, repeats counted out: an hour of a model at 28 deltas a second."""

MAX_CHARS: Final = 4_000_000
"""Most characters one script may say; a script of a few bytes must not fill a disk."""

MAX_SCRIPT_BYTES: Final = 4 * 1024 * 1024
"""Largest script file. It is read whole."""

MAX_PAUSE_S: Final = 3600.0
"""Longest single pause: longer than any limit on silence that it could be meant to try."""


def _encodable(text: str) -> str:
    """Refuse half a surrogate pair: it can be written in JSON but not sent to anyone."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("half a surrogate pair is not text")
    return text


Words = Annotated[str, AfterValidator(_encodable)]


class _ScriptStep(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Say(_ScriptStep):
    text: Words


class Think(_ScriptStep):
    reasoning: Words


class Fragment(_ScriptStep):
    index: int = Field(0, ge=0)
    id: Words | None = None
    name: Words | None = None
    arguments: Words = ""


class ScriptedCall(_ScriptStep):
    tool: Fragment


class Pause(_ScriptStep):
    pause_s: float = Field(ge=0, le=MAX_PAUSE_S)


class ScriptedUsage(_ScriptStep):
    prompt_tokens: int | None = Field(None, ge=0)
    completion_tokens: int | None = Field(None, ge=0)
    measured: bool = True


class Count(_ScriptStep):
    usage: ScriptedUsage


class Skip(_ScriptStep):
    skipped: Words


class End(_ScriptStep):
    finish: Words


class Fail(_ScriptStep):
    fail: Literal["refused", "unavailable", "interrupted"]
    code: Words | None = None
    status: int | None = Field(None, ge=100, le=599)
    retry_after_s: float | None = Field(None, ge=0)
    message: Words = "the script says so"


class Repeat(_ScriptStep):
    repeat: int = Field(ge=1)
    # Not empty: repeating nothing for ever would pass any limit on steps.
    steps: list[Step] = Field(min_length=1)


_KINDS: Final[dict[str, type[_ScriptStep]]] = {
    "text": Say,
    "reasoning": Think,
    "tool": ScriptedCall,
    "pause_s": Pause,
    "usage": Count,
    "skipped": Skip,
    "finish": End,
    "fail": Fail,
    "repeat": Repeat,
}


def _kind(step: Any) -> str | None:
    """Tell a step by the word it has; None makes pydantic list the words there are."""
    known = (word for word in _KINDS if word in step) if isinstance(step, dict) else ()
    return next(iter(known), None)


Step = Annotated[
    Annotated[Say, Tag("text")]
    | Annotated[Think, Tag("reasoning")]
    | Annotated[ScriptedCall, Tag("tool")]
    | Annotated[Pause, Tag("pause_s")]
    | Annotated[Count, Tag("usage")]
    | Annotated[Skip, Tag("skipped")]
    | Annotated[End, Tag("finish")]
    | Annotated[Fail, Tag("fail")]
    | Annotated[Repeat, Tag("repeat")],
    Discriminator(
        _kind,
        custom_error_type="no_step",
        custom_error_message=f"a step has one of the words {', '.join(_KINDS)}",
    ),
]


class Attempts(_ScriptStep):
    """Several scripts, one for each attempt; the last one for all that follow."""

    attempts: list[list[Step]] = Field(min_length=1, max_length=1000)


Repeat.model_rebuild()
_LIST: Final = TypeAdapter(list[Step])


class Scripted:
    """Plays scripts. One object counts the attempts of all models that use it."""

    def __init__(self) -> None:
        self._attempts: Counter[str] = Counter()

    def request(self, model: Model, prompt: Prompt) -> LocalAnswer:
        """Return the script of this attempt as an answer."""
        raw = {**model.params, **prompt.params}.get("script")
        return LocalAnswer(partial(self._pieces, model, raw, prompt.prefix), raw is None)

    def reader(self, model: Model, prompt: Prompt, sink: Sink) -> LocalReader:
        """See `providers.Provider`."""
        return LocalReader(sink)

    def _pieces(self, model: Model, raw: Any, prefix: str) -> Iterator[tuple[float, bytes]]:
        """
        Raises:
            ProviderRefused: There is no script, or it is not one; the message says where.
        """
        if raw is None:
            raw = _read(model)
        wait_s = 0.0
        for step in _after(prefix, list(_flat(self._choose(model.name, raw)))):
            if isinstance(step, Pause):
                wait_s += step.pause_s
            else:
                yield wait_s, _line(step).encode()
                wait_s = 0.0
        if wait_s:
            yield wait_s, b""

    def _choose(self, name: str, raw: Any) -> list[Step]:
        try:
            if not isinstance(raw, dict):
                return _LIST.validate_python(raw)
            several = Attempts.model_validate(raw).attempts
        except ValidationError as error:
            raise _bad(_why(error)) from None
        number = self._attempts[name]
        self._attempts[name] += 1
        return several[min(number, len(several) - 1)]


def _read(model: Model) -> Any:
    """Return the JSON in the file that the model is called after upstream."""
    path = Path(model.upstream_name)
    try:
        # `is_file` first: reading a pipe or a device might never end.
        if not model.upstream_name or not path.is_file():
            raise _bad(
                f"model {model.name!r} has none: give the path of a JSON file as its upstream "
                "name, or the list of steps as the parameter `script`"
            )
        if (size := path.stat().st_size) > MAX_SCRIPT_BYTES:
            raise _bad(f"{path.name} has {size} bytes, the limit is {MAX_SCRIPT_BYTES}")
        return msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(f"{path.name} is not JSON: {error}") from None
    except (OSError, ValueError) as error:
        raise _bad(f"{path.name} cannot be read: {error}") from None


def _flat(steps: Sequence[Step]) -> Iterator[Step]:
    """
    Count out the repeats and stop where the script fails.

    Raises:
        ProviderRefused: A limit is passed, or output follows the finish.
    """
    chars = 0
    finished = False
    for number, step in enumerate(_counted_out(steps), start=1):
        if number > MAX_STEPS:
            raise _bad(f"it has more than {MAX_STEPS} steps, repeats counted out (MAX_STEPS)")
        if finished and not isinstance(step, Count | Pause):
            raise _bad(f"step {number} follows the finish; only usage and pauses may")
        chars += len(_said(step))
        if chars > MAX_CHARS:
            raise _bad(f"it says more than {MAX_CHARS} characters (MAX_CHARS)")
        finished = finished or isinstance(step, End)
        yield step
        if isinstance(step, Fail):
            return


def _counted_out(steps: Sequence[Step]) -> Iterator[Step]:
    for step in steps:
        if isinstance(step, Repeat):
            for _ in range(step.repeat):
                yield from _counted_out(step.steps)
        else:
            yield step


def _after(prefix: str, steps: list[Step]) -> Iterator[Step]:
    """Leave out what comes before the end of `prefix`, if the script's text begins with it."""
    text = "".join(step.text for step in steps if isinstance(step, Say))
    left = len(prefix) if text.startswith(prefix) else 0
    for step in steps:
        if not left:
            yield step
        elif isinstance(step, Say):
            if rest := step.text[left:]:
                yield Say(text=rest)
            left = max(0, left - len(step.text))


def _said(step: Step) -> str:
    match step:
        case Say():
            return step.text
        case Think():
            return step.reasoning
        case ScriptedCall():
            return step.tool.arguments
        case _:
            return ""


def _line(step: Step) -> LocalLine:  # noqa: PLR0911 - one for each kind
    match step:
        case Say():
            return LocalLine(text=step.text)
        case Think():
            return LocalLine(reasoning=step.reasoning)
        case ScriptedCall(tool=it):
            return LocalLine(tool=ToolFragment(it.index, it.id, it.name, it.arguments))
        case Count(usage=it):
            usage = Usage(it.prompt_tokens, it.completion_tokens, measured=it.measured)
            return LocalLine(usage=usage)
        case Skip():
            return LocalLine(skipped=step.skipped)
        case End():
            return LocalLine(finish=step.finish)
        case Fail():
            error = (step.message, step.code, step.status, step.retry_after_s)
            return LocalLine(failure=Failure(step.fail, *error))
        case _:
            raise AssertionError(step)


def _bad(why: str) -> ProviderRefused:
    return ProviderRefused(f"the script cannot be played: {why}", code="bad_script")


def _why(error: ValidationError) -> str:
    """Say the first mistake and its place, never what the file holds: it may be any file."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # The last few parts find it; a deep script would name every floor above.
    place = ".".join(str(part) for part in first["loc"][-6:]) or "the whole"
    return f"at {place}: {first['msg']}"


plug = Scripted()
