"""The input of the flow `copywriting`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .checks import CopyRules

Style = Literal["natural", "professional", "funny"]

MAX_PROMPT_CHARS = 4000
"""Characters of one arm's wishes: a page."""


class Arm(BaseModel):
    """One arm of an experiment, and its differences; see `records.experiments`."""

    model_config = ConfigDict(extra="forbid")

    experiment: str = ""
    """Empty: no experiment is active, and nothing differs."""
    name: str = ""
    writer: Literal["model", "template"] = "model"
    model: str = ""
    """Empty: the run's own."""
    prompt: str = Field("", max_length=MAX_PROMPT_CHARS)
    """Replaces our list of wishes, line by line; empty: ours."""


class CopyOrder(BaseModel):
    """What a client may ask for."""

    sku: str = Field(min_length=1, max_length=64, pattern=r"^\P{Cc}+$", examples=["8WZ01CM1"])
    """The product's number. No control characters: it stands in prompts, logs and warnings."""
    style: Style = "natural"
    user_id: str | None = Field(None, max_length=64)
    """The reader; stored with the run, never shown to the model."""
    count: int = Field(3, ge=1, le=10)
    """Number of posts. There are ten angles; further posts would only repeat."""
    reveal: Literal["live", "checked"] = "live"
    """`checked`: a post appears after it has passed the rules, and is rewritten until then."""
    rules: CopyRules = Field(default_factory=CopyRules)


class Copy(CopyOrder):
    """The input of the flow: the order, and what the database knows."""

    model_config = ConfigDict(extra="forbid")

    product: dict[str, Any] = Field(default_factory=dict)
    """
    The product's facts at the time of the request. We replace anything that a client sends here;
    likewise in the next two fields.
    """
    interest: dict[str, Any] = Field(default_factory=dict)
    """The reader's behaviour with the product (`records.interests`)."""
    arm: Arm = Field(default_factory=Arm)
