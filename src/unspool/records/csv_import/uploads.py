"""
Files that people bring for an import: uploaded, looked at, imported, and their rejected rows.

Each has a folder with the file, a small document on how it went, and the rejected rows as CSV. One
import runs at a time. An import that the end of the server cut off may be run again: what is stored
already stays, and nothing doubles.
"""

from __future__ import annotations

import asyncio
import csv
import json
import logging
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import tzinfo
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

from unspool.errors import BodyTooLarge, NotReady, SpecError, UnknownRecord, UnspoolError

from ...formats.moments import zone_of
from .. import Records, now_ms
from .columns import TABLES
from .csv_file import encoding_of, opened, rows_of
from .importing import ImportReport, ReadingOptions, import_csv
from .plan import BadCell, Plan, headers_in

log = logging.getLogger(__name__)

MAX_UPLOADS: Final = 20
"""Kept; a further one takes the place of the oldest that is not being imported."""

PREVIEW_ROWS: Final = 20
"""Shown before an import: enough to see what a column holds."""

MAX_SHOWN_CHARS: Final = 200
"""Of a cell in a preview."""

MAX_REJECTED_ROWS: Final = 100_000
"""In the file of rejected rows; more of them have the same reason."""

WRITE_BYTES: Final = 1 << 20

Status = Literal["ready", "running", "done", "failed", "cancelled", "interrupted"]
PREFERRED: Final = ("products", "behaviors", "people")


@dataclass(slots=True)
class Upload:
    """
    Attributes:
        reports: How far each kind is, in the order of the import.
        error: Why it failed.
    """

    id: str
    name: str
    bytes: int
    created_ms: int = field(default_factory=now_ms)
    status: Status = "ready"
    time_zone: str = ""
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    rejected: int = 0
    error: str = ""


class _Cancelled(Exception):
    pass


class Uploads:
    """Make one with `await Uploads.open(...)`; end it with `aclose()`."""

    def __init__(self, records: Records, folder: Path, max_bytes: int, time_zone: str) -> None:
        """`time_zone` is that of uploads for which nobody names one."""
        self._records = records
        self._time_zone = time_zone
        self._folder = folder
        self._max_bytes = max_bytes
        self._uploads: dict[str, Upload] = {}
        self._task: asyncio.Task[None] | None = None
        self._stopping: set[str] = set()

    @classmethod
    async def open(cls, records: Records, folder: Path, max_bytes: int, time_zone: str) -> Uploads:
        """Read what an earlier process left; its running import counts as interrupted."""
        uploads = cls(records, folder, max_bytes, time_zone)
        for upload in await asyncio.to_thread(_left_in, folder):
            uploads._uploads[upload.id] = upload
        return uploads

    async def aclose(self) -> None:
        """Stop a running import after its batch of rows."""
        if self._task is not None and not self._task.done():
            self._stopping.update(self._uploads)
            await asyncio.wait([self._task])

    def listed(self) -> list[Upload]:
        """Return all uploads, newest first."""
        return sorted(self._uploads.values(), key=lambda one: (-one.created_ms, one.id))

    def find(self, upload_id: str) -> Upload:
        """
        Return an upload.

        Raises:
            UnknownRecord: There is none of this id.
        """
        if upload_id not in self._uploads:
            raise UnknownRecord(f"no upload {upload_id[:64]!r}")
        return self._uploads[upload_id]

    async def receive(self, name: str, chunks: AsyncIterator[bytes]) -> Upload:
        """
        Write an upload to the disk.

        Raises:
            BodyTooLarge: It is too long; nothing of it stays.
            SpecError: It is no CSV file, or unpacks to too much; nothing of it stays.
        """
        upload = Upload(secrets.token_hex(8), name[:200] or "file.csv", 0)
        folder = self._folder / upload.id
        try:
            await asyncio.to_thread(folder.mkdir, parents=True)
            upload.bytes = await self._write(folder / "file", chunks)
            await self.look(upload)
            await asyncio.to_thread(_save, folder, upload)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        self._uploads[upload.id] = upload
        for old in self.listed()[MAX_UPLOADS:]:
            if old.status != "running":
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
        if self.find(upload_id).status == "running":
            raise NotReady("this file is being imported; cancel that first")
        del self._uploads[upload_id]
        await asyncio.to_thread(shutil.rmtree, self._folder / upload_id, ignore_errors=True)

    async def look(
        self,
        upload: Upload,
        mapping: Mapping[str, Mapping[str, str]] | None = None,
        time_zone: str = "",
    ) -> dict[str, Any]:
        """Return the first rows, and for each kind our columns or why it cannot be that kind."""
        path = self._folder / upload.id / "file"
        return await asyncio.to_thread(_look, path, mapping or {}, self._zone(time_zone))

    def begin(
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
        upload, zone = self.find(upload_id), self._zone(time_zone)
        unknown = [kind for kind in kinds if kind not in TABLES]
        if unknown or not kinds:
            raise SpecError(f"the kinds are {', '.join(TABLES)}; choose at least one")
        if self._task is not None and not self._task.done():
            raise NotReady("another file is being imported; wait for its end")
        upload.status, upload.error, upload.rejected = "running", "", 0
        upload.time_zone = time_zone or self._time_zone
        upload.reports = {kind: {} for kind in PREFERRED if kind in kinds}
        running = self._run(upload, mapping, ReadingOptions(zone))
        self._task = asyncio.create_task(running, name=f"import {upload_id}")
        return upload

    def _zone(self, name: str) -> tzinfo:
        try:
            return zone_of(name or self._time_zone)
        except ValueError as error:
            raise SpecError(str(error)) from None

    def cancel(self, upload_id: str) -> Upload:
        """Stop an import after its batch of rows; what is stored stays."""
        upload = self.find(upload_id)
        if upload.status == "running":
            self._stopping.add(upload_id)
        return upload

    def rejected(self, upload_id: str) -> Path:
        """
        Return the file of rejected rows.

        Raises:
            UnknownRecord: No row was rejected.
        """
        if not self.find(upload_id).rejected:
            raise UnknownRecord("no row of this file was rejected")
        return self._folder / upload_id / "rejected.csv"

    async def _run(
        self, upload: Upload, mapping: Mapping[str, Mapping[str, str]], reading: ReadingOptions
    ) -> None:
        folder = self._folder / upload.id
        try:
            await asyncio.to_thread(_save, folder, upload)
            with _Rejected(folder / "rejected.csv", upload) as rejected:
                for kind in upload.reports:
                    await self._import(upload, kind, mapping.get(kind), reading, rejected)
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
            await asyncio.to_thread(_save, folder, upload)

    async def _import(
        self,
        upload: Upload,
        kind: Any,
        mapping: Mapping[str, str] | None,
        reading: ReadingOptions,
        rejected: _Rejected,
    ) -> None:
        def on_progress(report: ImportReport) -> None:
            upload.reports[kind] = report_json(report)
            if upload.id in self._stopping:
                raise _Cancelled

        rejected.kind = kind
        how = ReadingOptions(reading.zone, rejected.add)
        path = self._folder / upload.id / "file"
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


def _look(path: Path, mapping: Mapping[str, Mapping[str, str]], zone: tzinfo) -> dict[str, Any]:
    encoding = encoding_of(path)
    with opened(path) as (plain, _), TextIOWrapper(plain, encoding=encoding, newline="") as text:
        rows = rows_of(text)
        first = next(rows, None)
        if first is None or isinstance(first[1], str):
            raise SpecError("the file has no header that can be read; its first row names columns")
        head = [(line, cells) for line, cells in islice(rows, PREVIEW_ROWS) if cells]
    kinds: dict[str, Any] = {}
    for kind, table in TABLES.items():
        ours = {name: column.required for name, column in table.columns.items()}
        try:
            plan = Plan(kind, first, mapping.get(kind, {}), zone)
        except SpecError as error:
            kinds[kind] = {"fits": False, "reason": str(error), "ours": ours, "columns": {}}
            continue
        kinds[kind] = {
            "fits": True,
            "ours": ours,
            "columns": plan.columns,
            "left_out": plan.left_out,
            "rows": [_read(plan, cells) for _, cells in head[:5]],
        }
    return {
        "encoding": encoding,
        "headers": headers_in(first[1]),
        "rows": [
            [cell[:MAX_SHOWN_CHARS] for cell in cells]
            for _, cells in head
            if not isinstance(cells, str)
        ],
        "kinds": kinds,
        "suggested": _suggested(kinds),
    }


def _read(plan: Plan, cells: list[str] | str) -> dict[str, Any]:
    """Return how a row would be stored, or why it would not."""
    if isinstance(cells, str):
        return {"reason": cells}
    try:
        values, lost = plan.values(cells)
    except BadCell as wrong:
        return {"reason": str(wrong)}
    values.pop("properties", None)
    shown = {name: str(value)[:MAX_SHOWN_CHARS] for name, value in values.items() if value}
    if "at" in values:
        shown["at"] = f"{values['at']:%Y-%m-%d %H:%M:%S}"
    return {"values": shown, "lost": [wrong.column for wrong in lost]}


def _suggested(kinds: Mapping[str, Any]) -> list[str]:
    """Anything with an id fits people, so that needs a column that only people have."""
    fitting = [kind for kind in ("products", "behaviors") if kinds[kind]["fits"]]
    of_people = {"name", "gender", "age", "city"} & set(kinds["people"]["columns"])
    return fitting or (["people"] if of_people else [])


def _save(folder: Path, upload: Upload) -> None:
    part = folder / "upload.part"
    part.write_text(json.dumps(asdict(upload), ensure_ascii=False), encoding="utf-8")
    part.replace(folder / "upload.json")


def _left_in(folder: Path) -> list[Upload]:
    found: list[Upload] = []
    for path in sorted(folder.glob("*/")) if folder.exists() else ():
        try:
            upload = Upload(**json.loads((path / "upload.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            shutil.rmtree(path, ignore_errors=True)  # an upload that was cut off
            continue
        if upload.status == "running":
            upload.status = "interrupted"
        found.append(upload)
    return found
