"""
Images of prompts, each stored once, under the digest of its bytes.

The log of a run names an image by its digest, so a log stays short, and a fork, a later turn or
another owner of the run has the same image. A run that reads an image marks it as used; images
that no run has used for longer than runs are kept are deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import BigInteger, LargeBinary, String, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ..errors import UnknownRecord
from ..formats.images import ImageBytes
from . import Base, Records, insert_into, now_ms

AT_ONCE = 200
"""Digests in one statement, far below SQLite's limit of variables."""


class ImageRow(Base):
    __tablename__ = "images"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    type: Mapped[str] = mapped_column(String(32))
    data: Mapped[bytes] = mapped_column(LargeBinary)
    used_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


async def save_images(records: Records, images: Iterable[ImageBytes]) -> None:
    """Store images; one that is there already is marked as used."""
    async with records.session() as session:
        # In one order everywhere, so that no two servers wait for each other.
        for image in sorted(images, key=lambda image: image.sha256):
            values = {"sha256": image.sha256, "type": image.type, "data": image.data}
            adding = insert_into(session, ImageRow).values(**values, used_ms=now_ms())
            again = adding.on_conflict_do_update(
                index_elements=["sha256"], set_={"used_ms": now_ms()}
            )
            await session.execute(again)
        await session.commit()


async def find_images(records: Records, digests: Sequence[str]) -> Mapping[str, ImageBytes]:
    """
    Return images by their digests, and mark them as used.

    Raises:
        UnknownRecord: One is not there.
    """
    wanted = list(dict.fromkeys(digests))[:AT_ONCE]
    async with records.session() as session:
        mine = select(ImageRow).where(ImageRow.sha256.in_(wanted)).order_by(ImageRow.sha256)
        rows = await session.scalars(mine.with_for_update())
        found = {row.sha256: ImageBytes(row.type, row.data) for row in rows}
        using = update(ImageRow).where(ImageRow.sha256.in_(found)).values(used_ms=now_ms())
        await session.execute(using)
        await session.commit()
    if missing := next((digest for digest in wanted if digest not in found), None):
        raise UnknownRecord(f"no image with the digest {missing}; send it as a data URL")
    return found


async def forget_images(records: Records, *, before_ms: int) -> int:
    """Delete the images that nothing has used since; return how many."""
    async with records.session() as session:
        removing = delete(ImageRow).where(ImageRow.used_ms < before_ms)
        gone = list(await session.scalars(removing.returning(ImageRow.sha256)))
        await session.commit()
    return len(gone)
