"""Asks a model or a route directly, without a run or a server."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from ..errors import ProviderError
from ..execution.step_writer import cost_facts, usage_facts
from ..generation.attempts import AttemptFailed, AttemptFinished, AttemptStarted
from ..generation.generate import GenerationDeps, generate
from ..models.health import Health
from ..models.registry import ModelRegistry
from ..models.sources import ConfiguredModels
from ..providers import Model, Prompt, Reasoning, Text
from ..providers.upstream.http import open_http
from ..records import place_of
from ..settings import Settings
from ._bootstrap import open_records
from ._exit_codes import FAILED, Complaint


class DirectChat:
    """
    One prompt to the model or route `name` (empty: the default).

    Attributes:
        attempts: Every request sent, oldest first.
    """

    def __init__(self, settings: Settings, name: str, prompt: Prompt) -> None:
        self.attempts: list[dict[str, Any]] = []
        self._settings = settings
        self._name = name
        self._prompt = prompt
        self._parts: list[str] = []
        self._thoughts: list[str] = []
        self._began = time.perf_counter()
        self._first_chunk_ms: float | None = None
        self._total_ms = 0.0

    async def pieces(self) -> AsyncGenerator[str]:
        """
        Yield the answer piece by piece.

        Raises:
            SpecError: There is no such model or route.
            Complaint: No model gave a whole answer.
        """
        settings = self._settings
        async with open_http(allow_private=settings.allow_private_upstreams) as http:
            deps = GenerationDeps(http, settings.retries, settings.retry_budget_s)
            models = await _models(settings, self._name, deps)
            self._began = time.perf_counter()
            try:
                async with aclosing(generate(self._prompt, models, deps)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Text):
                            self._add_text(piece.text)
                            yield piece.text
                        else:
                            self._take(piece)
            except ProviderError as error:
                raise Complaint(
                    f"No whole answer after {len(self.attempts)} attempts: {error}", FAILED
                ) from error
            self._total_ms = self._elapsed_ms()

    def facts(self, *, with_attempts: bool) -> dict[str, Any]:
        """Return the whole answer as JSON; call it after the last piece."""
        last = self.attempts[-1]
        facts = {
            "text": "".join(self._parts),
            "reasoning": "".join(self._thoughts),
            "model": last["model"],
            "finish_reason": last["finish_reason"],
            "usage": last["usage"],
            "attempts": len(self.attempts),
            "first_chunk_ms": self._first_chunk_ms,
            "total_ms": self._total_ms,
        }
        return {**facts, "asked": self.attempts} if with_attempts else facts

    def _elapsed_ms(self) -> float:
        return round((time.perf_counter() - self._began) * 1000, 1)

    def _add_text(self, text: str) -> None:
        self._parts.append(text)
        if self._first_chunk_ms is None:
            self._first_chunk_ms = self._elapsed_ms()

    def _take(self, piece: Any) -> None:
        match piece:
            case Reasoning(text):
                self._thoughts.append(text)
            case AttemptStarted():
                self.attempts.append(_started(piece))
            case AttemptFailed():
                self.attempts[-1] |= {"code": piece.error.code, **_account(piece)}
            case AttemptFinished():
                self.attempts[-1] |= {"finish_reason": piece.finish_reason, **_account(piece)}


def _started(piece: AttemptStarted) -> dict[str, Any]:
    return {
        "number": piece.number,
        "model": piece.model.name,
        "strategy": piece.strategy,
        "seam": None,
        "code": None,
        "finish_reason": None,
        "usage": None,
        "cost": None,
    }


def _account(piece: AttemptFailed | AttemptFinished) -> dict[str, Any]:
    report = piece.seam_report
    return {
        "seam": None if report is None else {"kind": report.kind, "trimmed": report.trimmed},
        "usage": None if piece.usage is None else usage_facts(piece.usage),
        "cost": cost_facts(piece.cost),
    }


async def _models(settings: Settings, name: str, deps: GenerationDeps) -> list[Model]:
    where = place_of(settings)
    # A prompt alone does not create the file.
    if isinstance(where, Path) and not where.exists():
        return ConfiguredModels(settings).catalog().models_for(name)
    records = await open_records(settings)
    try:
        registry = await ModelRegistry.open(settings, records, deps.http, Health())
        return registry.catalog.models_for(name)
    finally:
        await records.aclose()
