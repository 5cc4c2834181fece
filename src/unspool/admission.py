"""
A request becomes a run: the flow exists, its input is right, and there is room.

What is refused here is refused before anything streams, with a status that says
whose turn it is.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from .catalog import Catalog
from .dialects import open_dialect
from .errors import SpecError, TooBusy
from .flows import open_flow
from .records import Records
from .runner import Runner
from .runs import RunSpec
from .settings import Settings


class Admission:
    def __init__(
        self, runner: Runner, catalog: Catalog, records: Records, settings: Settings
    ) -> None:
        self._runner = runner
        self._catalog = catalog
        self._records = records
        self._settings = settings

    async def admit(self, spec: RunSpec) -> str:
        """
        Start a run for a request and return its id.

        Raises:
            SpecError: The request cannot be met; nothing was started.
            TooBusy: As many runs as are allowed go on already.
            JournalError: It could not be written down; nothing was started.
        """
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
        return await self._runner.start(_written(spec, asked))


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
