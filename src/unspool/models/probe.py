"""
Asking a model something small: whether it answers, and how it goes on from a text.

The second is found out by trying. The model is asked for something that can be said in one
way only; half of its answer is given back to it in each way there is. Who goes on as the
other half did can go on; who begins again as the whole did cannot. What a vendor's document
says holds for its own models, and this for the deployment that was asked.
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
from ..providers import Model, Prompt, Reasoning, Text, Usage, open_provider
from ..providers.upstream.vendors import PREFILLS

QUESTION: Final = "Say hello in one short sentence."

MAX_TOKENS: Final = 16
"""Of the answer to it: enough to see that one comes."""

COUNTING: Final = (
    "Write the numbers from 1 to 40 in English words, lower case, separated by a comma and a "
    "space, in one line. Write nothing else."
)
"""One answer is right, and no part of it looks like another."""

COUNTED_TOKENS: Final = 1000
"""Of the whole answer: it has about 160, and the rest is for models that think first."""

REST_TOKENS: Final = 48
"""Of each way that is tried: four numbers tell."""

ENOUGH: Final = 24
"""Letters that must be the same: three numbers or so."""

LEAST: Final = 4 * ENOUGH
"""Letters of an answer whose halves can be told apart."""

MAX_CHARS: Final = 4000
"""Read of one answer; the whole right one has 400. A model may not know when to stop."""

TEST_S: Final = 60.0
"""For a small question, whatever the model's own limits are: somebody waits."""

Verdict = Literal["goes_on", "starts_anew", "refused", "cannot_tell"]

WAYS: Final[dict[str, tuple[str, ...]]] = {
    "openai": tuple(way for way in PREFILLS if way != "none"),
}
"""What there is to try. Every other provider has one way of its own."""

NOT_LETTERS: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back. Times are milliseconds from the request."""

    text: str
    first_token_ms: float | None
    total_ms: float
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Tried:
    """One way, and what came of it."""

    way: str
    verdict: Verdict
    said: str
    """Beginning of what the model said, or why it said nothing."""


@dataclass(frozen=True, slots=True)
class ProbeFinding:
    """How a model goes on: one of `PREFILLS`, or empty where that could not be told."""

    prefill: str
    tried: list[Tried]
    why: str = ""
    """Why nothing could be tried."""


async def ask(model: Model, http: Client, question: str = QUESTION) -> Answered:
    """
    Ask one small question, once.

    Raises:
        ProviderError
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
            stream = open_provider(model.provider).stream(model, prompt, http)
            async with aclosing(stream) as outputs:
                async for output in outputs:
                    if first_ms is None and isinstance(output, Text | Reasoning):
                        first_ms = _ms_since(began)
                    match output:
                        case Text(text):
                            parts.append(text)
                            chars += len(text)
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
    """Find out how `model` goes on from a text. Sends as many small requests as there are ways."""
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
        await _try(replace(model, prefill=way), counting, whole, http)
        for way in WAYS.get(model.provider, ("assistant",))
    ]
    ways = [each.way for each in tried if each.verdict == "goes_on"]
    if ways:
        return ProbeFinding(ways[0], tried)
    is_sure = all(each.verdict in {"refused", "starts_anew"} for each in tried)
    return ProbeFinding("none" if is_sure else "", tried)


async def _try(model: Model, prompt: Prompt, whole: str, http: Client) -> Tried:
    try:
        said = (await _ask(model, prompt, http)).text
    except ProviderError as error:
        is_no = error.code in {"prefill", "prefill_refused", "invalid_request"}
        return Tried(model.prefill, "refused" if is_no else "cannot_tell", f"{error.code}: {error}")
    return Tried(model.prefill, verdict_of(whole, prompt.prefix, said), said[:80])


def verdict_of(whole: str, half: str, text: str) -> Verdict:
    """Compare what came with how the other half began, and with how the whole did."""
    received = _letters(text)[:ENOUGH]
    if len(received) == ENOUGH:
        if _letters(whole[len(half) :]).startswith(received):
            return "goes_on"
        if _letters(whole).startswith(received):
            return "starts_anew"
    return "cannot_tell"


def _half_of(text: str) -> str:
    """Return about half of a text, up to a comma: half of a word is another question."""
    middle = len(text) // 2
    found = re.search(r"[,，、。\s]", text[middle:])
    return text[: middle + found.start()] if found else text[:middle]


def _letters(text: str) -> str:
    """What of a text is said, without how it is set: `Twenty-one,` is `twentyone`."""
    return NOT_LETTERS.sub("", text).casefold()
