"""
Copies the data directory while a server writes to it.

SQLite's own backup copies a database as of one moment. We copy the runs first, so that the second
copy holds the models and products they name. The copy of a live run ends at its last commit, and
continues where a server opens the copy.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import SetupError

DATABASES: Final = ("journal.db", "records.db")
KEY: Final = "secret.key"


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file of the copy."""

    name: str
    bytes: int


def back_up(data_dir: Path, target: Path, *, with_key: bool = False) -> list[CopiedFile]:
    """
    Copy the databases of `data_dir` into `target`, and the key too if wanted.

    Without the key the API keys in the copy are unreadable, so its owner must keep the key
    elsewhere.

    Raises:
        SetupError: There is nothing to copy, `target` is not empty, or it cannot be written. A file
            that could not be copied whole is removed.
    """
    if not (data_dir / DATABASES[0]).exists():
        raise SetupError(f"There is no journal.db in {data_dir}; name the directory: --data-dir")
    names = [name for name in DATABASES if (data_dir / name).exists()]
    with new_folder(target):
        for name in names:
            _copy(data_dir / name, target / name)
        if with_key and (data_dir / KEY).exists():
            shutil.copy(data_dir / KEY, target / KEY)  # with its mode: only its owner may read it
            names.append(KEY)
    return [CopiedFile(name, (target / name).stat().st_size) for name in names]


@contextmanager
def new_folder(target: Path) -> Iterator[None]:
    """
    Make a folder for a copy, or take an empty one. If the copy fails, its files are removed.

    Raises:
        SetupError: `target` is not empty, or cannot be written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise SetupError(f"{target} is not empty; name a new directory for each backup")
        try:
            yield
        except BaseException:
            for path in target.iterdir():
                path.unlink()
            raise
    except (OSError, sqlite3.Error) as error:
        raise SetupError(
            f"The backup into {target} failed: {error}. Make it writable and give it space, "
            "then begin again with an empty directory."
        ) from error


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old,
        closing(sqlite3.connect(part)) as new,
    ):
        # All pages in one step: a write in between does not start it again.
        old.backup(new)
        (verdict,) = new.execute("pragma quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"{source} is damaged ({verdict})")
    part.rename(target)
