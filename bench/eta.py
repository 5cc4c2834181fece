"""
`python -m bench eta`: how well the time left of a run is told.

A hundred runs of the built-in model, chats and copy texts of many lengths, go on a few at a
time in a server's parts, without HTTP. Each is foretold at a quarter, a half and three quarters
of its time from the runs that had ended by then; what is printed is what `GET /api/progress` tells.
"""

import argparse
import asyncio
import logging
import random
import tempfile
from dataclasses import asdict
from pathlib import Path

import uvloop

from . import figures
from .measure import prepare

AT_ONCE = 25
"""Runs that go on together: a run takes some ten seconds, a hundred take under a minute."""

QUESTIONS = (
    "请介绍运动鞋的特点",
    "写一段跑鞋的推荐语",
    "What makes a good running shoe?",
    "Tell me about the history of sports shoes in some detail",
    "轻便透气的鞋适合谁",
)
LENGTHS = (60, 80, 100, 120, 140)
"""Most tokens of a chat; some answers end before."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=100, help="how many runs")


def run(args: argparse.Namespace) -> int:
    logging.disable(logging.WARNING)  # that copy texts come from templates is meant here
    console = figures.console()
    cores = prepare()
    with tempfile.TemporaryDirectory(prefix="unspool-bench-") as name:
        console.print(f"[dim]eta: {args.runs} runs, {AT_ONCE} at a time")
        found = uvloop.run(_measured(Path(name), args.runs))
    for kind in found:
        shares = ", ".join("unknown" if s is None else f"{s:.0%}" for s in kind["share"])
        off_s = ", ".join("unknown" if s is None else f"{s:.2f} s" for s in kind["off_s"])
        console.print(
            f"{kind['flow']}: {kind['foretold']} runs foretold; median error at "
            f"25, 50, 75 % of a run: {shares} of the time left ({off_s}); "
            f"{kind['in_band'] or 0:.0%} of the truths in the band"
        )
    console.print(f"written: {figures.save('eta', cores, {'runs': args.runs}, {'found': found})}")
    return 0


async def _measured(folder: Path, count: int) -> list[dict[str, object]]:
    from unspool import Settings, open_core
    from unspool.runs.run import RunSpec
    from unspool.viewing.cursor import follow

    dice = random.Random(1)
    room = asyncio.Semaphore(AT_ONCE)
    async with open_core(Settings(_env_file=None, data_dir=folder)) as core:

        async def one(spec: RunSpec) -> None:
            async with room:
                run_id = await core.admission.admit(spec)
                async for _ in follow(core.journal, run_id):
                    pass

        await asyncio.gather(*(one(_spec(dice, RunSpec, n)) for n in range(count)))
        await core.eta.learn(at_most=count)
        return [asdict(kind) for kind in core.eta.quality()]


def _spec(dice: random.Random, kind: type, number: int) -> object:
    if number % 4 == 3:
        return kind("copywriting", {"sku": "8WZ01CM1", "style": "natural"})
    params = {"max_tokens": dice.choice(LENGTHS)}
    return kind("chat", {"prompt": f"{dice.choice(QUESTIONS)} {number}", "params": params})
