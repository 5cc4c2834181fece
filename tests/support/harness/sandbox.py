"""Where ordeals take place: a provider, a data directory, and servers over it."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from support.harness.figures import note
from support.harness.ordeals import Ordeal, Provider
from support.harness.programs import Program
from support.servers import clean_env
from support.stores import new_store
from support.upstream import KEY, Upstream

IS_LONG = os.environ.get("CRASHES") == "long"
"""Every point five times and 200 kills; else every point once and a few kills."""


REPLICAS = 3
SECRET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
"""What servers over one database seal keys with."""


@dataclass(frozen=True)
class Plan:
    """How a server is brought to pass a point."""

    kind: str = "copy"
    store: str = "sqlite"
    """Or `postgresql`, which three servers share."""
    cancels: bool = False
    breaks: bool = False
    is_refusing: bool = False
    is_killed_first: bool = False
    is_stopped: bool = False
    is_new: bool = False
    """The data directory is empty."""
    pause_s: float = 0.004
    most: int = 5
    """As often as the point can be passed in one life."""


USUAL = Plan()


@asynccontextmanager
async def ordeal_in(
    path: Path, filled: Path, seed: str, plan: Plan = USUAL, *, is_plain: bool = IS_LONG
) -> AsyncIterator[Ordeal]:
    """An ordeal in the folder `path`, before its first server is started."""
    if plan.store == "sqlite":
        data_dirs, store = [path / "data"], {}
        if not plan.is_new:
            data_dirs[0].mkdir()
            shutil.copy(filled, data_dirs[0] / "records.db")
    else:
        data_dirs = [path / f"data-{number}" for number in range(REPLICAS)]
        store = replicated(await new_store(plan.store, path, filled=True))
    limits = aiohttp.ClientTimeout(total=None, sock_read=5)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        Upstream() as upstream,
        aiohttp.ClientSession(timeout=limits, connector=connector) as web,
    ):
        upstream.play = Provider(plan.pause_s, plan.is_refusing, plan.breaks).play
        model = {"LLM_API_KEY": KEY, "LLM_BASE_URL": upstream.url, "LLM_MODEL": "m"}
        env = clean_env(**model, **store)
        program, *others = (Program(each, env, is_plain=is_plain) for each in data_dirs)
        dice = random.Random(seed)
        ordeal = Ordeal(program, upstream, web, dice, others, plan.kind, plan.cancels)
        ordeal.is_refused = plan.is_refusing
        try:
            yield ordeal
        finally:
            for each in ordeal.programs:
                if each.is_alive:
                    each.kill()


def replicated(database_url: str) -> dict[str, str]:
    """The settings that servers over one database have in common."""
    return {"UNSPOOL_DATABASE_URL": database_url, "UNSPOOL_SECRET_KEY": SECRET}


def tell(what: str, ordeal: Ordeal) -> None:
    """Keep what was seen, for the table that `make test-crash` prints."""
    seen = [viewer.seen for visit in ordeal.visits for viewer in visit.viewers]
    note(
        what,
        kills=ordeal.kills,
        runs=len(ordeal.visits),
        viewers=len(seen),
        connections=sum(len(each.connections) for each in seen),
        frames=sum(len(each.frames) for each in seen),
        ready_s=max(took for program in ordeal.programs for took in program.ready_s),
        ended_s=ordeal.ended_s,
    )
