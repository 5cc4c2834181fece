"""Scripted models that break, and what one text from them comes to."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from unspool import Model, Prompt
from unspool.errors import ProviderError
from unspool.generation.attempts import AttemptFailed, AttemptFinished, AttemptStarted, Rewound
from unspool.generation.generate import Generation, GenerationDeps
from unspool.models.health import Health
from unspool.providers import Text, ToolCall
from unspool.providers.upstream.http1 import Client
from unspool.providers.upstream.pulled import pulled

ASKED = Prompt.of("推荐一双鞋")


BREAK = {"fail": "interrupted", "code": "connection", "message": "it broke"}


_numbers = itertools.count()


def model(*attempts: list[dict[str, Any]], prefill: str = "", **facts: Any) -> Model:
    """A model that plays one script after the other."""
    name = f"m{next(_numbers)}"  # the scripted provider counts attempts by name
    script = {"attempts": list(attempts)}
    return Model(name, "scripted", params={"script": script}, prefill=prefill, **facts)


def says(text: str, *, size: int = 2) -> list[dict[str, Any]]:
    pieces = [{"text": text[at : at + size]} for at in range(0, len(text), size)]
    return [*pieces, {"finish": "stop"}]


def breaks_after(text: str) -> list[dict[str, Any]]:
    return [*says(text)[:-1], BREAK]


REFUSES_PREFIX = [{"fail": "refused", "code": "prefill_refused", "status": 400}]


@dataclass
class Told:
    """What came out of one `generate`."""

    text: str = ""
    ways: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    seams: list[tuple[str, int]] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    pieces: list[Any] = field(default_factory=list)
    error: ProviderError | None = None

    @property
    def starts(self) -> list[AttemptStarted]:
        return [piece for piece in self.pieces if isinstance(piece, AttemptStarted)]


async def tell(
    http: Client,
    models: Sequence[Model],
    prompt: Prompt = ASKED,
    *,
    health: Health | None = None,
    retries: int = 3,
    **facts: Any,
) -> Told:
    told = Told()

    async def sleep(wait_s: float) -> None:
        told.waited.append(wait_s)

    deps = GenerationDeps(http, retries, health=health or Health(), sleep=sleep, random=lambda: 0.0)
    async with aclosing(pulled(Generation(prompt, models, deps, **facts).write)) as pieces:
        try:
            async for piece in pieces:
                _note(told, piece)
        except ProviderError as error:
            told.error = error
    return told


def _note(told: Told, piece: Any) -> None:
    told.pieces.append(piece)
    match piece:
        case Text(text):
            told.text += text
        case Rewound():
            told.text = told.text[: piece.at]
        case AttemptStarted():
            told.ways.append(piece.strategy)
        case ToolCall():
            told.calls.append(piece)
        case AttemptFailed():
            told.codes.append(piece.error.code)
    if isinstance(piece, AttemptFailed | AttemptFinished) and piece.seam_report is not None:
        told.seams.append((piece.seam_report.kind, piece.seam_report.trimmed))
