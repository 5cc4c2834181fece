"""What headers of a request mean, by RFC 9110."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)(?::\d{0,5})?")
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_QUALITY: Final = re.compile(r"[01](\.\d{0,3})?")

STREAM: Final = "text/event-stream"

IS_HEAD: Final = "unspool.head"
"""Key in the scope of a HEAD, which the application answers as it answers a GET."""


def host_in(values: Iterable[bytes]) -> str | None:
    """Return the one name or address in `Host`, in lower case; None: it is no `Host`."""
    hosts = [value.decode("latin-1") for value in values]
    found = _HOST.fullmatch(hosts[0].strip()) if len(hosts) == 1 else None
    return None if found is None else found[1].strip("[]").lower()


def prefix_in(value: str) -> str:
    """Return the path that a proxy took away (`X-Forwarded-Prefix`); empty if it is none."""
    path = value.strip().rstrip("/")
    is_path = _PREFIX.fullmatch(path) and not {".", ".."} & set(path.split("/"))
    return path if is_path else ""


def wants_stream(accept: str) -> bool:
    """
    Whether a client that takes JSON or a stream wants the stream.

    It must name it, by its type or as `text/*`, and must not like JSON better; of two that it
    likes as much and names as closely, it gets the stream.
    """
    ranges = dict(map(_range, accept.lower().split(",")))
    stream = _liking(ranges, STREAM)
    return stream[0] > 0 and stream[1] > 0 and stream >= _liking(ranges, "application/json")


def _range(text: str) -> tuple[str, float]:
    kind, *parameters = (part.strip() for part in text.split(";"))
    given = (p.partition("=")[2].strip() for p in parameters if p.partition("=")[0].strip() == "q")
    quality = next(given, "1")
    return kind, min(float(quality), 1.0) if _QUALITY.fullmatch(quality) else 1.0


def _liking(ranges: dict[str, float], kind: str) -> tuple[float, int]:
    """Return how much a type is liked, by the closest range, and how closely that names it."""
    for closeness, name in ((2, kind), (1, kind.partition("/")[0] + "/*"), (0, "*/*")):
        if name in ranges:
            return ranges[name], closeness
    return 0.0, 0
