"""The checker of invariants finds every kind of fault, and none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from hashlib import sha256
from typing import Any

import pytest

from support.harness.checker import CHECKS, History, Seen, check, frames_of

TEXT = "今天推荐"


def event(kind: str, **data: Any) -> dict[str, Any]:
    return {"seq": 0, "type": kind, "at_ms": 1, "data": data}


def whole() -> tuple[History, list[dict[str, Any]]]:
    """A run as it should be, with a death in the middle, and two who watched it."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    digest = sha256(TEXT.encode()).hexdigest()
    asked = {"sku": "1", "count": 1}
    log = [
        event("run.started", flow="copywriting", input=asked, dialect="copywriting"),
        event("step.started", step="post-1"),
        event("attempt.started", step="post-1", number=1, model="m", strategy="first"),
        event("text.delta", step="post-1", text="今天"),
        event("run.recovered", epoch=2, reason="died"),
        event("attempt.failed", step="post-1", number=1, code="interrupted", usage=None),
        event("attempt.started", step="post-1", number=2, model="m", strategy="prefill"),
        event("text.delta", step="post-1", text="推荐"),
        event("attempt.finished", step="post-1", number=2, finish_reason="stop", usage=usage),
        event(
            "step.finished", step="post-1", model="m", finish_reason="stop", chars=4, sha256=digest
        ),
        event("result.set", value={"posts": [TEXT]}),
        event("run.completed"),
    ]
    for seq, each in enumerate(log, start=1):
        each["seq"] = seq
    viewers = [Seen(name, name, frames_of(log, name)) for name in ("native", "copywriting")]
    run = {"text": TEXT, "result": {"posts": [TEXT]}, "usage": usage, "status": "completed"}
    told = ["running", "running", "completed"]
    history = History(
        viewers, run, told, [deepcopy(log[:4])], {"post-1": TEXT}, requests=2, kills=1
    )
    return history, log


def test_a_run_as_it_should_be_has_nothing_wrong() -> None:
    assert check(*whole()) == []


Breaking = Callable[[History, list[dict[str, Any]]], object]

BROKEN: dict[str, tuple[str, Breaking]] = {
    "a gap": ("I1", lambda _, log: log.pop(3)),
    "a log that was changed": ("I1", lambda h, _: h.earlier[0][3].update(at_ms=2)),
    "a frame lost": ("I2", lambda h, _: h.viewers[0].frames.pop(3)),
    "a frame doubled": ("I2", lambda h, _: h.viewers[0].frames.insert(3, h.viewers[0].frames[3])),
    "frames in another order": ("I2", lambda h, _: h.viewers[0].frames.reverse()),
    "the last frame lost": ("I2", lambda h, _: h.viewers[1].frames.pop()),
    "an end that is none": ("I2", lambda h, log: (end_told(h), log.pop())),
    "ids that stand still": ("I2", lambda h, _: set_id(h, 5, "5")),
    "another text in the JSON": ("I3", lambda h, _: h.run.update(text="今天")),
    "another result": ("I3", lambda h, _: h.run.update(result={"posts": ["今天"]})),
    "a step finished as another text": ("I3", lambda _, log: log[9]["data"].update(chars=3)),
    "a text that was not to be": ("I3", lambda h, _: h.expected.update({"post-1": "明天"})),
    "a post that its tokens do not say": ("I3", lambda h, _: say(h, "今天", "明天")),
    "two endings": ("I4", lambda _, log: log.append({**event("run.failed"), "seq": 13})),
    "no ending": ("I4", lambda _, log: log.pop()),
    "a phantom": ("I5", lambda h, _: h.viewers[0].frames.append(("13", "{}"))),
    "whole without an end": ("I6", lambda _, log: log[9]["data"].update(finish_reason="")),
    "whole with an open step": (
        "I6",
        lambda _, log: log.insert(1, event("step.started", step="post-2")),
    ),
    "a run that came back": ("I7", lambda h, _: h.statuses.append("running")),
    "an epoch that fell": ("I7", lambda _, log: log.insert(5, event("run.recovered", epoch=1))),
    "a request nobody wrote down": ("I8", lambda h, _: setattr(h, "requests", 4)),
    "an attempt left open": ("I8", lambda _, log: log.pop(5)),
    "an attempt closed twice": ("I8", lambda _, log: log.insert(6, deepcopy(log[5]))),
    "usage that does not add up": (
        "I9",
        lambda h, _: h.run.update(usage={"prompt_tokens": 2, "completion_tokens": 2}),
    ),
    "usage from nowhere": ("I9", lambda _, log: log[8]["data"].update(usage=None)),
    "an answer that nobody called for": ("I11", lambda _, log: answer_in(log)),
    "a call that is answered twice": ("I11", lambda _, log: (call_in(log), answer_in(log, 2))),
    "something left over": ("I10", lambda h, _: setattr(h, "left_over", {"tasks": 1})),
}


def call_in(log: list[dict[str, Any]]) -> None:
    log.insert(2, event("tool.called", step="post-1", index=0))


def answer_in(log: list[dict[str, Any]], times: int = 1) -> None:
    for _ in range(times):
        log.insert(3, event("tool.answered", step="post-1", index=0))


def end_told(history: History) -> None:
    history.viewers[0].was_told_the_end = True
    history.is_over = False


def set_id(history: History, at: int, id_: str) -> None:
    frames = history.viewers[0].frames
    frames[at] = (id_, frames[at][1])


def say(history: History, this: str, that: str) -> None:
    frames = history.viewers[1].frames
    frames[:] = [(i, data.replace(f'"{this}"', f'"{that}"')) for i, data in frames]


@pytest.mark.parametrize("name", BROKEN)
def test_the_checker_finds(name: str) -> None:
    invariant, breaking = BROKEN[name]
    history, log = whole()
    breaking(history, log)
    found = check(history, log)
    assert any(sentence.startswith(f"{invariant} ") for sentence in found), found


def test_every_invariant_has_a_history_that_breaks_it() -> None:
    assert {name.split()[0] for name in CHECKS} == {invariant for invariant, _ in BROKEN.values()}
