"""Frequent patterns are those that a count of everything finds, the most frequent first."""

from __future__ import annotations

from itertools import combinations, groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.apps.extraction import frequent_patterns as patterns
from unspool.apps.extraction.frequent_patterns import frequent_patterns

SEQUENCES = st.lists(st.lists(st.sampled_from("abc"), max_size=6), min_size=1, max_size=6)


def counted(sequences: list[list[str]], longest: int) -> dict[tuple[str, ...], int]:
    """In how many sequences each subsequence is, by looking at all of them."""
    found: dict[tuple[str, ...], int] = {}
    for sequence in sequences:
        said = [kind for kind, _ in groupby(sequence)]
        theirs = {parts for length in range(1, longest + 1) for parts in combinations(said, length)}
        for parts in theirs:
            found[parts] = found.get(parts, 0) + 1
    return found


@given(SEQUENCES, st.sampled_from([0.2, 0.34, 0.5, 1.0]))
def test_what_is_found_is_what_there_is(sequences: list[list[str]], min_support: float) -> None:
    mined = frequent_patterns(sequences, min_support=min_support, max_length=4, most=500)
    every = counted(sequences, 4)
    due = {
        events: count
        for events, count in every.items()
        if len(events) > 1 and count >= min_support * len(sequences)
    }
    assert {found.events: found.users for found in mined.patterns} == due
    assert mined.is_whole
    for found in mined.patterns:
        assert found.support == pytest.approx(found.users / len(sequences))
        assert found.confidence == pytest.approx(found.users / every[found.events[:-1]])
    users = [found.users for found in mined.patterns]
    assert users == sorted(users, reverse=True)


def test_the_first_ones_are_the_most_frequent_and_of_equal_ones_the_shorter() -> None:
    sequences = [list("abcd")] * 3 + [list("abd")]
    mined = frequent_patterns(sequences, most=4)
    assert [found.events for found in mined.patterns] == [
        ("a", "b"),
        ("a", "d"),
        ("b", "d"),
        ("a", "b", "d"),
    ]


def test_nobody_does_nothing_often() -> None:
    assert frequent_patterns([]).patterns == []
    assert frequent_patterns([["a"], []]).patterns == []


def test_what_takes_too_long_is_stopped_with_what_was_found_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sequences = [list("abcdefgh")] * 50
    whole = frequent_patterns(sequences, most=500)
    monkeypatch.setattr(patterns, "MAX_LOOKS", 8000)
    cut = frequent_patterns(sequences, most=500)
    assert (whole.is_whole, cut.is_whole) == (True, False)
    assert 0 < len(cut.patterns) < len(whole.patterns)
    assert cut.patterns == whole.patterns[: len(cut.patterns)]
