"""
The audit log: every change of keys, tenants, shares, models and routes, and who made it.

A row says what was done to what; it has no secret and no content. Of each tenant the newest rows
stay, so that nobody fills the table, or pushes the rows of another tenant out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Index, String, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from ..formats.tenancy import DEFAULT
from . import Base, Records, now_ms

KEPT: Final = 20_000
"""Rows of one tenant; some 4 MB. A change a minute is two weeks, and nobody changes so much."""

MAX_CHARS: Final = 255
"""Of a subject, and of the name of an actor."""


class AuditRow(Base):
    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_tenant", "tenant", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    """Grows: a later row has a higher one."""
    at_ms: Mapped[int]
    tenant: Mapped[str] = mapped_column(String(12))
    """The owner of what was changed."""
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str] = mapped_column(String(MAX_CHARS))
    action: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(MAX_CHARS))
    detail: Mapped[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Actor:
    """
    The one who makes a change.

    Attributes:
        kind: `key`; `person`; `command`, the command line; `anybody`, on an open server.
        id: Of the key, or the subject that the person's provider gives; else empty.
    """

    kind: str
    id: str = ""


COMMAND: Final = Actor("command")
"""The command line, which works on the database itself."""


async def note(
    session: AsyncSession,
    by: Actor,
    action: str,
    subject: str,
    *,
    tenant: str = DEFAULT,
    **detail: Any,
) -> None:
    """Write a row in the transaction of the change; the caller commits. No secret in `detail`."""
    row = {
        "at_ms": now_ms(),
        "tenant": tenant,
        "actor_kind": by.kind,
        "actor": by.id[:MAX_CHARS],
        "action": action,
        "subject": subject[:MAX_CHARS],
        "detail": detail,
    }
    await session.execute(insert(AuditRow).values(row))
    of_tenant = AuditRow.tenant == tenant
    ids = select(AuditRow.id).where(of_tenant).order_by(AuditRow.id.desc())
    oldest = ids.offset(KEPT).limit(1).scalar_subquery()
    await session.execute(delete(AuditRow).where(of_tenant, AuditRow.id <= oldest))


async def list_audit(
    records: Records, tenant: str | None, *, before: int | None = None, limit: int = 50
) -> list[AuditRow]:
    """Return rows of a tenant, or of all, the newest first; `before` is the id of a row."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
    if tenant is not None:
        query = query.where(AuditRow.tenant == tenant)
    if before is not None:
        query = query.where(AuditRow.id < before)
    async with records.session() as session:
        return list(await session.scalars(query))


async def note_alone(
    records: Records,
    by: Actor,
    action: str,
    subject: str,
    *,
    tenant: str = DEFAULT,
    detail: Mapping[str, Any],
) -> None:
    """Write a row in a transaction of its own, right after the change."""
    async with records.session() as session:
        await note(session, by, action, subject, tenant=tenant, **detail)
        await session.commit()
