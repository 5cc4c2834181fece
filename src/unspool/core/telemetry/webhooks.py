"""
Webhooks: tells one address that runs have ended, and what else operators should know.

Each message is signed (Standard Webhooks) and has an id; the same id may come twice, and the
receiver drops the second. They wait in a file (`outbox`), so a receiver that is away, or a server
that dies, loses none. A run never waits for any of this.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sqlite3
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from prometheus_client import Counter
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from ...errors import ProviderRefused, SetupError
from ...providers.upstream.addresses import check_url
from ...providers.upstream.http1 import Client, TransportError
from ...records.budgets import NANOS
from ...records.reservations import Settlement
from ...settings import Settings
from .facts import RunSummary
from .lines import facts_of
from .outbox import Message, Outbox

log = logging.getLogger(__name__)

ANSWER_S: Final = 10.0
"""To answer a message; receivers put it aside and answer at once."""

CONNECT_S: Final = 5.0

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 900.0
"""Between two tries: doubled each time, and up to a quarter longer by chance."""

GIVE_UP_S: Final = 3 * 86_400.0
"""Age of a message that is dropped: a weekend."""

MIN_SECRET_BYTES: Final = 24
"""Of a secret, as the standard says."""

GRACE_MS: Final = 60_000
"""Before the last message: runs that ended at the same time are told in any order."""

ADVICE: Final = (
    "UNSPOOL_WEBHOOK_SECRET is missing or wrong: it must be `whsec_` and at least 24 random bytes "
    "in base64, such as `openssl rand -base64 32` prints."
)


class Webhooks:
    """Without an address, it sends nothing."""

    def __init__(
        self, url: str, signer: Webhook | None, outbox: Outbox | None, http: Client
    ) -> None:
        self._url = url
        self._signer = signer
        self._outbox = outbox
        self._http = http
        self.outcomes: Counter | None = None
        """Counts messages by what became of them."""
        self._has_news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, settings: Settings, http: Client) -> Webhooks:
        """
        Raises:
            SetupError: The address, the secret or the file cannot be used.
        """
        url = settings.webhook_url.get_secret_value() if settings.webhook_url else ""
        name = f"webhooks-{settings.worker}.db" if settings.worker else "webhooks.db"
        path = settings.data_dir / name
        if not url:
            for suffix in ("", "-wal", "-shm"):  # what ends from now on is not to be told later
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            return cls("", None, None, http)
        try:
            outbox = Outbox(path)
        except sqlite3.Error as error:
            raise SetupError(f"The file {path} cannot be used: {error}.") from error
        return cls(url, signer_of(settings), outbox, http)

    @property
    def is_on(self) -> bool:
        return self._outbox is not None

    @property
    def waiting(self) -> int:
        """How many messages are not delivered yet."""
        return self._outbox.waiting if self._outbox is not None else 0

    def send(self, type: str, data: Mapping[str, Any], *, id: str = "") -> None:
        """
        Send a message, at least once; return at once.

        Args:
            type: Such as `run.completed`.
            data: Facts that are JSON, without texts of users.
            id: What happened; a message of the same id is sent once. Empty: a new one.
        """
        if self._outbox is None:
            return
        id = id or f"msg_{uuid4().hex}"
        at = datetime.now(tz=UTC).isoformat(timespec="milliseconds")
        body = json.dumps({"type": type, "timestamp": at, "data": data}, ensure_ascii=False)
        try:
            if not self._outbox.add(id, body):
                self._count("dropped")
                log.warning("Webhook %s is dropped: too many wait for the receiver", id)
        except sqlite3.Error as error:
            self._count("dropped")
            log.warning("Webhook %s is dropped: %s", id, error)
        self._has_news.set()

    def run_ended(self, run: RunSummary) -> None:
        """Tell of a run that has ended."""
        self.send(f"run.{run.status}", facts_of(run), id=id_of(run.id))

    def budget_warned(self, settled: Settlement) -> None:
        """Tell of a budget that has reached its threshold."""
        budget, account = settled.budget, settled.account
        names = ("id", "tenant", "kind", "subject", "currency", "window", "warn_percent")
        spent, most = account.spent_nanos / NANOS, (budget.max_nanos or 0) / NANOS
        facts = {name: getattr(budget, name) for name in names} | {"spent": spent, "max": most}
        place = f"{budget.id}_{account.account}_{account.start_ms}"
        facts |= {"user": account.account} if account.account else {}
        self.send("budget.threshold", facts, id=f"msg_{budget.changed_ms}_{place}")

    def lacks(self, run_id: str, ended_ms: int) -> bool:
        """Whether a run ended about when the server died, and nobody was told."""
        if self._outbox is None:
            return False
        is_late = ended_ms >= self._outbox.last_made_ms() - GRACE_MS
        return is_late and not self._outbox.has(id_of(run_id))

    @property
    def may_lack(self) -> bool:
        """Whether the process before this one died."""
        return self._outbox is not None and not self._outbox.was_closed

    def watch(self) -> None:
        """Work until `close`."""
        if self._outbox is not None:
            self._task = asyncio.create_task(self._work(self._outbox), name="webhooks")

    async def close(self) -> None:
        """Stop; what is not delivered is sent after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._outbox is not None:
            self._outbox.close()

    async def _work(self, outbox: Outbox) -> None:
        while True:
            self._has_news.clear()
            try:
                message, wait_s = outbox.next()
                if message is not None:
                    await self._deliver(outbox, message)
                    continue
            except sqlite3.Error as error:
                log.warning("Webhooks wait: %s", error)
                wait_s = LONGEST_WAIT_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._has_news.wait()
            except TimeoutError:
                pass

    async def _deliver(self, outbox: Outbox, message: Message) -> None:
        problem = await self._post(message)
        if not problem:
            outbox.done(message)
            self._count("delivered")
        elif time.time() * 1000 - message.made_ms > GIVE_UP_S * 1000:
            outbox.done(message)
            self._count("dropped")
            log.error("Webhook %s is given up: %s", message.id, problem)
        else:
            wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(message.tries, 20))
            outbox.put_off(message, wait_s * random.uniform(1, 1.25))  # noqa: S311 - no secret
            self._count("failed")
            level = logging.WARNING if message.tries in {0, 5} else logging.DEBUG
            log.log(level, "Webhook %s failed (try %d): %s", message.id, message.tries + 1, problem)

    async def _post(self, message: Message) -> str:
        """Send a message; return the problem, without the address, which may hold a secret."""
        assert self._signer is not None
        now = datetime.now(tz=UTC)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(message.id, now, message.body),
        }
        try:
            check_url(self._url, allow_private=True)  # where sockets are made, the setting counts
            async with asyncio.timeout(ANSWER_S):
                response = await self._http.send(
                    "POST", self._url, headers, message.body.encode(), connect_s=CONNECT_S
                )
            response.close()
        except (TransportError, ProviderRefused, TimeoutError, ValueError) as error:
            return f"no answer ({type(error).__name__})"
        return "" if 200 <= response.status < 300 else f"the receiver answered {response.status}"

    def _count(self, outcome: str) -> None:
        if self.outcomes is not None:
            self.outcomes.labels(outcome).inc()


def id_of(run_id: str) -> str:
    """Return the id of the message about the ending of a run."""
    return f"run_{run_id}"


def signer_of(settings: Settings) -> Webhook:
    """
    Return what signs messages.

    Raises:
        SetupError: The address or the secret is wrong.
    """
    url = settings.webhook_url.get_secret_value() if settings.webhook_url else ""
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_url = False
    if not is_url:
        raise SetupError("UNSPOOL_WEBHOOK_URL is wrong: it must begin with https:// or http://.")
    secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
    try:
        signer = Webhook(secret)
    except (ValueError, EmptyWebhookSecretError):
        raise SetupError(ADVICE) from None
    if len(secret.removeprefix("whsec_").rstrip("=")) * 3 // 4 < MIN_SECRET_BYTES:
        raise SetupError(ADVICE)
    return signer
