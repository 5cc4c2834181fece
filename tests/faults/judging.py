"""
What is wrong with a result, by what a fault expects.

The text must be what was sent, also on an error: that is what the answer goes on from. Reason
and usage count only where the answer is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

SLACK = 5
"""Of times: a machine may have other work; what waits for ever is found out all the same."""

Result = Mapping[str, Any]


def faults_of(result: Result, fault: Mapping[str, Any], *, by: str = "expected") -> list[str]:
    """Return what is wrong with `result`, by the right answer that it is nearest to."""
    expected = fault[by]
    others = expected.get("also_accept", ())
    plain = {name: value for name, value in expected.items() if name != "also_accept"}
    unexplained = {name: value for name, value in plain.items() if name != "error"}
    answers = [plain, *({**unexplained, **other} for other in others)]
    wrong = min((list(_differences(result, answer)) for answer in answers), key=len)
    return wrong + list(_broken_limits(result, expected)) + list(_leaks(result, fault))


def _differences(result: Result, expected: Mapping[str, Any]) -> Iterator[str]:
    if result["outcome"] != expected["outcome"]:
        yield f"outcome {result['outcome']}, not {expected['outcome']}"
    yield from _text(result, expected)
    if expected["outcome"] == "ok":
        yield from _end(result, expected)
    yield from _calls(result["tool_calls"], expected["tool_calls"])
    if result["warnings"] < expected.get("warnings_min", 0):
        yield "no warning"
    if expected.get("error") and result["error"]:
        yield from _error(result["error"], expected["error"])


def _text(result: Result, expected: Mapping[str, Any]) -> Iterator[str]:
    text = result["text"]
    if text.encode("utf-8", "replace").decode() != text:
        yield "text that cannot be encoded"
    elif "text_sha256" in expected:
        if hashlib.sha256(text.encode()).hexdigest() != expected["text_sha256"]:
            yield f"another text, of {len(text)} characters, not {expected['text_len']}"
    elif text != expected["text"]:
        yield f"text {text!r}, not {expected['text']!r}"
    if result["reasoning"] != expected.get("reasoning", result["reasoning"]):
        yield f"reasoning {result['reasoning']!r}, not {expected['reasoning']!r}"


def _end(result: Result, expected: Mapping[str, Any]) -> Iterator[str]:
    reasons = expected["finish_reason"]
    if result["finish_reason"] not in (reasons if isinstance(reasons, list) else [reasons]):
        yield f"reason {result['finish_reason']}, not {reasons}"
    if result["usage"] != expected["usage"]:
        yield f"usage {result['usage']}, not {expected['usage']}"


def _calls(calls: list[Result], expected: list[Mapping[str, Any]]) -> Iterator[str]:
    if len(calls) != len(expected):
        yield f"{len(calls)} tool calls, not {len(expected)}"
        return
    for call, right in zip(calls, expected, strict=True):
        if (call["name"], right["id"] or call["id"]) != (right["name"], call["id"]):
            yield f"the call {call['id']} of {call['name']}, not {right['id']} of {right['name']}"
        if "arguments_sha256" in right:
            written = json.dumps(call["arguments"], sort_keys=True, ensure_ascii=False)
            if hashlib.sha256(written.encode()).hexdigest() != right["arguments_sha256"]:
                yield "other arguments"
        elif call["arguments"] != right["arguments"]:
            yield f"arguments {call['arguments']}, not {right['arguments']}"
    ids = {call["id"] for call in calls}
    if len(ids) != len(calls) or None in ids:
        yield "calls that have one id"


def _error(error: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    for name in ("kind", "status"):
        if name in expected and error[name] != expected[name]:
            yield f"{name} {error[name]}, not {expected[name]}"
    if bounds := expected.get("retry_after_s"):
        least, most = bounds
        wait_s = error["retry_after_s"] or 0
        if not least <= wait_s <= most:
            yield f"to be asked again after {wait_s} s, not {least} to {most}"


def _broken_limits(result: Result, expected: Mapping[str, Any]) -> Iterator[str]:
    for limit, name, slack in (
        ("max_wait_s", "elapsed_s", SLACK),
        ("first_text_by_s", "first_text_s", SLACK),
        ("max_requests", "requests", 1),
    ):
        if limit in expected and (result[name] or 0) > expected[limit] * slack:
            yield f"{name} {result[name]:.2f}, more than {expected[limit]}"


def _leaks(result: Result, fault: Mapping[str, Any]) -> Iterator[str]:
    told = json.dumps(result, ensure_ascii=False, default=str)
    if any(secret in told for secret in fault.get("must_not_leak", ())):
        yield "a secret"
