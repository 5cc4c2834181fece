"""Keys at rest: sealed, and what happens when what they are sealed with is gone."""

from __future__ import annotations

import logging
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from unspool.errors import RecordsError, SetupError
from unspool.records.secrets import FILE_NAME, Secrets, Unsealable

KEY = "sk-0123456789-0123456789-abcd"


def test_what_is_sealed_can_be_read_with_the_key_file_alone(tmp_path: Path) -> None:
    sealed = Secrets(tmp_path).seal(KEY)
    assert KEY not in sealed
    assert Secrets(tmp_path).unseal(sealed) == KEY
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_the_key_file_is_made_when_it_is_first_needed(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path)
    with pytest.raises(Unsealable, match="gone from the data directory"):
        secrets.unseal("gAAAAA")
    assert list(tmp_path.iterdir()) == []
    secrets.seal(KEY)
    assert (tmp_path / FILE_NAME).exists()


def test_of_many_who_make_the_key_file_at_once_all_use_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as many:
        sealed = list(many.map(lambda _: Secrets(tmp_path).seal(KEY), range(16)))
    assert {Secrets(tmp_path).unseal(each) for each in sealed} == {KEY}
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_lost_or_changed_key_file_is_said_to_be_that(tmp_path: Path) -> None:
    sealed = Secrets(tmp_path).seal(KEY)
    (tmp_path / FILE_NAME).unlink()
    with pytest.raises(Unsealable, match="gone from the data directory"):
        Secrets(tmp_path).unseal(sealed)
    Secrets(tmp_path).seal("another")
    with pytest.raises(Unsealable, match="does not hold the key that sealed it"):
        Secrets(tmp_path).unseal(sealed)


@pytest.mark.parametrize("content", [b"", b"no key\n", b"\xff" * 100])
def test_a_key_file_that_holds_something_else_is_not_written_over(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(RecordsError, match="holds no key; restore a copy"):
        Secrets(tmp_path).seal(KEY)
    with pytest.raises(Unsealable):
        Secrets(tmp_path).unseal("gAAAAA")
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_a_new_key_is_put_in_front_and_the_old_one_still_opens(tmp_path: Path) -> None:
    before = Secrets(tmp_path).seal(KEY)
    new, newer = (Fernet.generate_key().decode() for _ in range(2))
    given = Secrets(tmp_path, new)
    assert given.unseal(before) == KEY
    sealed = given.seal(KEY)
    with pytest.raises(Unsealable):
        Secrets(tmp_path).unseal(sealed)
    assert Secrets(tmp_path, f"{newer}, {new}").unseal(sealed) == KEY


def test_a_setting_that_is_no_key_stops_the_program_without_being_repeated(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="openssl rand") as refused:
        Secrets(tmp_path, KEY)
    assert KEY not in str(refused.value)


def test_a_key_file_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sealed = Secrets(tmp_path).seal(KEY)
    assert caplog.text == ""
    (tmp_path / FILE_NAME).chmod(0o644)
    with caplog.at_level(logging.WARNING):
        assert Secrets(tmp_path).unseal(sealed) == KEY
    assert "`chmod 600` it" in caplog.text


def test_a_place_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match="cannot be created"):
        Secrets(tmp_path / "absent").seal(KEY)
