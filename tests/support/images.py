"""The smallest images of each type, and how a client sends one."""

from __future__ import annotations

import base64
import hashlib

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
GIF = base64.b64decode("R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==")
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(8)
WEBP = b"RIFF\x1a\x00\x00\x00WEBPVP8L" + bytes(8)

EACH = {"image/png": PNG, "image/gif": GIF, "image/jpeg": JPEG, "image/webp": WEBP}


def data_url(data: bytes = PNG, type_: str = "image/png") -> str:
    return f"data:{type_};base64,{base64.b64encode(data).decode()}"


def digest(data: bytes = PNG) -> str:
    return hashlib.sha256(data).hexdigest()
