"""Runs several coroutines at once, to the end of all or the first error."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """
    Run all at once and return their results, in their order.

    They start in that order too, so their first steps appear in the log in a fixed order. The
    first one to fail stops the others; its error is raised bare, not in a group.
    """
    try:
        async with asyncio.TaskGroup() as group:
            started = [group.create_task(work) for work in works]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [one.result() for one in started]
