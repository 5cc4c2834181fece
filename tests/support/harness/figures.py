"""
What the long form has counted, as a table: `python tests/support/harness/figures.py FILE`.

Tests note their figures when `CRASH_FIGURES` names a file, a line of JSON each. Names that end
in `_s` are times: their greatest counts. All others are added up.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from pathlib import Path

VARIABLE = "CRASH_FIGURES"


def note(what: str, **figures: float) -> None:
    """Keep figures of one test, if anybody wants them."""
    if name := os.environ.get(VARIABLE):
        # One small write at the end of the file: two processes never mix their lines.
        with Path(name).open("a") as file:
            file.write(json.dumps({"what": what, **figures}) + "\n")


def table(lines: list[str]) -> str:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        figures = json.loads(line)
        what = figures.pop("what")
        found[what]["tests"].append(1)
        for name, value in figures.items():
            found[what][name].append(value)
    return "\n".join(
        f"{what:<10} " + "  ".join(_cell(name, values) for name, values in columns.items())
        for what, columns in sorted(found.items())
    )


def _cell(name: str, values: list[float]) -> str:
    if not name.endswith("_s"):
        return f"{name} {sum(values):,.0f}"
    ordered = sorted(values)
    return f"{name} median {ordered[len(ordered) // 2]:.2f} most {ordered[-1]:.2f}"


if __name__ == "__main__":
    print(table(Path(sys.argv[1]).read_text().splitlines()))
