"""
Keys of machines, and the tenants that they belong to.

A key is `usp_<id>_<secret>`. The table has the id and a digest of the secret, which is random: 256
bits need no slow hash. Of a key whose secret is being exchanged two secrets hold.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import String, select, update
from sqlalchemy.orm import Mapped, mapped_column

from ..formats.tenancy import DEFAULT
from . import Base, Records, insert_into, now_ms
from .audit import COMMAND, Actor, note

_KEY: Final = re.compile(r"usp_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")

DAY_MS: Final = 86_400_000

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


class TenantRow(Base):
    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    created_ms: Mapped[int]


class KeyRow(Base):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(12), index=True)
    name: Mapped[str] = mapped_column(String(64))
    digests: Mapped[list[str]]
    """SHA-256 of the secrets that hold, in hexadecimal digits."""
    scopes: Mapped[list[str]]
    models: Mapped[list[str]]
    """Models and routes that it may ask; empty: all."""
    flows: Mapped[list[str]]
    origins: Mapped[list[str]]
    """Pages of these origins may use it."""
    created_ms: Mapped[int]
    expires_ms: Mapped[int | None]
    revoked_ms: Mapped[int | None]
    used_ms: Mapped[int | None]
    """About when it was used last."""

    def holds(self, secret: str, at_ms: int) -> bool:
        """Whether the key is in force, and this is a secret of it."""
        digest = digest_of(secret)
        fits = [hmac.compare_digest(digest, known) for known in self.digests]
        is_over = self.expires_ms is not None and self.expires_ms <= at_ms
        return any(fits) and self.revoked_ms is None and not is_over


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that has just been made; its text is nowhere else."""

    row: KeyRow
    text: str


def split_key(text: str) -> tuple[str, str] | None:
    """Return id and secret of a key; None: it has not the form of one."""
    found = _KEY.fullmatch(text)
    return (found[1], found[2]) if found else None


async def add_tenant(records: Records, name: str, by: Actor = COMMAND) -> TenantRow | None:
    """Add a tenant; None: the name is taken."""
    row = {"id": new_id(), "name": name, "created_ms": now_ms()}
    async with records.session() as session:
        await session.execute(insert_into(session, TenantRow).values(row).on_conflict_do_nothing())
        added = await session.get(TenantRow, row["id"])
        if added is not None:
            await note(session, by, "tenant.added", added.id, name=name)
        await session.commit()
        return added


async def list_tenants(records: Records) -> list[TenantRow]:
    """Return all tenants but the default one, by name."""
    async with records.session() as session:
        return list(await session.scalars(select(TenantRow).order_by(TenantRow.name)))


async def find_tenant(records: Records, name_or_id: str) -> str | None:
    """Return the id of a tenant."""
    if name_or_id in {"", DEFAULT}:
        return DEFAULT
    async with records.session() as session:
        wanted = (TenantRow.id == name_or_id) | (TenantRow.name == name_or_id)
        return await session.scalar(select(TenantRow.id).where(wanted).limit(1))


async def add_key(
    records: Records,
    tenant: str,
    name: str,
    *,
    days: float | None = None,
    by: Actor = COMMAND,
    **facts: Any,
) -> NewKey:
    """Make a key that holds for so many days; `facts` are further columns."""
    secret = secrets.token_urlsafe(32)
    rights = {name: list(facts.get(name, ())) for name in ("scopes", "models", "flows", "origins")}
    row = KeyRow(
        id=new_id(),
        tenant=tenant,
        name=name,
        digests=[digest_of(secret)],
        created_ms=now_ms(),
        expires_ms=None if days is None else now_ms() + int(days * DAY_MS),
        revoked_ms=None,
        used_ms=None,
        **rights,
    )
    async with records.session() as session:
        session.add(row)
        told = {"name": name, "scopes": row.scopes, "expires_ms": row.expires_ms}
        await note(session, by, "key.added", row.id, tenant=tenant, **told)
        await session.commit()
    return NewKey(row, f"usp_{row.id}_{secret}")


async def find_key(records: Records, key_id: str) -> KeyRow | None:
    async with records.session() as session:
        return await session.get(KeyRow, key_id)


async def list_keys(records: Records, tenant: str | None = None) -> list[KeyRow]:
    """Return the keys of a tenant, or of all, oldest first."""
    query = select(KeyRow).order_by(KeyRow.created_ms, KeyRow.id)
    if tenant is not None:
        query = query.where(KeyRow.tenant == tenant)
    async with records.session() as session:
        return list(await session.scalars(query))


async def revoke_key(records: Records, key_id: str, by: Actor = COMMAND) -> bool:
    """Let a key hold no more; return whether it did."""
    change = update(KeyRow).where(KeyRow.id == key_id, KeyRow.revoked_ms.is_(None))
    change = change.values(revoked_ms=now_ms())
    async with records.session() as session:
        found = await session.execute(change.returning(KeyRow.tenant, KeyRow.name))
        changed = found.one_or_none()
        if changed is not None:
            facts = {"tenant": changed.tenant, "name": changed.name}
            await note(session, by, "key.revoked", key_id, **facts)
        await session.commit()
        return changed is not None


async def renew_key(records: Records, key_id: str, by: Actor = COMMAND) -> str | None:
    """Give a key a second secret, and return the key with it; the newest two hold."""
    secret = secrets.token_urlsafe(32)
    async with records.session() as session:
        row = await session.get(KeyRow, key_id, with_for_update=True)
        if row is None or row.revoked_ms is not None:
            return None
        row.digests = [digest_of(secret), *row.digests[:1]]
        await note(session, by, "key.renewed", key_id, tenant=row.tenant, name=row.name)
        await session.commit()
    return f"usp_{key_id}_{secret}"


async def note_use(records: Records, key_id: str) -> None:
    """Note that a key is used now."""
    async with records.session() as session:
        await session.execute(update(KeyRow).where(KeyRow.id == key_id).values(used_ms=now_ms()))
        await session.commit()


async def revoked(records: Records, key_ids: list[str]) -> set[str]:
    """Return those keys that hold no more."""
    async with records.session() as session:
        rows = await session.scalars(select(KeyRow).where(KeyRow.id.in_(key_ids)))
        at_ms = now_ms()
        valid = {
            row.id
            for row in rows
            if row.revoked_ms is None and (row.expires_ms is None or row.expires_ms > at_ms)
        }
    return set(key_ids) - valid


def new_id() -> str:
    """Return the id of a new key, tenant or share; it is no secret."""
    return "".join(secrets.choice(_LETTERS) for _ in range(12))


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret, in hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()
