"""
Where uploads wait for their import: in the data directory, or in a database of several servers.

Any server may be asked for an upload, so with PostgreSQL the pieces of a file lie in the database,
and a server that looks at it or imports it makes a copy of its own first.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, Protocol

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String, Text, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from unspool.errors import NotReady, UnknownRecord
from unspool.formats.tenancy import DEFAULT, present_tenant

from .. import Base, Records, hold, insert_into, now_ms

PART_BYTES: Final = 1 << 20

LOST_AFTER_MS: Final = 30_000
"""An import that has not told of itself for so long has lost its server."""

_ID: Final = re.compile(r"[0-9a-z]{1,32}")

Status = Literal["ready", "running", "done", "failed", "cancelled", "interrupted"]


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


class UploadRow(Base):
    """An upload that several servers can reach; see `Upload`."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    bytes: Mapped[int]
    created_ms: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(16))
    time_zone: Mapped[str] = mapped_column(String(64))
    reports: Mapped[dict[str, Any]]
    rejected: Mapped[int]
    error: Mapped[str] = mapped_column(Text)
    told_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    """When the server that imports it last told so."""
    is_stopping: Mapped[bool] = mapped_column(default=False)
    """Somebody wants its import to stop."""


class UploadPart(Base):
    """A piece of a file: of the upload itself (`file`), or of its rejected rows."""

    __tablename__ = "upload_parts"

    upload_id: Mapped[str] = mapped_column(
        ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True
    )
    file: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Shelf(Protocol):
    """Errors of all: `UnknownRecord`, if there is no such upload."""

    def folder(self, upload_id: str) -> Path:
        """Return the folder for the files of an upload at this server."""

    async def all(self) -> list[Upload]:
        """Return all uploads, in any order."""

    async def find(self, upload_id: str) -> Upload:
        """Return an upload."""

    async def add(self, upload: Upload) -> None:
        """Take in an upload whose file lies in its folder."""

    async def fetch(self, upload_id: str, file: Literal["file", "rejected.csv"]) -> Path:
        """Return a file of an upload in its folder."""

    async def claim(self, upload: Upload) -> None:
        """Store that it is being imported; `NotReady`, if another one is."""

    async def tell(self, upload: Upload) -> bool:
        """Store how far its import is; return whether it shall stop."""

    async def end(self, upload: Upload) -> None:
        """Store how its import ended, with its rejected rows."""

    async def stop(self, upload_id: str) -> None:
        """Let the server that imports it stop."""

    async def remove(self, upload_id: str) -> None:
        """Delete an upload; `NotReady`, if it is being imported."""

    async def aclose(self) -> None:
        """Delete the copies."""


def _unknown(upload_id: str) -> UnknownRecord:
    return UnknownRecord(f"no upload {upload_id[:64]!r}")


def _busy() -> NotReady:
    return NotReady("this file is being imported; cancel that first")


def another_runs() -> NotReady:
    return NotReady("another file is being imported; wait for its end")


def _own() -> str:
    """Return the tenant whose uploads these are."""
    return present_tenant() or DEFAULT


class FolderShelf:
    """
    Each upload has a folder with its file, a small document, and its rejected rows.

    The folders of tenants lie apart.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._others = folder.with_name(f"{folder.name}-of-tenants")
        self._uploads = {path.name: _left_in(path) for path in self._others.glob("*/")}
        """By tenant and id."""
        self._uploads[DEFAULT] = _left_in(folder)

    def folder(self, upload_id: str) -> Path:
        tenant = _own()
        return (self._folder if tenant == DEFAULT else self._others / tenant) / upload_id

    @property
    def _mine(self) -> dict[str, Upload]:
        return self._uploads.setdefault(_own(), {})

    async def all(self) -> list[Upload]:
        return list(self._mine.values())

    async def find(self, upload_id: str) -> Upload:
        if upload_id not in self._mine:
            raise _unknown(upload_id)
        return self._mine[upload_id]

    async def add(self, upload: Upload) -> None:
        await self.end(upload)
        self._mine[upload.id] = upload

    async def fetch(self, upload_id: str, file: Literal["file", "rejected.csv"]) -> Path:
        return self.folder(upload_id) / file

    async def claim(self, upload: Upload) -> None:
        await self.end(upload)

    async def tell(self, upload: Upload) -> bool:
        return False

    async def end(self, upload: Upload) -> None:
        await asyncio.to_thread(_save, self.folder(upload.id), upload)

    async def stop(self, upload_id: str) -> None:
        """Nobody else imports."""

    async def remove(self, upload_id: str) -> None:
        if (await self.find(upload_id)).status == "running":
            raise _busy()
        del self._mine[upload_id]
        await asyncio.to_thread(shutil.rmtree, self.folder(upload_id), ignore_errors=True)

    async def aclose(self) -> None:
        """There are no copies."""


class TableShelf:
    """Uploads lie in the database; this server has copies in a folder that ends with it."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._copies = TemporaryDirectory(prefix="unspool-imports-")

    def folder(self, upload_id: str) -> Path:
        return Path(self._copies.name) / _own() / upload_id

    async def all(self) -> list[Upload]:
        async with self._records.session() as session:
            return [_read(row) for row in await session.scalars(select(UploadRow))]

    async def find(self, upload_id: str) -> Upload:
        if not _ID.fullmatch(upload_id):  # it becomes a path
            raise _unknown(upload_id)
        async with self._records.session() as session:
            row = await session.get(UploadRow, upload_id)
        if row is None:
            await asyncio.to_thread(shutil.rmtree, self.folder(upload_id), ignore_errors=True)
            raise _unknown(upload_id)
        return _read(row)

    async def add(self, upload: Upload) -> None:
        async with self._records.session() as session:
            session.add(UploadRow(**asdict(upload)))
            await session.flush()
            await self._add_parts(session, upload.id, "file")
            await session.commit()

    async def fetch(self, upload_id: str, file: Literal["file", "rejected.csv"]) -> Path:
        path = self.folder(upload_id) / file
        if file == "file" and path.exists():  # rejected rows differ after each import
            return path
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        part = path.with_name(f"{file}.{now_ms()}.part")
        wanted = select(UploadPart.data).where(
            UploadPart.upload_id == upload_id, UploadPart.file == file
        )
        async with self._records.session() as session:
            parts = await session.stream_scalars(
                wanted.order_by(UploadPart.number).execution_options(yield_per=1)
            )
            with await asyncio.to_thread(part.open, "wb") as copy:
                async for data in parts:
                    await asyncio.to_thread(copy.write, data)
        part.replace(path)
        return path

    async def claim(self, upload: Upload) -> None:
        async with self._records.session() as session:
            await hold(session, "imports")
            alive = UploadRow.told_ms > now_ms() - LOST_AFTER_MS
            running = select(UploadRow.id).where(UploadRow.status == "running", alive)
            if await session.scalar(running.limit(1)) is not None:
                raise another_runs()
            values = {**asdict(upload), "told_ms": now_ms(), "is_stopping": False}
            claiming = update(UploadRow).where(UploadRow.id == upload.id).values(**values)
            if await session.scalar(claiming.returning(UploadRow.id)) is None:
                raise _unknown(upload.id)
            await session.commit()

    async def tell(self, upload: Upload) -> bool:
        telling = update(UploadRow).where(UploadRow.id == upload.id)
        telling = telling.values(**asdict(upload), told_ms=now_ms())
        async with self._records.session() as session:
            is_stopping = await session.scalar(telling.returning(UploadRow.is_stopping))
            await session.commit()
        return is_stopping is not False  # also if it is gone

    async def end(self, upload: Upload) -> None:
        async with self._records.session() as session:
            ending = update(UploadRow).where(UploadRow.id == upload.id).values(**asdict(upload))
            if await session.scalar(ending.returning(UploadRow.id)) is None:
                return
            mine = (UploadPart.upload_id == upload.id, UploadPart.file == "rejected.csv")
            await session.execute(delete(UploadPart).where(*mine))
            if upload.rejected:
                await self._add_parts(session, upload.id, "rejected.csv")
            await session.commit()

    async def stop(self, upload_id: str) -> None:
        stopping = update(UploadRow).where(UploadRow.id == upload_id).values(is_stopping=True)
        async with self._records.session() as session:
            await session.execute(stopping)
            await session.commit()

    async def remove(self, upload_id: str) -> None:
        async with self._records.session() as session:
            row = await session.get(UploadRow, upload_id, with_for_update=True)
            if row is None:
                raise _unknown(upload_id)
            if _read(row).status == "running":
                raise _busy()
            await session.execute(delete(UploadRow).where(UploadRow.id == upload_id))
            await session.commit()
        await asyncio.to_thread(shutil.rmtree, self.folder(upload_id), ignore_errors=True)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._copies.cleanup)

    async def _add_parts(self, session: AsyncSession, upload_id: str, file: str) -> None:
        number = 0
        with await asyncio.to_thread((self.folder(upload_id) / file).open, "rb") as source:
            while data := await asyncio.to_thread(source.read, PART_BYTES):
                values = {"upload_id": upload_id, "file": file, "number": number, "data": data}
                await session.execute(insert_into(session, UploadPart).values(**values))
                number += 1


def _read(row: UploadRow) -> Upload:
    names = Upload.__dataclass_fields__
    upload = Upload(**{name: getattr(row, name) for name in names})
    if upload.status == "running" and row.told_ms <= now_ms() - LOST_AFTER_MS:
        upload.status = "interrupted"
    return upload


def _save(folder: Path, upload: Upload) -> None:
    part = folder / "upload.part"
    part.write_text(json.dumps(asdict(upload), ensure_ascii=False), encoding="utf-8")
    part.replace(folder / "upload.json")


def _left_in(folder: Path) -> dict[str, Upload]:
    return {upload.id: upload for upload in _uploads_in(folder)}


def _uploads_in(folder: Path) -> Iterable[Upload]:
    for path in sorted(folder.glob("*/")) if folder.exists() else ():
        try:
            upload = Upload(**json.loads((path / "upload.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            shutil.rmtree(path, ignore_errors=True)  # an upload that was cut off
            continue
        if upload.status == "running":
            upload.status = "interrupted"
        yield upload
