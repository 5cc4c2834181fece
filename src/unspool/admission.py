"""
A request becomes a run: the flow exists, its input is right, and there is room.

What is refused here is refused before anything streams, with a status that says
whose turn it is.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from .catalog import Catalog
from .crashing import point
from .dialects import open_dialect
from .errors import KeyReused, KeyTaken, SpecError, TooBusy
from .flows import open_flow
from .journals import Claim, Head, Journal
from .records import Records
from .runner import Runner
from .runs import RunSpec
from .settings import Settings
from .terms import present

_accepted = point("admission.accepted")
_reused = point("admission.reused")

REUSABLE: Final = 8
"""Newest equal runs that are looked at for one that will do; the rest have failed like them."""


class Admission:
    def __init__(
        self,
        runner: Runner,
        journal: Journal,
        catalog: Catalog,
        records: Records,
        settings: Settings,
    ) -> None:
        self._runner = runner
        self._journal = journal
        self._catalog = catalog
        self._records = records
        self._settings = settings

    async def admit(self, spec: RunSpec) -> str:
        """
        Start a run for a request, or find the one that it means, and return its id.

        Raises:
            SpecError: The request cannot be met; nothing was started.
            TooBusy: As many runs as are allowed go on already.
            JournalError: It could not be written down; nothing was started.
        """
        terms = present()
        claim = Claim(terms.key, _asked(spec)) if terms.key else None
        if self._runner.live_count >= self._settings.max_live_runs:
            raise TooBusy(
                f"{self._settings.max_live_runs} runs go on already; try again in a moment"
            )
        open_dialect(spec.dialect)
        flow = open_flow(spec.flow)
        self._catalog.check(spec.model)
        try:
            asked = flow.asked.model_validate(dict(spec.input))
        except ValidationError as error:
            raise SpecError(f"the input of {spec.flow} is not right: {_reasons(error)}") from None
        asked = await flow.prepare(asked, self._records)
        spec = replace(_written(spec, asked), cancel_after_s=terms.cancel_after_s)
        if (terms.cache or self._settings.cache) == "read":
            for head in await self._journal.heads(digest=spec.digest, limit=REUSABLE):
                if self._will_do(head):
                    _reused()
                    return head.run_id
        _accepted()
        try:
            return await self._runner.start(spec, claim)
        except KeyTaken as taken:
            assert claim is not None
            if taken.asked != claim.asked:
                raise KeyReused(taken.run_id) from None
            return taken.run_id

    def _will_do(self, head: Head) -> bool:
        """Whether a run answers an equal request: it is whole, or still going on."""
        if head.status != "completed" or head.ended_ms is None:
            return head.status == "running"
        return time.time() * 1000 - head.ended_ms <= self._settings.cache_ttl_s * 1000


def _asked(spec: RunSpec) -> str:
    """Tell this request from any other, before the flow has put anything into it."""
    said = [spec.flow, spec.model, spec.dialect, dict(spec.input)]
    try:
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    except (ValueError, RecursionError, TypeError):
        return ""  # it will be refused for what cannot be written down


def _written(spec: RunSpec, asked: BaseModel) -> RunSpec:
    """Return the spec as the log will have it; free parameters may hold anything JSON can."""
    try:
        spec = replace(spec, input=asked.model_dump())
        json.dumps(spec.input, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, OverflowError, RecursionError, TypeError) as error:
        raise SpecError(
            f"the input cannot be kept ({type(error).__name__}): send text in whole characters, "
            "finite numbers, and less nesting"
        ) from None
    return spec


def _reasons(error: ValidationError) -> str:
    """Say which fields are wrong and why, without repeating what was sent."""
    problems: list[Any] = list(error.errors(include_input=False, include_url=False))[:5]
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'input'}: {p['msg']}" for p in problems)
