"""
Finding plugs by name.

A plug's name is its module's name: `anthropic` is `unspool/providers/anthropic.py`. There is
no list to keep; adding the file is the registration. In a plug folder a file is a plug, and a
folder beside it holds what plugs share.

An application (`unspool/apps/`) offers plugs of several kinds from one folder, and names them
in its `App`. A package outside unspool offers a plug through the entry point group
`unspool.providers` (or another kind), an application through `unspool.apps`. A program offers
one by `offer`, for as long as the process lives.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
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
"""Where the files of each kind are. Kinds that are missing come from applications alone."""


@dataclass(frozen=True, slots=True)
class App:
    """
    An application's table of contents: the name of each plug, and the module that has it.

    A module is named as in an import within the application (`.flow`); it has an object `plug`
    and is imported when somebody first asks for it.

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
        """Return the modules of the plugs of a kind by name; an application has no journals."""
        found: Mapping[str, str] = getattr(self, kind, {})
        return found


_offered: dict[tuple[Kind, str], Any] = {}


def offer(kind: Kind, name: str, plug: Any) -> None:
    """Let `plug` be known under a name from now on; it goes before any other of that name."""
    _offered[kind, name] = plug
    forget()


def withdraw(kind: Kind, name: str) -> None:
    """Forget the plug that was offered under a name."""
    _offered.pop((kind, name), None)
    forget()


def forget() -> None:
    """Look at folders and entry points again at the next question."""
    for remembered in (apps, names, load):
        remembered.cache_clear()


@cache
def apps() -> dict[str, tuple[App, str]]:
    """Return each application by name, ours and other packages', and the package it is in."""
    folder = importlib.import_module(f"{__package__}.apps")
    packages = {
        found.name: f"{folder.__name__}.{found.name}"
        for found in pkgutil.iter_modules(folder.__path__)
        if found.ispkg
    }
    ours = {
        name: (importlib.import_module(package).app, package)
        for name, package in sorted(packages.items())
    }
    theirs = {
        point.name: (point.load(), point.module) for point in entry_points(group="unspool.apps")
    }
    return {**ours, **theirs}


@cache
def names(kind: Kind) -> list[str]:
    """Return the names of all plugs of a kind, ours and other packages', sorted."""
    here = {name for offered, name in _offered if offered == kind}
    theirs = {point.name for point in entry_points(group=f"unspool.{kind}")}
    apart = {name for app, _ in apps().values() for name in app.modules(kind)}
    return sorted({*here, *theirs, *apart, *_files(kind)})


@cache
def load(kind: Kind, name: str) -> Any:
    """
    Return the `plug` object of a kind that has this name.

    Raises:
        UnknownPlug: There is none; the message lists those there are.
    """
    if (kind, name) in _offered:
        return _offered[kind, name]
    for point in entry_points(group=f"unspool.{kind}", name=name):
        return point.load()
    for app, package in apps().values():
        if module := app.modules(kind).get(name):
            return importlib.import_module(module, package).plug
    if name not in _files(kind):
        raise UnknownPlug(kind.removesuffix("s"), name, names(kind))
    return importlib.import_module(f"{__package__}.{FOLDERS[kind]}.{name}").plug


def _files(kind: Kind) -> Iterator[str]:
    if kind in FOLDERS:
        folder = importlib.import_module(f"{__package__}.{FOLDERS[kind]}")
        yield from (m.name for m in pkgutil.iter_modules(folder.__path__) if not m.ispkg)
