"""`make torture`: play everything against every system; write the results and the tables."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import documents, table
from .costs import cheap_model, costs_of
from .judging import counted
from .scenes import SCENES, Play
from .systems.ai_sdk import AiSdk, install
from .systems.litellm import LiteLlm
from .systems.program import Program
from .systems.relay import Relay
from .systems.unspool import Unspool
from .upstream import TortureModel
from .versions import versions

SYSTEMS: dict[str, type[Program]] = {each.name: each for each in (Relay, AiSdk, LiteLlm, Unspool)}

SINGLES = Path(__file__).parents[2] / "bench" / "results" / "torture.json"
"""Every single result of the last run; not kept in the repository."""


ALL = ",".join([*SCENES, "costs"])

ROUNDS = 2
"""Of the costs, through all systems: other programs may disturb one of them."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="some of them, with commas")
    parser.add_argument("--scenes", default=ALL, help="some of them")
    parser.add_argument("--keep", action="store_true", help="leave the documents as they are")
    return parser.parse_args()


async def _played(system: Program, names: Iterable[str], model: TortureModel) -> dict[str, Any]:
    results: dict[str, Any] = {}
    try:
        await system.start()
        for name in names:
            began_s = time.monotonic()
            results[name] = await SCENES[name](Play(system, model))
            _tell(system.name, name, results[name], time.monotonic() - began_s)
    finally:
        await system.close()
    return results


def _tell(system: str, scene: str, results: list[dict[str, Any]], took_s: float) -> None:
    told = counted(results) if all("verdict" in each for each in results) else ""
    bad = [each["name"] for each in results if each.get("verdict") in ("silent", "wrong", "hung")]
    print(f"{system:8} {scene:8} {took_s:4.0f} s  {told} {' '.join(bad)}", flush=True)


async def _costs(kind: type[Program], folder: Path) -> dict[str, Any]:
    async with cheap_model(folder / "model") as port:
        system = kind(folder / "system", f"http://127.0.0.1:{port}/v1")
        try:
            await system.start()
            costs = await costs_of(system, port)
        finally:
            await system.close()
    print(f"{kind.name:8} costs {json.dumps(costs)}", flush=True)
    return costs


async def _all(systems: list[str], scenes: list[str]) -> dict[str, Any]:
    played: dict[str, Any] = {}
    plays = [name for name in scenes if name in SCENES]
    for name in systems:
        with tempfile.TemporaryDirectory(prefix=f"torture-{name}-") as folder:
            async with TortureModel() as model:
                system = SYSTEMS[name](Path(folder, "scenes"), model.url)
                played[name] = await _played(system, plays, model)
    for number in range(ROUNDS if "costs" in scenes else 0):
        for name in systems:
            with tempfile.TemporaryDirectory(prefix=f"torture-{name}-") as folder:
                costs = await _costs(SYSTEMS[name], Path(folder))
            played[name].setdefault("costs", []).append({"round": number, **costs})
    return played


def main() -> int:
    """Return 0: a figure is no failure of the command."""
    asked = _options()
    install()
    began_s = time.monotonic()
    played = asyncio.run(_all(asked.systems.split(","), asked.scenes.split(",")))
    for name, results in played.items():
        results["not_made_for"] = sorted(SYSTEMS[name].not_made_for)
    facts = {"date": datetime.now(UTC).date().isoformat(), "versions": versions()}
    SINGLES.parent.mkdir(exist_ok=True)
    SINGLES.write_text(json.dumps({**facts, "systems": played}, ensure_ascii=False, indent=1))
    print(f"{SINGLES}: every single result; {time.monotonic() - began_s:.0f} s in all")
    is_all = len(played) == len(SYSTEMS) and asked.scenes == ALL
    if asked.keep or not is_all:
        return 0  # a table of some figures would replace that of all
    summary = {**facts, **table.summary(played)}
    documents.write(summary)
    print("\n".join(table.short(summary, "en")))
    return 0


if __name__ == "__main__":
    # As Ctrl-C, so that all that was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.exit(main())
