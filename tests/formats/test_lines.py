"""Lines of a growing text, wherever its pieces end."""

from __future__ import annotations

from unspool.formats.lines import LineBuffer

TEXT = "one\n\ntwo\u2028still two\r\nthree"


def test_the_lines_are_the_same_wherever_the_text_is_cut() -> None:
    for first in range(len(TEXT) + 1):
        for second in range(first, len(TEXT) + 1):
            buffer = LineBuffer()
            parts = TEXT[:first], TEXT[first:second], TEXT[second:]
            lines = [line for part in parts for line in buffer.feed(part)]
            assert lines == ["one\n", "\n", "two\u2028still two\r\n"]
            assert (buffer.take(), buffer.take()) == ("three", "")
