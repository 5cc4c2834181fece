"""
Plug point: what a model may call that is Python.

To add one: a module here with `plug`, a function, or a coroutine function, that takes its
arguments by keyword and returns text or anything that is JSON. A package of its own offers it
through the entry point group `unspool.tools`. Its name is then the `entry_point` of a tool
(`POST /api/tools`), whose JSON Schema has been held against the arguments before it is called.

It may be called again for the same call after a crash, and is given up when the tool's limit
of time is over: a function that is no coroutine runs in a thread, which cannot be stopped and
whose answer then comes too late. What it raises is told to the model as the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import plugs


def open_tool(name: str) -> Callable[..., Any]:
    """
    `calculate` is `unspool.tools.calculate`.

    Raises:
        UnknownPlug
    """
    tool: Callable[..., Any] = plugs.load("tools", name)
    return tool
