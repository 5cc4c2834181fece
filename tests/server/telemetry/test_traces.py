"""Traces: `traceparent` in and out, and the spans that are made of a log."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.receivers import receiving
from support.runs import batch, children, start, until_ended
from support.servers import Serve, Served, ServeModel, Tune
from support.upstream import CUT, Upstream, answer, chunk
from unspool.core.telemetry.facts import RunSummary
from unspool.core.telemetry.traces import Traces, provider_of
from unspool.formats.tracing import read_traceparent, span_of, trace_of
from unspool.runs.events import Event

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{SPAN}-01"
CHAT = {"flow": "chat", "input": {"prompt": "a prompt of canary"}}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (GIVEN, GIVEN),
        (f"cc-{TRACE}-{SPAN}-01-more", GIVEN),
        (f"00-{TRACE}-{SPAN}-01-more", ""),
        (f"ff-{TRACE}-{SPAN}-01", ""),
        (f"00-{'0' * 32}-{SPAN}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (GIVEN.upper(), ""),
        ("", ""),
        ("x" * 4000, ""),
    ],
)
def test_a_traceparent_is_read_as_the_standard_says(value: str, read: str) -> None:
    assert read_traceparent(value) == read


async def test_the_trace_of_a_request_reaches_the_provider_by_its_attempt(
    serve_model: ServeModel, upstream: Upstream, client: httpx.AsyncClient
) -> None:
    upstream.play = [[chunk("今天"), CUT], answer("天气")]
    served = serve_model(retries=1)
    reply = await client.post(f"{served.url}/v1/runs", json=CHAT, headers={"traceparent": GIVEN})
    run_id = str(reply.json()["id"])
    await until_ended(client, served, run_id)
    sent = [request.headers["traceparent"] for request in upstream.requests]
    assert sent == [f"00-{TRACE}-{span_of(run_id, number)}-01" for number in (1, 2)]
    await client.post(f"{served.url}/v1/runs", json=CHAT, headers={"traceparent": "nonsense"})
    await until_ended(client, served, await start(client, served, CHAT))
    assert all("traceparent" not in request.headers for request in upstream.requests[2:])


async def test_the_children_of_a_run_are_in_its_trace(
    serve_with: Serve, quick_model: None, client: httpx.AsyncClient
) -> None:
    served = serve_with()
    body = batch("一", "二")
    reply = await client.post(f"{served.url}/v1/runs", json=body, headers={"traceparent": GIVEN})
    run_id = str(reply.json()["id"])
    await until_ended(client, served, run_id)
    found = await children(client, served, run_id)
    assert len(found) == 2
    for child in found:
        (first,) = await served.core.journal.read(child["id"], after=0, limit=1)
        assert first.data["traceparent"] == f"00-{TRACE}-{span_of(run_id)}-01"


def events() -> list[Event]:
    step = {"step": "answer"}
    asked = {**step, "number": 1, "model": "m", "provider": "anthropic", "strategy": "first"}
    call = {**step, "index": 0, "id": "c1", "name": "calculate", "arguments": {"x": "canary"}}
    drafts: list[tuple[Any, int, dict[str, Any]]] = [
        ("run.started", 1000, {"flow": "chat", "model": "m", "traceparent": GIVEN, **CHAT}),
        ("attempt.started", 1100, asked),
        ("text.delta", 1400, {**step, "text": "canary"}),
        ("tool.called", 1500, call),
        (
            "attempt.finished",
            1600,
            {
                **step,
                "number": 1,
                "finish_reason": "tool_calls",
                "usage": {"prompt_tokens": 7, "completion_tokens": 9, "basis": "measured"},
                "cost": {"amount": 0.5, "currency": "USD", "basis": "measured"},
            },
        ),
        ("tool.answered", 1900, {**step, "index": 0, "name": "calculate", "content": "canary"}),
        ("attempt.started", 2000, {**asked, "number": 2}),
        ("attempt.failed", 2500, {**step, "number": 2, "code": "overloaded", "message": "canary"}),
        ("run.failed", 3000, {"code": "overloaded", "message": "canary"}),
    ]
    return [Event(seq, kind, at, data) for seq, (kind, at, data) in enumerate(drafts, 1)]


def test_a_run_is_a_trace_with_the_times_of_its_log_and_without_its_texts() -> None:
    provider, exporter = provider_of("tested"), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    run = RunSummary("r1")
    for event in events():
        run.apply(event)
    Traces(provider).run_ended(run)
    first, second, tool, root = exporter.get_finished_spans()
    assert {f"{span.context.trace_id:032x}" for span in (first, second, tool, root)} == {TRACE}
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == SPAN
    assert [f"{span.context.span_id:016x}" for span in (root, first, second)] == [
        span_of("r1"),
        span_of("r1", 1),
        span_of("r1", 2),
    ]
    assert (root.name, root.start_time, root.end_time) == ("run chat", 10**9, 3 * 10**9)
    assert root.status.status_code.name == second.status.status_code.name == "ERROR"
    assert (first.name, first.kind.name) == ("chat m", "CLIENT")
    assert dict(first.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "m",
        "gen_ai.response.finish_reasons": ("tool_calls",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.response.time_to_first_chunk": 0.3,
        "unspool.attempt": 1,
        "unspool.strategy": "first",
        "unspool.usage.basis": "measured",
        "unspool.cost": 0.5,
        "unspool.cost.currency": "USD",
    }
    (event,) = first.events
    assert (event.name, event.timestamp) == ("gen_ai.first_chunk", 1_400_000_000)
    assert (tool.name, tool.start_time, tool.end_time) == (
        "execute_tool calculate",
        1_500_000_000,
        1_900_000_000,
    )
    assert (second.attributes or {})["error.type"] == "overloaded"
    everything = "".join(span.to_json() for span in (first, second, tool, root))
    assert "canary" not in everything


async def test_spans_reach_a_receiver_before_the_server_has_stopped(
    serve_with: Serve,
    quick_model: None,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        served = serve_with()
        run_id = await start(client, served, CHAT)
        await until_ended(client, served, run_id)
        await asyncio.to_thread(served.stop)
    assert {headers[":path"] for headers, _ in receiver.got} == {"/v1/traces"}
    spans = [
        span
        for _, body in receiver.got
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    (root,) = [span for span in spans if not span.parent_span_id]
    assert root.name == "run chat"
    assert root.trace_id.hex() == trace_of(run_id, "")
    assert len(spans) == 2
    assert b"canary" not in receiver.bodies


async def test_a_collector_that_does_not_answer_keeps_no_server_from_stopping(
    tune: Tune, quick_model: None, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        address = f"http://127.0.0.1:{mute.getsockname()[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        served = Served(tune()).start()
        await until_ended(client, served, await start(client, served, CHAT))
        await asyncio.to_thread(served.stop)
        # It has stopped, and what sends still waits for the collector.
        assert "last spans" in {thread.name for thread in threading.enumerate()}
