"""What became of a broken answer, as far as a program can tell."""

from __future__ import annotations

import re
from typing import Any, Final

FAULTS: Final = ("leak", "anew", "doubled", "chatty", "stopped")
"""Verdicts that no completed run may have."""

_CHATTY: Final = re.compile(
    r"\s*(sure|of course|certainly|here('s| is)|i'd be happy|当然|好的|以下是|抱歉)", re.IGNORECASE
)

LEAK_CHARS: Final = 14
"""Characters of our instruction in a text that are no accident."""

STOPPED_CHARS: Final = 8
"""A continuation of so few characters, where the whole answer has `MISSING` more, says nothing."""

MISSING: Final = 60

END_CHARS: Final = 10
"""Of the last words, said twice."""


def verdict_of(
    run: dict[str, Any], passed: str, whole: str, asked: list[list[dict[str, Any]]]
) -> str:
    """
    Return `honest` (not completed), `exact` (equal to the unbroken answer), `plain`, or a fault.

    `passed` came before the break, `whole` is the unbroken answer, `asked` are all requests.
    """
    text = run["text"]
    if run["status"] != "completed":
        return "honest"
    if text.startswith(whole) or (len(text) > len(passed) + 40 and whole.startswith(text)):
        return "exact"  # both end at the limit of tokens
    common = _common(text, passed)  # the last chunk may not have arrived
    goes_on = bool(passed) and common >= len(passed) / 2
    rest, passed = (text[common:], text[:common]) if goes_on else (text, "")
    if _leaks(rest, passed, whole, asked):
        return "leak"
    if not goes_on:
        return "plain"
    return _of_joint(rest, passed, whole, [a["strategy"] for a in run["attempts"]])


def _of_joint(rest: str, passed: str, whole: str, strategies: list[str]) -> str:
    end = passed[-END_CHARS:]
    is_short = len(rest.strip()) <= STOPPED_CHARS and len(whole) - len(passed) > MISSING
    checks = {
        "chatty": bool(_CHATTY.match(rest)),
        "stopped": is_short and "restart" not in strategies,
        "anew": whole[:16] in rest[:200],
        "doubled": len(end) == END_CHARS and end in rest[:40] and whole.count(end) < 2,
    }
    return next((name for name, is_so in checks.items() if is_so), "plain")


def _common(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _leaks(rest: str, passed: str, whole: str, asked: list[list[dict[str, Any]]]) -> bool:
    question = asked[0][-1]["content"]
    told = " ".join(
        m["content"]
        for messages in asked[1:]
        for m in messages
        if m["role"] in {"user", "system"} and m["content"] != question
    )
    for known in (passed, passed[-30:]):
        told = told.replace(known or " ", " ")
    parts = (rest[at : at + LEAK_CHARS] for at in range(max(0, len(rest) - LEAK_CHARS + 1)))
    return any(part.strip() and part in told and part not in whole for part in parts)
