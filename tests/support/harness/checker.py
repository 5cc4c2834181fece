"""
What must be true of a run after anything that may have happened to it.

`check` is pure: from what people saw (`History`) and what the journal has (the log) it says
what is wrong, one sentence each, nothing where all is well. Every harness asks it.

To add an invariant: a function from both to sentences, and its place in `CHECKS`; and a broken
history in `test_checker.py` that it finds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import Any

from unspool import Event
from unspool.dialects import encoder_for, open_dialect
from unspool.runs.events import TERMINAL

Log = Sequence[Mapping[str, Any]]
"""Events as the native dialect has them: `seq`, `type`, `at_ms`, `data`."""

ORDER = {"queued": 0, "running": 1, "completed": 2, "failed": 2, "cancelled": 2, "incomplete": 2}


@dataclass
class Seen:
    """What one viewer got, over all its connections."""

    name: str
    dialect: str = "native"
    frames: list[tuple[str, str]] = field(default_factory=list)
    """Id and data of each, in the order of their coming."""
    connections: list[int] = field(default_factory=list)
    """How many frames each connection gave."""
    was_told_the_end: bool = False
    """A connection ended cleanly, or there was nothing left."""


@dataclass
class History:
    """All that is known of one run from outside of the journal."""

    viewers: list[Seen] = field(default_factory=list)
    run: Mapping[str, Any] = field(default_factory=dict)
    """The last JSON of the run."""
    statuses: list[str] = field(default_factory=list)
    """Its status whenever somebody asked."""
    earlier: list[Log] = field(default_factory=list)
    """Its log whenever somebody read it."""
    expected: Mapping[str, str] = field(default_factory=dict)
    """What the steps say that nothing interrupts."""
    requests: int | None = None
    """Requests that came to the provider."""
    kills: int = 0
    """Servers that died; each may have asked and not have written it down, or the contrary."""
    left_over: Mapping[str, int] = field(default_factory=dict)
    """What there is at rest of things that should be gone."""
    is_over: bool = True
    """Whether everything that could happen has happened: the run must have ended."""


def check(history: History, log: Log) -> list[str]:
    """Return what is wrong; nothing where all invariants hold."""
    return [
        f"{name}: {wrong}"
        for name, invariant in CHECKS.items()
        for wrong in invariant(history, log)
    ]


def text_of(log: Log, step: str | None = None) -> str:
    """The text of a step, or of all as they began; what was taken back is left out."""
    parts: dict[str, list[str]] = {}
    for event in log:
        if event["type"] == "step.started":
            parts.setdefault(event["data"]["step"], [])
        elif event["type"] == "text.delta":
            parts.setdefault(event["data"]["step"], []).append(event["data"]["text"])
        elif event["type"] == "step.rewound":
            said = "".join(parts.get(event["data"]["step"], []))
            parts[event["data"]["step"]] = [said[: event["data"].get("at", 0)]]
    return "".join("".join(said) for name, said in parts.items() if step in {None, name})


def frames_of(log: Log, dialect: str) -> list[tuple[str, str]]:
    """The frames that a viewer who misses nothing gets; their ids by the rule of PROTOCOL.md."""
    encoder, plug, frames = encoder_for(dialect), open_dialect(dialect), []
    for event in log:
        seq = event["seq"]
        known = Event(seq, event["type"], event["at_ms"], event["data"])
        datas = [data.decode() for data in encoder.encode(known)]
        ids = [f"{seq}.{k}" for k in range(1, len(datas))] + [str(seq)]
        frames += list(zip(ids, datas, strict=False))
    if plug.trailer and log and log[-1]["type"] in TERMINAL:
        frames.append(("", plug.trailer.decode()))
    return frames


def _gapless(history: History, log: Log) -> Iterator[str]:
    numbers = [event["seq"] for event in log]
    if numbers != list(range(1, len(log) + 1)):
        yield f"the numbers are {_short(numbers)}"
    for before in history.earlier:
        if list(before) != list(log[: len(before)]):
            yield f"the log was another one when it had {len(before)} events"


def _whole(history: History, log: Log) -> Iterator[str]:
    is_ended = bool(log) and log[-1]["type"] in TERMINAL
    for seen in history.viewers:
        # A trailer has no id of its own: it keeps that of the frame before.
        data = [data for _, data in seen.frames]
        frames = frames_of(log, seen.dialect)
        due = [data for _, data in frames]
        # Who is cut off before the trailer has all that there is, and is told so by a 204.
        needed = sum(bool(id_) for id_, _ in frames)
        if data != due[: len(data)]:
            at = next(
                (n for n, (a, b) in enumerate(zip(data, due, strict=False)) if a != b), len(due)
            )
            yield f"{seen.name} has another frame {at + 1}: {_short(data[at : at + 2])}"
        elif is_ended and history.is_over and len(data) < needed:
            yield f"{seen.name} has {len(data)} of {len(due)} frames"
        if seen.was_told_the_end and not is_ended:
            yield f"{seen.name} was told of an end that there is not"
        ids = [id_ for id_, _ in seen.frames]
        if any(_place(a) >= _place(b) for a, b in pairwise(ids) if a != b) or len(set(ids)) < (
            len(ids) - bool(open_dialect(seen.dialect).trailer)
        ):
            yield f"{seen.name} has ids that do not rise"


def _one_text(history: History, log: Log) -> Iterator[str]:
    for event in log:
        if event["type"] == "step.finished":
            step, data = event["data"]["step"], event["data"]
            text = text_of([e for e in log if e["seq"] < event["seq"]], step)
            if data["sha256"] != sha256(text.encode()).hexdigest() or data["chars"] != len(text):
                yield f"{step} was finished as another text than was said"
    yield from _json_agrees(history.run, log)
    for seen in history.viewers:
        if seen.dialect == "copywriting":
            yield from _posts_agree(seen, log)
    completed = bool(log) and log[-1]["type"] == "run.completed"
    for step, text in history.expected.items():
        said = text_of(log, step)
        if said != text and (completed or not text.startswith(said)):
            yield f"{step} says {_short(said)}, uninterrupted it is {_short(text)}"


def _json_agrees(run: Mapping[str, Any], log: Log) -> Iterator[str]:
    if not run:
        return
    if run["text"] != text_of(log):
        yield "the run's JSON has another text than the log"
    result = run.get("result")
    if isinstance(result, Mapping) and "posts" in result:
        # Steps may go on at the same time: what counts is in which order they began.
        begun = [e["data"]["step"] for e in log if e["type"] == "step.started"]
        steps = list(dict.fromkeys(begun))
        if result["posts"] != [text_of(log, step) for step in steps]:
            yield "the result is not what the steps say"


def _posts_agree(seen: Seen, log: Log) -> Iterator[str]:
    tokens: dict[int, str] = {}
    for frame in (json.loads(data) for _, data in seen.frames):
        match frame["type"]:
            case "token":
                said = tokens.get(frame["index"], "")
                if frame["position"] != len(said):
                    yield f"{seen.name}: a token of post {frame['index']} is out of place"
                tokens[frame["index"]] = said + frame["content"]
            case "post_end":
                if tokens.get(frame["index"], "") != frame["content"]:
                    yield f"{seen.name}: post {frame['index']} is not what its tokens say"
            case "complete":
                if frame["posts"] != list(tokens.values()):
                    yield f"{seen.name}: the posts at the end are not those that were shown"
    shown = "".join(tokens.values())
    if not text_of(log).startswith(shown):
        yield f"{seen.name} was shown what the log does not say"


def _one_ending(history: History, log: Log) -> Iterator[str]:
    endings = [event["seq"] for event in log if event["type"] in TERMINAL]
    if len(endings) > 1:
        yield f"there are {len(endings)} endings"
    if endings and endings[0] != len(log):
        yield f"something comes after the ending {endings[0]}"
    if history.is_over and not endings:
        yield "there is no ending"


def _nothing_unwritten(history: History, log: Log) -> Iterator[str]:
    last = log[-1]["seq"] if log else 0
    for seen in history.viewers:
        ahead = [id_ for id_, _ in seen.frames if id_ and _place(id_)[0] > last]
        if ahead:
            yield f"{seen.name} has seen event {ahead[0]}, the log has {last}"


def _positive_end(history: History, log: Log) -> Iterator[str]:
    if not log or log[-1]["type"] != "run.completed":
        return
    ended = {e["data"]["step"] for e in log if e["type"] == "attempt.finished"}
    for event in log:
        if event["type"] == "step.finished":
            data = event["data"]
            is_known_text = (data["model"] or "").endswith("template")
            if not data["finish_reason"] or (data["step"] not in ended and not is_known_text):
                yield f"{data['step']} is finished without a word of its model that it is"
    begun = {e["data"]["step"] for e in log if e["type"] == "step.started"}
    done = {e["data"]["step"] for e in log if e["type"] == "step.finished"}
    # A step that only holds half a call stays open: `-again-N` makes the call anew.
    again = {name.partition("-again-")[0] for name in begun if "-again-" in name}
    left = {name for name in begun - done if name.partition("-again-")[0] not in again}
    if left:
        yield f"completed with {', '.join(sorted(left))} open"


def _states(history: History, log: Log) -> Iterator[str]:
    for before, after in pairwise(history.statuses):
        if ORDER[after] < ORDER[before] or (ORDER[before] == 2 and after != before):
            yield f"it was {before} and then {after}"
    kinds = [event["type"] for event in log]
    if kinds[:1] != ["run.started"] or kinds.count("run.started") != 1:
        yield "it does not begin with its one run.started"
    epochs = [e["data"]["epoch"] for e in log if e["type"] == "run.recovered"]
    if epochs != sorted(set(epochs)):
        yield f"epochs do not rise: {epochs}"


def _attempts(history: History, log: Log) -> Iterator[str]:
    begun = [e["data"]["number"] for e in log if e["type"] == "attempt.started"]
    ends = {"attempt.finished", "attempt.failed"}
    closed = [e["data"]["number"] for e in log if e["type"] in ends]
    if begun != list(range(1, len(begun) + 1)):
        yield f"attempts are numbered {begun}"
    if len(set(closed)) < len(closed) or not set(closed) <= set(begun):
        yield f"attempts {begun} were closed as {closed}"
    # What nobody had seen gives way to the ending where the disk is full.
    error = history.run.get("error") if history.run else None
    if error and error["code"] == "journal_full":
        return
    if history.is_over and sorted(closed) != begun:
        yield f"attempts {sorted(set(begun) - set(closed))} were never closed"
    asked = history.requests
    # A cancel may come before the request has gone out.
    stopped = sum(e["data"].get("code") == "cancelled" for e in log if e["type"] in ends)
    # A server that dies has one request on its way for each step that goes on just then.
    lost = history.kills * _at_once(log)
    if asked is not None and abs(asked - len(begun)) > lost + stopped:
        yield f"{asked} requests, {len(begun)} attempts, {history.kills} servers died"


def _at_once(log: Log) -> int:
    """Return how many steps went on at the same time, at most; 1 where none did."""
    going_on: set[str] = set()
    most = 1
    for event in log:
        if event["type"] == "step.started":
            going_on.add(event["data"]["step"])
        elif event["type"] == "step.finished":
            going_on.discard(event["data"]["step"])
        most = max(most, len(going_on))
    return most


def _usage(history: History, log: Log) -> Iterator[str]:
    if not history.run:
        return
    ends = {"attempt.finished", "attempt.failed"}
    reports = [e["data"]["usage"] for e in log if e["type"] in ends and e["data"].get("usage")]
    told = history.run.get("usage") or {}
    if bool(told) != bool(reports):
        yield "usage is told where none was reported, or the contrary"
        return
    for name in ("prompt_tokens", "completion_tokens"):
        counts = [report[name] for report in reports]
        total = None if None in counts else sum(counts)
        if reports and told[name] != total:
            yield f"{name} are {total}, told as {told[name]}"


def _at_rest(history: History, log: Log) -> Iterator[str]:
    for thing, count in history.left_over.items():
        if count:
            yield f"{count} {thing} left over"


def _answered_once(history: History, log: Log) -> Iterator[str]:
    called: set[tuple[str, int]] = set()
    answered: set[tuple[str, int]] = set()
    for event in log:
        call = event["data"].get("step", ""), event["data"].get("index", 0)
        if event["type"] == "tool.called":
            called.add(call)
        elif event["type"] == "tool.answered":
            if call not in called or call in answered:
                yield f"call {call} was not made, or was answered before"
            answered.add(call)


CHECKS: dict[str, Callable[[History, Log], Iterator[str]]] = {
    "I1 the log has no gap and only grows": _gapless,
    "I2 nothing lost, doubled or out of order": _whole,
    "I3 one text, wherever it is told": _one_text,
    "I4 one ending, the last event": _one_ending,
    "I5 nobody saw what is not written": _nothing_unwritten,
    "I6 whole only by a positive end": _positive_end,
    "I7 states go one way": _states,
    "I8 requests are attempts": _attempts,
    "I9 usage is the sum": _usage,
    "I10 nothing is left over": _at_rest,
    "I11 a call is answered once": _answered_once,
}


def _place(id_: str) -> tuple[int, float]:
    """Where a frame stands; the last of an event after those before it."""
    seq, dot, frame = id_.partition(".")
    return int(seq or 0), int(frame) if dot else float("inf")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:50]} … {text[-25:]}"
