"""
Reads a CSV file as others made it: packed or not, in any encoding, with any mistakes.

Nothing here knows the meaning of a column. It reads the file twice, the first time to verify the
encoding from the first byte to the last, and never holds it in memory.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from unspool.errors import SpecError

MAX_FIELD_CHARS = 100_000
"""Longest cell. Descriptions of products have up to a few thousand characters."""

SURE_CHARS = 16
"""
Characters beyond ASCII that prove a text to be UTF-8. About one in ten of GB18030's is valid
UTF-8 by accident; sixteen in a row are not.
"""

MAX_ROW_CHARS = 10 * MAX_FIELD_CHARS
"""Longest row: the most memory that a file without line ends can take."""


MAX_UNPACKED_BYTES = 2 << 30
"""Of one file. Reading so much takes a minute, and no memory."""

MAX_UNPACKED_RATIO = 200
"""Bytes out of one packed byte. Logs that repeat themselves reach 50; zeros alone reach 1000."""

SMALL_BYTES = 64 << 20
"""So much may come out of any file."""


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], Callable[[], float]]]:
    """Open a file for reading, unpacked; also yield a function for the share read so far."""
    with path.open("rb") as raw:
        size = path.stat().st_size or 1
        # The first bytes decide: downloads lose their `.gz`, or keep it though unpacked.
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not packed:
            yield raw, lambda: raw.tell() / size
            return
        with gzip.GzipFile(fileobj=raw) as plain:
            yield plain, lambda: raw.tell() / size  # type: ignore[misc]  # it is one


def encoding_of(path: Path) -> str:
    """
    Find the encoding in which the whole file makes sense.

    Raises:
        SpecError: No encoding fits, or there is no such file.
    """
    if path.exists() and not path.is_file():
        raise SpecError(f"{path} is not a file; give the path of a CSV file")
    try:
        with opened(path) as (plain, _):
            head = plain.read(4)
            if not head:
                raise SpecError(f"{path} is empty; it needs a header and rows")
            if head == b"PK\x03\x04":
                raise SpecError(
                    f"{path} is a workbook or an archive; save the sheet as CSV (UTF-8) first"
                )
            return _checked(path, plain, head)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError(f"{path} cannot be read: {reason}; check the path and the file") from error


def _checked(path: Path, plain: IO[bytes], head: bytes) -> str:
    candidates = ["utf-8", "gb18030"]
    if head.startswith(codecs.BOM_UTF8):
        candidates = ["utf-8-sig"]
    elif head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates = ["utf-16"]
    for encoding in candidates:
        plain.seek(0)
        decoder = codecs.getincrementaldecoder(encoding)("strict")
        lines, wide, total = 1, 0, 0
        try:
            while chunk := plain.read(1 << 20):
                total += len(chunk)
                _check_size(path, total)
                text = decoder.decode(chunk)
                lines += text.count("\n")
                wide += _wide(text)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            good = error.object[: error.start].decode(encoding, "ignore")
            lines += good.count("\n")
            # Nearly any bytes are valid GB18030. A text that begins as good UTF-8 is not
            # GB18030 but damaged; decoding it as GB18030 would produce wrong characters.
            if encoding == "utf-8" and wide + _wide(good) < SURE_CHARS:
                continue
            break
        return encoding
    raise SpecError(
        f"{path} is none of UTF-8, UTF-16 with a mark, GB18030: as {encoding} it breaks off in "
        f"line {lines}; save it as UTF-8 and import it again"
    )


def _check_size(path: Path, total: int) -> None:
    packed = path.stat().st_size
    if total > MAX_UNPACKED_BYTES or total > max(SMALL_BYTES, packed * MAX_UNPACKED_RATIO):
        raise SpecError(
            f"{path.name} unpacks to more than {total:,} bytes out of {packed:,}; split it into "
            "smaller files"
        )


def _wide(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


class _Lines:
    """Lines as an editor counts them; `give_back` returns some for another reading."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self._row: list[str] = []
        self._row_chars = 0
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._text.readline(MAX_ROW_CHARS)
        if not line:
            raise StopIteration
        self.number += 1
        self._row.append(line)
        self._row_chars += len(line)
        if self._row_chars >= MAX_ROW_CHARS:
            while len(line) == MAX_ROW_CHARS and line[-1] not in "\r\n":
                line = self._text.readline(MAX_ROW_CHARS)
            raise csv.Error("row larger than limit")
        return line

    def begin_row(self) -> int:
        """Start a row, and return the number of its first line."""
        self._row.clear()
        self._row_chars = 0
        return self.number + 1

    def give_back(self, *, all_but: int) -> None:
        """Return the lines of this row for another reading, except the first `all_but`."""
        back = self._row[all_but:]
        self._again.extendleft(reversed(back))
        self.number -= len(back)


Row = tuple[int, list[str] | str]
"""The first line of a row, and its cells or the reason why it is wrong."""


def rows_of(text: IO[str]) -> Iterator[Row]:
    """Yield the header, then the rows, without the blank ones."""
    lines = _Lines(text)
    try:
        header = next((line for line in lines if line.strip()), "")
    except csv.Error:
        yield lines.number, "it is too long"
        return
    lines.give_back(all_but=0)
    # Strict, because a quote that never closes would swallow the rows below it. So it costs
    # only its own row: the reader gets the lines after the first again.
    reader = csv.reader(lines, delimiter=_delimiter(header), strict=True)
    while True:
        line = lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.give_back(all_but=1)
            reason = "a quote never closes, or is not written twice inside a cell"
            if "limit" in str(error):
                reason = "it is too long, or a quote in it never closes"
            yield line, reason
        else:
            if any(map(str.strip, cells)):
                yield line, cells


def _delimiter(header: str) -> str:
    # The header alone decides: the texts below are full of commas and semicolons.
    try:
        return csv.Sniffer().sniff(header, delimiters=",;\t|").delimiter
    except csv.Error:
        return ","
