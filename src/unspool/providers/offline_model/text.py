"""
What the built-in model says: sentence patterns, chosen by a hash of the conversation.

It knows a few kinds of question (a product to write about, sports shoes, a greeting,
a poem, a joke) and one honest answer for all others. Words are in `words`.
It states no fact that the conversation does not hold, beyond what everybody knows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from .words import EN, ZH, Voice

Messages = Sequence[Mapping[str, Any]]

_LABELS: Final = {
    "name": "商品名称|产品名称|名称|品名|product name|product|name",
    "category": "品类|类别|category",
    "color": "颜色|colou?r",
    "material": "材质|面料|material",
    "points": "卖点|特点|selling points?|features?",
    "scenes": "适用场景|场景|scenes?|occasions?",
    "price": "价格|售价|price",
}
_FACTS: Final = {
    fact: re.compile(rf"^[ \t\-*•]*(?:{labels})\s*[:：][^\S\n]*(\S.*)$", re.I | re.M)
    for fact, labels in _LABELS.items()
}

_FIELD: Final = re.compile(r"\{(\w+)\}")
_SEAM: Final = re.compile(r"[0-9A-Za-z][\u3400-\u9fff]|[\u3400-\u9fff][0-9A-Za-z]")

_LINE_OF_DATA: Final = re.compile(r"[^|\n]+\|[^|\n]+\|\d{4}-[^|\n]+\|.*\n")
"""Of an event: user, type, time, context."""

_MAX_FACT_CHARS: Final = 60
"""Of a fact that is worked into a sentence; longer ones no longer read as one."""

_SHORT_QUESTION_CHARS: Final = 200
"""Longer prompts carry data of their own; a word in them is not what they are about."""

_MAX_SUBJECT_CHARS: Final = 40
"""Of the question, where the answer names it."""

_OVERLAP_CHARS: Final = 4
"""As much of an ending of ours must stand at the end of a text to be recognised there."""


class Dice:
    """Choices that look free and are the same for the same seed."""

    def __init__(self, seed: object, turn: int = 0) -> None:
        canon = json.dumps(seed, sort_keys=True, default=str).encode()
        self._seed = hashlib.blake2b(canon).digest()
        self._turn = turn

    def number(self, what: str, below: int) -> int:
        """Return a number from 0 up to, not including, `below`."""
        digest = hashlib.blake2b(self._seed + what.encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "big") + self._turn) % below


def text_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message, also where its content comes in parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, Sequence) else ()
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, Mapping))


def question_in(messages: Messages) -> str:
    """Return the last thing that a person said."""
    request = [text_of(m) for m in messages if m.get("role") == "user" and text_of(m).strip()]
    return request[-1].strip() if request else ""


def subject_of(question: str) -> str:
    """Return what a question is about, in few words."""
    return _subject(_voice(question), question)


def compose(messages: Messages) -> str:
    """Return the whole answer to a conversation, in the language of its last question."""
    question = question_in(messages)
    voice = _voice(question)
    facts = {fact: found for fact, line in _FACTS.items() if (found := _fact(line, question))}
    if "name" in facts:
        # Posts of one product are asked for by number: turning by it makes them differ.
        number = voice.patterns["number"].search(question)
        return _sentences(voice, "sales", facts, Dice(facts, turn=int(number[1]) if number else 0))
    kind, words = _kind(voice, question)
    only = 1 if kind == "shoes" and voice.patterns["one_sentence"].search(question) else None
    return _sentences(voice, kind, words, Dice(messages), only=only)


def go_on(prefix: str, whole: str) -> str:
    """
    Return what comes after `prefix` in our answer, of which it is the beginning.

    It may be the beginning of another model's: then a sentence that ends it, begun where it
    broke.
    """
    if whole.startswith(prefix):
        return whole[len(prefix) :]
    if _LINE_OF_DATA.fullmatch(last := prefix[prefix.rfind("\n", 0, -1) + 1 :]):
        # Another model's lines, in the order of their times: ours that come after them.
        lines = whole.splitlines(keepends=True)
        return "".join(line for line in lines if line.split("|")[2:3] > last.split("|")[2:3])
    after_stop, after_comma, after_word = endings = _voice(prefix).endings
    # We may have been cut in the very ending that we gave to another's text.
    for ending in endings:
        for length in range(len(ending), _OVERLAP_CHARS - 1, -1):
            if prefix.endswith(ending[:length]):
                return ending[length:]
    last = prefix.rstrip()[-1:]
    if last in "。！？!?.…～~”」）)\"'":
        return after_stop
    return after_comma if last in "，、；：,;:—" else after_word


def _voice(text: str) -> Voice:
    """Chinese if there are as many of its characters as there are Latin words."""
    chinese = len(re.findall(r"[\u3400-\u9fff]", text))
    return ZH if chinese and chinese >= len(re.findall(r"[A-Za-z]+", text)) else EN


def _fact(line: re.Pattern[str], text: str) -> str:
    found = line.search(text)
    return found[1].strip(" \t\r。.；;")[:_MAX_FACT_CHARS] if found else ""


def _kind(voice: Voice, question: str) -> tuple[str, dict[str, str]]:
    """Return which kind of answer fits, and the words that go into it."""
    subject = _subject(voice, question)
    if len(question) <= _SHORT_QUESTION_CHARS:
        if shoes := voice.patterns["shoes"].search(question):
            thing = shoes[0].lower()
            if voice.patterns["sales"].search(question):
                return "sales", {"name": thing, "thing": thing}
            return "shoes", {"thing": thing}
        for kind in ("greeting", "poem", "joke"):
            if voice.patterns[kind].search(question):
                return kind, {"subject": subject}
    return ("reply" if subject else "greeting"), {"subject": subject}


def _subject(voice: Voice, question: str) -> str:
    """Return what a question is about: its first sentence without the courtesies."""
    first = re.split(r"[。！？!?；;\n]|\.\s|\.$", question, maxsplit=1)[0][:_SHORT_QUESTION_CHARS]
    bare = voice.patterns["tail"].sub("", voice.patterns["courtesy"].sub("", first))
    bare = bare.strip(" ，,:：") or first.strip()
    return bare if len(bare) <= _MAX_SUBJECT_CHARS else bare[:_MAX_SUBJECT_CHARS].rstrip() + "…"


def _sentences(
    voice: Voice, kind: str, words: Mapping[str, str], dice: Dice, only: int | None = None
) -> str:
    """Take one sentence from each slot, among those whose words are all there."""
    known = {"key": voice.shapes["key"][0][0], **words}
    known["note"] = _fill(voice.shapes["note"][0][0], known)
    chosen = []
    for number, slot in enumerate(voice.shapes[kind][:only]):
        if fitting := [
            sentence for sentence in slot if set(_FIELD.findall(sentence)) <= set(known)
        ]:
            chosen.append(_fill(fitting[dice.number(f"{kind} {number}", len(fitting))], known))
    return voice.space.join(chosen).replace(" \n", "\n")


def _fill(sentence: str, words: Mapping[str, str]) -> str:
    """Put the words in, with a space where a Chinese character meets a Latin one."""
    filled = ""
    # Splitting at a group gives text, field, text, field … in turn.
    for number, part in enumerate(_FIELD.split(sentence)):
        piece = words[part] if number % 2 else part
        filled += " " + piece if _SEAM.match(filled[-1:] + piece[:1]) else piece
    return filled
