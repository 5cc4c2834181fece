"""
Plug point: Python functions that a model may call.

To add one: write a module here with `plug`, a function or a coroutine function that takes its
arguments by keyword and returns text or JSON. A package of your own offers one through the entry
point group `unspool.tools`. Its name is then the `entry_point` of a tool (`POST /api/tools`); the
server checks the arguments against that tool's JSON Schema before it calls the function.

After a crash the server may repeat a call. It gives a call up at the tool's time limit: a plain
function runs in a thread, which cannot be stopped, so its late answer is dropped. The model gets
an exception's text as the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import plugs


def open_tool(name: str) -> Callable[..., Any]:
    """
    Return a tool by its name: `calculate` is `unspool.tools.calculate`.

    Raises:
        UnknownPlug: There is no such tool.
    """
    tool: Callable[..., Any] = plugs.load("tools", name)
    return tool
