"""S4 without `full_text` (`?full_text=0`): a text that grows is not sent again with each token."""

from __future__ import annotations

from fastapi import APIRouter

from unspool.dialects import Door

from .story import StoryContract


class Lean(StoryContract):
    def routes(self, door: Door) -> APIRouter:
        """None of its own: those of `story` begin runs in it."""
        return APIRouter()


plug = Lean(has_full_text=False)
