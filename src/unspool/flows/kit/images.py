"""Images in the input of a flow: as a client sends them, and as the log has them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ...formats.images import MAX_URL_CHARS, read_data_url

MAX_IMAGES: Final = 4
"""Of one question."""


class StoredImage(BaseModel):
    """An image that the server has, by the digest of its bytes."""

    model_config = ConfigDict(extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    type: Literal["image/png", "image/jpeg", "image/webp", "image/gif"] = "image/png"
    """The server replaces whatever a client sends, and so the next."""
    bytes: int = Field(0, ge=0)


def _checked(url: str) -> str:
    read_data_url(url)
    return url


DataUrl = Annotated[str, Field(max_length=MAX_URL_CHARS), AfterValidator(_checked)]
Images = Annotated[list[StoredImage | DataUrl], Field(max_length=MAX_IMAGES)]
"""Each as `data:image/png;base64,…` or by its digest; the log has the digests alone."""
