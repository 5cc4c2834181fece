"""
`python -m bench [what]`: without a word, `streams`.

To add one: a module here with `options(parser)` and `run(args)`, which gives the
exit code (1: something went wrong; never because of a figure), and its line in
`COMMANDS`.
"""

import argparse
import importlib
import signal
import sys

COMMANDS = {
    "streams": "what a token costs in each system, and how late it is",
    "capacity": "how many streams one core carries",
    "opening": "what it costs to begin a run, over a connection that is kept and a new one",
    "viewers": "what it costs to show a token to each of many viewers of one run",
    "encoding": "what a token costs to encode, by dialect",
    "stages": "where in the server a token's CPU goes",
    "flat": "whether the last token of a long run costs more than the first",
    "start": "whether a run begins as quickly beside many ended ones",
    "search": "how long the list of runs takes to search, filter, sort and count",
    "replicas": "what PostgreSQL costs, and how late a token is at another server",
    "idle": "what a viewer costs while the model is silent",
    "eta": "how well the time left of a run is told",
    "provider": "what a chunk costs to read, beside other clients of the same API",
}
"""Module and what it answers."""

ALL = tuple(COMMANDS)
"""What `all` runs, each with its defaults."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="What a token costs.")
    what = parser.add_subparsers(dest="what", required=True)
    for name, text in COMMANDS.items():
        module = importlib.import_module(f"bench.{name}")
        own = what.add_parser(name, help=text, description=module.__doc__)
        module.options(own)
        own.set_defaults(run=module.run)
    what.add_parser("all", help=", ".join(ALL)).set_defaults(run=_run_all)
    return parser


def _run_all(_args: argparse.Namespace) -> int:
    return max([main([name]) for name in ALL])


def main(words: list[str]) -> int:
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help")):
        words = ["streams", *words]
    args = _parser().parse_args(words)
    return args.run(args)


def _asked_to_end(_signal: int, _frame: object) -> None:
    # As an exception, so that the servers we started are ended on the way out.
    raise SystemExit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _asked_to_end)
    sys.exit(main(sys.argv[1:]))
