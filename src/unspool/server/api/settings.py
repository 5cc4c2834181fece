"""`/api/settings`: what this server is, where its data is, and every setting; no secret."""

from __future__ import annotations

import platform
import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from fastapi import APIRouter
from pydantic import SecretStr

from unspool.core import Core
from unspool.settings import Settings


def plug(core: Core) -> APIRouter:
    router = APIRouter(tags=["settings"])

    @router.get("/api/settings")
    async def read_settings() -> dict[str, Any]:
        """Read the version, the data directory and every setting; of a secret, only its name."""
        folder = core.settings.data_dir.absolute()
        return {
            "version": version("unspool"),
            "python": platform.python_version(),
            "data_dir": str(folder),
            "journal_bytes": await core.journal.used_bytes(),
            "free_bytes": _free_bytes(folder),
            "settings": [_setting_json(core.settings, name) for name in Settings.model_fields],
        }

    return router


def _free_bytes(folder: Path) -> int | None:
    """Return the room on the disk of the data directory; None: the system does not tell."""
    with suppress(OSError):
        return shutil.disk_usage(folder).free
    return None


def _setting_json(settings: Settings, name: str) -> dict[str, Any]:
    field = Settings.model_fields[name]
    alias = field.validation_alias
    value = getattr(settings, name)
    default = field.get_default()
    is_secret = "SecretStr" in str(field.annotation)
    return {
        "name": alias if isinstance(alias, str) else f"UNSPOOL_{name.upper()}",
        "value": None if is_secret else _plain(value),
        "default": None if is_secret else _plain(default),
        "is_secret": is_secret,
        "is_set": value is not None if is_secret else value != default,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        raise TypeError("a secret never leaves the server")
    if isinstance(value, str) and "://" in value:  # an address may hold a key
        parts = urlsplit(value)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return str(value) if isinstance(value, Path) else value
