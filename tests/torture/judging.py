"""
What became of an answer, from what its viewer saw. Pure.

An answer is right when it is whole, or when the client knows that it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

from .views import End

Verdict = Literal["whole", "said", "silent", "wrong", "hung"]
"""
`whole`: the whole answer, and the client takes it for complete. `said`: the client raises an
error, or is told that the answer is not whole. `silent`: a part of it, taken for complete.
`wrong`: another text, taken for complete. `hung`: nothing of that within the limit.
"""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

Result = Mapping[str, Any]
"""One answer: `name`, `verdict`, and what explains it."""


def verdict(end: End, text: str, *, is_right: Callable[[str], bool], answer: str | None) -> Verdict:
    """Judge one view; `answer` is the whole text, None where it is too long to be at hand."""
    if end == "open":
        return "hung"
    if end in ("said", "hung"):
        return "said" if end == "said" else "hung"
    if is_right(text):
        return "whole"
    return "silent" if answer is None or answer.startswith(text) else "wrong"


def counted(results: Iterable[Result]) -> dict[Verdict, int]:
    """Count the verdicts, those that nobody got included."""
    verdicts = [result["verdict"] for result in results]
    return {each: verdicts.count(each) for each in VERDICTS}
