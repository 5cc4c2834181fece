"""Posts as they are now: what the log has, and the newest version that was made of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from unspool.core import Core
from unspool.journals import read_all
from unspool.runs.run import Run, fold

from .records.versions import PostVersion, versions_of

_POST: Final = re.compile(r"post-(\d{1,2})")


@dataclass(frozen=True, slots=True)
class Post:
    number: int
    original: str
    """The text in the log."""
    model: str
    """The writer of the original; empty: it is not whole."""
    is_whole: bool
    versions: Sequence[PostVersion]
    """Newest first."""

    @property
    def text(self) -> str:
        return self.versions[0].text if self.versions else self.original


async def posts_of(core: Core, run_id: str) -> list[Post]:
    """
    Return the posts that a run has shown, in their order; other runs have none.

    Raises:
        UnknownRun: The journal has no such run (any more).
    """
    run = Run()
    async for events in read_all(core.journal, run_id):
        fold(events, run)
    versions = (await versions_of(core.records, [run_id])).get(run_id, ())
    posts = []
    for name, step in run.steps.items():
        if step.is_unseen or not (found := _POST.fullmatch(name)):
            continue
        number = int(found[1])
        mine = [version for version in versions if version.post == number]
        posts.append(Post(number, step.text, step.model or "", step.finished, mine))
    return sorted(posts, key=lambda post: post.number)
