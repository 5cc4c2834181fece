"""Where one text goes on from another: nothing twice, nothing lost, no second beginning."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unspool.generation.seam import ANCHOR_CHARS, Seam, StartedAnew, anchor_of
from unspool.generation.weights import weight

SHOE = "今天推荐这款运动鞋，舒适的设计真的很赞！"
TOLD = "Go on from where the last message stopped."
FOX = "The quick brown fox jumps over the lazy dog and runs home."


def pieces(text: str, size: int) -> Iterator[str]:
    return (text[start : start + size] for start in range(0, len(text), size))


def join(written: str, came: str, *, size: int = 1, anchor: str = "", told: bool = True) -> str:
    """The whole text, when a continuation comes in pieces of `size`."""
    seam = Seam(written, anchor=anchor, instruction=TOLD if told else "")
    said = "".join(seam.feed(piece) for piece in pieces(came, size))
    return written + said + seam.flush()


GOES_ON = {
    "zh: exactly": ("今天推荐这款", "运动鞋，舒适的设计", "今天推荐这款运动鞋，舒适的设计"),
    "zh: the last words again": (
        "今天推荐这款运动鞋",
        "这款运动鞋，很轻",
        "今天推荐这款运动鞋，很轻",
    ),
    "zh: the last sentence again": (
        "它很轻。鞋底柔软，适合",
        "鞋底柔软，适合跑步。",
        "它很轻。鞋底柔软，适合跑步。",
    ),
    "zh: all of it again": ("今天推荐这款运动鞋", SHOE, SHOE),
    "zh: one character alike is no repetition": ("这双鞋轻", "轻的。", "这双鞋轻轻的。"),
    "zh: laughter goes on": ("他笑了：哈哈哈", "哈哈！", "他笑了：哈哈哈哈哈！"),
    "zh: a word said twice is meant": (
        "他说好的，好的，",
        "好的，我来了",
        "他说好的，好的，好的，我来了",
    ),
    "zh: 非常非常 is meant": ("这双鞋非常非常", "非常轻", "这双鞋非常非常非常轻"),
    "zh: the middle said again is a new thing": (
        "鞋底柔软。鞋面透气。适合",
        "跑步。鞋底柔软，所以不累。",
        "鞋底柔软。鞋面透气。适合跑步。鞋底柔软，所以不累。",
    ),
    "en: exactly": ("The quick brown", " fox jumps", "The quick brown fox jumps"),
    "en: the last words again": (FOX[:30], "jumps over the lazy dog", FOX[:30] + " the lazy dog"),
    "en: half a word again": ("I would recom", "recommend it", "I would recommend it"),
    "en: the last word again, without a space": ("jumps over", "over it", "jumps over it"),
    "en: all of it again": (FOX[:24], FOX, FOX),
    "en: very very is meant": ("It is very", " very light", "It is very very light"),
    "en: an ending that words share": ("I like to sing", "ing along", "I like to singing along"),
    "en: had had is meant": ("What he had", " had was a dog", "What he had had was a dog"),
    "clauses begin alike": ("运动鞋很轻，", "运动鞋很软。", "运动鞋很轻，运动鞋很软。"),
    "lines of a list begin alike": (
        "- name: a\n  size: 1\n- name: b\n  size: 2\n",
        "- name: c\n  size: 3\n",
        "- name: a\n  size: 1\n- name: b\n  size: 2\n- name: c\n  size: 3\n",
    ),
    "numbers go on": (
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ",
        "11, 12",
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12",
    ),
    "code goes on": (
        "def a():\n    return 1\n\n\ndef b():\n    ",
        "return 2\n",
        "def a():\n    return 1\n\n\ndef b():\n    return 2\n",
    ),
    "nothing more": ("今天推荐这款运动鞋。", "", "今天推荐这款运动鞋。"),
    "emoji": ("好👍", "👍👍", "好👍👍👍"),
}


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("name", GOES_ON)
def test_a_continuation_joins_on(name: str, size: int, told: bool) -> None:
    written, came, whole = GOES_ON[name]
    assert join(written, came, size=size, told=told) == whole


STARTS_ANEW = {
    "zh: the same opening, another turn": ("今天推荐这款运动鞋", "今天推荐大家一双好鞋，它很轻"),
    "zh: the opening alone": ("今天推荐这款运动鞋", "今天推荐"),
    "zh: a whole sentence, then another": (
        "今天给大家推荐一款跑步的好鞋。它很轻。",
        "今天给大家推荐一款跑步的好鞋，先说鞋底",
    ),
    "en: the same opening, another turn": (
        "The shoe is light and",
        "The shoe weighs next to nothing",
    ),
    "en: a passage of the middle, changed": (
        "It is light. The sole is soft rubber that bends with every step you take. It",
        "The sole is soft rubber that bends with every move of the foot",
    ),
}


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("name", STARTS_ANEW)
def test_a_second_beginning_is_noticed_and_nothing_of_it_is_shown(
    name: str, size: int, told: bool
) -> None:
    written, came = STARTS_ANEW[name]
    seam = Seam(written, instruction=TOLD if told else "")
    with pytest.raises(StartedAnew):
        assert "".join(seam.feed(piece) for piece in pieces(came, size)) == seam.flush() == ""


def test_the_same_in_other_words_is_noticed_where_a_model_was_only_told() -> None:
    written = "这款鞋采用透气网面，鞋底柔软有弹性，适合日常"
    came = "这款鞋鞋底柔软有弹性，采用透气网面，很适合日常通勤和跑步穿着。"
    with pytest.raises(StartedAnew):
        join(written, came, told=True)


@pytest.mark.parametrize("lead", ["", "……", "“", " "])
@pytest.mark.parametrize("written", [SHOE[:9], FOX[:30], "他笑了：哈哈哈哈哈哈哈哈", SHOE * 4])
def test_the_words_that_were_asked_for_prove_the_seam(written: str, lead: str) -> None:
    anchor = anchor_of(written)
    assert written.endswith(anchor)
    for rest in ("，很轻", written[-3:], " and more"):
        for size in (1, 4, 1000):
            seam = Seam(written, anchor=anchor, instruction=TOLD)
            came = lead + anchor + rest
            said = "".join(seam.feed(piece) for piece in pieces(came, size)) + seam.flush()
            assert (said, seam.kind) == (rest, "anchor"), "also what is meant to be said twice"
            assert seam.trimmed == len(lead + anchor)


@pytest.mark.parametrize("text", ["", "好", "a b", "。。。。。。", "😀"])
def test_there_is_no_anchor_in_a_text_that_says_next_to_nothing(text: str) -> None:
    assert anchor_of(text) == ""


@given(st.text(max_size=200))
def test_an_anchor_is_the_end_of_the_text(text: str) -> None:
    anchor = anchor_of(text)
    assert text.endswith(anchor)
    assert len(anchor) <= ANCHOR_CHARS


@given(
    st.text("今天推荐 abc,。", max_size=40),
    st.text("今天推荐 abc,。", max_size=40),
    st.integers(1, 9),
)
def test_how_a_continuation_is_cut_changes_nothing(written: str, came: str, size: int) -> None:
    def joined(size: int) -> str | None:
        try:
            return join(written, came, size=size)
        except StartedAnew:
            return None

    whole = joined(size)
    assert whole == joined(10_000)
    assert whole is None or whole.startswith(written)
    assert whole is None or (written + came).endswith(whole[len(written) :])


def test_a_plain_continuation_is_held_back_by_nothing_where_the_model_can_prefill() -> None:
    seam = Seam(SHOE[:9])
    assert [seam.feed(piece) for piece in "，舒适"] == ["，", "舒", "适"]
    assert seam.kind == "exact"


def test_what_says_nothing_of_the_seam_is_called_open() -> None:
    seam = Seam("今天推荐这款运动鞋", anchor="这款运动鞋", instruction=TOLD)
    assert seam.feed("，很轻") + seam.flush() == "，很轻"
    assert seam.kind == "open"


def test_weight_counts_what_is_said() -> None:
    assert [weight(text) for text in ("鞋", "ab1", "，。 !", "")] == [2, 3, 0, 0]


def test_a_text_of_a_million_characters_costs_no_more_than_its_end() -> None:
    written = "鞋" * 1_000_000
    assert join(written, "鞋" * 100 + "！", size=1) == written + "鞋" * 100 + "！"


@pytest.mark.parametrize("cut", [1, 2])
def test_who_is_told_to_go_on_from_two_characters_begins_again_and_is_not_doubled(cut: int) -> None:
    assert anchor_of(SHOE[:cut]) == ""
    assert join(SHOE[:cut], SHOE) == SHOE
    assert join(SHOE[:cut], SHOE[cut:]) == SHOE
