"""
The fingerprint of the key that servers over one database seal with: all must have the same.

Otherwise each would seal with the key file of its own data directory, and no other could read it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from sqlalchemy import BigInteger, String, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from ..errors import RecordsError, SetupError
from . import Base, Records, hold, now_ms
from .models import ModelRow
from .secrets import Secrets
from .tools import ToolRow

SUBJECT: Final = "sealing key"


class SealingKeyRow(Base):
    """One row at most."""

    __tablename__ = "sealing_keys"

    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)


async def check_sealing_key(records: Records, secrets: Secrets) -> None:
    """
    Check that this server has the key of the others; the first server's becomes that key.

    To rotate, a new key goes in front of the old one, so the stored key need only be among ours;
    from then on it is the one in front.

    Raises:
        SetupError: It is not, or this server has no key and can create none.
    """
    if not records.is_shared:
        return
    try:
        ours = await asyncio.to_thread(secrets.fingerprints)
    except RecordsError as error:
        raise SetupError(str(error)) from error
    async with records.session() as session:
        await hold(session, SUBJECT)
        stored = await session.scalar(select(SealingKeyRow.fingerprint))
        if stored == ours[0]:
            return
        is_foreign = stored is not None and stored not in ours
        # A key that somebody sets is meant for all servers; a file belongs to one machine.
        if is_foreign and (not secrets.is_given or await _has_sealed(session)):
            raise SetupError(_REFUSAL.format(where=records.where))
        await session.execute(delete(SealingKeyRow))
        session.add(SealingKeyRow(fingerprint=ours[0]))
        await session.commit()


_REFUSAL: Final = (
    "{where} belongs to servers that seal the keys of models with another key than this one; give "
    "all servers the same UNSPOOL_SECRET_KEY, an old key behind the new one. If the old one is "
    "lost, empty the table `sealing_keys` and set the keys of all models again"
)


async def _has_sealed(session: AsyncSession) -> bool:
    models = select(ModelRow.id).where(ModelRow.sealed_key != "").exists()
    tools = select(ToolRow.id).where(ToolRow.sealed_headers != "").exists()
    return bool(await session.scalar(select(or_(models, tools))))
