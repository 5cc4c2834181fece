"""Reads settings and starts logging; every error is one sentence."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ..errors import SetupError

if TYPE_CHECKING:
    from ..providers import Model
    from ..records import Records
    from ..settings import Settings


WORDY: Final = ("aiosqlite", "asyncio", "urllib3", "websockets")
"""Loggers of others that write whole values at DEBUG, prompts among them."""


def read_settings(**overrides: Any) -> Settings:
    """
    Return the settings of the environment and `.env`; an override of None does not count.

    Raises:
        SetupError: One of them is invalid. The message omits the value: it may be a key.
    """
    # pydantic takes a quarter of a second, which `--help` does not wait for.
    from pydantic import ValidationError

    from ..settings import Settings

    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        name = str(problem["loc"][0]).upper() if problem["loc"] else "SETTINGS"
        name = name if name.startswith(("LLM_", "OPENAI_")) else f"UNSPOOL_{name}"
        raise SetupError(
            f"{name} is wrong: {problem['msg']}. Correct it in the environment or in .env."
        ) from None
    except (ValueError, OSError) as error:
        raise SetupError(
            f".env cannot be read ({type(error).__name__}); it must be a text file in UTF-8."
        ) from error


def database_of(settings: Settings, data_dir: Path | None) -> str:
    """
    Return the URL of the database that has the runs; empty: they are in the data directory.

    Args:
        settings: They may name a database.
        data_dir: The directory that the user has named.

    Raises:
        SetupError: The user has named two stores.
    """
    if settings.database_url is None:
        return ""
    if data_dir is not None and (data_dir / "journal.db").exists():
        raise SetupError(
            f"There are two stores: UNSPOOL_DATABASE_URL, and the journal.db in {data_dir}. Unset "
            "the variable, or leave out --data-dir."
        )
    return settings.database_url.get_secret_value()


async def open_records(settings: Settings) -> Records:
    """
    Open the records for a command.

    Raises:
        SetupError: They cannot be used.
    """
    # SQLAlchemy takes half a second, which `--help` does not wait for.
    from ..records import Records, place_of

    if settings.database_url is not None:
        with suppress(OSError):  # what needs the folder says so, if it is missing
            settings.data_dir.mkdir(parents=True, exist_ok=True)
    return await Records.open(place_of(settings))


def start_logging(
    default: str, *, hidden: Mapping[str, int] | None = None, worker: int | None = None
) -> None:
    """
    Log to stderr from the level `UNSPOOL_LOG_LEVEL` up, else from `default`; one JSON object a
    line if `UNSPOOL_LOG_FORMAT` is `json`.

    Args:
        default: Name of a level.
        hidden: Loggers to hide, each up to a level, unless the user has set a level.
        worker: The number of this process among several, for each line.

    Raises:
        SetupError: There is no such level or format.
    """
    wanted = os.environ.get("UNSPOOL_LOG_LEVEL", "").strip().upper()
    levels = logging.getLevelNamesMapping()
    if wanted and wanted not in levels:
        raise SetupError(
            f"UNSPOOL_LOG_LEVEL is wrong: no level {wanted[:32]!r}; have: DEBUG, INFO, WARNING, "
            "ERROR, CRITICAL."
        )
    line = logging.StreamHandler(sys.stderr)
    form = os.environ.get("UNSPOOL_LOG_FORMAT", "").strip().lower()
    line.setFormatter(_formatter(form, worker))
    if not wanted and hidden:
        line.addFilter(
            lambda record: (
                not any(
                    record.name.startswith(name) and record.levelno <= level
                    for name, level in hidden.items()
                )
            )
        )
    for name in WORDY:
        logging.getLogger(name).setLevel(logging.INFO)
    # uvicorn has no handlers of its own here: its loggers propagate to the root, like ours.
    logging.basicConfig(level=levels[wanted or default], handlers=[line])


def _formatter(form: str, worker: int | None) -> logging.Formatter:
    if form == "json":
        from pythonjsonlogger.json import JsonFormatter

        fields = ["asctime", "levelname", "name", "message"]
        names = {"asctime": "at", "levelname": "level", "name": "logger"}
        more = {} if worker is None else {"worker": worker}
        return JsonFormatter(
            fields, rename_fields=names, static_fields=more, json_ensure_ascii=False
        )
    if form not in {"", "text"}:
        raise SetupError(f"UNSPOOL_LOG_FORMAT is wrong: {form[:32]!r}; have: text, json.")
    place = "" if worker is None else f"worker {worker} - "
    return logging.Formatter(f"%(asctime)s - {place}%(name)s - %(levelname)s - %(message)s")


def host_of(model: Model) -> str:
    """Return the host of a model, without any user name or password in its address."""
    return urlsplit(model.base_url).hostname or ""


def label_of(model: Model) -> str:
    """Return `name@host`, or advice if it is the built-in model."""
    if model.provider == "offline":
        return "offline (built in; set LLM_API_KEY, LLM_BASE_URL and LLM_MODEL for a real one)"
    return f"{model.name}@{host_of(model)}"
