"""What is asked of the flow `copywriting`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .checks import CopyRules

Style = Literal["natural", "professional", "funny"]

MAX_PROMPT_CHARS = 4000
"""Of the wishes of one arm: a page."""


class Arm(BaseModel):
    """One side of an experiment, and what is different there; see `records.experiments`."""

    model_config = ConfigDict(extra="forbid")

    experiment: str = ""
    """Empty: no experiment goes on, and nothing is different."""
    name: str = ""
    writer: Literal["model", "template"] = "model"
    model: str = ""
    """Empty: the run's own."""
    prompt: str = Field("", max_length=MAX_PROMPT_CHARS)
    """Takes the place of our list of wishes, line by line; empty: ours."""


class CopyOrder(BaseModel):
    """What a client may ask for."""

    sku: str = Field(min_length=1, max_length=64, pattern=r"^\P{Cc}+$", examples=["8WZ01CM1"])
    """The product's number. No control characters: it stands in prompts, logs and warnings."""
    style: Style = "natural"
    user_id: str | None = Field(None, max_length=64)
    """Whom it is for; kept with the run, not told to the model."""
    count: int = Field(3, ge=1, le=10)
    """Posts. Ten, because there are ten angles; further ones would only repeat."""
    reveal: Literal["live", "checked"] = "live"
    """`checked`: a post is shown when it has passed the rules, and rewritten until then."""
    rules: CopyRules = Field(default_factory=CopyRules)


class Copy(CopyOrder):
    """The input of the flow: the order, and what the database knows."""

    model_config = ConfigDict(extra="forbid")

    product: dict[str, Any] = Field(default_factory=dict)
    """The product's facts as they were when it was asked. Whatever a client sends is replaced;
    so are the next two."""
    interest: dict[str, Any] = Field(default_factory=dict)
    """What the reader did with the product (`records.interests`)."""
    arm: Arm = Field(default_factory=Arm)
