"""Check the pages and the client: `npm run check` of both, with the Node that builds them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from build import CLIENT, CONSOLE, folder_of_node


def main() -> int:
    folder = folder_of_node()
    if folder is None:
        print("There is no Node; `make console` brings one.", file=sys.stderr)
        return 1
    path = os.pathsep.join([folder, os.environ.get("PATH", "")])
    env = {**os.environ, "PATH": path}
    npm = shutil.which("npm", path=path) or "npm"
    for package in (CLIENT, CONSOLE):
        if not (package / "node_modules").is_dir():
            subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=package, env=env, check=True)
        done = subprocess.run([npm, "run", "check"], cwd=package, env=env, check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
