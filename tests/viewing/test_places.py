"""Places in a conversation: what they name, and what is no place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.errors import BadCursor
from unspool.viewing.places import MAX_PLACES, WHOLE, Places


@given(st.lists(st.integers(0, 5), max_size=60))
def test_a_place_names_what_is_not_whole_and_the_last_turn(dice: list[int]) -> None:
    """Live turns take events in any order; beside us a plain model of the same."""
    places = Places()
    live: dict[int, int] = {}
    last, last_seq = 0, 0
    for roll in dice:
        if roll == 0 or not live:
            last, last_seq = last + 1, 1
            live[last] = 1
            places.reach(last, 1)
        else:
            turn = sorted(live)[roll % len(live)]
            live[turn] += 1
            places.reach(turn, live[turn])
            last_seq = live[turn] if turn == last else last_seq
            if roll == 5:
                del live[turn]
                places.end(turn)
        expected = {**live, last: last_seq}
        assert Places.parse(str(places)).named == expected
        assert Places.parse(str(places)).last == last
        assert bytes(places) == str(places).encode()
        assert str(Places.parse(str(places))) == str(places)


def test_nothing_and_whole_turns_have_places_too() -> None:
    assert str(Places()) == "0"
    assert Places.parse("0").named == {}
    assert Places.parse("3").named == {3: WHOLE}
    assert str(Places.parse("1.7,3")) == "1.7,3"


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "0.1", "1.0", "1.", ".1", "01", "1.01", "-1", "+1", "1,", ",1", "1,1", "2,1"),
        *("1.1,1.2", "1.1.1", " 1", "1 ", "1\n", "\0", "１", "1e3", "0,1", "1;2", "now"),
        *("1" * 10, "1." + "1" * 16, "1" * 10_000, ",".join(["1"] * 10_000)),
        ",".join(str(n) for n in range(1, MAX_PLACES + 2)),
    ],
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        Places.parse(text)


def test_as_many_turns_as_are_shown_side_by_side_can_be_named() -> None:
    text = ",".join(f"{n}.1" for n in range(1, MAX_PLACES + 1))
    assert str(Places.parse(text)) == text
