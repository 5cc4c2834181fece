"""
The built-in model: no key, no network, the same words for the same question.

It lets everything else be tried before a key is at hand, so it behaves like a model:
it takes a moment to begin, comes in small deltas, can be cut by `max_tokens` and goes
on from a prefix. What it says comes from the files that `offline_model.answers` lists, which tools
it calls from `offline_model.tools`.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ..errors import ProviderRefused
from ..formats.tokens import estimate_tokens
from . import LocalAnswer, Model, Prompt, Sink, ToolCall, ToolFragment, Usage
from .offline_model.answers import answer_to
from .offline_model.text import Dice, go_on, text_of
from .offline_model.tools import calls_for
from .upstream.local import LocalLine, LocalReader

_PIECE: Final = re.compile(r"\s*[\u0021-\u2e7f]+|\s*[^\u0021-\u2e7f\s]{1,4}|\s+")
"""A word with the space before it, or up to four wide characters; together they are all text."""

_TOKENS_PER_PIECE: Final = 1.5
"""What a piece is on average, for the pace: two or three Chinese characters, one long word."""


@dataclass(frozen=True, slots=True)
class Offline:
    """The model and its pace; without waiting at all when `tokens_per_s` is infinite."""

    first_token_s: float = 0.12
    """Long enough to see that something is awaited, short enough not to annoy."""
    tokens_per_s: float = 40.0
    """Above zero. 40 is the pace of a good hosted model, and faster than people read."""

    def request(self, model: Model, prompt: Prompt) -> LocalAnswer:
        """
        Return the answer, from `prompt.prefix` on.

        Raises:
            ProviderRefused: `max_tokens` is not a whole number above zero.
        """
        return LocalAnswer(partial(self._pieces, prompt, _max_tokens(prompt.params)))

    def reader(self, model: Model, prompt: Prompt, sink: Sink) -> LocalReader:
        """See `providers.Provider`."""
        return LocalReader(sink)

    def _pieces(self, prompt: Prompt, most: float) -> Iterator[tuple[float, bytes]]:
        dice = Dice(prompt.messages)
        if calls := calls_for(prompt):
            said, finish = "".join(_written(call) for call in calls), "tool_calls"
            lines = _told(calls, dice)
        else:
            rest = go_on(prompt.prefix, answer_to(prompt.messages))
            said = rest[: _room(rest, most)]
            finish = "stop" if len(said) == len(rest) else "length"
            lines = (LocalLine(text=piece) for piece in _pieces(said, dice))
        for number, line in enumerate(lines):
            yield self._wait_s(number, dice), line.encode()
        request = "".join(text_of(message) for message in prompt.messages)
        usage = Usage(estimate_tokens(request), estimate_tokens(said), measured=False)
        yield 0.0, LocalLine(usage=usage).encode() + LocalLine(finish=finish).encode()

    def _wait_s(self, number: int, dice: Dice) -> float:
        if not number:
            return self.first_token_s
        # Between 0.6 and 1.4 of the mean: a metronome does not look like a model.
        swing = 0.6 + 0.8 * dice.number(f"pace {number}", 101) / 100
        return swing * _TOKENS_PER_PIECE / self.tokens_per_s


def _written(call: ToolCall) -> str:
    return json.dumps(call.arguments, ensure_ascii=False)


def _told(calls: Sequence[ToolCall], dice: Dice) -> Iterator[LocalLine]:
    """Return calls as they stream: the name of each, its arguments in pieces; whole, in the end."""
    for call in calls:
        yield LocalLine(tool=ToolFragment(call.index, call.id, call.name))
        for piece in _pieces(_written(call), dice):
            yield LocalLine(tool=ToolFragment(call.index, arguments=piece))
    for call in calls:
        yield LocalLine(call=call)


def _max_tokens(params: Mapping[str, Any]) -> float:
    value = params.get("max_tokens", params.get("max_completion_tokens"))
    if value is None:
        return math.inf
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ProviderRefused(
            f"max_tokens must be a whole number above zero, not {value!r}",
            code="invalid_request",
            status=400,
        )
    return value


def _room(text: str, tokens: float) -> int:
    """Return how many characters of `text` fit into `tokens`."""
    if estimate_tokens(text) <= tokens:
        return len(text)
    lengths = range(1, len(text) + 1)
    return bisect_right(lengths, tokens, key=lambda length: estimate_tokens(text[:length]))


def _pieces(text: str, dice: Dice) -> Iterator[str]:
    """Cut `text` as a model would: joined again, the pieces are the text."""
    for number, found in enumerate(_PIECE.finditer(text)):
        piece = found[0]
        if piece[-1] < "\u2e80":
            yield piece
            continue
        # Chinese comes in pieces of one to four characters, most often two.
        length = (1, 2, 2, 3, 4)[dice.number(f"piece {number}", 5)]
        for start in range(0, len(piece), length):
            yield piece[start : start + length]


plug = Offline()
