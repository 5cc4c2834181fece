"""Texts that consist of lines go on from their last whole one; half of one is taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.continuation import ASKED, REFUSES_PREFIX, breaks_after, model, says, tell
from unspool.cli._transcript import Transcript
from unspool.errors import ProviderInterrupted
from unspool.execution.step_writer import ReaderFeed
from unspool.generation.attempts import Rewound
from unspool.generation.continuation import PartialText, RetainedAnswer
from unspool.generation.seam import Seam, StartedAnew
from unspool.providers.upstream.http1 import Client
from unspool.runs.durations import RunShape
from unspool.runs.events import Event
from unspool.runs.fork import History
from unspool.runs.progress import Progress
from unspool.runs.run import fold

LINES = [f"u|启动APP|2025-11-24 0{n}:50:50|第{n}次\n" for n in range(1, 5)]
WHOLE = "".join(LINES)
TWO = "".join(LINES[:2])
HALF = TWO + LINES[2][:9]


@pytest.fixture
async def http() -> AsyncIterator[Client]:
    async with Client() as session:
        yield session


async def told_of(http: Client, *models: Any, **how: Any) -> Any:
    """As `tell`; what was taken back is gone from the text, as it is from a step's."""
    told = await tell(http, models, so_far=PartialText(by_lines=True), **how)
    parts: list[str] = []
    for piece in told.pieces:
        if isinstance(piece, Rewound):
            parts = ["".join(parts)[: piece.at]]
        elif type(piece).__name__ == "Text":
            parts.append(piece.text)
    told.text = "".join(parts)
    told.rewinds = [piece.at for piece in told.pieces if isinstance(piece, Rewound)]
    return told


@pytest.mark.parametrize("prefill", ["assistant", "none"])
@pytest.mark.parametrize("again", [0, 1, 2])
async def test_a_break_in_a_line_costs_that_half_line(
    http: Client, prefill: str, again: int
) -> None:
    # A model that is told in words may say the last lines again, or all of them.
    rest = "".join(LINES[again if prefill == "none" else 2 :])
    told = await told_of(http, model(breaks_after(HALF), says(rest), prefill=prefill))
    way = "prefill" if prefill == "assistant" else "instruct"
    assert (told.text, told.rewinds, told.ways) == (WHOLE, [len(TWO)], ["first", way])
    assert told.starts[1].at == len(TWO)


async def test_where_a_prefix_is_refused_the_next_rung_stands_on_whole_lines_too(
    http: Client,
) -> None:
    first = model(breaks_after(HALF), REFUSES_PREFIX, says(LINES[2] + LINES[3]), prefill="prefix")
    told = await told_of(http, first)
    assert (told.text, told.ways) == (WHOLE, ["first", "prefill", "instruct"])
    assert told.rewinds == [len(TWO)], "once: nothing was said in between"


async def test_a_break_at_the_end_of_a_line_takes_nothing_back(
    http: Client,
) -> None:
    told = await told_of(http, model(breaks_after(TWO), says(LINES[2] + LINES[3])))
    assert (told.text, told.rewinds) == (WHOLE, [])


async def test_half_of_the_first_line_is_a_text_that_was_not_begun(
    http: Client,
) -> None:
    told = await told_of(http, model(breaks_after("u|启"), says(WHOLE), prefill="none"))
    assert (told.text, told.rewinds, told.ways) == (WHOLE, [0], ["first", "retry"])


async def test_who_never_gets_through_the_first_line_is_not_asked_for_ever(
    http: Client,
) -> None:
    told = await told_of(http, model(*[breaks_after("u|启")] * 9), retries=2)
    assert len(told.ways) == 3
    assert isinstance(told.error, ProviderInterrupted)
    assert told.text == "u|启", "what was shown last stays, where nobody is asked any more"


async def test_what_its_provider_keeps_is_read_on_in_the_middle_of_a_line(
    http: Client,
) -> None:
    one = model(says(WHOLE[len(HALF) :]))
    so_far = PartialText(
        [HALF], by_lines=True, retained=RetainedAnswer(one.name, "r1", None, ASKED, HALF)
    )
    told = await tell(http, [one], so_far=so_far)
    assert (told.text, told.ways) == (WHOLE[len(HALF) :], ["reattach"])
    assert not [piece for piece in told.pieces if isinstance(piece, Rewound)]


async def test_a_restart_is_by_lines_as_well(http: Client) -> None:
    anew = says("".join(LINES[0:1] + ["别的\n"] * 3))
    one = model(
        breaks_after(HALF), anew, breaks_after(HALF), says("".join(LINES[2:])), prefill="none"
    )
    told = await told_of(http, one, retries=1, can_rewind=True)
    assert told.ways == ["first", "instruct", "restart", "instruct"]
    assert (told.text, told.rewinds) == (WHOLE, [len(TWO), 0, len(TWO)])


# The seam


def said(came: str, *, size: int = 3) -> tuple[str, str, int]:
    seam = Seam(TWO, by_lines=True)
    pieces = [seam.feed(came[at : at + size]) for at in range(0, len(came), size)]
    return "".join(pieces) + seam.flush(), seam.kind, seam.trimmed


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize(
    ("again", "kind"),
    [
        ("", "exact"),
        (LINES[1], "overlap"),
        (TWO, "echo"),
        (LINES[1][-6:], "overlap"),
        ("\n", "overlap"),
    ],
)
def test_lines_said_again_are_left_out_wherever_they_are_cut(
    again: str, kind: str, size: int
) -> None:
    assert said(again + LINES[2], size=size) == (LINES[2], kind, len(again))


def test_lines_may_begin_alike() -> None:
    other = LINES[0].replace("第1次", "早间活跃")
    assert said(other)[:2] == (other, "exact")
    assert Seam(LINES[0], by_lines=True).feed(other) == other


def test_a_last_letter_is_no_line_said_again() -> None:
    seam = Seam("11\n12\n", by_lines=True)
    assert seam.feed("2\n3\n") == "2\n3\n"


@pytest.mark.parametrize("came", [LINES[0] + "别的\n", LINES[0] + LINES[1][:4]])
def test_the_first_line_said_again_without_the_others_is_a_new_beginning(came: str) -> None:
    with pytest.raises(StartedAnew):
        said(came)


# Who reads a log


def event(seq: int, type_: Any, /, **data: Any) -> Event:
    return Event(seq, type_, seq * 1000, {"step": "a", **data})


LOG = [
    event(1, "step.started"),
    event(2, "text.delta", text="一二\n三"),
    event(3, "item.found", kind="line", item={"text": "一二"}),
    event(4, "text.delta", text="四"),
    event(5, "step.rewound", at=3),
    event(6, "text.delta", text="五\n"),
]


def test_the_fold_keeps_the_whole_lines_and_what_was_recognised_in_them() -> None:
    run = fold(LOG)
    assert run.text == "一二\n五\n"
    assert [item["item"]["text"] for item in run.items] == ["一二"]
    assert max(run.facts.values()) == 1
    assert fold(LOG[:5]).text == "一二\n"


def test_progress_and_pace_count_what_stays() -> None:
    progress, shape = Progress(), RunShape()
    for told in LOG:
        progress.apply(told)
        shape.apply(told)
    assert progress.chars == 5
    assert shape.spans["a"].chars == 5
    whole = RunShape()
    for told in (
        LOG[0],
        event(2, "text.delta", text="一二\n"),
        event(3, "text.delta", text="五\n"),
    ):
        whole.apply(told)
    assert abs(shape.spans["a"].written - whole.spans["a"].written) <= 8


def test_a_fork_takes_over_the_whole_lines_with_their_items() -> None:
    started = Event(1, "run.started", 0, {"flow": "chat", "input": {}})
    history = History({})
    for told in [started, *(Event(e.seq + 1, e.type, 0, e.data) for e in LOG)]:
        history.take(told)
    drafts = history.drafts()
    assert [d.data["text"] for d in drafts if d.type == "text.delta"] == ["一二\n五\n"]
    assert [d.type for d in drafts].count("item.found") == 1


def test_a_person_who_reads_along_is_told_that_half_a_line_is_gone() -> None:
    written: list[str] = []
    teller = Transcript(written.append)
    for told in LOG:
        teller.apply(told)
    assert "half line is taken back" in "".join(written)
    waiting = Transcript(written.append)
    waiting.apply(Event(1, "text.delta", 0, {"step": "first", "text": "x"}))
    for told in LOG:
        waiting.apply(told)
    written.clear()
    waiting.apply(Event(9, "step.finished", 0, {"step": "first"}))
    assert "".join(written).endswith("一二\n五\n")


class Noting:
    def __init__(self, told: list[str]) -> None:
        self.told = told
        told.append("new")

    def feed(self, text: str) -> None:
        self.told.append(text)

    def end(self) -> None:
        self.told.append("end")


def test_a_reader_of_lines_never_sees_what_may_yet_be_taken_back() -> None:
    told: list[str] = []
    reading = ReaderFeed(lambda: Noting(told), "一\n二", by_lines=True)
    reading.feed("三")
    reading.rewind(2)
    reading.feed("四\n五\n六")
    reading.end()
    assert told == ["new", "一\n", "四\n五\n", "六", "end"]
    reading.rewind(0)
    assert told[-1] == "new"
