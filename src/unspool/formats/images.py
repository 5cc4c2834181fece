"""
Images as a client sends them: a data URL, which is checked by the bytes that it holds.

Nothing is fetched, so an address of the web is refused, and so is SVG, which is a program as much
as a picture.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from typing import Final, NamedTuple

TYPES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")
"""What OpenAI, Anthropic and Gemini all take."""

MAX_BYTES: Final = 5 * 1024 * 1024
"""Of one image: Anthropic's limit, the lowest of them."""

MAX_URL_CHARS: Final = 4 * (MAX_BYTES // 3 + 1) + 64
"""Of its data URL: base64 writes three bytes as four characters."""


class ImageBytes(NamedTuple):
    """An image, whole."""

    type: str
    data: bytes

    @property
    def sha256(self) -> str:
        return sha256(self.data).hexdigest()


def type_of(data: bytes) -> str | None:
    """Return the type that the first bytes of a file show; None: it is no image that we take."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[:6] in {b"GIF87a", b"GIF89a"}:
        return "image/gif"
    return None


def read_data_url(url: str) -> ImageBytes:
    """
    Return the image of `data:image/png;base64,…`.

    Raises:
        ValueError: It is no such URL, or its bytes are no such image; the message says why.
    """
    head, comma, body = url.partition(",")
    type_, _, rest = head.removeprefix("data:").partition(";")
    if not head.startswith("data:") or not comma or rest != "base64":
        raise ValueError("an image is a data URL, `data:image/png;base64,…`; none is fetched")
    if type_ not in TYPES:
        raise ValueError(f"an image is one of {', '.join(TYPES)}")
    try:
        data = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the image is not in base64") from None
    if len(data) > MAX_BYTES:
        raise ValueError(f"an image has at most {MAX_BYTES} bytes")
    if type_of(data) != type_:
        raise ValueError(f"its first bytes are not those of {type_}")
    return ImageBytes(type_, data)
