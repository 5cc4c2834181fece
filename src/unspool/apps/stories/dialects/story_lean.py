"""S4 without `full_text` (`?full_text=0`): a text that grows is not sent again with each token."""

from __future__ import annotations

from fastapi import APIRouter

from unspool.dialects import RunGateway

from .story import StoryContract


class LeanStory(StoryContract):
    def routes(self, gateway: RunGateway) -> APIRouter:
        """None of its own: those of `story` begin runs in it."""
        return APIRouter()


plug = LeanStory(has_full_text=False)
