"""Check the pages and the client: `npm run check` of both, with the Node that builds them."""

from __future__ import annotations

import subprocess
import sys

from build import CLIENT, CONSOLE, folder_of_node, npm_of


def main() -> int:
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
