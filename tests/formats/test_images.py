"""Images as clients send them."""

from __future__ import annotations

import pytest

from support.images import EACH, PNG, data_url
from unspool.formats.images import MAX_BYTES, MAX_URL_CHARS, read_data_url

HEAD = PNG[:16]


@pytest.mark.parametrize("type_", EACH)
def test_an_image_is_what_its_first_bytes_say(type_: str) -> None:
    assert read_data_url(data_url(EACH[type_], type_)) == (type_, EACH[type_])
    for other in set(EACH) - {type_}:
        with pytest.raises(ValueError, match=f"not those of {other}"):
            read_data_url(data_url(EACH[type_], other))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/x.png",
        "https://example.org/x.png",
        "file:///etc/passwd",
        data_url(b"<svg onload=alert(1)>", "image/svg+xml"),
        data_url(b"<svg onload=alert(1)>"),
        "data:image/png,abc",
        "data:image/png;charset=x;base64,AAAA",
        "data:image/png;base64,%%%",
        "data:image/png;base64,",
        "",
    ],
)
def test_what_is_no_image_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"image|first bytes"):
        read_data_url(url)


def test_the_largest_image_fits_and_one_byte_more_does_not() -> None:
    whole = data_url(HEAD + bytes(MAX_BYTES - len(HEAD)))
    assert len(whole) <= MAX_URL_CHARS
    assert len(read_data_url(whole).data) == MAX_BYTES
    with pytest.raises(ValueError, match="at most"):
        read_data_url(data_url(HEAD + bytes(MAX_BYTES - len(HEAD) + 1)))
