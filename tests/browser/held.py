"""
A model that writes no further than a test lets it.

What a page shows of a run that goes on can be looked at for as long as it takes: no machine is
too slow. It speaks as OpenAI's servers do, in a thread of its own; asked with the beginning of
its text, it goes on from there.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

PIECE = 3
"""Characters of one delta."""

LONGEST_S = 50.0
"""An answer that nobody lets go on breaks off then: before the test's own limit."""


class Held:
    """One text, of which the model has so far been let write the beginning."""

    def __init__(self, name: str, text: str, let: int = 0) -> None:
        self.text = text
        self.name = name
        self._let = let
        self._changed = threading.Condition()
        self._is_over = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._answering())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    @property
    def model(self) -> dict[str, Any]:
        """As it is registered."""
        url = f"http://127.0.0.1:{self._server.server_port}/v1"
        facts = {"name": self.name, "provider": "openai", "base_url": url, "api_key": "sk-held"}
        return {**facts, "prefill": "assistant"}

    def let(self, chars: int | None = None) -> None:
        """Let it write up to so many characters in all, or to the end."""
        with self._changed:
            self._let = len(self.text) if chars is None else chars
            self._changed.notify_all()

    def _wait(self, at: int) -> int:
        """Return how far it may write when that is further than `at`; or `at`, when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._let > at, LONGEST_S)
            return at if self._is_over else self._let

    def _answering(self) -> type[BaseHTTPRequestHandler]:
        held = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                last = json.loads(body)["messages"][-1]
                begun = last["content"] if last["role"] == "assistant" else ""
                assert held.text.startswith(begun)
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                try:
                    self._write(len(begun))
                except ConnectionError:
                    self.close_connection = True  # whoever has asked is gone

            def _write(self, at: int) -> None:
                while at < len(held.text):
                    end = held._wait(at)
                    if end <= at:
                        return
                    for start in range(at, end, PIECE):
                        self._send({"content": held.text[start : min(start + PIECE, end)]})
                    at = end
                self._send({}, "stop")
                self.wfile.write(b"data: [DONE]\n\n")

            def _send(self, delta: dict[str, str], reason: str | None = None) -> None:
                choice = {"index": 0, "delta": delta, "finish_reason": reason}
                self.wfile.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())

            def log_message(self, *_: object) -> None:
                """Say nothing: the test's own words are enough."""

        return Answer
