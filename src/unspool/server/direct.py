"""
Starts runs past the framework, which would cost more than all we do ourselves.

For each request FastAPI tries the routes one by one, and resolves, wraps and validates what is
the same every time. A plainly right request to a route of a common form (a POST without
parameters in its path, with one pydantic model as its body) goes straight to the endpoint. FastAPI
answers all others, so it alone judges what is wrong with a request. Routes are declared once,
for FastAPI.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from fastapi import FastAPI, params
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..dialects import Options
from ..runs.options import read_options

_JSON: Final = b"application/json"


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """A route whose arguments we can read without FastAPI."""

    endpoint: Callable[..., Awaitable[Response]]
    body: str
    """The name of the parameter that takes the body."""
    validate: Callable[[Any], Any]
    options: str
    """The name of the parameter that takes the run options."""
    headers: Mapping[str, bytes]
    """Names of headers, by the parameters that take them."""

    @classmethod
    def of(cls, route: APIRoute) -> DirectRoute | None:
        """Return it for a route that starts runs; None: only FastAPI can read its arguments."""
        endpoint, hints = route.endpoint, get_type_hints(route.endpoint, include_extras=True)
        is_common = route.methods == {"POST"} and "{" not in route.path and not route.dependencies
        if not is_common or hints.pop("return", None) is not Response:
            return None
        bodies: dict[str, Any] = {}
        headers: dict[str, bytes] = {}
        options = ""
        for name, parameter in inspect.signature(endpoint).parameters.items():
            hint = hints[name]
            if hint == Options:
                options = name
            elif _is_model(hint):
                bodies[name] = hint
            elif _is_header(hint):
                headers[name] = name.replace("_", "-").encode()
            elif not _is_query(hint) or parameter.default is parameter.empty:
                return None
        if not options or len(bodies) != 1:
            return None
        ((body, hint),) = bodies.items()
        return cls(endpoint, body, TypeAdapter(hint).validate_python, options, headers)

    def arguments(self, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> dict[str, Any]:
        """
        Return the arguments of the endpoint.

        Raises:
            ValueError, RecursionError: The body is not what the route wants.
        """
        # As FastAPI does it: pydantic's own parser takes other texts for JSON.
        arguments = {self.body: self.validate(json.loads(body))}
        arguments[self.options] = read_options(headers)
        for name, header in self.headers.items():
            value = _first(headers, header)
            if value is not None:
                arguments[name] = value.decode("latin-1")
        return arguments


class DirectRoutes:
    """An ASGI application around FastAPI; `answer` is FastAPI's own way."""

    def __init__(self, app: FastAPI, answer: ASGIApp) -> None:
        self._app = app
        self._answer = answer
        self._routes: dict[str, DirectRoute] = {}

    def add(self, routes: Iterable[BaseRoute]) -> None:
        """Take the routes that start runs; of two with one path, the first one counts."""
        for route in routes:
            if isinstance(route, APIRoute) and (direct := DirectRoute.of(route)) is not None:
                self._routes.setdefault(route.path, direct)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._route(scope)
        if route is None:
            await self._answer(scope, receive, send)
            return
        try:
            messages = await _read(receive)
            arguments = _arguments(route, scope, messages)
            answer = None if arguments is None else await route.endpoint(**arguments)
        except Exception as error:  # noqa: BLE001 - it goes to the application's handlers
            await self._fail(error, scope, receive, send)
            return
        if answer is None:
            await self._answer(scope, _replayed(messages, receive), send)
        else:
            await answer(scope, receive, send)

    def _route(self, scope: Scope) -> DirectRoute | None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["query_string"]:
            return None
        route = self._routes.get(scope["path"].removeprefix(scope.get("root_path", "")))
        kind = _first(scope["headers"], b"content-type") or b""
        is_json = kind == _JSON or kind.partition(b";")[0].strip().lower() == _JSON
        # Who embeds the application may have put something around its routes.
        if not is_json or self._app.user_middleware or self._app.dependency_overrides:
            return None
        return route

    async def _fail(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application's handlers of errors do."""
        handlers = self._app.exception_handlers
        kind = next(kind for kind in type(error).__mro__ if kind in handlers)
        answer = await handlers[kind](Request(scope, receive), error)  # type: ignore[misc]
        await answer(scope, receive, send)
        if kind is Exception:
            raise error  # for the log of the server


def _arguments(
    route: DirectRoute, scope: Scope, messages: Sequence[Message]
) -> dict[str, Any] | None:
    """Return the arguments of the endpoint; None: FastAPI has to say what is wrong."""
    if messages[-1]["type"] != "http.request":  # the client left in the middle
        return None
    body = b"".join([message.get("body", b"") for message in messages])
    try:
        return route.arguments(scope["headers"], body)
    except (ValueError, RecursionError):
        return None


async def _read(receive: Receive) -> list[Message]:
    """Return all messages of a request's body."""
    messages = [await receive()]
    while messages[-1]["type"] == "http.request" and messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _replayed(messages: Sequence[Message], receive: Receive) -> Receive:
    """Return a `receive` that begins with messages that we have read already."""
    left = iter(messages)

    async def replayed() -> Message:
        return next(left, None) or await receive()

    return replayed


def _first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    for key, value in headers:
        if key == name:
            return value
    return None


def _is_model(hint: Any) -> bool:
    """Whether it is a pydantic model, or that or nothing."""
    kinds = set(get_args(hint) or (hint,)) - {type(None)}
    return len(kinds) == 1 and all(isinstance(k, type) and issubclass(k, BaseModel) for k in kinds)


def _is_header(hint: Any) -> bool:
    """Whether it is a header of any text, under the name of its parameter."""
    facts = get_args(hint)
    if get_origin(hint) is not Annotated or facts[0] is not str or len(facts) != 2:
        return False
    header = facts[1]
    is_plain = isinstance(header, params.Header) and header.convert_underscores
    return is_plain and header.alias is None and not header.metadata


def _is_query(hint: Any) -> bool:
    return get_origin(hint) is Annotated and isinstance(get_args(hint)[1], params.Query)
