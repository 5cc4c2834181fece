"""
Finds plugs by name.

A plug's name is its module's name: `anthropic` is `unspool/providers/anthropic.py`. There is no
list to maintain; adding the file registers it. In a plug folder each file is a plug, and each
folder holds code that plugs share.

An application (`unspool/apps/`) offers plugs of several kinds from one folder, and lists them in
its `App`. A package outside unspool offers a plug through the entry point group
`unspool.providers` (or another kind), and an application through `unspool.apps`. A program calls
`offer`, which lasts as long as the process.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Literal

from .errors import UnknownPlug

Kind = Literal[
    "journals", "providers", "flows", "dialects", "tools", "api", "observers", "commands"
]

FOLDERS: Final[Mapping[Kind, str]] = {
    "journals": "journals",
    "providers": "providers",
    "flows": "flows",
    "dialects": "dialects",
    "tools": "tools",
    "api": "server.api",
}
"""The folder of each kind. Only applications offer the kinds that are missing here."""


@dataclass(frozen=True, slots=True)
class App:
    """
    An application's table of contents: the name of each plug, and the module that has it.

    A module is named as in an import within the application (`.flow`). It has an object `plug`,
    and is imported at first use.

    Attributes:
        flows: What its runs do; see `unspool.flows`.
        dialects: How its clients speak; see `unspool.dialects`.
        api: What can be managed over HTTP; see `unspool.server.api`.
        tools: What its models may call; see `unspool.tools`.
        observers: Functions that take the journal and return an `unspool.core.Observer`.
        commands: Functions for typer, each a command of `unspool` under its name.
    """

    flows: Mapping[str, str] = field(default_factory=dict)
    dialects: Mapping[str, str] = field(default_factory=dict)
    api: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    observers: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)

    def modules(self, kind: Kind) -> Mapping[str, str]:
        """Return the modules of a kind's plugs by name; empty for kinds an `App` cannot have."""
        modules: Mapping[str, str] = getattr(self, kind, {})
        return modules


_offered: dict[tuple[Kind, str], Any] = {}


def offer(kind: Kind, name: str, plug: Any) -> None:
    """Register `plug` under a name for this process; it wins over any other of that name."""
    _offered[kind, name] = plug
    forget()


def withdraw(kind: Kind, name: str) -> None:
    """Forget the plug offered under a name."""
    _offered.pop((kind, name), None)
    forget()


def forget() -> None:
    """Clear the caches, so that the next call looks at folders and entry points again."""
    for cached in (_installed, _points, apps, names, load):
        cached.cache_clear()


_installed = cache(entry_points)
"""Reads the files of every package that is installed: some milliseconds."""


@cache
def _points(group: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of a group by name; of two with one name, the first."""
    found = [*_installed().select(group=f"unspool.{group}")]
    return {point.name: point for point in reversed(found)}


@cache
def apps() -> dict[str, tuple[App, str]]:
    """Return the applications of unspool and of other packages by name, each with its package."""
    folder = importlib.import_module(f"{__package__}.apps")
    packages = {
        module.name: f"{folder.__name__}.{module.name}"
        for module in pkgutil.iter_modules(folder.__path__)
        if module.ispkg
    }
    ours = {
        name: (importlib.import_module(package).app, package)
        for name, package in sorted(packages.items())
    }
    theirs = {name: (point.load(), point.module) for name, point in _points("apps").items()}
    return {**ours, **theirs}


@cache
def names(kind: Kind) -> list[str]:
    """Return the names of all plugs of a kind, ours and other packages', sorted."""
    offered = {name for offered_kind, name in _offered if offered_kind == kind}
    of_apps = {name for app, _ in apps().values() for name in app.modules(kind)}
    return sorted({*offered, *_points(kind), *of_apps, *_files(kind)})


@cache
def load(kind: Kind, name: str) -> Any:
    """
    Return the `plug` object of this kind and name.

    Raises:
        UnknownPlug: There is none; the message lists the known names.
    """
    if (kind, name) in _offered:
        return _offered[kind, name]
    if point := _points(kind).get(name):
        return point.load()
    for app, package in apps().values():
        if module := app.modules(kind).get(name):
            return importlib.import_module(module, package).plug
    if name not in _files(kind):
        raise UnknownPlug(kind.removesuffix("s"), name, names(kind))
    return importlib.import_module(f"{__package__}.{FOLDERS[kind]}.{name}").plug


def is_own(kind: Kind, name: str) -> bool:
    """Return whether the plug of this name is somebody's own: it does not come with unspool."""
    if (kind, name) in _offered or name in _points(kind):
        return True
    ours = f"{__package__}."
    in_apps = any(
        name in app.modules(kind) for app, package in apps().values() if package.startswith(ours)
    )
    return not in_apps and name not in _files(kind)


def _files(kind: Kind) -> Iterator[str]:
    if kind in FOLDERS:
        folder = importlib.import_module(f"{__package__}.{FOLDERS[kind]}")
        yield from (m.name for m in pkgutil.iter_modules(folder.__path__) if not m.ispkg)
