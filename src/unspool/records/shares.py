"""
Share links: who has one may read one run, without a key.

A link is `ush_<id>_<secret>`. The table has the id and a digest of the secret, as for keys. A link
that is revoked or over is deleted: the audit log knows of it.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Final

from sqlalchemy import String, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from ..errors import SpecError
from . import Base, Records, hold, now_ms
from .audit import Actor, note
from .keys import DAY_MS, digest_of, new_id

_LINK: Final = re.compile(r"ush_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")

MAX_SHARES: Final = 100
"""Of one run."""


class ShareRow(Base):
    __tablename__ = "shares"

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(12))
    run_id: Mapped[str] = mapped_column(String(64), index=True)
    digest: Mapped[str] = mapped_column(String(64))
    text_only: Mapped[bool]
    """It shows text and state alone: no input, models, cost, attempts, tools."""
    created_ms: Mapped[int]
    expires_ms: Mapped[int | None]
    """None: it holds until somebody revokes it."""


async def add_share(
    records: Records, tenant: str, run_id: str, by: Actor, *, text_only: bool, days: float | None
) -> tuple[ShareRow, str]:
    """
    Make a link to a run; return it with its text, which is nowhere else.

    Raises:
        SpecError: The run has too many.
    """
    secret = secrets.token_urlsafe(32)
    row = ShareRow(
        id=new_id(),
        tenant=tenant,
        run_id=run_id,
        digest=digest_of(secret),
        text_only=text_only,
        created_ms=now_ms(),
        expires_ms=None if days is None else now_ms() + int(days * DAY_MS),
    )
    async with records.session() as session:
        await hold(session, f"shares {run_id}")
        is_over = ShareRow.expires_ms <= now_ms()
        await session.execute(delete(ShareRow).where(ShareRow.run_id == run_id, is_over))
        counting = select(func.count()).where(ShareRow.run_id == run_id)
        if (await session.scalar(counting) or 0) >= MAX_SHARES:
            raise SpecError(f"this run has {MAX_SHARES} share links already; revoke some first")
        session.add(row)
        told = {"run": run_id, "text_only": text_only, "expires_ms": row.expires_ms}
        await note(session, by, "share.added", row.id, tenant=tenant, **told)
        await session.commit()
    return row, f"ush_{row.id}_{secret}"


async def list_shares(records: Records, tenant: str, run_id: str) -> list[ShareRow]:
    """Return the links to a run that hold, oldest first."""
    of_run = (ShareRow.tenant == tenant) & (ShareRow.run_id == run_id)
    holds = ShareRow.expires_ms.is_(None) | (ShareRow.expires_ms > now_ms())
    query = select(ShareRow).where(of_run, holds).order_by(ShareRow.created_ms, ShareRow.id)
    async with records.session() as session:
        return list(await session.scalars(query))


async def remove_share(
    records: Records, tenant: str, run_id: str, share_id: str, by: Actor
) -> bool:
    """Revoke a link; return whether the run had it."""
    async with records.session() as session:
        row = await session.get(ShareRow, share_id)
        if row is None or (row.tenant, row.run_id) != (tenant, run_id):
            return False
        await session.delete(row)
        await note(session, by, "share.revoked", share_id, tenant=tenant, run=run_id)
        await session.commit()
        return True


async def find_share(records: Records, text: str) -> ShareRow | None:
    """Return the link with this text, if it holds."""
    parts = _LINK.fullmatch(text)
    if parts is None:
        return None
    async with records.session() as session:
        row = await session.get(ShareRow, parts[1])
    if row is None or not hmac.compare_digest(row.digest, digest_of(parts[2])):
        return None
    return None if row.expires_ms is not None and row.expires_ms <= now_ms() else row


async def ended_shares(records: Records, share_ids: list[str]) -> set[str]:
    """Return those links that hold no more."""
    holds = ShareRow.expires_ms.is_(None) | (ShareRow.expires_ms > now_ms())
    async with records.session() as session:
        found = await session.scalars(select(ShareRow.id).where(ShareRow.id.in_(share_ids), holds))
        return set(share_ids) - set(found)
