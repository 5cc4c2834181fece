"""Requests to a server: plain JSON, and streams of native events."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from ...errors import SpecError
from ...formats.sse import Decoder, EventTooLong, Frame
from .errors import NotUnspool, RequestRefused, Unreachable

CONNECT_S: Final = 5.0
"""Seconds to open a connection; a running server answers at once."""

ANSWER_S: Final = 30.0
"""For a whole JSON answer. Cancelling waits for the run's ending, which takes about a second."""

SILENCE_S: Final = 45.0
"""Without a byte on a stream. The server sends a heartbeat every 15 s, so three are missing."""

NATIVE: Final = {"dialect": "native"}

MAX_FRAME_BYTES: Final = 32 * 1024 * 1024
"""Twenty messages that wait, of 250,000 characters of four bytes each, are one frame."""


class ServerClient:
    """
    Attributes:
        url: Its address for people, without a password.
    """

    def __init__(
        self, http: aiohttp.ClientSession, base: URL, *, start_hint: str = "", name_hint: str = ""
    ) -> None:
        """`start_hint` says how to start a server, `name_hint` how to name another one."""
        self._hints = start_hint, name_hint
        self._http = http
        self._base = base
        self.url = str(base.with_user(None)).rstrip("/")

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str | int] | None = None,
        answer_s: float = ANSWER_S,
        key: str = "",
    ) -> Any:
        """
        Send a request and return the JSON of the answer. `key` is its Idempotency-Key.

        Raises:
            Unreachable: Nobody answers, or something other than Unspool.
            RequestRefused: The server answers with an error.
        """
        try:
            async with self._http.request(
                method,
                self._at(path),
                json=body,
                params=params,
                headers={"Idempotency-Key": key} if key else None,
                timeout=aiohttp.ClientTimeout(answer_s, sock_connect=CONNECT_S),
                middlewares=(_sending_once(),) if method == "DELETE" else None,
            ) as answer:
                return self._read(answer.status, await answer.read())
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from error

    async def run(self, run_id: str) -> dict[str, Any]:
        """Return the run's current state."""
        return dict(await self.ask("GET", run_path(run_id)))

    async def cancel(self, run_id: str) -> dict[str, Any]:
        """Cancel the run; return its state then."""
        return dict(await self.ask("POST", f"{run_path(run_id)}/cancel"))

    async def answer(
        self, run_id: str, body: Mapping[str, Any], *, key: str = ""
    ) -> dict[str, Any]:
        """Answer a question of the run, as `AnswerRequest` has it; return its state then."""
        return dict(await self.ask("POST", f"{run_path(run_id)}/answers", body=body, key=key))

    async def events(
        self, path: str, *, last_id: str, params: Mapping[str, str | int] | None = None
    ) -> AsyncGenerator[list[Frame]]:
        """
        Yield the frames after `last_id` as they arrive; an empty list is a heartbeat.

        Returns only if the server says that nothing is left.

        Raises:
            Unreachable: The connection failed or ended. Only the events say whether the run
                has ended too.
            RequestRefused: The server answers with an error.
        """
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        timeout = aiohttp.ClientTimeout(None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        try:
            async with self._http.get(
                self._at(path), params=params, headers=headers, timeout=timeout
            ) as answer:
                if answer.status == 204:
                    return
                if answer.content_type != "text/event-stream":
                    self._read(answer.status, await answer.read())
                    raise self._odd(answer.status)
                decoder = Decoder(max_event_bytes=MAX_FRAME_BYTES)
                async for chunk in answer.content.iter_any():
                    yield decoder.feed(chunk)
        except (aiohttp.ClientError, OSError, EventTooLong) as error:
            raise self._unreachable(error) from error
        raise Unreachable(f"The server at {self.url} closed the stream.")

    @asynccontextmanager
    async def streaming(self, path: str, body: Any) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Send `body` and yield the streaming answer; raises the errors of `ask`."""
        timeout = aiohttp.ClientTimeout(ANSWER_S, sock_connect=CONNECT_S)
        try:
            async with self._http.post(self._at(path), json=body, timeout=timeout) as answer:
                if answer.content_type != "text/event-stream":
                    self._read(answer.status, await answer.read())
                    raise self._odd(answer.status)
                yield answer
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from error

    def _at(self, path: str) -> URL:
        # Joined as text, so that a server below a path of its proxy keeps that path.
        return URL(str(self._base).rstrip("/") + path, encoded=True)

    def _read(self, status: int, raw: bytes) -> Any:
        if status == 204:
            return None
        try:
            value = msgspec.json.decode(raw)
        except msgspec.DecodeError:
            raise self._odd(status) from None
        if status < 400:
            return value
        problem = value.get("error") if isinstance(value, dict) else None
        if not isinstance(problem, dict):
            raise self._odd(status)
        code = str(problem.get("code") or "refused")
        raise RequestRefused(f"The server says: {problem.get('message') or code}", status, code)

    def _odd(self, status: int) -> Unreachable | RequestRefused:
        """Return the error for an answer that is not Unspool's JSON."""
        if status in {502, 503, 504}:
            return RequestRefused(
                f"The proxy at {self.url} answers {status}: there is no server behind it.", status
            )
        if status >= 500:
            return RequestRefused(
                f"The server at {self.url} failed ({status}); its log says why.", status
            )
        return NotUnspool(
            f"Something answers at {self.url} (HTTP {status}), but it is not Unspool."
            f"{self._hints[1]}"
        )

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"Cannot reach the server at {self.url} ({_reason(error)}).{self._hints[0]}"
        )


@asynccontextmanager
async def reach(url: str, key: str = "", **hints: str) -> AsyncGenerator[ServerClient]:
    """
    Hold connections to the server at `url` for a while. `key` is by default `UNSPOOL_KEY`.

    Raises:
        SpecError: `url` is not an address.
    """
    try:
        base = URL(url if "://" in url else f"http://{url}")
        if base.scheme not in {"http", "https"} or not base.host:
            raise ValueError(url)
    except ValueError:
        raise SpecError(
            f"{url[:80]!r} is not the address of a server; give one like http://127.0.0.1:8000"
        ) from None
    key = key or os.environ.get("UNSPOOL_KEY", "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(headers=headers) as http:
        yield ServerClient(http, base, **hints)


def run_path(run_id: str) -> str:
    return f"/v1/runs/{quote(run_id, safe='')}"


def run_events_path(run_id: str) -> str:
    return f"{run_path(run_id)}/events"


def _sending_once() -> aiohttp.ClientMiddlewareType:
    """
    Return what keeps aiohttp from sending a request again by itself after a break.

    It would hide that the first try may have been done, and a 404 then has another meaning.
    """
    is_sent = False

    async def send(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        nonlocal is_sent
        if is_sent:
            raise aiohttp.ClientConnectionError("the connection broke before the answer")
        is_sent = True
        return await handler(request)

    return send


def _reason(error: Exception) -> str:
    """Return a network error in a few words."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, socket.gaierror):
        return "there is no host of that name"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return "it does not speak TLS; does its address begin with http://?"
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
        return os.strerror(cause.errno).lower()
    return str(error) or type(error).__name__
