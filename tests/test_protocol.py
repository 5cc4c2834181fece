"""The protocol tells every path, event, error code, flow and dialect that there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.documents import PROTOCOL, SRC, blocks, named, protocol, quoted
from support.servers import Serve
from unspool import errors, plugs
from unspool.providers.upstream import vendor_errors
from unspool.runs.events import EVENT_TYPES, decode_event

CONTRACTS = (
    *("copywriting", "debug-chat", "extraction", "plain", "stories"),
    *("ollama", "openai", "anthropic", "ai-sdk", "ag-ui", "durable-streams"),
)
"""The pages of those who have a client already; the others are ours."""


def told() -> set[str]:
    return {word for page in PROTOCOL for word in quoted(page)}


def tree_codes() -> Iterator[str]:
    for thing in vars(errors).values():
        if isinstance(thing, type) and issubclass(thing, errors.UnspoolError):
            yield thing.code


def constants(node: ast.AST) -> Iterator[str]:
    """The texts that an expression may be, not those that it compares with."""
    match node:
        case ast.Constant(str(text)):
            yield text
        case ast.IfExp(_, body, orelse):
            yield from constants(body)
            yield from constants(orelse)


def literal_codes() -> Iterator[str]:
    """Codes that are written where something is raised or answered."""
    for path in SRC.rglob("*.py"):
        # The command line has codes of its own, which never leave it.
        if path.is_relative_to(SRC / "cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            for keyword in node.keywords:
                if keyword.arg == "code":
                    yield from constants(keyword.value)
            if isinstance(node.func, ast.Name) and node.func.id in {"error_answer", "_incomplete"}:
                for argument in node.args[:2]:
                    yield from (text for text in constants(argument) if text.isidentifier())
    yield from {vendor_errors.of_status(status) for status in range(300, 600)}
    yield from {code for code, _ in (*vendor_errors.WORDS, *vendor_errors.PHRASES)}


def test_every_error_code_is_in_the_protocol() -> None:
    known = {*tree_codes(), *literal_codes()}
    assert {"bad_cursor", "interrupted", "truncated", "quota", "unknown_host", "auth"} <= known
    assert known - told() == set()


def test_the_protocol_tells_the_status_of_each_error_that_is_answered() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", protocol(), re.M))
    answered = [
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type)
        and issubclass(thing, errors.UnspoolError)
        and not issubclass(thing, errors.ProviderError | errors.LLMClientError)
    ]
    assert {e.code: str(e.http_status) for e in answered}.items() <= rows.items()


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_every_event_type_is_in_the_protocol(name: str) -> None:
    assert f"\n| `{name}` |" in protocol()


def test_the_example_events_of_the_protocol_are_events() -> None:
    lines = [
        line
        for page in PROTOCOL
        for block in blocks(page, "text")
        for line in block.splitlines()
        if line.startswith('{"seq":')
    ]
    shown = {decode_event(line.encode()).type for line in lines}
    assert shown == set(EVENT_TYPES)


@pytest.mark.parametrize("kind", ["flows", "dialects"])
def test_every_flow_and_every_dialect_is_named_in_the_protocol(kind: plugs.Kind) -> None:
    assert set(plugs.names(kind)) <= told()


def test_every_path_of_the_application_is_in_the_protocol_once(openapi: dict[str, Any]) -> None:
    text = protocol()
    for path, methods in openapi["paths"].items():
        for method in methods:
            row = f"`{method.upper()} {path.replace('{run_id}', '{id}')}`"
            assert text.count(f"\n| {row} |") == 1, row


def test_the_protocol_has_no_path_that_is_not_there(openapi: dict[str, Any]) -> None:
    there = {
        f"{method.upper()} {path.replace('{run_id}', '{id}')}"
        for path, methods in openapi["paths"].items()
        for method in methods
    }
    rows = re.findall(r"^\| `([A-Z]+ /[^`]+)`", protocol(), re.M)
    # Sockets, pages and files are not in a schema of HTTP.
    apart = {"GET /v1/runs/{id}/ws", "GET /", "GET /docs", "GET /client/unspool-client.js"}
    assert set(rows) - apart - there == set()


@pytest.fixture
def openapi(serve_with: Serve) -> dict[str, Any]:
    answer = httpx.get(f"{serve_with().url}/openapi.json")
    schema: dict[str, Any] = answer.json()
    return schema


def test_the_index_of_the_protocol_leads_to_every_page() -> None:
    index = (SRC.parent.parent / "PROTOCOL.md").read_text()
    assert {*CONTRACTS, "native", "conversations", "events", "resources"} == {
        page.stem for page in PROTOCOL
    }
    assert [page for page in PROTOCOL if f"({named(page)})" not in index] == []
