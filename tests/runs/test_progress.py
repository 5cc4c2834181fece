"""Progress is a fold of the log and of nothing else."""

from __future__ import annotations

import pytest

from unspool.formats.tokens import estimate_tokens
from unspool.runs.events import Event
from unspool.runs.progress import WINDOW_S, Progress


def progress_after(*events: tuple[str, int, dict[str, object]]) -> Progress:
    progress = Progress()
    for seq, (kind, at_ms, data) in enumerate(events, start=1):
        progress.apply(Event(seq=seq, type=kind, at_ms=at_ms, data=data))  # type: ignore[arg-type]
    return progress


def text(at_ms: int, said: str, step: str = "answer") -> tuple[str, int, dict[str, object]]:
    return ("text.delta", at_ms, {"step": step, "text": said})


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("four", 1),
        ("five!", 2),
        ("运动鞋", 2),
        ("运动", 2),
        ("今天推荐这款运动鞋", 6),
        ("运动鞋 shoes", 4),
        ("，。", 2),
    ],
)
def test_a_token_is_one_and_a_half_chinese_characters_or_four_others(
    said: str, tokens: int
) -> None:
    assert estimate_tokens(said) == tokens


def test_a_longer_text_is_never_fewer_tokens() -> None:
    said = "Unspool 是一个流式生成服务 with 中文 and English。"
    counts = [estimate_tokens(said[:length]) for length in range(len(said) + 1)]
    assert counts == sorted(counts)


def test_a_run_that_has_not_begun_has_made_no_progress() -> None:
    progress = Progress()
    assert (progress.chars, progress.tokens, progress.tokens_per_s) == (0, 0, 0.0)
    assert (progress.elapsed_s, progress.percent, progress.left_s) == (0.0, None, None)


def test_cutting_text_into_smaller_deltas_does_not_change_the_count() -> None:
    said = "今天推荐这款运动鞋, light and soft"
    by_character = progress_after(*(text(at, c) for at, c in enumerate(said)))
    at_once = progress_after(text(0, said))
    assert by_character.tokens == at_once.tokens == estimate_tokens(said)
    assert by_character.chars == at_once.chars == len(said)


def test_a_steady_stream_has_its_own_speed_from_the_second_delta_on() -> None:
    # "four" is one token; one each 25 ms is 40 a second.
    progress = Progress()
    for number in range(400):
        event = Event(number + 1, "text.delta", 1_000 + 25 * number, {"step": "a", "text": "four"})
        progress.apply(event)
        assert progress.tokens_per_s == pytest.approx(40 if number else 0)


def test_a_stall_is_seen_in_the_speed_and_a_long_one_stops_it() -> None:
    stream = [text(25 * number, "four") for number in range(201)]  # up to 5,000 ms
    beat = {"message": "still here"}
    assert progress_after(*stream).tokens_per_s == pytest.approx(40)
    halfway = progress_after(*stream, ("progress.made", 7_500, beat))
    assert halfway.tokens_per_s == pytest.approx(20)
    stopped = progress_after(*stream, ("progress.made", 10_000, beat))
    assert stopped.tokens_per_s == 0.0


def test_only_the_last_seconds_count_for_the_speed() -> None:
    slow = [text(1_000 * number, "four") for number in range(100)]
    fast = [text(99_000 + 10 * number, "four") for number in range(1, 501)]
    assert progress_after(*slow, *fast).tokens_per_s == pytest.approx(100)
    assert WINDOW_S == 5.0


def test_a_clock_that_is_set_back_makes_nothing_negative() -> None:
    progress = progress_after(text(10_000, "four"), text(11_000, "four"), text(2_000, "four"))
    assert progress.elapsed_s == 1.0
    assert progress.tokens_per_s == pytest.approx(2)


def test_thinking_and_tool_arguments_are_tokens_but_not_characters_of_the_answer() -> None:
    progress = progress_after(
        ("run.started", 0, {}),
        ("reasoning.delta", 10, {"step": "a", "text": "four"}),
        ("tool.delta", 20, {"step": "a", "index": 0, "arguments": '{"a"'}),
        ("tool.delta", 30, {"step": "a", "index": 0}),
    )
    assert (progress.tokens, progress.chars) == (2, 0)


def test_text_taken_back_leaves_the_characters_but_was_written_all_the_same() -> None:
    progress = progress_after(
        text(0, "four", "one"), text(1, "eight888", "two"), ("step.rewound", 2, {"step": "two"})
    )
    assert (progress.chars, progress.tokens) == (4, 3)
    progress.apply(Event(4, "text.delta", 3, {"step": "two", "text": "four"}))
    assert (progress.chars, progress.tokens) == (8, 4)


def test_elapsed_time_is_the_logs_own() -> None:
    assert progress_after(("run.started", 5_000, {}), text(7_500, "a")).elapsed_s == 2.5


def test_the_last_message_and_the_last_numbers_stand() -> None:
    progress = progress_after(
        ("run.started", 0, {}),
        ("progress.made", 2_000, {"message": "reading", "current": 1, "total": 4}),
        ("progress.made", 3_000, {"message": "thinking"}),
    )
    assert (progress.message, progress.current, progress.total) == ("thinking", 1, 4)
    assert progress.percent == 25.0
    assert progress.left_s == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("current", "total", "percent"),
    [(0, 4, 0.0), (4, 4, 100.0), (9, 4, 100.0), (-1, 4, 0.0), (3, 0, None), (3, None, None)],
)
def test_percent_stays_between_nothing_and_everything(
    current: int, total: int | None, percent: float | None
) -> None:
    told = {"message": "", "current": current, "total": total}
    assert progress_after(("progress.made", 0, told)).percent == percent
