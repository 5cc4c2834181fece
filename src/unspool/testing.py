"""
Tests a flow of your own: runs it on a scripted model, and returns its log.

    from unspool.testing import play

    async def test_three_headlines():
        played = await play(headlines, {"topic": "coffee"}, says=["One", "Two", "Three"])
        assert played.run.result == ["One", "Two", "Three"]

Nothing is mocked: journal, runner and generation are those of the server, in a temporary
directory. Only the model is scripted, and never waits.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import BaseModel

from . import plugs
from .core import Core, open_core
from .flows import Flow
from .models.catalog import RegisteredModel
from .providers import Model
from .runs.events import Event
from .runs.run import Run, RunSpec, fold
from .settings import Settings
from .viewing.cursor import follow

ScriptedAnswer = str | Sequence[Mapping[str, Any]]
"""One answer: a text, or a script for the provider `scripted` (pauses, faults, tools)."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Played:
    """
    A flow's finished run.

    Attributes:
        events: The whole log.
        run: Its fold: `status`, `result`, `text`, `steps`, `items`, `warnings`, `attempts` …
    """

    events: list[Event]
    run: Run

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the data of all events of a type, such as `item.found`."""
        return [event.data for event in self.events if event.type == kind]


async def play(
    flow: Flow[Any],
    input: BaseModel | Mapping[str, Any],
    *,
    says: Sequence[ScriptedAnswer] = (),
    **settings: Any,
) -> Played:
    """
    Run a flow to its end.

    Args:
        flow: A flow made by `@flow`, or any `Flow`.
        input: Its input, checked like that of a request.
        says: The model's answers, one per request, retries included. The last one repeats; if
            there are none, the built-in model answers.
        settings: Fields of `Settings`, such as `retries=0`.

    Raises:
        SpecError: The input is invalid.
    """
    name = f"played-{next(_numbers)}"
    body = input.model_dump() if isinstance(input, BaseModel) else dict(input)
    plugs.offer("flows", name, flow)
    try:
        async with _core(says, settings) as core:
            run_id = await core.admission.admit(RunSpec(name, body))
            events = [event async for batch in follow(core.journal, run_id) for event in batch]
    finally:
        plugs.withdraw("flows", name)
    return Played(events, fold(events))


@asynccontextmanager
async def _core(
    says: Sequence[ScriptedAnswer], settings: Mapping[str, Any]
) -> AsyncGenerator[Core]:
    with TemporaryDirectory(prefix="unspool-") as folder:
        quick = {"sample_data": False, "say_chars_per_s": 1e6, "flows": "", **settings}
        async with open_core(Settings(_env_file=None, data_dir=Path(folder), **quick)) as core:
            if says:
                scripts = [_script(answer) for answer in says]
                # The provider counts attempts by the model's name as long as the process lives.
                params = {"script": {"attempts": scripts}}
                model = Model(f"scripted-{next(_numbers)}", "scripted", params=params)
                core.catalog.fill([RegisteredModel(model)], [], [model.name])
            yield core


def _script(answer: ScriptedAnswer) -> list[Mapping[str, Any]]:
    if isinstance(answer, str):
        return [{"text": answer}, {"finish": "stop"}]
    return list(answer)
