"""
Finding plugs by name.

A plug's name is its module's name: `anthropic` is `unspool/providers/anthropic.py`.
There is no list to keep; adding the file is the registration. A module whose name
starts with an underscore is a room of the house, not a plug. A package outside
unspool offers the same thing through the entry point group `unspool.providers`. A program
offers one by `offer`, for as long as the process lives.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal

from .errors import UnknownPlug

Kind = Literal["journals", "providers", "flows", "dialects", "tools", "api"]


_offered: dict[tuple[Kind, str], Any] = {}


def offer(kind: Kind, name: str, plug: Any) -> None:
    """Let `plug` be known under a name from now on; it goes before any other of that name."""
    _offered[kind, name] = plug
    names.cache_clear()
    load.cache_clear()


def withdraw(kind: Kind, name: str) -> None:
    """Forget what was offered under a name."""
    _offered.pop((kind, name), None)
    names.cache_clear()
    load.cache_clear()


@cache
def names(kind: Kind) -> list[str]:
    """Return the names of all plugs of a kind, ours and other packages', sorted."""
    package = importlib.import_module(f"{__package__}.{kind}")
    ours = {m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")}
    theirs = {point.name for point in entry_points(group=f"unspool.{kind}")}
    here = {name for offered, name in _offered if offered == kind}
    return sorted(ours | theirs | here)


@cache
def load(kind: Kind, name: str) -> Any:
    """
    Return the `plug` object of the module called `name`.

    Raises:
        UnknownPlug: There is none; the message lists those there are.
    """
    if (kind, name) in _offered:
        return _offered[kind, name]
    for point in entry_points(group=f"unspool.{kind}", name=name):
        return point.load()
    known = names(kind)
    if name not in known:
        raise UnknownPlug(kind.removesuffix("s"), name, known)
    return importlib.import_module(f"{__package__}.{kind}.{name}").plug
