"""
`python -m bench search`: how long the list of runs takes to search, filter, sort and count.

It builds an index of `--runs` runs in a temporary directory and asks each question `--times` times,
as the console does: a page of 50, then the totals.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import figures
from .measure import prepare

WORDS = (
    "今天推荐这双云感慢跑鞋。上周末穿着它沿江跑了八公里，脚踝和膝盖都没有平时那种酸胀。",
    "通知是夹在米袋里送来的。老周把它读了两遍，叠好，压在煤油灯下面。",
    "The server writes every event before a reader sees it, so nothing is lost. ",
    "Unit prices are per million tokens; the bill names the model that wrote the text. ",
    "如果起来时在下雨，就改到傍晚，风会更小。先走起来，再跑起来。",
)
AT_ONCE = 500

QUESTIONS: dict[str, dict[str, Any]] = {
    "no words": {},
    "common, English": {"q": "the server writes"},
    "common, Chinese": {"q": "云感慢跑鞋"},
    "common, by cost": {"q": "云感慢跑鞋", "sort": "dearest"},
    "rare, Chinese": {"q": "只有一次的词"},
    "two characters": {"q": "煤油"},
    "one character": {"q": "灯"},
    "no hit": {"q": "nowhere to be found"},
    "no hit, two characters": {"q": "火箭"},
    "no hit, common parts": {"q": "慢跑鞋。上周末老周"},
    "failed and with a word": {"q": "老周", "statuses": ("failed",)},
    "a model": {"model": "m-3"},
    "the longest": {"sort": "longest"},
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=100_000, help="runs in the index")
    parser.add_argument("--times", type=int, default=20, help="times to ask each question")


def run(args: argparse.Namespace) -> int:
    console = figures.console()
    cores = prepare()
    with tempfile.TemporaryDirectory(prefix="unspool-bench-") as name:
        found = asyncio.run(_measured(Path(name), args.runs, args.times, console.print))
    for question, (p50_ms, p95_ms) in found.items():
        console.print(f"{question:>24}: p50 {p50_ms:6.1f} ms   p95 {p95_ms:6.1f} ms")
    slowest = max(p95_ms for _, p95_ms in found.values())
    console.print(f"slowest p95 over {args.runs:,} runs: {slowest:.0f} ms")
    result = {"p50_p95_ms": found, "slowest_p95_ms": slowest}
    options = {"runs": args.runs, "times": args.times}
    console.print(f"written: {figures.save('search', cores, options, result)}")
    return 0


async def _measured(folder: Path, count: int, times: int, say: Any) -> dict[str, Any]:
    from unspool.viewing.index import Criteria, RunIndex

    index = RunIndex(folder / "index.db")
    began = time.perf_counter()
    rows = list(_rows(count))
    for start in range(0, count, AT_ONCE):
        await index.put(rows[start : start + AT_ONCE])
    took_s = time.perf_counter() - began
    say(f"[dim]search: {count:,} runs in {took_s:.0f} s, {_size(folder) / 2**20:.0f} MiB")
    found = {}
    for question, facts in QUESTIONS.items():
        wanted, took_ms = Criteria(**facts), []
        for _ in range(times):
            began = time.perf_counter()
            await index.listed(wanted)
            await index.totals(wanted)
            took_ms.append((time.perf_counter() - began) * 1000)
        found[question] = statistics.median(took_ms), sorted(took_ms)[int(times * 0.95) - 1]
    await index.aclose()
    return found


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _rows(count: int) -> Iterator[Any]:
    from unspool.journals.sqlite import new_run_id
    from unspool.viewing.index.facts import AttemptRow, RunRow

    chance = random.Random(5)
    start_ms = 1_780_000_000_000
    for number in range(count):
        created_ms = start_ms + number * 2000
        took_ms = chance.randrange(500, 60_000)
        model, amount = f"m-{number % 9}", chance.random() / 100
        is_failed = number % 25 == 0
        text = "\n".join([f"问题 {number}", *chance.choices(WORDS, k=chance.randrange(3, 12))])
        if number == count // 3:
            text += "只有一次的词"
        status = "failed" if is_failed else "completed"
        attempt = AttemptRow(
            *(1, model, "failed" if is_failed else "finished", "auth" if is_failed else ""),
            *(300, took_ms, 100, 200, True, True, amount, "CNY"),
        )
        yield RunRow(
            *(new_run_id(created_ms), ("chat", "copywriting")[number % 2], model, "native"),
            *(status, attempt.code, 200, created_ms, created_ms + took_ms, 300, 100, 200, True),
            *(amount, "CNY", 0, number % 7 == 0, 0, 0, None, None),
            *({"prompt": f"问题 {number}"}, (model,), (attempt,), text),
        )
