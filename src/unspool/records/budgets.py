"""
Budgets of tenants, keys and end users; `reservations` has what is spent and reserved on them.

Money is in billionths of a currency's unit (nanos).
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, field_validator, model_validator
from sqlalchemy import String, UniqueConstraint, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from ..formats.moments import zone_of
from ..formats.written import StrictInput
from . import Base, Records, insert_into, now_ms

Kind = Literal["tenant", "key", "user"]
Window = Literal["day", "week", "month", "total"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""In the order in which the budgets of a run are charged."""

NANOS: Final = 1_000_000_000

EACH: Final = "*"
"""The subject of a budget that every end user of a tenant has for himself."""

MAX_MONEY: Final = 1_000_000_000

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class BudgetRow(Base):
    __tablename__ = "budgets"
    __table_args__ = (UniqueConstraint("tenant", "kind", "subject", name="uq_budgets_tenant"),)

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(12))
    kind: Mapped[str] = mapped_column(String(8))
    subject: Mapped[str] = mapped_column(String(128))
    """The id of a key, the name of an end user, or `EACH`; empty for a tenant."""
    max_nanos: Mapped[int | None]
    """Money in a window; None: without a limit."""
    currency: Mapped[str] = mapped_column(String(3))
    window: Mapped[str] = mapped_column(String(8))
    time_zone: Mapped[str] = mapped_column(String(64))
    warn_percent: Mapped[int]
    ceiling_nanos: Mapped[int | None]
    """For a million tokens of a model without a price in this currency; None: it is refused."""
    requests_per_minute: Mapped[int | None]
    tokens_per_minute: Mapped[int | None]
    live_runs: Mapped[int | None]
    viewers: Mapped[int | None]
    changed_ms: Mapped[int]


class BudgetInput(StrictInput):
    """A budget as people set it."""

    kind: Kind
    subject: str = Field("", max_length=128)
    """The id of a key, the name of an end user (`*`: each of them has his own); empty: a tenant."""
    tenant: str = Field("", max_length=64)
    """Name or id; empty: that of the caller."""
    max: float | None = Field(None, ge=0, le=MAX_MONEY)
    """Money in a window; None: without a limit."""
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    window: Window = "month"
    time_zone: str = Field("", max_length=64)
    """Where its days begin; empty: `UNSPOOL_TIME_ZONE`."""
    warn_percent: int = Field(80, ge=1, le=100)
    """A webhook goes out when this share is spent."""
    ceiling: float | None = Field(None, gt=0, le=MAX_MONEY)
    """Counts for a million tokens of a model without a price in this currency; None: refused."""
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    live_runs: Count | None = None
    viewers: Count | None = None
    """Open streams of a key, at each server."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name:
            zone_of(name)
        return name

    @model_validator(mode="after")
    def _fits(self) -> BudgetInput:
        if (self.kind == "tenant") != (not self.subject):
            raise ValueError("a tenant's budget has no subject, and every other has one")
        if self.viewers is not None and self.kind != "key":
            raise ValueError("only a key's budget limits its viewers")
        return self

    def facts(self, time_zone: str) -> dict[str, Any]:
        """Return its columns, with a time zone if it names none."""
        same = self.model_dump(exclude={"kind", "subject", "tenant", "max", "ceiling"})
        amounts = {"max_nanos": _nanos(self.max), "ceiling_nanos": _nanos(self.ceiling)}
        return same | amounts | {"time_zone": self.time_zone or time_zone}


def _nanos(amount: float | None) -> int | None:
    return None if amount is None else round(amount * NANOS)


async def budgets_of(records: Records, tenant: str | None = None) -> list[BudgetRow]:
    """Return the budgets of a tenant, or all."""
    query = select(BudgetRow).order_by(BudgetRow.tenant, BudgetRow.kind, BudgetRow.subject)
    if tenant is not None:
        query = query.where(BudgetRow.tenant == tenant)
    async with records.session() as session:
        return list(await session.scalars(query))


async def find_budget(records: Records, budget_id: str) -> BudgetRow | None:
    async with records.session() as session:
        return await session.get(BudgetRow, budget_id)


async def put_budget(
    records: Records, tenant: str, kind: Kind, subject: str, facts: dict[str, Any]
) -> BudgetRow:
    """Set a budget, or change it; what was spent stays."""
    fresh = facts | {"changed_ms": now_ms()}
    place = {"tenant": tenant, "kind": kind, "subject": subject}
    async with records.session() as session:
        insert = insert_into(session, BudgetRow).values({"id": _new_id()} | place | fresh)
        await session.execute(insert.on_conflict_do_update(index_elements=[*place], set_=fresh))
        await session.commit()
        found = await session.scalars(select(BudgetRow).filter_by(**place))
        return found.one()


async def delete_budget(records: Records, budget_id: str) -> bool:
    """Delete a budget; return whether there was one."""
    gone = delete(BudgetRow).where(BudgetRow.id == budget_id).returning(BudgetRow.id)
    async with records.session() as session:
        found = await session.scalar(gone)
        await session.commit()
        return found is not None


def _new_id() -> str:
    return secrets.token_hex(6)
