"""The input of the flow `copywriting`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .checks import LONGEST, CopyRules

Style = Literal["natural", "professional", "funny"]

Length = Literal["short", "usual", "long"]

Tone = Literal["", "warm", "restrained", "lively", "direct"]

LENGTHS: Final[Mapping[Length, tuple[int, int]]] = {
    "short": (30, 70),
    "usual": (60, 140),
    "long": (140, 240),
}
"""Fewest and most characters: a caption, what people read without scrolling, a full post."""

MAX_POSTS: Final = 10

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


class Rewritten(BaseModel):
    """The post that a run of one post writes again."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(min_length=1, max_length=64)
    post: int = Field(ge=1, le=MAX_POSTS)


class CopyOrder(BaseModel):
    """What a client may ask for."""

    sku: str = Field(min_length=1, max_length=64, pattern=r"^\P{Cc}+$", examples=["8WZ01CM1"])
    """The product's number. No control characters: it stands in prompts, logs and warnings."""
    style: Style = "natural"
    user_id: str | None = Field(None, max_length=64)
    """The reader; stored with the run, never shown to the model."""
    count: int = Field(3, ge=1, le=MAX_POSTS)
    """Number of posts. There are ten angles; further posts would only repeat."""
    reveal: Literal["live", "checked"] = "live"
    """`checked`: a post appears after it has passed the rules, and is rewritten until then."""
    rules: CopyRules = Field(default_factory=CopyRules)
    first_text_s: float | None = Field(None, gt=0, le=3600)
    """
    Seconds that the reader waits for a post to begin, and for more of it in the middle; then the
    template writes. None: the server's setting (`UNSPOOL_FIRST_TEXT_S`).
    """
    max_tokens: int | None = Field(None, ge=64, le=32_768)
    """Tokens that the model may write for a post, thoughts included; None: as many as fit it."""
    length: Length = "usual"
    """How long the posts are to be (`LENGTHS`). Given `rules` go before it."""
    tone: Tone = ""
    """A turn of the style's tone; empty: none."""
    wish: str = Field("", max_length=MAX_PROMPT_CHARS)
    """A person's own words to the model, beyond the rest."""
    others: list[Annotated[str, Field(max_length=LONGEST)]] = Field(
        default_factory=list, max_length=MAX_POSTS
    )
    """Posts that are there already: no new one may be like them."""
    rewrites: Rewritten | None = None
    """The run writes this post of another run again, and its `count` is 1."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.rewrites is not None and self.count != 1:
            raise ValueError("a rewrite is of one post: send `count` 1")
        return self


class Copy(CopyOrder):
    """The input of the flow: the order, and what the database knows."""

    model_config = ConfigDict(extra="forbid")

    product: dict[str, Any] = Field(default_factory=dict)
    """
    The product's facts at the time of the request. We replace anything that a client sends here
    and in the fields below.
    """
    interest: dict[str, Any] = Field(default_factory=dict)
    """The reader's behaviour with the product (`records.interests`)."""
    arm: Arm = Field(default_factory=Arm)
    reasons: list[dict[str, Any]] = Field(default_factory=list)
    """What else is known of the reader, and what it changes (`records.tastes`)."""
    rivals: list[str] = Field(default_factory=list)
    """Brands of the shop's other products: this product is none of them."""
    variant: int = 0
    """Earlier runs for this product, style and reader: each gets other posts."""

    @property
    def before(self) -> int:
        """Posts that earlier runs have written."""
        return self.variant * self.count

    @property
    def chars(self) -> tuple[int, int]:
        """Fewest and most characters of a post."""
        if self.reveal == "checked":
            return self.rules.min_chars, self.rules.max_chars
        return LENGTHS[self.length]
