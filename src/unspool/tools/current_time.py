"""The time in a time zone, because models do not know it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


async def plug(timezone: str = "UTC") -> dict[str, str]:
    """
    Return the time in a zone of the IANA database, such as `Asia/Shanghai`.

    Raises:
        ValueError: There is no such zone.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"no time zone {timezone[:64]!r}; give one like Asia/Shanghai or UTC"
        ) from None
    now = datetime.now(UTC).astimezone(zone)
    return {
        "timezone": timezone,
        "time": now.isoformat(timespec="seconds"),
        "weekday": now.strftime("%A"),
    }
