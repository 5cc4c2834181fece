"""
Copies the data directory while a server writes to it.

SQLite's own backup copies a database as of one moment. We copy the runs first, so that later copies
hold the models and products they name; then the records of tenants, and those that name the tenants
last. The copy of a live run ends at its last commit, and continues where a server opens the copy.
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
TENANTS: Final = "tenants/*.db"
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
    runs, records = DATABASES
    with new_folder(target):
        _copy(data_dir / runs, target / runs)
        for path in sorted(data_dir.glob(TENANTS)):
            _copy(path, target / path.relative_to(data_dir))
        if (data_dir / records).exists():
            _copy(data_dir / records, target / records)
        if with_key and (data_dir / KEY).exists():
            shutil.copy(data_dir / KEY, target / KEY)  # with its mode: only its owner may read it
    return files_of(target)


def files_of(target: Path) -> list[CopiedFile]:
    """Return the files of a copy, those of tenants last."""
    paths = [*(target / name for name in (*DATABASES, KEY)), *sorted(target.glob(TENANTS))]
    return [
        CopiedFile(path.relative_to(target).as_posix(), path.stat().st_size)
        for path in paths
        if path.exists()
    ]


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
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            raise
    except (OSError, sqlite3.Error) as error:
        raise SetupError(
            f"The backup into {target} failed: {error}. Make it writable and give it space, "
            "then begin again with an empty directory."
        ) from error


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
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
