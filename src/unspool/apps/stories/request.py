"""The input of the flow `story`, and the parts of its results."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from unspool.flows.kit.grounding import amounts

from .records import MAX_TEXT_CHARS, STAGES, StageKind

MAX_WISH_CHARS: Final = 4000
"""Of an additional wish: a paragraph or two."""

MAX_SCENE_S: Final = 600
"""Seconds of one scene."""


class Board(BaseModel):
    """A storyboard of which one scene is written again."""

    result: int
    """Id of the stored result."""
    made_of: str
    wish: str = ""
    scenes: list[dict[str, Any]]
    characters: list[dict[str, Any]] = Field(default_factory=list)
    findings: list[dict[str, Any]] = Field(default_factory=list)

    def with_scene(self, new: dict[str, Any]) -> list[dict[str, Any]]:
        """Return all scenes, with `new` in the place of the one with its number."""
        return [new if old["number"] == new["number"] else old for old in self.scenes]

    def with_findings(self, number: int, new: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what still holds of the other scenes, and what is new."""
        kept = [one for one in self.findings if one.get("scene") not in {None, number}]
        return [*kept, *new]


class Story(BaseModel):
    model_config = ConfigDict(extra="forbid")

    project_id: int = Field(ge=1, lt=2**63)
    stages: list[StageKind] = Field(default_factory=lambda: list(STAGES), min_length=1)
    """Stages to write, in order."""
    scene: int | None = Field(None, ge=1, le=1000)
    """Number of the one scene of the storyboard to write again; the others stay as they are."""
    original_text: str | None = Field(None, max_length=MAX_TEXT_CHARS)
    """Source of `rewrite`; None: the stage's own input text, else the project's topic."""
    wish: str = Field("", max_length=MAX_WISH_CHARS)
    """An additional wish for the model: `短一点，口语一些`."""
    only_stale: bool = False
    """Write only stale stages: those whose source has changed."""
    topic: str = ""
    """The project's topic at the request. The server replaces whatever a client sends here and in
    the fields below."""
    given: dict[str, Any] = Field(default_factory=dict)
    """Result of the stage before the first one: a text (`rewrite`) or scenes (`storyboard`)."""
    board: Board | None = None
    """For one scene: the storyboard that it is part of. Set by the server too."""
    models: dict[str, str] = Field(default_factory=dict)
    """Model or route of each stage; empty: the default. The request's own goes before it."""


def _seconds(value: Any) -> Any:
    """Read `5秒` and `5 s` as 5."""
    if isinstance(value, bool):
        return str(value)  # else it would count as 0 or 1
    if isinstance(value, str):
        return next((a.value for a in amounts(value) if a.unit == "seconds"), value)
    return value


def _number(value: Any) -> Any:
    """Read `镜头 3` as 3."""
    found = re.search(r"\d+", value) if isinstance(value, str) else None
    return int(found[0][:9]) if found else value


def _names(value: Any) -> Any:
    """Read `小明、小红` as two names, and a character by its name."""
    if isinstance(value, str):
        value = re.split(r"[、，,;；]|\s和\s", value)
    if not isinstance(value, list):
        return value
    names = [one.get("name") if isinstance(one, dict) else one for one in value]
    return [name.strip() if isinstance(name, str) else name for name in names if name != ""]


Name = Annotated[str, Field(min_length=1, max_length=100)]
Number = Annotated[int, BeforeValidator(_number), Field(ge=1, le=1000)]


class Character(BaseModel):
    """A character of the story, as a model describes it."""

    model_config = ConfigDict(extra="ignore")

    name: Name
    look: str = Field("", max_length=1000)


class Scene(BaseModel):
    """One scene of a storyboard, as a model writes it; `shot_size` is in the model's words."""

    model_config = ConfigDict(extra="ignore")

    number: Number = 1
    title: str = Field("", max_length=200)
    description: str = Field(min_length=1, max_length=4000)
    narration: str = Field("", max_length=4000)
    characters: Annotated[list[Name], BeforeValidator(_names), Field(max_length=50)] = Field(
        default_factory=list
    )
    duration_s: Annotated[float | None, BeforeValidator(_seconds), Field(gt=0, le=MAX_SCENE_S)] = (
        None
    )
    shot_size: str | None = Field(None, max_length=200)


class Camera(BaseModel):
    """The camera movement of one scene, as a model writes it."""

    model_config = ConfigDict(extra="ignore")

    scene: Number
    movement: str | None = Field(None, max_length=200)
    reason: str = Field("", max_length=1000)
