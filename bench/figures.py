"""
From what was seen to what is said: quantiles, and the room where results lie.
"""

import json
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console

from .measure import Cores

WIDTH = 126
"""Columns of a report that goes to a file or a pipe, where no window sets them."""

RESULTS = Path(__file__).parent / "results"

_PACKAGES = ("unspool", "uvloop", "uvicorn", "httptools", "fastapi", "httpx", "aiohttp")


def console() -> Console:
    """Where tables go: as wide as the window, and wide enough without one."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=WIDTH)


def quantile(ascending: Sequence[float], share: float) -> float | None:
    """The value that `share` (0 to 1) of `ascending` does not exceed; None of nothing."""
    if not ascending:
        return None
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def ascending(values: Iterable[float | None]) -> list[float]:
    """The values there are, in order."""
    return sorted(value for value in values if value is not None)


def shown(value: float | None, digits: int = 1) -> str:
    """A figure for a table; a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def percent(share: float | None) -> str:
    """A share for a table; a dash where there is none."""
    return "-" if share is None else f"{share:.0%}"


def pair(values: Sequence[float]) -> str:
    """The median and the 99th percentile, for a table; without a fraction from a hundred on."""
    found = (quantile(values, share) for share in (0.5, 0.99))
    return " / ".join(shown(value, 1 if (value or 0) < 100 else 0) for value in found)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def save(name: str, cores: Cores, options: dict[str, object], result: object) -> Path:
    """Write bench/results/`name`.json, with what is needed to judge it later."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": sys.platform,
        "versions": _versions(),
        "server_alone_on_its_core": cores.apart,
        "options": options,
        "result": result,
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path
