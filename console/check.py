"""
Check the pages and the client: the length of lines and files, then `npm run check` of both, with
the Node that builds them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from build import CLIENT, CONSOLE, folder_of_node, npm_of

MAX_CHARS = 120
"""Of a line. Prettier wraps code, but neither strings nor comments."""

MAX_LINES = 400
"""Of a file, as in `tests/test_house.py`."""

FOLDERS = (CONSOLE / "src", CONSOLE / "tests", CLIENT / "src", CLIENT / "tests")
ENDINGS = {".vue", ".ts", ".css"}


def too_long(paths: Iterator[Path]) -> Iterator[str]:
    """Name each line and each file that is longer than it may be."""
    for path in sorted(paths):
        lines = path.read_text("utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            if len(line) > MAX_CHARS:
                yield f"{path}:{number}: {len(line)} characters; at most {MAX_CHARS}"
        if len(lines) > MAX_LINES:
            yield f"{path}: {len(lines)} lines; at most {MAX_LINES}"


def sources() -> Iterator[Path]:
    return (p for folder in FOLDERS for p in folder.rglob("*") if p.suffix in ENDINGS)


def main() -> int:
    if found := list(too_long(sources())):
        print(*found, sep="\n", file=sys.stderr)
        return 1
    folder = folder_of_node()
    if folder is None:
        print("There is no Node; `make console` brings one.", file=sys.stderr)
        return 1
    npm, env = npm_of(folder)
    for package in (CLIENT, CONSOLE):
        if not (package / "node_modules").is_dir():
            subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=package, env=env, check=True)
        done = subprocess.run([npm, "run", "check"], cwd=package, env=env, check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
