"""
The registered tools: their definitions, and the kind of answer of each.

A tool has one kind of answer: a fixed value (`mock`), a Python function (`unspool.tools`), or an
HTTP request to a host in the setting `tool_hosts`. Headers of such a request go in and never
come out: their values are sealed like the keys of models.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, SecretStr
from sqlalchemy.exc import IntegrityError
from yarl import URL

from unspool import plugs
from unspool.errors import MissingRight, ProviderRefused, SpecError, UnknownRecord
from unspool.formats.json_schema import InvalidSchema, check_schema, plain_json
from unspool.formats.written import StrictInput, Url, validated
from unspool.providers.upstream.addresses import check_url
from unspool.records import Records
from unspool.records.secrets import Secrets, Unsealable
from unspool.records.tools import (
    ToolRow,
    change_tool,
    count_tools,
    find_tools,
    list_tools,
    remove_tool,
    save_tool,
)
from unspool.runs.principal import present
from unspool.settings import Settings

from .mcp_servers import McpServers

MAX_TOOLS: Final = 1000
"""In one database; a request to a model offers 128 at most."""

MAX_LIMIT_S: Final = 300.0
"""Longest time limit of a call: a person waits for it."""

MAX_MOCK_CHARS: Final = 32 * 1024
"""Of a mock's answer as JSON: a model gets as much of any answer."""

MAX_LEVELS: Final = 16
"""Of objects and arrays in a mock's answer."""

MAX_HEADERS: Final = 16
MAX_HEADER_CHARS: Final = 4096
"""Of one value; the longest in use are signed tokens of about 2000 characters."""

OURS: Final = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that a tool cannot set: they frame the request, or unspool sets them."""


def _known(name: str) -> str:
    if name not in (known := plugs.names("tools")):
        raise ValueError(f"there is no such tool in Python; have: {', '.join(known)}")
    return name


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        check_schema(schema)
    except InvalidSchema as error:
        raise ValueError(str(error)) from None
    return schema


def _json(value: Any) -> Any:
    plain_json(value, levels=MAX_LEVELS, chars=MAX_MOCK_CHARS)
    return value


def _headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in headers.items():
        if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            raise ValueError("the name of a header has letters, digits, - and _")
        if name.lower() in OURS:
            raise ValueError(f"a tool cannot set the header {name}; leave it out")
        if not all(" " <= sign <= "~" for sign in value.get_secret_value()):
            raise ValueError("the value of a header is one line of ASCII")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("a header may appear once; remove the other one")
    return headers


Headers = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], SecretStr],
    Field(max_length=MAX_HEADERS),
    AfterValidator(_headers),
]


class Mock(StrictInput):
    """Always the same answer."""

    kind: Literal["mock"]
    value: Annotated[Any, AfterValidator(_json)]
    """A text, which the model gets unchanged, or any JSON."""


class Python(StrictInput):
    """A Python function."""

    kind: Literal["python"]
    entry_point: Annotated[str, Field(max_length=64), AfterValidator(_known)]
    """Its name in the entry point group `unspool.tools`, or of a file in `tools/`."""


class Http(StrictInput):
    """An HTTP request."""

    kind: Literal["http"]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: Annotated[Url, Field(min_length=1)]
    arguments_in: Literal["body", "query"] = "body"
    """Where the arguments go: a JSON body, or parameters of the address."""
    headers: Headers | None = None
    """They can be written, never read. A change without them leaves them, if the host stays."""


class Mcp(StrictInput):
    """A tool of a Model Context Protocol server of the setting `mcp_config`."""

    kind: Literal["mcp"]
    server: str = Field(min_length=1, max_length=64)
    tool: str = Field(min_length=1, max_length=128)


class ToolInput(StrictInput):
    """A tool to register."""

    name: str = Field(pattern=r"^[\p{L}\p{M}\p{N}_-]{1,64}$")
    description: str = Field("", max_length=4000)
    """Tells the model when to call it."""
    parameters: Annotated[dict[str, Any], AfterValidator(_schema)] = Field(
        default_factory=lambda: {"type": "object", "properties": {}}
    )
    """JSON Schema of its arguments."""
    answer: Annotated[Mock | Python | Http | Mcp, Field(discriminator="kind")]
    limit_s: float = Field(30.0, gt=0, le=MAX_LIMIT_S)
    """Time limit of one call, in seconds."""
    approve: bool = False
    """A person must agree to each call before the server carries it out."""


@dataclass(frozen=True, slots=True)
class StoredTool:
    """A registered tool."""

    row: ToolRow
    problem: str
    """Why it cannot be called, and what to do about it; empty: it can."""


class ToolRegistry:
    """The tools of a server."""

    def __init__(self, records: Records, secrets: Secrets, settings: Settings) -> None:
        self.mcp = McpServers.of(settings.mcp_config)
        self._records = records
        self._secrets = secrets
        self._allow_private = settings.allow_private_upstreams
        self._hosts = frozenset(
            host.strip().lower() for host in settings.tool_hosts.split(",") if host.strip()
        )
        self._writing = asyncio.Lock()

    async def all(self) -> list[StoredTool]:
        """Return every tool, ordered by number."""
        return [self._stored(row) for row in await list_tools(self._records)]

    async def one(self, number: int) -> StoredTool:
        """
        Return the tool with this number.

        Raises:
            UnknownRecord: There is none.
        """
        (row,) = await find_tools(self._records, [number])
        return self._stored(row)

    async def add(self, definition: ToolInput) -> StoredTool:
        """
        Register a tool. A tool of an MCP server that has no description gets the server's own.

        Raises:
            MissingRight: Only the people who run the server register tools of MCP servers.
            SpecError: The name is taken, its host is not allowed, or there are too many.
        """
        definition = await self._described(definition)
        async with self._writing, self._records.turn("tools"):
            if await count_tools(self._records) >= MAX_TOOLS:
                raise SpecError(f"there are {MAX_TOOLS} tools already; remove one first")
            self._check_address(definition)
            headers = definition.answer.headers if isinstance(definition.answer, Http) else None
            columns = {**_columns(definition), "sealed_headers": self._seal(headers or {})}
            number = await save_tool(self._records, columns)
        if number is None:
            raise _name_taken(definition.name)
        return await self.one(number)

    async def _described(self, definition: ToolInput) -> ToolInput:
        answer = definition.answer
        if not isinstance(answer, Mcp):
            return definition
        self._check_address(definition)
        if definition.description:
            return definition
        offered = await self.mcp.tools(answer.server)
        tool = next((tool for tool in offered if tool.name == answer.tool), None)
        if tool is None:
            have = ", ".join(tool.name for tool in offered[:20])
            raise SpecError(
                f"the MCP server {answer.server} has no tool {answer.tool}; has: {have}"
            )
        facts = {"description": (tool.description or tool.title or "")[:4000]}
        return validated(
            ToolInput, definition.model_dump() | facts | {"parameters": tool.input_schema}
        )

    async def change(self, number: int, values: Mapping[str, Any]) -> StoredTool:
        """
        Change some fields of a tool; the others stay as they are.

        Raises:
            UnknownRecord: There is no such tool.
            SpecError: The values are invalid, or the name is taken.
        """
        async with self._writing, self._records.turn("tools"):
            before = (await self.one(number)).row
            fields = ("name", "description", "parameters", "answer", "limit_s", "approve")
            whole = {name: getattr(before, name) for name in fields}
            whole["answer"] = {k: v for k, v in before.answer.items() if k != "headers"}
            definition = validated(ToolInput, {**whole, **values})
            self._check_address(definition)
            changes = _columns(definition)
            changes = {name: value for name, value in changes.items() if name in values}
            if "answer" in values:
                changes |= self._headers_after(before, definition)
            try:
                if changes and not await change_tool(self._records, number, changes):
                    raise UnknownRecord(f"somebody has removed the tool {number} meanwhile")
            except IntegrityError:
                raise _name_taken(definition.name) from None
        return await self.one(number)

    async def remove(self, number: int) -> None:
        """
        Delete a tool. If a live run still calls it, the model learns that it is gone.

        Raises:
            UnknownRecord: There is no such tool.
        """
        if not await remove_tool(self._records, number):
            await self.one(number)

    def headers(self, row: ToolRow) -> dict[str, str]:
        """
        Return the headers of a tool's request.

        Raises:
            SpecError: They cannot be unsealed.
        """
        if not row.sealed_headers:
            return {}
        try:
            headers: dict[str, str] = json.loads(self._secrets.unseal(row.sealed_headers))
        except Unsealable as error:
            raise SpecError(f"its headers cannot be read ({error}); set them again") from None
        return headers

    def check_url(self, url: str) -> None:
        """
        Refuse a host outside the setting `tool_hosts`, and any forbidden address.

        Raises:
            SpecError: The host or the address is not allowed.
        """
        parts = URL(url)  # parsed as the HTTP client will parse it
        host = (parts.host or "").lower()
        whole = f"{host}:{parts.port}"
        name = host if parts.is_default_port() else whole
        if not {name, whole} & self._hosts:
            raise SpecError(f"tools may not send to {name}; add it to UNSPOOL_TOOL_HOSTS")
        try:
            check_url(url, allow_private=self._allow_private)
        except ProviderRefused as error:
            raise SpecError(str(error)) from None

    def _stored(self, row: ToolRow) -> StoredTool:
        try:
            self.check(row)
        except SpecError as error:
            return StoredTool(row, str(error))
        return StoredTool(row, "")

    def check(self, row: ToolRow) -> None:
        """
        Check that a tool can be called, as far as possible without a call.

        Raises:
            SpecError: It cannot; the message says why.
        """
        answer = row.answer
        if answer["kind"] == "http":
            self.check_url(answer["url"])
            self.headers(row)
        elif answer["kind"] == "python" and answer["entry_point"] not in plugs.names("tools"):
            raise SpecError(f"there is no Python tool {answer['entry_point']}; install its package")
        elif answer["kind"] == "mcp":
            self.mcp.check(answer["server"])

    def _check_address(self, definition: ToolInput) -> None:
        if isinstance(definition.answer, Http):
            self.check_url(definition.answer.url)
        elif isinstance(definition.answer, Mcp):
            if not present.get().is_operator:
                raise MissingRight("tools of MCP servers are for the people who run the server")
            self.mcp.check(definition.answer.server)

    def _seal(self, headers: Mapping[str, SecretStr]) -> str:
        values = {name: value.get_secret_value() for name, value in headers.items()}
        return self._secrets.seal(json.dumps(values)) if values else ""

    def _headers_after(self, before: ToolRow, definition: ToolInput) -> dict[str, Any]:
        """Return the columns of the headers after a change of the answer."""
        answer = definition.answer
        if not isinstance(answer, Http) or answer.headers is not None:
            headers = answer.headers if isinstance(answer, Http) else None
            return {"sealed_headers": self._seal(headers or {})}
        if before.sealed_headers and not _is_same_origin(before.answer["url"], answer.url):
            # Otherwise a caller who may not read the headers could redirect them to himself.
            raise SpecError(
                "its address changes, but its headers belong to the old one; send `headers` too"
            )
        names = before.answer.get("headers", [])
        return {"answer": {**_columns(definition)["answer"], "headers": names}}


def _columns(definition: ToolInput) -> dict[str, Any]:
    columns = definition.model_dump()
    if isinstance(definition.answer, Http):
        columns["answer"]["headers"] = sorted(definition.answer.headers or {})
    return columns


def _is_same_origin(before: str, after: str) -> bool:
    return URL(before).origin() == URL(after).origin()


def _name_taken(name: str) -> SpecError:
    return SpecError(
        f"a tool named {name} is registered already; change that one, or choose another name"
    )
