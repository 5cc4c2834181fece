"""
Keys of models at rest: sealed with a key of our own, which is kept apart from them.

The sealing key is the setting `secret_key`, or the file `secret.key` in the data directory,
made when it is first needed. Who has a copy of `records.db` alone has no key of any model.
A line is a Fernet key; the first one seals, all of them open, so that a new one is put in
front and the old ones stay until nothing is sealed with them.
"""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from ..errors import RecordsError, SetupError

log = logging.getLogger(__name__)

FILE_NAME = "secret.key"

MAX_FILE_BYTES = 16 * 1024
"""Largest key file we read: hundreds of keys. A larger one is some other file."""

OTHERS = 0o077
"""Rights of everybody but the owner."""


class Unsealable(Exception):
    """What was sealed cannot be opened; the message says why."""


class Secrets:
    """
    Args:
        data_dir: Where the key file is.
        key: One or several Fernet keys, separated by commas or blanks; empty: the file alone.

    Raises:
        SetupError: `key` is none.
    """

    def __init__(self, data_dir: Path, key: str = "") -> None:
        self._path = data_dir / FILE_NAME
        given = _fernets(key.replace(",", " ").split())
        if given is None:
            raise SetupError(
                "UNSPOOL_SECRET_KEY is not a key: it must be 32 bytes in URL-safe base64, as "
                "`openssl rand -base64 32 | tr '+/' '-_'` prints them; set it so, or unset it"
            )
        self._given = given

    def seal(self, text: str) -> str:
        """
        Return `text` as it may be written down.

        Raises:
            RecordsError: There is no key to seal with, and none can be made.
        """
        try:
            keys = self._given or self._of_file() or self._made()
        except SetupError as error:
            raise RecordsError(str(error)) from error
        return MultiFernet(keys).encrypt(text.encode()).decode()

    def unseal(self, sealed: str) -> str:
        """
        Return what was sealed.

        Raises:
            Unsealable: The key it was sealed with is not there, or it was tampered with.
        """
        try:
            keys = [*self._given, *self._of_file()]
        except SetupError as error:
            raise Unsealable(str(error)) from None
        if not keys:
            raise Unsealable(f"{FILE_NAME} is not in the data directory any more")
        try:
            return MultiFernet(keys).decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise Unsealable(f"it was sealed with another key than {FILE_NAME} holds") from None

    def _of_file(self) -> list[Fernet]:
        """
        Return the keys of the file, none where there is no file.

        Raises:
            SetupError: It cannot be read, or holds something else.
        """
        try:
            with self._path.open("rb") as file:
                raw = file.read(MAX_FILE_BYTES)
                rights = os.fstat(file.fileno()).st_mode
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SetupError(
                f"{self._path} cannot be read: {error.strerror}; make it readable for the user "
                "who runs unspool"
            ) from error
        if os.name == "posix" and rights & OTHERS:
            log.warning("%s can be read by others; `chmod 600` it", self._path)
        keys = _fernets(raw.decode("ascii", "replace").split())
        if not keys:
            raise SetupError(
                f"{self._path} holds no key; put back a copy of it, or move it away: the keys of "
                "models then have to be set again"
            )
        return keys

    def _made(self) -> list[Fernet]:
        """Make the key file; of two programs that do so at once, both use the first one's."""
        fresh = self._path.with_name(f"{FILE_NAME}.{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as to:
                to.write(Fernet.generate_key() + b"\n")
                to.flush()
                os.fsync(to.fileno())
            try:
                # Whole or not at all, and never over one that is there.
                os.link(fresh, self._path)
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        except OSError as error:
            raise SetupError(
                f"{self._path} cannot be made: {error.strerror}; make the data directory "
                "writable, or set UNSPOOL_SECRET_KEY"
            ) from error
        return self._of_file()


def _fernets(keys: list[str]) -> list[Fernet] | None:
    """None where one of them is no key."""
    try:
        return [Fernet(key) for key in keys]
    except ValueError:
        return None
