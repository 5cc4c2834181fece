"""
Content encodings: gzip and deflate, in pieces of bounded size.

Nothing is decoded before a reader wants it, so a small body cannot become a large one in
memory; and one that grows beyond all measure is given up (`MAX_RATIO`).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from .errors import BadEncoding

MAX_PIECE_BYTES = 64 * 1024
"""The most that one call of `decode` returns."""

MAX_RATIO = 200
"""
So many bytes may come out of one. JSON shrinks to a tenth, chunks that repeat themselves to
a fiftieth; deflate at its worst makes 1,032 bytes of one.
"""

FREE_BYTES = 1024 * 1024
"""So much may come out in any case: a small body does no harm."""

_GZIP: Final = frozenset({"gzip", "x-gzip"})

REGISTERED: Final = _GZIP | {"deflate", "br", "zstd", "compress", "x-compress", "dcb", "dcz"}
"""
Content codings that a body really has (IANA's registry). Servers put words of their own into the
header too, for bodies that are not encoded at all; those words say nothing.
"""


class Inflater:
    """
    Undoes the encoding of one body.

    Raises:
        BadEncoding: One that was not asked for, or several of them.
    """

    def __init__(self, codings: Sequence[str]) -> None:
        if len(codings) != 1 or codings[0] not in {*_GZIP, "deflate"}:
            raise BadEncoding("the answer has a content encoding that was not asked for")
        self._is_gzip = codings[0] in _GZIP
        self._inflate: zlib._Decompress | None = None
        self._has_ended = False
        self._bytes_in = 0
        self._bytes_out = 0

    @property
    def is_whole(self) -> bool:
        """Whether the encoding has come to its end, or nothing came at all."""
        return self._inflate is None

    def decode(self, raw: bytes) -> tuple[bytes, bytes | None]:
        """
        Return a decoded piece, and the bytes to decode next; None: wait for more.

        Raises:
            BadEncoding: It is no gzip or deflate, or a bomb.
        """
        if self._inflate is None:
            if not raw:
                return b"", None
            self._inflate = self._begun(raw)
        inflate = self._inflate
        try:
            piece = inflate.decompress(raw, MAX_PIECE_BYTES)
        except zlib.error:
            raise BadEncoding("the body is not compressed as its head says") from None
        # zlib may hold back output for which the piece had no room: ask again, without bytes.
        is_full = len(piece) == MAX_PIECE_BYTES
        rest = inflate.unconsumed_tail or (b"" if is_full else None)
        if inflate.eof:
            self._inflate, self._has_ended = None, True
            rest = inflate.unused_data or None
        self._count(len(raw) - len(rest or b""), len(piece))
        return piece, rest

    def _begun(self, raw: bytes) -> zlib._Decompress:
        """Begin a body, or a further member of a gzip body."""
        if self._is_gzip:
            return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        if self._has_ended:
            raise BadEncoding("the compressed body goes on after its end")
        # RFC 9110 means zlib by deflate; some servers send it bare. The first byte of zlib ends
        # in 8, and no bare one does: a stored block is padded with zeros (RFC 1951, 3.2.4).
        is_zlib = raw[0] & 0x0F == 8
        return zlib.decompressobj(wbits=zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)

    def _count(self, came: int, went: int) -> None:
        self._bytes_in += came
        self._bytes_out += went
        if self._bytes_out > FREE_BYTES + MAX_RATIO * self._bytes_in:
            raise BadEncoding(f"the body grows to more than {MAX_RATIO} times its size")
