"""
`python -m bench encoding`: what a token costs to encode, in each dialect of a chat.

One run's events become frames, in this process, as a tape makes them; nothing is sent. A tape does
this once for all viewers of a dialect, so it is the price of a dialect that somebody reads.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from rich.table import Table

from unspool.dialects import encoder_for, frames_of, names_frames
from unspool.runs.events import Event

from . import figures
from .measure import prepare

DIALECTS = (
    "native",
    "plain",
    "openai_chat",
    "openai_responses",
    "anthropic_messages",
    "ollama",
    "ui_messages",
    "agui",
    "debug_chat",
)

STEP = "answer"

PART = 10
"""The last and the first of so many parts are compared: a dialect must not cost more with time."""


@dataclass(slots=True)
class Encoded:
    """What one dialect takes. Times are medians over the rounds."""

    dialect: str
    us_per_token: float
    to_native: float
    last_to_first: float
    bytes_per_token: float


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokens", type=int, default=20_000, help="length of the run")
    parser.add_argument("--repeat", type=int, default=5, help="rounds through all dialects")


def run(args: argparse.Namespace) -> int:
    console = figures.console()
    cores = prepare()
    costs_us: dict[str, list[float]] = {name: [] for name in DIALECTS}
    growths: dict[str, list[float]] = {name: [] for name in DIALECTS}
    sizes: dict[str, int] = {}
    for _ in range(args.repeat):
        for name in DIALECTS:
            parts_us, sizes[name] = _encoded(name, args.tokens)
            costs_us[name].append(statistics.fmean(parts_us))
            growths[name].append(parts_us[-1] / parts_us[0])
    found = [
        Encoded(
            dialect=name,
            us_per_token=statistics.median(costs_us[name]),
            to_native=statistics.median(
                mine / native
                for mine, native in zip(costs_us[name], costs_us["native"], strict=True)
            ),
            last_to_first=statistics.median(growths[name]),
            bytes_per_token=sizes[name] / args.tokens,
        )
        for name in DIALECTS
    ]
    console.print(_table(found, args))
    results = [asdict(it) for it in found]
    asked = {"tokens": args.tokens, "repeat": args.repeat}
    console.print(f"written: {figures.save('encoding', cores, asked, results)}")
    return 0


def _encoded(name: str, tokens: int) -> tuple[list[float], int]:
    """CPU microseconds per token of each part of a run, and the bytes of all frames."""
    encoder, is_named = encoder_for(name, "01KXBENCHRUN00000000000000"), names_frames(name)
    beginning = list(_beginning())
    for event in beginning:
        encoder.encode(event)
    seq, size, parts_us = len(beginning), 0, []
    for _ in range(PART):
        events = [_delta(seq + number) for number in range(1, tokens // PART + 1)]
        begun = time.process_time()
        for event in events:
            for frame in frames_of(event.seq, encoder.encode(event), is_named=is_named):
                size += len(frame)
        parts_us.append((time.process_time() - begun) * 1e6 / len(events))
        seq = events[-1].seq
    return parts_us, size


def _beginning() -> Iterator[Event]:
    facts = {"flow": "chat", "model": "", "dialect": "native", "input": {"prompt": "bench"}}
    attempt = {"step": STEP, "number": 1, "model": "bench", "provider": "openai"}
    yield Event(1, "run.started", 0, facts)
    yield Event(2, "step.started", 0, {"step": STEP})
    yield Event(3, "attempt.started", 0, {**attempt, "strategy": "first"})


def _delta(seq: int) -> Event:
    return Event(seq, "text.delta", seq, {"step": STEP, "text": " word"})


def _table(found: list[Encoded], args: argparse.Namespace) -> Table:
    table = Table(title=f"{args.tokens:,} tokens, median of {args.repeat} rounds")
    for head in ("dialect", "µs/token", "to native", "last to first part", "bytes/token"):
        table.add_column(head, justify="left" if head == "dialect" else "right")
    for it in found:
        figures_of = (it.us_per_token, it.to_native, it.last_to_first)
        shown = [figures.shown(value, 2) for value in figures_of]
        table.add_row(it.dialect, *shown, figures.shown(it.bytes_per_token, 0))
    return table
