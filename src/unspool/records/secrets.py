"""
Seals the keys of models at rest, with a key of our own that is stored apart from them.

The sealing key is the setting `secret_key`, or the file `secret.key` in the data directory,
created at first use. Several servers over one database need the setting, since each has a data
directory of its own (`sealing`). A copy of the database alone reveals no key of any model. Each
line is a Fernet key; the first one seals, all of them open. To rotate, put a new one in front; the
old ones stay until nothing is sealed with them.
"""

from __future__ import annotations

import hashlib
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
"""Permission bits of everybody but the owner."""


class Unsealable(Exception):
    """A sealed text cannot be opened; the message says why."""


class Secrets:
    """
    Args:
        data_dir: The folder of the key file.
        key: One or several Fernet keys, separated by commas or blanks; empty: the file alone.

    Raises:
        SetupError: `key` holds something that is not a Fernet key.
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
        self._texts = key.replace(",", " ").split()

    @property
    def is_given(self) -> bool:
        """Whether the keys are those of the setting."""
        return bool(self._given)

    def fingerprints(self) -> list[str]:
        """
        Return a digest of each key that opens, the one that seals first. Creates it if needed.

        Raises:
            RecordsError: There is no key to seal with, and none can be created.
        """
        self._sealing()
        file = self._path.read_bytes().decode().split() if self._path.exists() else []
        return [hashlib.sha256(text.encode()).hexdigest() for text in (*self._texts, *file)]

    def seal(self, text: str) -> str:
        """
        Return `text` sealed, safe to store.

        Raises:
            RecordsError: There is no key to seal with, and none can be created.
        """
        return MultiFernet(self._sealing()).encrypt(text.encode()).decode()

    def _sealing(self) -> list[Fernet]:
        try:
            return self._given or self._read_file() or self._create_file()
        except SetupError as error:
            raise RecordsError(str(error)) from error

    def unseal(self, sealed: str) -> str:
        """
        Return the text that was sealed.

        Raises:
            Unsealable: Its sealing key is gone, or somebody changed the sealed text.
        """
        try:
            keys = [*self._given, *self._read_file()]
        except SetupError as error:
            raise Unsealable(str(error)) from None
        if not keys:
            raise Unsealable(f"{FILE_NAME} is gone from the data directory")
        try:
            return MultiFernet(keys).decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise Unsealable(f"{FILE_NAME} does not hold the key that sealed it") from None

    def _read_file(self) -> list[Fernet]:
        """
        Return the keys of the file; empty if there is no file.

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
                f"{self._path} holds no key; restore a copy of it, or move it away and set the "
                "keys of all models again"
            )
        return keys

    def _create_file(self) -> list[Fernet]:
        """Create the key file; if two programs do so at once, both use the first one's."""
        fresh = self._path.with_name(f"{FILE_NAME}.{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as to:
                to.write(Fernet.generate_key() + b"\n")
                to.flush()
                os.fsync(to.fileno())
            try:
                # A hard link appears whole or not at all, and never replaces a file.
                os.link(fresh, self._path)
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        except OSError as error:
            raise SetupError(
                f"{self._path} cannot be created: {error.strerror}; make the data directory "
                "writable, or set UNSPOOL_SECRET_KEY"
            ) from error
        return self._read_file()


def _fernets(keys: list[str]) -> list[Fernet] | None:
    """Return the keys; None if one of them is not a Fernet key."""
    try:
        return [Fernet(key) for key in keys]
    except ValueError:
        return None
