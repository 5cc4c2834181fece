"""
What is done to each system, and what its viewers then have.

To add one: a coroutine that takes a `Play` and returns its results, its name in `SCENES`, and a
row in `table.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from .corpus import cases
from .judging import verdict
from .systems.program import Program
from .upstream import TortureModel, words
from .views import View

VIEWERS = 10
"""Repetitions of what depends on the moment."""

SEED = 20_261_128

AT_ONCE = 4
"""Faults that are played side by side: the machine shall not be what is slow."""

FAULT_S = 40.0
"""A viewer's patience with a fault: four tries of a silent model, and 20 s of single bytes."""

RETURN_S = 20.0
"""A viewer's patience with an answer that was cut, once the server is there again."""

SHORT, LONG, PAUSE_MS = 60, 280, 50
"""Words of an answer of three seconds, and of one of fourteen, longer than the grace."""

GRACE_S = 10.0
"""Between SIGTERM and SIGKILL; `docker stop` has it by default."""

STOP_S = 1.0
"""Within this a stopped answer must be closed at the model."""

BEGUN = 60
"""Characters after which an answer is in its middle: ten words."""

Results = list[dict[str, Any]]


@dataclass(slots=True)
class Play:
    """One system on the stage, and the model that it asks."""

    system: Program
    model: TortureModel
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))

    def views(self, scene: str, count: int = VIEWERS, length: int = SHORT) -> list[View]:
        plan = {"words": length, "pause_ms": PAUSE_MS}
        return [View({"name": f"{scene}-{length}-{n}", **plan}) for n in range(count)]

    async def ended(self, work: Awaitable[None], view: View, limit_s: float) -> None:
        """Await a client, but not for ever."""
        try:
            async with asyncio.timeout(limit_s):
                await work
        except TimeoutError:
            view.end = "hung"

    async def back(self, view: View) -> None:
        """Let a viewer whose answer broke come back, if its client can."""
        if view.end != "complete" and self.system.resumes:
            view.end, view.why = "open", ""
            await self.ended(self.system.join(view), view, RETURN_S)


def judged(view: View, **more: Any) -> dict[str, Any]:
    """Return the result of a plain answer."""
    answer = "".join(words(view.order["words"]))
    found = verdict(view.end, view.text, is_right=answer.__eq__, answer=answer)
    return {"name": view.name, "verdict": found, "chars": len(view.text), "why": view.why, **more}


async def faults(play: Play) -> Results:
    """Every fault once, met by the first request."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> dict[str, Any]:
        case, view = cases_by_name[name], View({"name": name, "fault": name})
        async with turn:
            began_s = time.monotonic()
            await play.ended(play.system.read(view), view, FAULT_S)
        found = verdict(view.end, view.text, is_right=case.is_right, answer=case.answer)
        seconds = round(time.monotonic() - began_s, 1)
        told = {"name": name, "verdict": found, "harmless": case.is_harmless, "seconds": seconds}
        return {**told, "text": view.text[:120], "why": view.why}

    cases_by_name = cases()
    return list(await asyncio.gather(*map(one, cases_by_name)))


async def breaks(play: Play) -> Results:
    """The viewer's connection breaks in the middle; it comes back, if it can."""

    async def one(view: View) -> dict[str, Any]:
        reading = asyncio.create_task(play.system.read(view))
        await view.until(play.chance.randint(BEGUN, 5 * BEGUN))
        await _cut(reading)
        await asyncio.sleep(play.chance.random())
        await play.back(view)
        await play.model.until_left(view.name, RETURN_S)
        kept = any(asked.was_whole for asked in play.model.of(view.name))
        return judged(view, kept=kept) if play.system.resumes else {"name": view.name, "kept": kept}

    return list(await asyncio.gather(*map(one, play.views("break"))))


async def second_viewers(play: Play) -> Results:
    """Another viewer opens the answer in its middle."""
    if not play.system.resumes:
        return []

    async def one(view: View) -> dict[str, Any]:
        reading = asyncio.create_task(play.system.read(view))
        await view.until(3 * BEGUN)
        other = view.again()
        await play.ended(play.system.join(other), other, RETURN_S)
        await reading
        return judged(other, same=other.text == view.text)

    return list(await asyncio.gather(*map(one, play.views("second"))))


async def stops(play: Play) -> Results:
    """A viewer stops the answer; where there is no way to say so, it leaves."""

    async def one(view: View) -> dict[str, Any]:
        reading = asyncio.create_task(play.system.read(view))
        await view.until(BEGUN)
        if play.system.stops:
            await play.system.stop(view)
        else:
            await _cut(reading)
        closed = await play.model.until_left(view.name, STOP_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await asyncio.gather(reading, return_exceptions=True)
        whole = any(asked.was_whole for asked in play.model.of(view.name))
        return {"name": view.name, "closed": closed and not whole, "why": view.why}

    return list(await asyncio.gather(*map(one, play.views("stop", length=LONG))))


async def kills(play: Play) -> Results:
    """`kill -9` of the server in the middle, and a new start."""
    results: Results = []
    for number in range(2):
        views = play.views(f"kill{number}", VIEWERS // 2)
        readings = [asyncio.create_task(play.system.read(view)) for view in views]
        await asyncio.gather(*(view.until(BEGUN * (number + 1)) for view in views))
        await play.system.kill()
        await play.system.start()
        results += await _after(play, views, readings)
    return results


async def deploys(play: Play) -> Results:
    """SIGTERM in the middle, the grace, and a new start: for answers short and long."""
    views = play.views("deploy") + play.views("deploy", length=LONG)
    readings = [asyncio.create_task(play.system.read(view)) for view in views]
    await asyncio.gather(*(view.until(BEGUN) for view in views))
    ended = await play.system.terminate(GRACE_S)
    await play.system.start()
    results = await _after(play, views, readings)
    return [{**result, "ended_itself": ended} for result in results]


async def later(play: Play) -> Results:
    """A finished answer, read again when all has been killed and started again."""
    if not play.system.resumes:
        return []
    views = play.views("later")
    await asyncio.gather(*map(play.system.read, views))
    await play.system.restart_all()
    others = [view.again() for view in views]
    await asyncio.gather(*(play.ended(play.system.join(o), o, RETURN_S) for o in others))
    return [judged(other) for other in others]


async def _after(play: Play, views: list[View], readings: list[asyncio.Task[None]]) -> Results:
    async def one(view: View, reading: asyncio.Task[None]) -> dict[str, Any]:
        await play.ended(reading, view, RETURN_S)
        first = view.why
        await play.back(view)
        return judged(view, first=first)

    return list(await asyncio.gather(*map(one, views, readings)))


async def _cut(reading: asyncio.Task[None]) -> None:
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


SCENES: dict[str, Callable[[Play], Awaitable[Results]]] = {
    "faults": faults,
    "breaks": breaks,
    "second": second_viewers,
    "stops": stops,
    "kills": kills,
    "deploys": deploys,
    "later": later,
}
"""In their order; each leaves the system running."""
