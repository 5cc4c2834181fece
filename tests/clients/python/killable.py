"""A server that a test kills and starts again, over the same data."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

WORDS = [f"word{number} " for number in range(30)]
SLOW: list[Any] = [
    *(step for word in WORDS for step in ({"text": word}, {"pause_s": 0.03})),
    {"usage": {"prompt_tokens": 3, "completion_tokens": 30}},
    {"finish": "stop"},
]
"""A script of an answer that takes a second."""

OURS = ("UNSPOOL_", "LLM_", "OPENAI_", "OLLAMA_", "ANTHROPIC_")


class KillableServer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._starts = 0
        self.url = ""
        self.start()

    def start(self) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        data = ["--data-dir", str(self._folder / "data"), "--no-sample-data"]
        command = [os.environ["UNSPOOL"], "serve", "--port", "0", "--json", *data]
        self._starts += 1
        with (self._folder / f"server-{self._starts}.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=env)
        assert self._process.stdout is not None
        self.url = str(json.loads(self._process.stdout.readline())["url"])

    def kill(self) -> None:
        """As a crash: nothing is flushed, and nobody is told."""
        self._process.kill()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def ask(self, path: str, body: Any = None) -> bytes:
        """Send a request, a POST if it has a body, and return the answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=40) as reply:
            return bytes(reply.read())
