"""
A worker's side of its supervisor.

The supervisor (`workers`) starts this program again and leaves it two sockets: one to listen on,
and a link. The worker says on the link that it is ready. When the link breaks, the supervisor is
dead, even by `kill -9`: the worker ends too, so that nobody holds the port.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

NUMBER: Final = "UNSPOOL_WORKER"
"""The environment variable with the number of a worker; `Settings.worker` reads it."""

SOCKETS: Final = "UNSPOOL_WORKER_SOCKETS"
"""The environment variable with the numbers of the two descriptors."""

STOP_S: Final = 10.0
"""Longest time for an end in good order, which takes less than 5 s; then a worker is killed."""


class Inheritance:
    """
    What a worker has of its supervisor.

    Attributes:
        listening: The socket to listen on.
    """

    def __init__(self, listening: int, link: int) -> None:
        self.listening = socket.socket(fileno=listening)
        self._link = socket.socket(fileno=link)
        for sock in (self.listening, self._link):
            sock.set_inheritable(False)
        self.listening.setblocking(False)
        self._link.setblocking(True)
        threading.Thread(target=self._watch, name="supervisor-watch", daemon=True).start()

    def say_ready(self, facts: Mapping[str, Any]) -> None:
        """Tell the supervisor that connections are served, and what it is to print."""
        self._link.sendall(json.dumps(facts).encode() + b"\n")

    def _watch(self) -> None:
        """End this process when the supervisor has ended."""
        try:
            self._link.recv(1)
        except OSError:
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_S)
        os._exit(1)


def inheritance() -> Inheritance | None:
    """Return what a supervisor left this process, once; None if there is no supervisor."""
    # Programs that we start are no workers.
    descriptors = os.environ.pop(SOCKETS, "")
    os.environ.pop(NUMBER, None)
    if not descriptors:
        return None
    listening, link = map(int, descriptors.split(","))
    return Inheritance(listening, link)
