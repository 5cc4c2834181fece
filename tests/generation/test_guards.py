"""What an instructed model says instead of going on, and what it says when it does go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from unspool.generation.continuation import ANCHOR_EN, INSTRUCT_EN, INSTRUCT_ZH
from unspool.generation.guards import BadContinuation, check, check_joint, may_be_whole
from unspool.generation.seam import Seam, anchor_of

TOLD = INSTRUCT_EN.format(anchor=ANCHOR_EN.format(words=""))
TOLD_ZH = INSTRUCT_ZH.format(anchor="")

SEA = "The sea is a vast, unforgiving landscape that stretches across the globe, from the Arctic"
CODE = 'def merge_sorted_lists(list1, list2):\n    """\n    Merges two sorted lists'
JACK = (
    "Jack was a skilled and experienced lifeguard who had been working for years in a large city. "
    "He had been tasked with keeping the lighthouse in good condition.\n\nJack was always"
)

REFUSED = {
    "the instruction": ("through a refrigerant", " a refriger, and write on from there.", TOLD),
    "the end of it": ("1. Use names.\n", "and write on from there. Do not repeat", TOLD),
    "zh: the instruction": ("西湖四季", "分明。请不要重复更早的内容，也不要重新开头", TOLD_ZH),
    "small talk": (CODE, "here's the merged sorted list:\n\n[1, 2, 3]", TOLD),
    "zh: small talk": ("这双鞋很轻，鞋底", "当然，以下是续写的内容：鞋底柔软", TOLD_ZH),
    "an apology": (SEA, "I apologize for the interruption. The sea", TOLD),
    "the last clause in another case": (CODE, "Two sorted lists and returns them", TOLD),
    "the last clause": (
        "A refrigerator works by using a",
        "Works by using a fridge",
        TOLD,
    ),
    "zh: the last clause": (
        "西湖，这座美丽的城市，",
        "是西湖，这座美丽的城市，是",
        TOLD_ZH,
    ),
    "a circle": ("The sea is a", " vast, vast, vast, vast, vast, vast, vast, vast, vast", TOLD),
    "a passage told again": (
        JACK,
        " a skilled and experienced lifeguard who had been working for years in a large city. He",
        TOLD,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_reader_never_sees(name: str) -> None:
    written, rest, told = REFUSED[name]
    with pytest.raises(BadContinuation):
        check(written, rest, told)


GOES_ON = {
    "a sentence": (SEA, " to the Antarctic. It is home to a wide range of marine life.", TOLD),
    "a list": (
        "1. Use clear names.\n2. Use short functions.\n3. Use",
        " plain words.\n4. Use few comments.\n5. Use tests.\n",
        TOLD,
    ),
    "a table": (
        "| Mercury | 0.38 | 0 |\n| Venus | 0.72 | 0 |\n| Earth",
        " | 1.00 | 1 |\n| Mars | 0.52 | 2 |\n| Jupiter | 11.2 | 14 |",
        TOLD,
    ),
    "code": (CODE, " into one.\n\n    Args:\n        list1: The first one.\n", TOLD),
    "a poem with a refrain": (
        "Row, row, row your boat,\nGently down the stream.\nRow, row, row your boat,\nGently down",
        " the stream.\nMerrily, merrily, merrily, merrily,\nLife is but a dream.",
        TOLD,
    ),
    "a dialogue": ("“走吗？”“好的，", "好的，我来了。”他拿起伞，跟着她出了门。", TOLD_ZH),
    "laughter": ("他笑了：哈哈哈哈哈哈哈哈", "哈哈哈哈哈哈！", TOLD_ZH),
    "a fence that ends": ("```python\nprint(1)\n", "```\nThat prints one.", TOLD),
    "zh": ("今天推荐这款运动鞋，", "舒适的设计真的很赞，适合每天上班穿。", TOLD_ZH),
}


@pytest.mark.parametrize("name", GOES_ON)
def test_a_continuation_passes(name: str) -> None:
    check(*GOES_ON[name])


@pytest.mark.parametrize(
    ("written", "rest"),
    [
        (SEA + " to the", "The sea is wide"),
        ("list1, list2", "```python\nprint()"),
        ("names,", "\n\nAnd another paragraph"),
    ],
)
def test_no_sentence_begins_inside_another_where_nothing_proves_the_seam(
    written: str, rest: str
) -> None:
    with pytest.raises(BadContinuation):
        check_joint(written, rest)


@pytest.mark.parametrize(
    ("written", "rest"),
    [(SEA + " to the", " Antarctic."), ("It is light.", " It is wide."), ("Das ist", " ein Haus")],
)
def test_a_sentence_goes_on_or_another_begins(written: str, rest: str) -> None:
    check_joint(written, rest)


@pytest.mark.parametrize(
    "text", ["很赞！", "It ends.", 'He said "no."', "a\n", "**Done.**", "好。）"]
)
def test_a_text_may_be_whole_behind_a_sentence(text: str) -> None:
    assert may_be_whole(text)


@pytest.mark.parametrize("text", ["很赞，但是", "It is a shoe for", "1. **学习", "(km)"])
def test_a_text_that_stops_inside_one_is_not_whole(text: str) -> None:
    assert not may_be_whole(text)


def by_letter(text: str) -> Iterator[str]:
    yield from text


@pytest.mark.parametrize(
    "lead",
    [
        "Sure, here's the rest:\n\n",
        "```\n",
        "Certainly! I will continue from where it stopped: ",
        "",
    ],
)
def test_small_talk_before_the_last_words_is_left_out(lead: str) -> None:
    anchor = anchor_of(SEA)
    rest = " to the Antarctic. It is home to a wide range of marine life, including fish."
    seam = Seam(SEA, anchor=anchor, instruction=TOLD)
    said = "".join(seam.feed(letter) for letter in by_letter(lead + anchor + rest)) + seam.flush()
    assert (said, seam.kind) == (rest, "anchor")


@pytest.mark.parametrize("changed", [str.upper, str.lower, lambda words: words.replace(" ", "\n")])
def test_the_last_words_count_in_another_case_and_with_other_spaces(changed: object) -> None:
    anchor = anchor_of(SEA)
    said = changed(anchor) + " to the Antarctic."  # type: ignore[operator]
    seam = Seam(SEA, anchor=anchor, instruction=TOLD)
    assert seam.feed(said) + seam.flush() == " to the Antarctic."


def test_quotes_around_the_last_words_are_left_out_too() -> None:
    anchor = anchor_of(SEA)
    seam = Seam(SEA, anchor=anchor, instruction=TOLD)
    assert seam.feed(f'"{anchor}" to the Antarctic.') + seam.flush() == " to the Antarctic."


@pytest.mark.parametrize(
    ("written", "said", "is_early"),
    [
        (SEA, "anchor", True),
        (SEA, "anchor。", True),
        (SEA, "anchor to it.", True),
        (SEA, "anchor to the Antarctic and back again.", False),
        (SEA + ".", "echo", False),
        (SEA, "echo", True),
    ],
)
def test_an_end_after_a_few_words_does_not_show_that_the_text_is_whole(
    written: str, said: str, is_early: bool
) -> None:
    anchor = anchor_of(written)
    seam = Seam(written, anchor=anchor, instruction=TOLD)
    said = said.replace("anchor", anchor).replace("echo", written)
    assert seam.ends_early(seam.feed(said) + seam.flush()) == is_early


def test_an_instruction_far_into_a_continuation_is_noticed_at_its_end() -> None:
    seam = Seam(SEA, instruction=TOLD)
    whole = (
        " to the Antarctic. "
        + "It is home to many animals. " * 4
        + "Do not repeat anything earlier"
    )
    with pytest.raises(BadContinuation):
        seam.check_whole(whole)
