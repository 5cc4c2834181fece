"""A call in somebody's code, as both readers tell it, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Told = Literal["yes", "no", "absent", "unknown", "parameter"]
"""What a call says of streaming; `parameter`: what its function was called with (`stream`)."""

Verdict = Literal["streaming", "not_streaming", "cannot_tell"]


@dataclass(slots=True)
class Site:
    """
    Attributes:
        callee: The names of what is called: `client.chat.completions.create` are four. What is
            no name is `?`.
        made_by: The callee of what the first name was made by, where that can be followed.
        url: The first text among the arguments that looks like an address or a path.
        function: The function that it stands in, and the one around that, innermost first.
    """

    file: str
    line: int
    column: int
    callee: tuple[str, ...]
    stream: Told = "absent"
    made_by: tuple[str, ...] = ()
    made_streaming: bool = False
    url: str = ""
    imports: frozenset[str] = frozenset()
    function: tuple[str, ...] = ()
    default: Told = "absent"
    """Of the parameter `stream` of the function it stands in; `absent`: there is none."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Names that were imported from a module, and their own names there: `from x import y as z`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A call of a model."""

    file: str
    line: int
    column: int
    """From 1."""
    api: str
    """What is called, as it stands there."""
    verdict: Verdict
    why: str


@dataclass(frozen=True, slots=True)
class Unread:
    file: str
    why: str
