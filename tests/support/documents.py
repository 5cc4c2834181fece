"""Reading our documents: their blocks, their links, what they put between backticks."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SRC = ROOT / "src" / "unspool"
DOCS = ROOT / "docs"
README, README_ZH = ROOT / "README.md", ROOT / "README.zh-CN.md"
PROTOCOL = sorted((DOCS / "protocol").glob("*.md"))
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted(DOCS.rglob("*.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("bench", "clients/typescript", "examples/nextjs")),
]
"""Every document for people who read the repository."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_LINK = re.compile(r"\[[^]]*]\(([^)\s]+)\)")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code(path: Path) -> list[tuple[str, str]]:
    """The blocks of a document, each with its language."""
    return _BLOCK.findall(path.read_text())


def blocks(path: Path, language: str = "") -> list[str]:
    return [text for name, text in code(path) if name == language or not language]


def prose(path: Path) -> str:
    return _BLOCK.sub("", path.read_text())


def links(path: Path) -> list[str]:
    return _LINK.findall(prose(path))


def quoted(path: Path) -> set[str]:
    """What stands between single backticks, outside of blocks."""
    return set(re.findall(r"`([^`\n]+)`", prose(path)))


def headings(path: Path) -> list[str]:
    return re.findall(r"^#+(?= )", prose(path), re.M)


def anchors(path: Path) -> set[str]:
    """The names under which a document's headings can be linked to."""
    titles = re.findall(r"^#+ (.+)$", prose(path), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def protocol() -> str:
    """All pages of the protocol as one text."""
    return "\n".join(page.read_text() for page in PROTOCOL)


def translated() -> list[tuple[Path, Path]]:
    """Each document that has a Chinese version, and that version."""
    return [
        (path, chinese)
        for path in DOCUMENTS
        if (chinese := path.with_name(f"{path.stem}.zh-CN.md")).exists()
    ]
