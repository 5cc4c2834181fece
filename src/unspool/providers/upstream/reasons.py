"""
Reasons for the end of an answer, in the words of all vendors.

A reason says one of four things: the answer is whole in one of the ways that every vendor has, the
vendor gave it up, the turn goes on in another request, or nothing yet. A word that we do not know
is the end of no answer: a cut answer must never pass for a whole one.
"""

from __future__ import annotations

import re
from typing import Final

ENDS: Final = tuple(
    (end, re.compile(pattern))
    for end, pattern in (
        ("tool_calls", r"^(tool|function)_(calls?|use)$"),
        (
            "content_filter",
            r"(^|_)(content_filter|filter(ed|s)?|safety|moderation|refus(al|ed)|sensitive|spii|"
            r"block(ed|list)|prohibited|guardrails?|recitation|policy|censored)(_|$)",
        ),
        (
            "length",
            r"(^|_)(length|max_(new_|output_|completion_)?tokens?)(_|$)|"
            r"(tokens?|context|length)_limit|context_(length|window)",
        ),
        (
            "stop",
            r"(^|_)(stops?|end(ed)?|eos|eot|eom|done|completed?|finish(ed)?|natural|normal|ok|"
            r"success)(_|$)",
        ),
    )
)
"""Parts of vendors' words for the ends that every vendor has; the first that fits counts."""

ABNORMAL: Final = re.compile(
    r"abort|error|fail|cancel|timeout|timed|resource|network|overload|unavailable|interrupt|"
    r"malformed|exception|crash|disconnect|connection|shutdown|shut_down|preempt|evict|kill|"
    r"expired|incomplete|busy|internal|unexpected|invalid|unspecified|out_of_memory|"
    r"^(unknown|other|oom|lost|reset)$"
)
"""A reason that matches this means that the vendor gave the answer up."""

PAUSED: Final = frozenset({"pause_turn", "pause", "paused", "pause_run"})
"""The turn goes on when it is sent back as it is (Anthropic's tools that run at the vendor)."""

NO_REASON: Final = frozenset({"", "null", "none"})
"""Values that some vendors write in every chunk for "not yet"."""

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def word_of(reason: str) -> str:
    """Return a reason as one word in lower case: `maxTokens` and `max-tokens` are `max_tokens`."""
    word = re.sub(r"[^0-9a-z]+", "_", _CAMEL.sub("_", reason.strip()[:64]).lower())
    return word.strip("_")


def end_of(word: str) -> str | None:
    """Return stop, length, tool_calls or content_filter; None for a word that is no end."""
    if word in PAUSED or ABNORMAL.search(word):
        return None
    return next((end for end, pattern in ENDS if pattern.search(word)), None)
