"""Rules that a post must keep before anybody sees it, if the client asked for that."""

from __future__ import annotations

import re
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from unspool.flows.kit.grounding import Finding

from .templates import SUPERLATIVES

MAX_WORDS: Final = 200
"""Forbidden words: a shop's whole list. We search each post for each word."""

LONGEST: Final = 2000
"""Characters that a client may ask for in a post."""


_SENTENCE_END: Final = re.compile(r"[。！？!?…]+[”’」』）)\"']*|\.(?=\s|$)|\n")


class CopyRules(BaseModel):
    """Checked in characters as people count them, not in tokens."""

    model_config = ConfigDict(extra="forbid")

    min_chars: int = Field(20, ge=1, le=LONGEST)
    max_chars: int = Field(200, ge=1, le=LONGEST)
    forbidden: list[str] = Field(default_factory=list, max_length=MAX_WORDS)
    """Words that may not appear in a post, besides those that advertising law forbids."""

    @model_validator(mode="after")
    def _fit(self) -> CopyRules:
        if self.min_chars > self.max_chars:
            raise ValueError("min_chars is above max_chars")
        if any(not word.strip() or len(word) > 64 for word in self.forbidden):
            raise ValueError("a forbidden word has 1 to 64 characters")
        return self

    @classmethod
    def of(cls, low: int, high: int) -> CopyRules:
        """Return rules for posts of such a length; a fifth more or less is nobody's trouble."""
        return cls(min_chars=low * 4 // 5, max_chars=high * 6 // 5)

    def fitted(self, post: str) -> str:
        """Return the whole sentences of a post that fit; the post itself if too few of it do."""
        post = post.strip()
        if len(post) <= self.max_chars:
            return post
        ends = [end.end() for end in _SENTENCE_END.finditer(post) if end.end() <= self.max_chars]
        short = post[: ends[-1]].strip() if ends else ""
        return short if len(short) >= self.min_chars else post

    def problems(self, post: str) -> list[str]:
        """Return what is wrong with a post, for its author; empty: nothing."""
        return [finding.message for finding in self.findings(post)]

    def findings(self, post: str) -> list[Finding]:
        """Return the same with the values: `short`, `long` (characters, limit), `words`."""
        found = []
        length, least, most = len(post.strip()), self.min_chars, self.max_chars
        if length < least:
            message = f"只有 {length} 个字，至少要 {least} 个字"
            found.append(Finding("short", message, str(length), str(least)))
        if length > most:
            message = f"有 {length} 个字，最多 {most} 个字"
            found.append(Finding("long", message, str(length), str(most)))
        words = [word for word in self.forbidden if word.casefold() in post.casefold()]
        if law := SUPERLATIVES.search(post):
            words.append(law[0])
        if words:
            listed = "、".join(dict.fromkeys(words))
            found.append(Finding("words", f"出现了不能用的词：{listed}", listed))
        return found
