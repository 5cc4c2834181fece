"""
Reads times as shops' files write them.

One rule: a stored time is the time by the shop's clocks, so it reads as people there would say it,
and "in the morning" is their morning. A time without a zone is that already. A time with a zone,
or a number of Unix seconds or milliseconds, is a moment, and becomes the time that the clocks of
the given time zone showed at it. So two ways of writing one moment are stored as one time.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MS: Final = timedelta(milliseconds=1)

_OFFSET: Final = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d\d))?", re.IGNORECASE)


def zone_of(name: str) -> tzinfo:
    """
    Return a time zone by its name: `Asia/Shanghai`, `UTC`, `+08:00`.

    Raises:
        ValueError: There is none of this name.
    """
    if found := _OFFSET.fullmatch(name.strip()):
        sign, hours, minutes = found.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        if offset < timedelta(hours=24):
            return timezone(-offset if sign == "-" else offset)
    try:
        return ZoneInfo(name.strip() or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"no time zone {name[:64]!r}; write one like Asia/Shanghai or +08:00"
        ) from None


_DAY_AND_TIME = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
    r"(?:[T ]*(\d{1,2})[:时](\d{1,2})分?(?:[:]?(\d{1,2})秒?(?:[.,](\d{1,6})\d*)?)?)?"
)
_UNIX_S = re.compile(r"\d{9,10}(?:\.\d+)?")
_UNIX_MS = re.compile(r"\d{13}")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")
_YEARS = range(1970, 2201)


def read_moment(cell: str, zone: tzinfo = UTC) -> datetime:
    """
    Read ISO 8601, `2025-11-24 09:50:50`, `2025/11/24 9:50`, Unix seconds or milliseconds.

    Returns the time by the clocks of `zone`, with UTC in the place of their zone.

    Raises:
        ValueError: It is none of these, or lies outside the years 1970 to 2200.
    """
    text = unicodedata.normalize("NFKC", cell).strip()
    try:
        moment = _moment(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(zone)
        moment = moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("is not a time such as 2025-11-24 09:50:50") from error
    if moment.year not in _YEARS:
        raise ValueError("lies outside the years 1970 to 2200")
    return moment


def _moment(text: str) -> datetime:
    if _UNIX_S.fullmatch(text):
        # Not float(): its microseconds would differ between machines' roundings.
        seconds, _, part = text.partition(".")
        return EPOCH + timedelta(seconds=int(seconds), microseconds=int(part[:6].ljust(6, "0")))
    if _UNIX_MS.fullmatch(text):
        return EPOCH + int(text) * MS
    if found := _DAY_AND_TIME.fullmatch(text) or _COMPACT.fullmatch(text):
        fields = [field or "0" for field in found.groups()]
        part = fields[6].ljust(6, "0") if len(fields) > 6 else "0"
        year, month, day, hour, minute, second = (int(field) for field in fields[:6])
        return datetime(year, month, day, hour, minute, second, int(part))  # noqa: DTZ001 - none
    return datetime.fromisoformat(text)
