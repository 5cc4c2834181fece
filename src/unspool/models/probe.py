"""
Sends a model small requests: does it answer, and how does it continue a text?

A trial finds the second out. The model writes an answer that has one right form only; then it
gets the first half of it back, once in each form of prefill. If it continues with the second
half, it supports that form; if it starts over, it does not. A vendor's documentation describes
the vendor's own models; the trial describes this deployment.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Literal

from unspool.providers.upstream.http1 import Client

from ..errors import ProviderError, UnspoolError
from ..providers import Model, Prompt, Reasoning, Text, ThoughtAloud, Usage
from ..providers.upstream.pulled import outputs_of
from ..providers.upstream.vendors import PREFILLS
from .prefills import Outcome

QUESTION: Final = "Say hello in one short sentence."

MAX_TOKENS: Final = 16
"""Of the answer to it: enough to see one."""

COUNTING: Final = (
    "Write the numbers from 1 to 40 in English words, lower case, separated by a comma and a "
    "space, in one line. Write nothing else."
)
"""Only one answer is right, and no two parts of it look alike."""

COUNTED_TOKENS: Final = 1000
"""Of the whole answer: it has about 160; models that reason first need the rest."""

REST_TOKENS: Final = 48
"""Of each trial: four numbers decide."""

ENOUGH: Final = 24
"""Letters that must match: about three numbers."""

LEAST: Final = 4 * ENOUGH
"""Letters of an answer; in a shorter one the halves could look alike."""

MAX_CHARS: Final = 4000
"""Read of one answer; the right one has 400. Some models do not know when to stop."""

TEST_S: Final = 60.0
"""For a small request, whatever the model's own limits are: a person waits for it."""

Verdict = Literal["goes_on", "starts_anew", "refused", "cannot_tell"]

OUTCOMES: Final[dict[Verdict, Outcome]] = {
    "goes_on": "went_on",
    "starts_anew": "started_anew",
    "refused": "refused",
}

FORMS: Final[dict[str, tuple[str, ...]]] = {
    "openai": tuple(prefill for prefill in PREFILLS if prefill not in {"none", "raw"}),
}
"""Forms of prefill to try. Every other provider has a single form; `raw` is known by its engine."""

NOT_LETTERS: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer and its times, in milliseconds from the request."""

    text: str
    first_token_ms: float | None
    total_ms: float
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Tried:
    """The trial of one form of prefill."""

    way: str
    """The form, one of `PREFILLS`."""
    verdict: Verdict
    said: str
    """Beginning of the model's answer, or the error."""


@dataclass(frozen=True, slots=True)
class ProbeFinding:
    """The form of prefill that a model supports: one of `PREFILLS`, or empty if unknown."""

    prefill: str
    tried: list[Tried]
    why: str = ""
    """The reason if there was no trial."""

    @property
    def outcomes(self) -> list[tuple[str, Outcome]]:
        """What the trial proved of each form, the best first."""
        return [
            (trial.way, OUTCOMES[trial.verdict])
            for trial in self.tried
            if trial.verdict in OUTCOMES
        ]


async def ask(model: Model, http: Client, question: str = QUESTION) -> Answered:
    """
    Send one small request, once.

    Raises:
        ProviderError: The model did not answer.
    """
    prompt = Prompt.of(question, max_tokens=MAX_TOKENS)
    return await _ask(model, prompt, http)


async def _ask(model: Model, prompt: Prompt, http: Client) -> Answered:
    began = time.perf_counter()
    parts: list[str] = []
    usage: Usage | None = None
    first_ms: float | None = None
    chars = 0
    try:
        async with asyncio.timeout(TEST_S):
            async with aclosing(outputs_of(model, prompt, http)) as outputs:
                async for output in outputs:
                    if first_ms is None and isinstance(output, Text | Reasoning):
                        first_ms = _ms_since(began)
                    match output:
                        case Text(text):
                            parts.append(text)
                            chars += len(text)
                        case ThoughtAloud():
                            parts.clear()
                        case Usage():
                            usage = output
                    if chars > MAX_CHARS:
                        break
    except TimeoutError:
        raise ProviderError(f"no whole answer within {TEST_S:g} s", code="timeout") from None
    return Answered("".join(parts)[:MAX_CHARS], first_ms, _ms_since(began), usage)


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)


async def probe_prefill(model: Model, http: Client) -> ProbeFinding:
    """Find out how `model` continues a text, with one request, and one more per form."""
    counting = Prompt.of(COUNTING, temperature=0, max_tokens=COUNTED_TOKENS)
    try:
        whole = (await _ask(model, counting, http)).text.strip()
    except UnspoolError as error:
        return ProbeFinding("", [], f"it did not answer: {error}")
    if len(_letters(whole)) < LEAST:
        return ProbeFinding("", [], "its answer is too short to be cut in two")
    half = _half_of(whole)
    counting = replace(counting, prefix=half, params={"temperature": 0, "max_tokens": REST_TOKENS})
    tried = [
        await _try(replace(model, prefill=form), counting, whole, http)
        for form in FORMS.get(model.provider, ("assistant",))
    ]
    supported = [trial.way for trial in tried if trial.verdict == "goes_on"]
    if supported:
        return ProbeFinding(supported[0], tried)
    is_sure = all(trial.verdict in {"refused", "starts_anew"} for trial in tried)
    return ProbeFinding("none" if is_sure else "", tried)


async def _try(model: Model, prompt: Prompt, whole: str, http: Client) -> Tried:
    try:
        text = (await _ask(model, prompt, http)).text
    except ProviderError as error:
        is_no = error.code in {"prefill", "prefill_refused", "invalid_request"}
        return Tried(model.prefill, "refused" if is_no else "cannot_tell", f"{error.code}: {error}")
    return Tried(model.prefill, verdict_of(whole, prompt.prefix, text), text[:80])


def verdict_of(whole: str, half: str, text: str) -> Verdict:
    """Compare `text` with the beginning of the second half, and of the whole."""
    received = _letters(text)[:ENOUGH]
    if len(received) == ENOUGH:
        if _letters(whole[len(half) :]).startswith(received):
            return "goes_on"
        if _letters(whole).startswith(received):
            return "starts_anew"
    return "cannot_tell"


def _half_of(text: str) -> str:
    """Return about half of a text, up to a comma: a cut inside a word would test another thing."""
    middle = len(text) // 2
    found = re.search(r"[,，、。\s]", text[middle:])
    return text[: middle + found.start()] if found else text[:middle]


def _letters(text: str) -> str:
    """Return the letters and digits of a text, case-folded: `Twenty-one,` is `twentyone`."""
    return NOT_LETTERS.sub("", text).casefold()
