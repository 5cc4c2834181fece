"""The checks of `unspool doctor`, one function each."""

from __future__ import annotations

import platform
import shutil
import socket
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from ..errors import SetupError, UnspoolError
from ..viewing.remote.errors import Unreachable
from ._bootstrap import host_of

if TYPE_CHECKING:
    from ..settings import Settings
    from ._api import ServerClient

MIB: Final = 1024 * 1024

LOW_SPACE_BYTES: Final = 100 * MIB
"""A hundred thousand answers; with less, people should know before the journal fails."""

SPREAD_S: Final = 0.15
"""The built-in model writes 40 tokens a second: five pieces take about as long."""

ENOUGH_READS: Final = 5

PROMPT: Final = "hello"
"""The built-in model answers it in a second and a half."""


@dataclass(frozen=True, slots=True)
class Check:
    """
    Attributes:
        state: `ok`, `broken`, or `unset`, which is neither good nor bad.
        what: The finding, in a few words.
        advice: The next step for the user; empty if there is none.
    """

    state: Literal["ok", "broken", "unset"]
    name: str
    what: str
    advice: str = ""


def versions() -> Check:
    return Check(
        "ok", "version", f"unspool {version('unspool')}, Python {platform.python_version()}"
    )


def data_dir(settings: Settings) -> Iterator[Check]:
    """Check that the data directory is writable, and the free space of its disk."""
    folder = settings.data_dir.absolute()
    # The first start creates a missing folder in its nearest existing parent.
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        reason = f"{existing} cannot be written: {(error.strerror or str(error)).lower()}"
        yield Check("broken", "data", reason, "change that, or name another with --data-dir")
        return
    if existing == folder:
        yield Check("ok", "data", f"{folder} can be written")
    else:
        yield Check("unset", "data", f"{folder} is not there yet", "`unspool serve` creates it")
    free = shutil.disk_usage(existing).free
    if free < LOW_SPACE_BYTES:
        yield Check("broken", "space", f"{size(free)} free", "make room: runs need disk space")
    else:
        yield Check("ok", "space", f"{size(free)} free")


def database(path: Path, name: str) -> Check:
    """Check that a database is readable; report its size, write-ahead log included."""
    if not path.exists():
        return Check("unset", name, f"{path.name} is not there yet", "`unspool serve` creates it")
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            db.execute("select count(*) from sqlite_master").fetchone()
        finally:
            db.close()
    except sqlite3.Error as error:
        advice = "restore a copy, or move the file away to start empty"
        return Check("broken", name, f"{path} cannot be read: {error}", advice)
    wal = path.with_name(f"{path.name}-wal")
    total = path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
    return Check("ok", name, f"{path.name} can be read, {size(total)}")


def model(settings: Settings) -> Check:
    """Report the model of the environment, never its key."""
    from ..models.environment import (  # slow to import, see `cli`
        model_from,
        models_beside,
    )

    found = model_from(settings) or next(iter(models_beside(None, settings)), None)
    if found is not None:
        key = "key present" if found.api_key else "no key"
        return Check("ok", "model", f"{found.name} at {host_of(found)}, {key}")
    key = "present" if settings.llm_api_key or settings.openai_api_key else "absent"
    url = "present" if settings.llm_base_url else "absent"
    what = f"none set up (key {key}, address {url}); the built-in model answers"
    return Check("unset", "model", what, "set LLM_API_KEY, LLM_BASE_URL and LLM_MODEL")


def telemetry(settings: Settings) -> Iterator[Check]:
    """Check the webhook and the traces, if they are wanted; never show the address."""
    from ..core.telemetry.traces import EXTRA, endpoint_of, has_extra  # slow to import, see `cli`
    from ..core.telemetry.webhooks import signer_of
    from ..providers.upstream.addresses import check_url

    if settings.webhook_url is not None:
        url = settings.webhook_url.get_secret_value()
        try:
            signer_of(settings)
            check_url(url, allow_private=settings.allow_private_upstreams)
        except UnspoolError as error:
            yield Check("broken", "webhook", str(error), "correct it: the server sends none")
        else:
            yield Check("ok", "webhook", f"signed, to {urlsplit(url).hostname}")
    if endpoint := endpoint_of(settings):
        if has_extra():
            yield Check("ok", "traces", f"to {urlsplit(endpoint).hostname}")
        else:
            yield Check("broken", "traces", "an address is set, but nothing sends them", EXTRA)


async def server(client: ServerClient, *, is_named: bool) -> Check:
    """Check that the server answers; it need not if the user named none."""
    try:
        status = await client.ask("GET", "/readyz")
    except Unreachable as error:
        if is_named or "not Unspool" in str(error):
            return Check("broken", "server", str(error))
        return Check("unset", "server", f"none at {client.url}", "`unspool serve` starts one")
    except UnspoolError as error:
        return Check("broken", "server", str(error), "look into its log")
    models = ", ".join(map(str, status.get("models", ()))) or "models for those who have a key"
    return Check("ok", "server", f"{client.url} answers, with {models}")


async def streaming(server: ServerClient) -> Check:
    """Check that a stream arrives piece by piece. The built-in model costs nothing."""
    from ..formats.sse import Decoder

    reads: list[float] = []
    decoder = Decoder()
    try:
        async with server.streaming("/ai/stream", {"prompt": PROMPT, "model": "offline"}) as answer:
            run_id = answer.headers.get("X-Run-Id", "")
            async for chunk in answer.content.iter_any():
                if decoder.feed(chunk):
                    reads.append(time.monotonic())
                if len(reads) >= ENOUGH_READS and reads[-1] - reads[0] >= SPREAD_S:
                    break
        if run_id:
            await server.cancel(run_id)  # the check needs no more of it
    except UnspoolError as error:
        return Check("broken", "stream", str(error), "look into the server's log")
    spread_s = reads[-1] - reads[0] if reads else 0.0
    if len(reads) < 2 or spread_s < SPREAD_S:
        what = f"a proxy holds the stream back: it came in {len(reads)} piece(s)"
        return Check("broken", "stream", what, "turn its buffering off (nginx: proxy_buffering)")
    return Check("ok", "stream", f"arrives piece by piece ({len(reads)} in {spread_s:.2f} s)")


def port(settings: Settings, *, is_ours: bool) -> Check:
    """Check that `unspool serve` could listen. `is_ours`: our own server uses the port."""
    where = f"{settings.host}:{settings.port}"
    if is_ours:
        return Check("ok", "port", f"the server uses {where}")
    from ..server.listening import listen

    try:
        sock: socket.socket = listen(settings)
    except SetupError as error:
        return Check("broken", "port", str(error))
    sock.close()
    return Check("ok", "port", f"{where} is free")


def size(count: float) -> str:
    """Return bytes in words: `812 B`, `3.4 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
