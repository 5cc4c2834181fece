"""
Turns a request into a run, if its flow exists, its input is valid and there is room.

A refusal here comes before anything streams, with a status that tells the client what to do.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from ..dialects import open_dialect
from ..errors import AlreadyRunning, BadCursor, KeyReused, KeyTaken, SpecError, TooBusy
from ..failpoints import point
from ..flows import open_flow
from ..formats.nesting import is_deeper
from ..formats.tenancy import DEFAULT, present_tenant
from ..formats.tracing import handed_on
from ..journals import Claim, Head, Journal, read_all
from ..models.catalog import Catalog
from ..records import Records
from ..runs.beginning import spec_of
from ..runs.events import Draft
from ..runs.fork import Changes, History
from ..runs.options import NO_OPTIONS, RunOptions
from ..runs.principal import present
from ..runs.run import ENDED, RunSpec
from ..settings import Settings
from .budgets import Budgets
from .runner import Runner

_accepted = point("admission.accepted")
_reused = point("admission.reused")

MAX_NESTING: Final = 200
"""Levels of lists and objects in an input; no prompt, tool or parameter needs a tenth of them."""

REUSABLE: Final = 8
"""Newest equal runs to check for one to reuse; if these failed, older ones did too."""


class Admission:
    def __init__(
        self,
        runner: Runner,
        journal: Journal,
        catalog: Catalog,
        records: Records,
        settings: Settings,
        budgets: Budgets | None = None,
    ) -> None:
        self._runner = runner
        self._journal = journal
        self._catalog = catalog
        self._records = records
        self._settings = settings
        self._budgets = budgets

    async def admit(
        self, spec: RunSpec, options: RunOptions = NO_OPTIONS, claim: Claim | None = None
    ) -> str:
        """
        Start a run, or find an equal one that may be reused, and return its id.

        With a `claim` we reuse no equal run, and the caller handles the request's
        `Idempotency-Key` itself.

        Raises:
            SpecError: A name or the input is wrong; nothing started.
            TooBusy: `max_live_runs` runs are live already.
            BudgetExceeded, RateLimited: A budget has no room.
            JournalError: The journal failed; nothing started.
        """
        is_shared = claim is None and (options.cache or self._settings.cache) == "read"
        if claim is None and options.key:
            claim = Claim(options.key, request_digest(spec))
        self._check_room()
        spec = await self._checked(spec, options)
        if not is_shared:
            _accepted()
            return await self._start(spec, claim)
        # Of equal requests at one time, at whatever server, one starts a run.
        async with self._journal.exclusive(f"cache {spec.digest}"):
            for head in await self._journal.heads(digest=spec.digest, limit=REUSABLE):
                if self._is_reusable(head):
                    _reused()
                    return head.run_id
            _accepted()
            return await self._start(spec, claim)

    async def check(self, spec: RunSpec) -> RunSpec:
        """
        Return a spec as the log would hold it; nothing starts.

        Raises:
            SpecError: A name or the input is wrong.
        """
        return await self._checked(spec)

    async def admit_child(self, spec: RunSpec, number: int, *, must_fit: bool = True) -> str:
        """
        Start run `number` of `spec.parent`, or find it, and return its id.

        The parent's request options do not apply to its children.

        Raises:
            SpecError: A name or the input is wrong; nothing started.
            TooBusy: It `must_fit`, and `max_live_runs` runs are live already.
        """
        if must_fit:
            self._check_room()
        # No client's key holds this character; see `runs.options`.
        claim = Claim(f"\x1f{spec.parent} {number}", "")
        return await self._start(await self._checked(spec), claim)

    async def fork(self, run_id: str, changes: Changes, options: RunOptions = NO_OPTIONS) -> str:
        """
        Start a run that continues another run's log, and return its id.

        Raises:
            UnknownRun, BadCursor: The run or the event to continue from does not exist.
            SpecError: A change is invalid; no run started or stopped.
            TooBusy: `max_live_runs` runs are live already.
        """
        claim = Claim(options.key, changes.digest(run_id)) if options.key else None
        self._check_room()
        old, history, seq = await self._before(run_id, changes)
        spec = replace(
            changes.applied(old),
            cancel_after_s=options.cancel_after_s,
            continues=options.continues,
            traceparent=options.traceparent,
            user=options.user or old.user,
        )
        is_checked = True
        if changes.input is None:
            self._check_names(spec)
        else:
            try:
                spec = await self._checked(spec, options)
            except AlreadyRunning as busy:
                # The run in its way is the one that it takes the place of.
                if not (changes.cancel and busy.run_id == run_id):
                    raise
                is_checked = False
        if changes.cancel:
            await self._runner.cancel(run_id, reason="a client continues it in a fork")
            _, history, seq = await self._before(run_id, changes)  # it may have written more by now
        if not is_checked:
            spec = await self._checked(spec, options)
        return await self._start(
            replace(spec, forked_from={"run": run_id, "seq": seq}), claim, history
        )

    async def _before(self, run_id: str, changes: Changes) -> tuple[RunSpec, list[Draft], int]:
        """Return a run's spec, the events that its fork takes over, and the last one's number."""
        head = await self._journal.head(run_id)
        upto = head.seq if changes.after is None else changes.after
        if not 0 <= upto <= head.seq:
            raise BadCursor(f"run {run_id} has events 1 to {head.seq}; {upto} is none of them")
        history, old = History(changes.texts), None
        async for events in read_all(self._journal, run_id, upto=max(upto, 1)):
            old = old or spec_of(events[0])
            for event in events:
                history.take(event)
        assert old is not None
        return old, history.drafts(), upto

    async def _start(
        self, spec: RunSpec, claim: Claim | None, history: Sequence[Draft] = ()
    ) -> str:
        who = present.get()
        spec = replace(spec, tenant=present_tenant() or spec.tenant, key=who.key or spec.key)
        if claim is not None and spec.tenant != DEFAULT:  # no client's key holds this character
            claim = replace(claim, key=f"\x1d{spec.tenant} {claim.key}")
        reserved: list[str] = []

        async def before(run_id: str) -> None:
            if self._budgets is not None:
                await self._budgets.reserve(run_id, spec)
                reserved.append(run_id)

        try:
            return await self._runner.start(spec, claim, history, before)
        except KeyTaken as taken:
            if self._budgets is not None and reserved:  # another request was faster
                self._budgets.ended(reserved[0])
            assert claim is not None
            if taken.request_digest != claim.request_digest:
                raise KeyReused(taken.run_id, taken.request_digest) from None
            return taken.run_id

    def _check_room(self) -> None:
        most = self._settings.max_live_runs
        if self._runner.live_count >= most:
            raise TooBusy(f"{most} runs are live already; try again in a moment")

    def _check_names(self, spec: RunSpec) -> None:
        open_dialect(spec.dialect)
        open_flow(spec.flow)
        present.get().check_flow(spec.flow)
        self._catalog.check(spec.model, spec.flow)

    async def _checked(self, spec: RunSpec, options: RunOptions = NO_OPTIONS) -> RunSpec:
        """Return the spec as the log will hold it."""
        self._check_names(spec)
        flow = open_flow(spec.flow)
        try:
            request = flow.input_model.model_validate(dict(spec.input))
        except ValidationError as error:
            raise SpecError(f"the input of {spec.flow} is not right: {_reasons(error)}") from None
        written = _written(await flow.prepare(request, self._records))
        return replace(
            spec,
            input=written,
            aside=flow.aside,
            user=options.user or spec.user,
            cancel_after_s=options.cancel_after_s,
            continues=options.continues,
            traceparent=options.traceparent or handed_on(spec.parent),
        )

    def _is_reusable(self, head: Head) -> bool:
        """Whether a run may answer an equal request: it is live, or completed a short time ago."""
        if head.status != "completed" or head.ended_ms is None:
            return head.status not in ENDED
        return time.time() * 1000 - head.ended_ms <= self._settings.cache_ttl_s * 1000


def request_digest(spec: RunSpec) -> str:
    """Return a digest of the request, before the flow adds to its input; empty if not JSON."""
    fields = [spec.flow, spec.model, spec.dialect, dict(spec.input)]
    try:
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    except (ValueError, RecursionError, TypeError):
        return ""  # admission refuses it: it cannot be written as JSON


def _written(request: BaseModel) -> dict[str, Any]:
    """
    Return the input as the log will hold it.

    Raises:
        SpecError: A free parameter holds a value that is not valid JSON.
    """
    try:
        facts = request.model_dump()
        text = json.dumps(facts, allow_nan=False, ensure_ascii=False)
        text.encode()
        if is_deeper(facts, MAX_NESTING, text=text):
            raise ValueError
    except (ValueError, OverflowError, RecursionError, TypeError) as error:
        raise SpecError(
            f"the input cannot be stored ({type(error).__name__}): send text in whole characters, "
            "finite numbers, and less nesting"
        ) from None
    return facts


def _reasons(error: ValidationError) -> str:
    """Say which fields are wrong and why, without repeating the client's values."""
    problems: list[Any] = list(error.errors(include_input=False, include_url=False))[:5]
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'input'}: {p['msg']}" for p in problems)
