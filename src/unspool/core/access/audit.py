"""The audit log for the server's own parts: it knows who makes a change."""

from __future__ import annotations

from typing import Any

from ...formats.tenancy import DEFAULT
from ...records import Records
from ...records.audit import Actor, AuditRow, list_audit, note_alone
from ...runs.principal import Principal, present


class AuditLog:
    """
    Args:
        records: Those of the operator.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    async def note(
        self, action: str, subject: str, *, tenant: str = DEFAULT, **detail: Any
    ) -> None:
        """
        Note that the present principal did an action, such as `model.changed`, to a subject.

        `tenant` owns what was changed; what all tenants share is the operator's. `detail` are
        small facts, none of them secret.
        """
        by = actor_of(present.get())
        await note_alone(self._records, by, action, subject, tenant=tenant, detail=detail)

    async def rows(
        self, who: Principal, *, before: int | None = None, limit: int = 50
    ) -> list[AuditRow]:
        """Return what somebody may see, the newest first: the operator sees all tenants."""
        tenant = None if who.is_operator else who.tenant
        return await list_audit(self._records, tenant, before=before, limit=limit)


def actor_of(who: Principal) -> Actor:
    """Return a principal as the audit log names it."""
    if who.person is not None:
        return Actor("person", who.person.subject)
    return Actor("key", who.key) if who.key else Actor("anybody")


def present_actor() -> Actor:
    """Return the present principal, for changes that note themselves."""
    return actor_of(present.get())
