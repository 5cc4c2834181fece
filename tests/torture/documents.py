"""Where the tables stand: a section of each document is what the last run has written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from . import table
from .table import Language, Summary

ROOT = Path(__file__).parents[2]
FIGURES = Path(__file__).parent / "figures.json"
"""The figures of the last run, which the repository keeps."""

README: dict[Language, Path] = {"en": ROOT / "README.md", "zh": ROOT / "README.zh-CN.md"}
COMPARISON: dict[Language, Path] = {
    "en": ROOT / "docs" / "comparison.md",
    "zh": ROOT / "docs" / "comparison.zh-CN.md",
}


def figures() -> Summary:
    """Return what the last run has written."""
    told: Summary = json.loads(FIGURES.read_text())
    return told


def sections(told: Summary) -> Iterator[tuple[Path, list[str]]]:
    """Yield each document with the section that it must have."""
    for language, path in README.items():
        yield path, table.short(told, language)
    for language, path in COMPARISON.items():
        yield path, table.long(told, language)


def section_of(path: Path, heading: str) -> tuple[int, int]:
    """Return where the section of a heading begins, and behind its last line that is not empty."""
    lines = path.read_text().split("\n")
    begin = lines.index(heading)
    rest = range(begin + 1, len(lines))
    end = next((number for number in rest if lines[number].startswith("#")), len(lines))
    while not lines[end - 1]:
        end -= 1
    return begin, end


def write(told: Summary) -> None:
    """Keep the figures, and put the tables into the documents."""
    FIGURES.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    for path, section in sections(told):
        begin, end = section_of(path, section[0])
        lines = path.read_text().split("\n")
        path.write_text("\n".join([*lines[:begin], *section, *lines[end:]]))
