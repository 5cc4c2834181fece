"""
How much of a code base's calls to models is streamed, found in its syntax trees.

`python` and `javascript` read files and make a `Site` of every call; `rules` says which of them ask
a model, and whether the answer is streamed; `report` writes the result. To add a library, add a
line to `rules`. We neither run nor import the code. We follow names within a file, and a `stream`
parameter across the tree; if we cannot follow one, we say so and never guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from unspool.errors import SetupError

from .javascript import JAVASCRIPT, sites_in_javascript
from .python import sites_in_python
from .rules import judged
from .sites import AuditFinding, Site, Unread

MAX_FILE_BYTES: Final = 2 * 1024 * 1024
"""Larger files are generated: bundles and data."""

MAX_LINE_BYTES: Final = 10_000
"""Scripts with longer lines are generated too; the audit reads their sources elsewhere."""

MAX_FILES: Final = 50_000
"""Files of one tree; the largest repositories have about as many in these languages."""

SKIPPED: Final = frozenset(
    {"node_modules", "__pycache__", "dist", "build", "site-packages", "venv", "target", "vendor"}
)
"""Folders with other people's code or with build results; names that begin with a dot too."""


@dataclass(slots=True)
class Audit:
    """
    Attributes:
        findings: Calls to models, by file and line.
        unread: Files that could not be read, and why.
        files: Number of files read.
    """

    findings: list[AuditFinding] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    files: int = 0

    def count(self, verdict: str) -> int:
        return sum(finding.verdict == verdict for finding in self.findings)

    @property
    def rate(self) -> float | None:
        """Share of streaming calls among those we can judge; None without any."""
        told = self.count("streaming") + self.count("not_streaming")
        return self.count("streaming") / told if told else None


def audit(path: Path) -> Audit:
    """
    Read a file or a tree of Python, JavaScript and TypeScript.

    Raises:
        SetupError: The path leads to nothing.
    """
    if not path.exists():
        raise SetupError(f"there is nothing at {path}; name a file or a folder")
    done, sites = Audit(), list[Site]()
    for file in _files_in(path):
        shown = str(file.relative_to(path)) if path.is_dir() else file.name
        try:
            source = file.read_bytes()
            if len(source) > MAX_FILE_BYTES:
                done.unread.append(Unread(shown, f"larger than {MAX_FILE_BYTES} bytes"))
                continue
            if file.suffix in JAVASCRIPT and max(map(len, source.split(b"\n"))) > MAX_LINE_BYTES:
                continue
            read = sites_in_python if file.suffix == ".py" else sites_in_javascript
            sites += read(source, shown)
            done.files += 1
        except (OSError, SyntaxError, ValueError, RecursionError) as error:
            done.unread.append(Unread(shown, f"{type(error).__name__}: {error}"[:200]))
    done.findings = sorted(judged(sites), key=lambda f: (f.file, f.line, f.column))
    return done


def _files_in(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    waiting, count = [path], 0
    while waiting:
        for entry in sorted(waiting.pop().iterdir()):
            if entry.is_symlink() or entry.name.startswith("."):
                continue
            if entry.is_dir():
                if entry.name not in SKIPPED:
                    waiting.append(entry)
            elif entry.suffix == ".py" or entry.suffix in JAVASCRIPT:
                count += 1
                if count > MAX_FILES:
                    raise SetupError(f"more than {MAX_FILES} files; audit a part of the tree")
                yield entry
