"""
Posts as a file: Markdown to read, CSV for a spreadsheet.

Texts are a model's or a person's, so nothing in them may become markup or a formula of the file.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from unspool.server.api.json.run import iso

from .posts import Post
from .records.copies import CopyRow, OutcomeRow

MEDIA: Final = {"md": "text/markdown; charset=utf-8", "csv": "text/csv; charset=utf-8"}

COLUMNS: Final = (
    "sku",
    "name",
    "style",
    "user_id",
    "post",
    "text",
    "original",
    "is_edited",
    "is_adopted",
    "model",
    "run",
    "created_at",
)

_FORMULA: Final = re.compile(r"^[\s\ufeff]*[=+\-@＝＋－＠\t\r]")
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>#|~!])")


@dataclass(frozen=True, slots=True)
class Exported:
    """A run with what a file says of it."""

    copy: CopyRow
    outcome: OutcomeRow | None
    name: str
    """Of the product; empty: it is gone."""
    posts: Sequence[Post]

    def is_adopted(self, post: Post) -> bool | None:
        """None: nobody has judged the run."""
        if self.outcome is None:
            return None
        return self.outcome.is_adopted and self.outcome.step in ("", f"post-{post.number}")


def as_csv(files: Iterable[Exported]) -> str:
    """Return a line for each post, with a byte order mark: spreadsheets need it for Chinese."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for file in files:
        for post in file.posts:
            writer.writerow(map(_cell, _row(file, post)))
    return "\ufeff" + out.getvalue()


def _row(file: Exported, post: Post) -> list[object]:
    copy, adopted = file.copy, file.is_adopted(post)
    return [
        copy.sku,
        file.name,
        copy.style,
        copy.user_id,
        post.number,
        post.text,
        post.original,
        bool(post.versions),
        "" if adopted is None else adopted,
        post.model,
        copy.run_id,
        iso(copy.created_ms),
    ]


def _cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if _FORMULA.match(text) else text


def as_markdown(files: Iterable[Exported]) -> str:
    """Return a section for each run, and its posts under it."""
    return "\n".join(_section(file) for file in files)


def _section(file: Exported) -> str:
    copy = file.copy
    facts = f"{_plain(copy.sku)} · {_plain(copy.style)} · {iso(copy.created_ms)}"
    lines = [f"## {_plain(file.name or copy.sku)}", "", facts, ""]
    for post in file.posts:
        marks = [post.model, "edited" if post.versions else ""]
        if file.is_adopted(post):
            marks.append("adopted")
        if not post.is_whole:
            marks.append("not whole")
        told = " · ".join(_plain(mark) for mark in marks if mark)
        lines += [f"### {post.number} ({told})", "", _plain(post.text), ""]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return a text in which nothing is markup: a line of dashes, a number with a dot too."""
    escaped = _MARKUP.sub(r"\\\1", text)
    return re.sub(r"(?m)^(\s*)([-+=]|\d+(?=[.)]))", r"\1\\\2", escaped)
