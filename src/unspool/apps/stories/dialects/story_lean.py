"""S4 without `full_text` (`?full_text=0`): no token repeats the whole text so far."""

from __future__ import annotations

from fastapi import APIRouter

from unspool.dialects import RunGateway

from .story import StoryContract


class LeanStory(StoryContract):
    def routes(self, gateway: RunGateway) -> APIRouter:
        """Return no routes: those of `story` start runs in this dialect too."""
        return APIRouter()


plug = LeanStory(has_full_text=False)
