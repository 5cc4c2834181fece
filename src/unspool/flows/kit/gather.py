"""Several pieces of work at once, all of them or the first error."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """
    Do all at once and return what came of each, in their order.

    They begin in their order too, so steps that each begins at once have one. The first that
    fails stops the others, and its error is raised as it is, not in a group.
    """
    try:
        async with asyncio.TaskGroup() as group:
            begun = [group.create_task(work) for work in works]
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
    return [each.result() for each in begun]
