"""
Who may do what: keys, tickets and sessions, tenants, and the streams that end with a key.

`requests` finds out who sends one; `tenant_journal` keeps the runs of tenants apart; `revocation`
ends the streams of keys that hold no more; `audit` notes changes; `people` signs people in at a
`provider`.
"""

from __future__ import annotations

from .audit import AuditLog, present_actor
from .people import People
from .provider import NotSignedIn
from .requests import MAX_TICKET_S, PERSON, SESSION, SESSION_S, SHARE, TICKET, TICKET_S, Access
from .revocation import RevokedKeys
from .tenant_journal import TenantJournal

__all__ = [
    "MAX_TICKET_S",
    "PERSON",
    "SESSION",
    "SESSION_S",
    "SHARE",
    "TICKET",
    "TICKET_S",
    "Access",
    "AuditLog",
    "NotSignedIn",
    "People",
    "RevokedKeys",
    "TenantJournal",
    "present_actor",
]
