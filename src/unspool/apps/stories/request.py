"""The input of the flow `story`, and the parts of its results."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from .records import MAX_TEXT_CHARS, STAGES, StageKind

MAX_WISH_CHARS: Final = 4000
"""Of an additional wish: a paragraph or two."""

MOVEMENTS: Final = {
    "static": "固定",
    "push": "推",
    "pull": "拉",
    "pan": "摇",
    "truck": "移",
    "follow": "跟",
    "crane": "升降",
    "orbit": "环绕",
    "zoom": "变焦",
}
"""Kinds of camera movement, with the terms of a Chinese film set."""


class Story(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project_id: int = Field(ge=1, lt=2**63)
    stages: list[StageKind] = Field(default_factory=lambda: list(STAGES), min_length=1)
    """Stages to write, in order."""
    original_text: str | None = Field(None, max_length=MAX_TEXT_CHARS)
    """Source of `rewrite`; None: the stage's own input text, else the project's topic."""
    wish: str = Field("", max_length=MAX_WISH_CHARS)
    """An additional wish for the model: `短一点，口语一些`."""
    only_stale: bool = False
    """Write only stale stages: those whose source has changed."""
    topic: str = ""
    """The project's topic at the request. The server replaces whatever a client sends here and in
    the next two fields."""
    given: dict[str, Any] = Field(default_factory=dict)
    """Result of the stage before the first one: a text (`rewrite`) or scenes (`storyboard`)."""
    models: dict[str, str] = Field(default_factory=dict)
    """Model or route of each stage; empty: the run's own."""


class Scene(BaseModel):
    """One scene of a storyboard, as a model writes it."""

    model_config = ConfigDict(extra="ignore")

    number: int = Field(ge=1, le=1000)
    title: str = Field("", max_length=200)
    description: str = Field(min_length=1, max_length=4000)
    narration: str = Field("", max_length=4000)
    characters: list[str] = Field(default_factory=list, max_length=50)
    duration_s: float | None = Field(None, gt=0, le=3600)


class Camera(BaseModel):
    """The camera movement of one scene."""

    model_config = ConfigDict(extra="ignore")

    scene: int = Field(ge=1, le=1000)
    movement: str = Field(min_length=1, max_length=32)
    reason: str = Field("", max_length=1000)

    def named(self) -> str | None:
        """Return the movement's English name, from either language; None if it is unknown."""
        movement = self.movement.strip().lower()
        if movement in MOVEMENTS:
            return movement
        return next((name for name, word in MOVEMENTS.items() if word in movement), None)
