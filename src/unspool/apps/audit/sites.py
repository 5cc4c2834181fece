"""A call in somebody's code, as both readers report it, and the verdict on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .reasons import Reason, words_of

Told = Literal["yes", "no", "absent", "unknown", "parameter"]
"""What a call says of streaming; `parameter`: whatever its function was called with (`stream`)."""

Verdict = Literal["streaming", "not_streaming", "cannot_tell", "not_awaited"]
"""`not_awaited`: it would fail, because a coroutine is iterated."""


@dataclass(slots=True)
class Site:
    """
    Attributes:
        callee: The names of the callee: `client.chat.completions.create` has four. `?` stands for
            anything but a name.
        made_by: The callee that made the first name's object, if we can follow it.
        url: The first argument that looks like an address or a path.
        function: The function around the call, and the functions around that, innermost first.
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
    """Default of the parameter `stream` of the function around it; `absent`: there is none."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Names imported from a module, with their names there: `from x import y as z`."""
    body: frozenset[str] = frozenset()
    """The keys of the object that the call sends, if we can follow it."""
    in_coroutine: bool = False
    """The function around it is a coroutine: `async def` without `yield`."""
    is_iterated: bool = False
    """`async for` goes over its result, and nothing awaits it before."""


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """A call of a model."""

    file: str
    line: int
    column: int
    """From 1."""
    api: str
    """The callee, as the code writes it."""
    verdict: Verdict
    reason: Reason
    through: str = ""
    """The function that passes the call on to a model; empty: the call asks one itself."""

    @property
    def why(self) -> str:
        return words_of(self.reason, self.through)


@dataclass(frozen=True, slots=True)
class Unread:
    file: str
    why: str
