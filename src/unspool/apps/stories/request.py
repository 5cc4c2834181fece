"""What is asked of the flow `story`, and what its stages hand on."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from .records import MAX_TEXT_CHARS, STAGES, StageKind

MAX_WISH_CHARS: Final = 4000
"""Of what is asked for beyond the usual: a paragraph or two."""

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
"""Kinds of camera movement, and what they are called on a Chinese set."""


class Story(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project_id: int = Field(ge=1, lt=2**63)
    stages: list[StageKind] = Field(default_factory=lambda: list(STAGES), min_length=1)
    """To be written, in their order."""
    original_text: str | None = Field(None, max_length=MAX_TEXT_CHARS)
    """What `rewrite` works on; else its own input, else the project's topic."""
    wish: str = Field("", max_length=MAX_WISH_CHARS)
    """What is asked for beyond the usual: `短一点，口语一些`."""
    only_stale: bool = False
    """Leave out stages whose result is of what there is now."""
    topic: str = ""
    """The project's, as it was when it was asked. Whatever a client sends is replaced; so are the
    next two."""
    given: dict[str, Any] = Field(default_factory=dict)
    """Results of stages before the first one: `rewrite` a text, `storyboard` scenes."""
    models: dict[str, str] = Field(default_factory=dict)
    """Model or route of each stage; empty: the run's own."""


class Scene(BaseModel):
    """One scene of a storyboard, as a model writes it; what it leaves out is empty."""

    model_config = ConfigDict(extra="ignore")

    number: int = Field(ge=1, le=1000)
    title: str = Field("", max_length=200)
    description: str = Field(min_length=1, max_length=4000)
    narration: str = Field("", max_length=4000)
    characters: list[str] = Field(default_factory=list, max_length=50)
    duration_s: float | None = Field(None, gt=0, le=3600)


class Camera(BaseModel):
    """How the camera moves in one scene."""

    model_config = ConfigDict(extra="ignore")

    scene: int = Field(ge=1, le=1000)
    movement: str = Field(min_length=1, max_length=32)
    reason: str = Field("", max_length=1000)

    def named(self) -> str | None:
        """Return the movement by its own name, whichever language it was said in."""
        said = self.movement.strip().lower()
        if said in MOVEMENTS:
            return said
        return next((name for name, word in MOVEMENTS.items() if word in said), None)
