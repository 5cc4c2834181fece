"""
Guards of a continuation that a message asked for: they refuse text which a reader would stumble
over, before anybody reads it.

Taken from what small models answered when they were told to go on: they quote the instruction,
greet, repeat the last clause, tell the middle again, or run in a circle. Pure.
"""

from __future__ import annotations

import re
from typing import Final

from .weights import is_wide, weight

GUARDED: Final = 60
"""Weight of the continuation that is looked at before any of it is shown: a sentence."""

LEAKED: Final = 14
"""Weight of words of the instruction in the continuation that are no accident."""

RESAID: Final = 12
"""Weight of the last clause said again: six Chinese characters, three English words."""

CLAUSE_CHARS: Final = 48
"""Characters at the end of the text in which a clause said again stands."""

PASSAGE: Final = 30
"""Weight of a passage of the text told again: a sentence, not a phrase."""

CIRCLES: Final = 5
"""Repeats of a short part from the beginning on that are a circle, not laughter."""

CIRCLE_CHARS: Final = 12
"""Longest such part."""

LEAST_SPACES: Final = 4
"""Between the words of a sentence; fewer words may be a name."""

SMALL_TALK: Final = re.compile(
    r"[\s*“\"'「]*(sure|of course|certainly|absolutely|okay|ok[,.!]|here('|’)?s |here (is|are)|"
    r"i('|’)?(d|ll| am|m)\b|i apologi|sorry|continuing|as an ai|the (rest|continuation)|"
    r"当然|好的[，,。！!]|以下是|下面是|这是|抱歉|对不起|接着上文|继续|作为一|请问|```)",
    re.IGNORECASE,
)
"""How models begin when they talk instead of going on."""

OPENER: Final = re.compile(
    r"```|#|\n\n|(The|This|That|These|Those|It|He|She|They|We|You|In|There|To|If|When)\b"
)
"""Beginnings that do not stand inside a sentence; names and German nouns do."""

SENTENCE_END: Final = re.compile(r"[。！？…!?.][”」』\"')）】*_]*\s*$|\n\s*$")


class BadContinuation(Exception):
    """
    A reader would stumble over the continuation; none of it may follow the text.

    Attributes:
        code: Of the attempt's error.
    """

    code = "bad_continuation"


class StartedAnew(BadContinuation):
    """The output is another answer."""

    code = "started_anew"


def may_be_whole(text: str) -> bool:
    """
    Whether a text does not stop inside a sentence.

    It ends with a sentence or a line, or has no sentences: a name, a number, a word.
    """
    return bool(SENTENCE_END.search(text[-12:])) or not has_sentences(text)


def has_sentences(text: str) -> bool:
    """Whether a text is made of sentences, as far as its signs show."""
    is_long = text.count(" ") >= LEAST_SPACES
    return is_long or any(not (c.isalnum() or c.isspace()) for c in text)


def is_small_talk(text: str) -> bool:
    """Whether an answer begins with talk about itself, or could still turn out to."""
    return bool(SMALL_TALK.match(text))


def check(written: str, rest: str, instruction: str) -> None:
    """
    Look at the beginning of a continuation. `instruction` is the message that asked for it.

    Raises:
        BadContinuation: It is none.
    """
    talk = SMALL_TALK.match(rest)
    if talk and talk[0].casefold() not in written.casefold() and not _is_inside_fence(written):
        raise BadContinuation("the model talked about the text instead of continuing it")
    if leaks(written, rest, instruction):
        raise BadContinuation("the model repeated its instruction")
    if _is_circle(written, rest):
        raise BadContinuation("the model repeats a few words without end")
    if _resays(written, rest):
        raise BadContinuation("the model repeated the last clause")
    if _retells(written, rest):
        raise BadContinuation("the model told a passage of the text again")


def check_joint(written: str, rest: str) -> None:
    """
    Look at the joint where nothing proves it: the model did not repeat the last words.

    Raises:
        BadContinuation: A sentence begins inside another.
    """
    before = written.rstrip("*_` ")
    is_inside = before[-1:].isalnum() or before[-1:] in tuple(",，、;；(（“")
    is_glued = written[-1:].isalnum() and rest[:1].isupper()
    if is_inside and (is_glued or OPENER.match(rest)):
        raise BadContinuation("the model began a sentence in the middle of another")


def leaks(written: str, rest: str, instruction: str) -> bool:
    """Whether `rest` holds words of the instruction that the text does not have itself."""
    told = instruction.casefold()
    said = rest.casefold()
    text = written.casefold()
    return any(part in told and part not in text for part in _parts(said, LEAKED))


def _parts(text: str, least: int) -> list[str]:
    """Return all parts of a text of this weight, each from a character that says something."""
    weights = [2 if is_wide(c) else int(c.isalnum()) for c in text]
    parts: list[str] = []
    end = total = 0
    for start, own in enumerate(weights):
        while total < least and end < len(text):
            total += weights[end]
            end += 1
        if total < least:
            break
        if own:
            parts.append(text[start:end])
        total -= own
    return parts


def _is_circle(written: str, rest: str) -> bool:
    """Whether `rest` begins to repeat a short part; a text that did so before may go on."""
    for n in range(2, CIRCLE_CHARS + 1):
        part = rest[:n]
        if weight(part) > 1 and rest.startswith(part * CIRCLES):
            return written[-2 * n :] != part * 2
    return False


def _resays(written: str, rest: str) -> bool:
    text = written.casefold()
    last = text[-CLAUSE_CHARS:]
    beginning = rest.casefold()[: CLAUSE_CHARS * 2]
    # A clause that the text itself repeats (a list, a table, a refrain) may come once more.
    return any(part in last and _is_once(part, text) for part in _parts(beginning, RESAID))


def _retells(written: str, rest: str) -> bool:
    parts = _parts(rest.casefold(), PASSAGE)
    text = written.casefold()
    return any(_is_once(part, text) for part in parts[:1] + parts[-1:])


def _is_once(part: str, text: str) -> bool:
    first = text.find(part)
    return first >= 0 and text.find(part, first + 1) < 0


def _is_inside_fence(written: str) -> bool:
    return written.count("```") % 2 == 1
