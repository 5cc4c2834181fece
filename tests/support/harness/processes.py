"""
Servers of one world as if each had a process of its own, which dies with all that it does.

Every task knows the process that it belongs to: that of the task which has started it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

Result = TypeVar("Result")


class Process:
    """
    Attributes:
        tasks: All that it does at the moment.
        connections: To the database.
    """

    def __init__(self) -> None:
        self.is_dead = False
        self.tasks: set[asyncio.Task[Any]] = set()
        self.connections: list[Any] = []
        self._context = copy_context()
        self._context.run(_process.set, self)

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Begin some work as this process."""
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())

    def die(self) -> None:
        """Do nothing more, and send no byte more to the database."""
        self.is_dead = True
        for connection in self.connections:
            connection.terminate()
        for task in self.tasks:
            task.cancel()


_process: ContextVar[Process | None] = ContextVar("process", default=None)


def running_process() -> Process | None:
    """Return the process to which the running task belongs."""
    return _process.get()


def note_processes(loop: asyncio.AbstractEventLoop) -> None:
    """Let processes know their tasks."""
    loop.set_task_factory(_new_task)


def _new_task(loop: Any, work: Any, **options: Any) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, **options)
    context = options.get("context")
    process = context.get(_process) if context is not None else _process.get()
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
        if process.is_dead:
            task.cancel()
    return task
