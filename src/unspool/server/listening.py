"""
The sockets of a port.

Workers of one port have a socket each (SO_REUSEPORT), and Linux deals new connections out by
chance. On a single socket the quickest worker takes most of a burst: of 200 connections to four
busy workers one took 122, with a socket each 61.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ..errors import SetupError

if TYPE_CHECKING:
    from ..settings import Settings

BACKLOG = 2048


def listen(settings: Settings) -> socket.socket:
    """
    Return a listening socket.

    Raises:
        SetupError: The port is taken, or the address does not belong to this machine.
    """
    return _bound(settings, settings.port, ())


class SharedPort:
    """
    A port with several listening sockets.

    Raises:
        SetupError: As `listen` raises it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Sockets that share a port would share it with a stranger too, without an error.
        with listen(settings) as alone:
            self.number: int = alone.getsockname()[1]

    def listen(self) -> socket.socket:
        """Return another socket of the port; raises as `listen` does."""
        return _bound(self._settings, self.number, (socket.SO_REUSEPORT,))


def _bound(settings: Settings, port: int, options: tuple[int, ...]) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in (socket.SO_REUSEADDR, *options):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind((settings.host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise SetupError(
            f"Cannot listen on {settings.host}:{port}: {error.strerror}. Stop what "
            "uses the port, or choose another with --port (0 picks a free one)."
        ) from error
    sock.setblocking(False)
    return sock
