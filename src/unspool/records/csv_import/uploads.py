"""
Files that people bring for an import: uploaded, looked at, imported, and their rejected rows.

They lie on a shelf (`shelves`): a folder, or a database that several servers share. One import runs
at a time, at whichever server. An import that the end of its server cut off may be run again: what
is stored already stays, and nothing doubles.
"""

from __future__ import annotations

import asyncio
import csv
import logging
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from datetime import tzinfo
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

from unspool.errors import (
    BodyTooLarge,
    NotReady,
    RecordsError,
    SpecError,
    UnknownRecord,
    UnspoolError,
)

from ...formats.moments import zone_of
from .. import Records
from .columns import TABLES
from .importing import ImportReport, ReadingOptions, import_csv
from .preview import look_at
from .shelves import FolderShelf, Shelf, TableShelf, Upload, another_runs

log = logging.getLogger(__name__)

MAX_UPLOADS: Final = 20
"""Kept; a further one takes the place of the oldest that is not being imported."""

MAX_REJECTED_ROWS: Final = 100_000
"""In the file of rejected rows; more of them have the same reason."""

WRITE_BYTES: Final = 1 << 20

TELL_S: Final = 0.5
"""How often a running import tells other servers of itself, and hears from them."""

PREFERRED: Final = ("products", "behaviors", "people")


class _Cancelled(Exception):
    pass


class Uploads:
    """Make one with `await Uploads.open(...)`; end it with `aclose()`."""

    def __init__(self, records: Records, shelf: Shelf, max_bytes: int, time_zone: str) -> None:
        """`time_zone` is that of uploads for which nobody names one."""
        self._records = records
        self._time_zone = time_zone
        self._shelf = shelf
        self._max_bytes = max_bytes
        self._task: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()
        self._stopping: set[str] = set()

    @classmethod
    async def open(cls, records: Records, folder: Path, max_bytes: int, time_zone: str) -> Uploads:
        """Read what an earlier process left; its running import counts as interrupted."""
        make = (lambda: TableShelf(records)) if records.is_shared else (lambda: FolderShelf(folder))
        return cls(records, await asyncio.to_thread(make), max_bytes, time_zone)

    async def aclose(self) -> None:
        """Stop a running import after its batch of rows."""
        if self._task is not None and not self._task.done():
            self._stopping.add(self._task.get_name())
            await asyncio.wait([self._task])
        await self._shelf.aclose()

    async def listed(self) -> list[Upload]:
        """Return all uploads, newest first."""
        return sorted(await self._shelf.all(), key=lambda one: (-one.created_ms, one.id))

    async def find(self, upload_id: str) -> Upload:
        """
        Return an upload.

        Raises:
            UnknownRecord: There is none of this id.
        """
        return await self._shelf.find(upload_id)

    async def receive(self, name: str, chunks: AsyncIterator[bytes]) -> Upload:
        """
        Take in an upload.

        Raises:
            BodyTooLarge: It is too long; nothing of it stays.
            SpecError: It is no CSV file, or unpacks to too much; nothing of it stays.
        """
        upload = Upload(secrets.token_hex(8), name[:200] or "file.csv", 0)
        folder = self._shelf.folder(upload.id)
        try:
            await asyncio.to_thread(folder.mkdir, parents=True)
            upload.bytes = await self._write(folder / "file", chunks)
            await self.look(upload)
            await self._shelf.add(upload)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        for old in (await self.listed())[MAX_UPLOADS:]:
            with suppress(NotReady, UnknownRecord):  # it runs, or another server removed it
                await self.remove(old.id)
        return upload

    async def _write(self, path: Path, chunks: AsyncIterator[bytes]) -> int:
        total, waiting = 0, bytearray()
        with await asyncio.to_thread(path.open, "wb") as file:
            async for chunk in chunks:
                total += len(chunk)
                if total > self._max_bytes:
                    raise BodyTooLarge(self._max_bytes)
                waiting += chunk
                if len(waiting) >= WRITE_BYTES:
                    await asyncio.to_thread(file.write, bytes(waiting))
                    waiting.clear()
            await asyncio.to_thread(file.write, bytes(waiting))
        return total

    async def remove(self, upload_id: str) -> None:
        """
        Delete an upload; what it brought stays.

        Raises:
            NotReady: It is being imported.
        """
        await self._shelf.remove(upload_id)

    async def look(
        self,
        upload: Upload,
        mapping: Mapping[str, Mapping[str, str]] | None = None,
        time_zone: str = "",
    ) -> dict[str, Any]:
        """Return the first rows, and for each kind our columns or why it cannot be that kind."""
        path = await self._shelf.fetch(upload.id, "file")
        return await asyncio.to_thread(look_at, path, mapping or {}, self._zone(time_zone))

    async def begin(
        self,
        upload_id: str,
        kinds: Sequence[str],
        mapping: Mapping[str, Mapping[str, str]],
        time_zone: str,
    ) -> Upload:
        """
        Start an import of these kinds, one after the other.

        Raises:
            NotReady: Another import runs.
            SpecError: There is no such kind or time zone.
        """
        upload, zone = await self.find(upload_id), self._zone(time_zone)
        unknown = [kind for kind in kinds if kind not in TABLES]
        if unknown or not kinds:
            raise SpecError(f"the kinds are {', '.join(TABLES)}; choose at least one")
        async with self._beginning:
            if self._task is not None and not self._task.done():
                raise another_runs()
            before = upload.status
            upload.status, upload.error, upload.rejected = "running", "", 0
            upload.time_zone = time_zone or self._time_zone
            upload.reports = {kind: {} for kind in PREFERRED if kind in kinds}
            try:
                await self._shelf.claim(upload)
            except BaseException:
                upload.status = before
                raise
            running = self._run(upload, mapping, ReadingOptions(zone))
            self._task = asyncio.create_task(running, name=upload_id)
            return upload

    def _zone(self, name: str) -> tzinfo:
        try:
            return zone_of(name or self._time_zone)
        except ValueError as error:
            raise SpecError(str(error)) from None

    async def cancel(self, upload_id: str) -> Upload:
        """Stop an import after its batch of rows, at any server; what is stored stays."""
        upload = await self.find(upload_id)
        if upload.status == "running":
            self._stopping.add(upload_id)
            await self._shelf.stop(upload_id)
        return upload

    async def rejected(self, upload_id: str) -> Path:
        """
        Return the file of rejected rows.

        Raises:
            UnknownRecord: No row was rejected.
        """
        if not (await self.find(upload_id)).rejected:
            raise UnknownRecord("no row of this file was rejected")
        return await self._shelf.fetch(upload_id, "rejected.csv")

    async def _run(
        self, upload: Upload, mapping: Mapping[str, Mapping[str, str]], reading: ReadingOptions
    ) -> None:
        try:
            async with self._telling(upload):
                path = await self._shelf.fetch(upload.id, "file")
                with _Rejected(path.with_name("rejected.csv"), upload) as rejected:
                    for kind in upload.reports:
                        rejected.kind = kind
                        await self._import(upload, path, mapping.get(kind), reading, rejected)
            upload.status = "done"
        except _Cancelled:
            upload.status = "cancelled"
        except UnspoolError as error:
            upload.status, upload.error = "failed", str(error)
        except Exception as error:
            log.exception("Import %s failed", upload.id)
            upload.status, upload.error = "failed", type(error).__name__
        finally:
            self._stopping.discard(upload.id)
            await self._end(upload)

    @asynccontextmanager
    async def _telling(self, upload: Upload) -> AsyncIterator[None]:
        """Tell other servers how far an import is, and hear whether it shall stop."""

        async def tell() -> None:
            while True:
                await asyncio.sleep(TELL_S)
                with suppress(RecordsError):  # the import itself says so
                    if await self._shelf.tell(upload):
                        self._stopping.add(upload.id)

        task = asyncio.create_task(tell())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _end(self, upload: Upload) -> None:
        try:
            await self._shelf.end(upload)
        except (RecordsError, OSError) as error:
            log.warning("How the import %s ended cannot be stored: %s", upload.id, error)

    async def _import(
        self,
        upload: Upload,
        path: Path,
        mapping: Mapping[str, str] | None,
        reading: ReadingOptions,
        rejected: _Rejected,
    ) -> None:
        kind: Any = rejected.kind

        def on_progress(report: ImportReport) -> None:
            upload.reports[kind] = report_json(report)
            if upload.id in self._stopping:
                raise _Cancelled

        how = ReadingOptions(reading.zone, rejected.add)
        report = await import_csv(self._records, kind, path, mapping, on_progress, how)
        upload.reports[kind] = report_json(report)


class _Rejected:
    """Writes the rejected rows, with their kind, line and reason; made when there is one."""

    def __init__(self, path: Path, upload: Upload) -> None:
        self._path = path
        self._upload = upload
        self._file: TextIOWrapper | None = None
        self.kind = ""

    def __enter__(self) -> _Rejected:
        self._path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, line: int, cells: Sequence[str], reason: str) -> None:
        self._upload.rejected += 1
        if self._upload.rejected > MAX_REJECTED_ROWS:
            return
        if self._file is None:
            # With a mark, because spreadsheets take a file without one for another encoding.
            self._file = self._path.open("w", encoding="utf-8-sig", newline="")
            csv.writer(self._file).writerow(["kind", "line", "reason", "row"])
        csv.writer(self._file).writerow([self.kind, line, reason, *cells])


def report_json(report: ImportReport) -> dict[str, Any]:
    """Return a report for clients."""
    facts = asdict(report)
    facts["problems"] = [
        {"code": code, "column": column, "count": count}
        for (code, column), count in report.problems.most_common()
    ]
    return facts | {"unchanged": report.unchanged}
