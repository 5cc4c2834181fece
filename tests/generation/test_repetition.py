"""A loop is noticed soon, wherever it begins; no honest text is taken for one."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from support.honest_texts import honest_texts, prose
from unspool.generation.repetition import (
    FINE,
    KEPT,
    MAX_PERIOD,
    PROSE,
    STEP,
    STRUCTURE,
    Loop,
    LoopDetector,
)

HONEST = 5000
PERIODS = (1, 2, 3, 5, 7, 8, 11, 16, 20, 31, 50, 64, 67, 96, 100, 128, 150, 233, 256, 311, 512, 700)
LONG = (999, 1000, 1024, 1500, MAX_PERIOD)
ALPHABETS = {
    "letters": "abcdefghijklmnopqrstuvwxyz ,.",
    "two letters": "ab",
    "Chinese": "从舒适到，轻便的鞋底很软。",
    "pictures": "🎉😂🚀 a",
    "Cyrillic": "абвгдежзик ",
    "lines": "words of a line\n",
    "words and figures": "abcdefghijklmnopqrst 0123,",
}
DRAWN = {"figures": "0123456789 ", "rules": "-=_* ", "spaces": " ", "lines": "\n", "cells": "|-x "}


def period_of(part: str) -> int:
    return (part + part).find(part, 1)


def noticed(text: str, size: int = 1) -> tuple[Loop, int] | None:
    """The first loop that is told, and how much had been fed by then."""
    detector = LoopDetector()
    for start in range(0, len(text), size):
        if loop := detector.feed(text[start : start + size]):
            return loop, start + size
    return None


def loops(alphabets: dict[str, str], *, of_words: bool) -> Iterator[tuple[str, str]]:
    """An honest beginning, and the part that is repeated after it."""
    rng = Random(13)
    for period in PERIODS + LONG:
        for letters in alphabets.values():
            before = prose(rng)[: rng.choice([0, 7, 300, 2000])] * rng.choice([1, 1, 2])
            part = rng.choices(letters, k=period)
            if of_words:
                part[-1] = letters[0]
            yield before, "".join(part)


def overdue(before: str, part: str, size: int) -> int:
    """Characters that were fed past the third repetition."""
    period = period_of(part)
    found = noticed(before + part * (2 + (3 * period + 2 * STRUCTURE) // period), size)
    assert found is not None, part
    loop, fed = found
    assert len(before) - period <= loop.begin <= len(before), "where the loop began"
    assert loop.again == loop.begin + period
    return fed - len(before) - 3 * period


@pytest.mark.parametrize("size", [1, 4])
def test_a_loop_of_words_is_noticed_within_200_characters_past_the_third_repetition(
    size: int,
) -> None:
    late = [overdue(before, part, size) for before, part in loops(ALPHABETS, of_words=True)]
    assert len(late) >= 180
    assert max(late) <= 200
    # Those of real models, at the end of an answer of theirs.
    for part in ("从舒适到舒适，", "The end. ", "I'm sorry, I can't do that.\n", "哈", "!a"):
        assert overdue("An answer. ", part, size) <= 200


def test_a_loop_of_rules_figures_or_rows_is_noticed_later_as_such_are_often_honest() -> None:
    late = [overdue(before, part, 7) for before, part in loops(DRAWN, of_words=False)]
    assert max(late) <= STRUCTURE + 2 * STEP


@pytest.mark.parametrize(
    "item",
    [
        "{n}. Write tests before the code, and keep them small.\n",
        "{n}、保持代码的简洁和可读性，避免不必要的复杂度和重复。\n",
        "### {n}. Introduction\n\nThis part says what comes, and why.\n\n",
        "- {n}) The same advice as in the line before this line.\n",
    ],
)
@pytest.mark.parametrize("first", [1, 7, 95])
def test_a_list_whose_items_repeat_under_growing_numbers_is_a_loop(item: str, first: int) -> None:
    before = "Some advice:\n" + "".join(
        f"{n}. {text}\n" for n, text in enumerate(["Sleep well.", "Eat.", "Walk."], first - 3)
    )
    items = [item.format(n=n) for n in range(first, first + 60)]
    found = noticed(before + "".join(items))
    assert found is not None
    loop, fed = found
    period = len(items[0])
    assert abs(loop.begin - len(before)) <= len(before.split("\n")[-1]) + 2
    assert abs(loop.again - loop.begin - period) <= 2
    assert fed <= len(before) + 3 * (period + 2) + 200


def test_no_honest_text_of_many_kinds_is_taken_for_a_loop() -> None:
    texts = list(honest_texts(HONEST))
    assert len(texts) == HONEST
    taken = [(kind, found[0].part[:60]) for kind, text in texts if (found := noticed(text, 90))]
    assert taken == []


def test_a_text_that_leaves_its_loop_is_in_none() -> None:
    detector = LoopDetector()
    assert detector.feed("again and " * 100) is not None
    assert detector.feed(prose(Random(1))) is None


def test_how_the_text_is_cut_does_not_change_where_a_loop_began() -> None:
    text = prose(Random(2))[:500] + "再来一次，" * 100
    begins = {noticed(text, size)[0].begin for size in (1, 2, 3, 17, 100)}  # type: ignore[index]
    assert begins == {500}


def test_memory_is_bounded() -> None:
    detector, rng = LoopDetector(), Random(3)
    for _ in range(200):
        detector.feed("".join(f"{n}. {prose(rng)[:80]}\n" for n in range(1, 30)))
        kept = len(detector._tail) + len(detector._held) + len(detector._shifts)
        assert kept <= 2 * KEPT + 3 * STEP + KEPT // 16


def test_the_thresholds_let_pass_what_they_say() -> None:
    assert noticed("ha" * (PROSE // 2)) is None
    assert noticed("x" * PROSE) is None
    assert noticed("-" * STRUCTURE) is None
    assert noticed("-" * 300 + "\n" + "=" * 300) is None
    assert FINE < STEP


def test_of_a_huge_piece_the_end_counts() -> None:
    whole = prose(Random(4)) * 300
    detector = LoopDetector()
    assert detector.feed(whole) is None
    loop = detector.feed("once more " * 100)
    assert loop is not None
    assert whole[loop.begin :] == ""
    assert LoopDetector().feed("long " * 500_000) is not None
