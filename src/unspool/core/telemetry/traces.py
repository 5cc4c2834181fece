"""
Traces by OpenTelemetry, with its names for generative AI; the extra `unspool[otel]`.

A run is a trace, or a span in the trace of the request that started it; an attempt and a call of a
tool are spans, and the first output is an event. They are made when the run has ended, with the
times of its log. Prompts and texts are not in them.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ...formats.tracing import span_of, trace_of
from ...settings import Settings
from .facts import RequestFacts, RunSummary, ToolUse

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

log = logging.getLogger(__name__)

BASE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
EXACT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
"""The standard variables; the second is an address as it is."""

EXTRA: Final = "pip install 'unspool[otel]'"

CLOSE_S: Final = 1.0
"""To send the last spans when the server stops; a collector may be away."""

PROVIDERS: Final = {
    "anthropic": "anthropic",
    "gemini": "gcp.gemini",
    "openai": "openai",
    "responses": "openai",
}
"""Names of the convention for providers of ours; others keep their names."""


class Traces:
    """Without an address, it makes none."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        """`provider` takes the ids of spans from `ids`."""
        self._provider = provider

    @classmethod
    def open(cls, settings: Settings) -> Traces:
        """Return what sends traces to the address of the environment, if there is one."""
        endpoint = endpoint_of(settings)
        if not endpoint:
            return cls()
        if not has_extra():
            log.warning("%s is set, but nothing sends traces: %s", BASE, EXTRA)
            return cls()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = provider_of(settings.variable("OTEL_SERVICE_NAME") or "unspool")
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        return cls(provider)

    @property
    def is_on(self) -> bool:
        return self._provider is not None

    def run_ended(self, run: RunSummary) -> None:
        """Make the spans of a run."""
        if self._provider is not None:
            _Trace(self._provider, run).make()

    async def close(self) -> None:
        """Send what waits, for a short time."""
        if self._provider is None:
            return
        provider, loop, is_done = self._provider, asyncio.get_running_loop(), asyncio.Event()

        def send() -> None:
            provider.shutdown()
            with suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(is_done.set)

        # Not a thread of the loop's own, whose end the loop waits for.
        threading.Thread(target=send, name="last spans", daemon=True).start()
        try:
            async with asyncio.timeout(CLOSE_S):
                await is_done.wait()
        except TimeoutError:
            log.warning("The collector of traces does not answer; the last spans are lost")


def has_extra() -> bool:
    """Whether what sends traces is installed."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter") is not None
    except ModuleNotFoundError:
        return False


def endpoint_of(settings: Settings) -> str:
    """Return where spans go; empty: traces are off."""
    if exact := settings.variable(EXACT):
        return exact
    base = settings.variable(BASE)
    return f"{base.rstrip('/')}/v1/traces" if urlsplit(base).hostname else ""


def provider_of(service: str) -> TracerProvider:
    """Return a provider of tracers whose spans get the ids that `_Trace` wants."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    resource = Resource.create({"service.name": service, "service.version": version("unspool")})
    return TracerProvider(resource=resource, id_generator=_ids(), shutdown_on_exit=False)


def _ids() -> Any:
    """Return an `IdGenerator` whose next ids can be set; others are by chance."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class ChosenIds(RandomIdGenerator):
        next_trace = 0
        next_span = 0

        def generate_trace_id(self) -> int:
            return self.next_trace or super().generate_trace_id()

        def generate_span_id(self) -> int:
            chosen, self.next_span = self.next_span, 0
            return chosen or super().generate_span_id()

    return ChosenIds()


class _Trace:
    """The spans of one run."""

    def __init__(self, provider: TracerProvider, run: RunSummary) -> None:
        from opentelemetry import trace

        self._api = trace
        self._ids: Any = provider.id_generator
        self._tracer = provider.get_tracer("unspool", version("unspool"))
        self._run = run

    def make(self) -> None:
        """Begin and end all spans."""
        run, kinds = self._run, self._api.SpanKind
        self._ids.next_trace = int(trace_of(run.id, run.traceparent), 16)
        root = self._span(f"run {run.flow}", self._caller(), span_of(run.id), run.started_ms)
        usage = run.usage
        cost = (usage and usage.cost) or {}
        facts = {
            "unspool.run.id": run.id,
            "unspool.flow": run.flow,
            "unspool.status": run.status,
            "unspool.tenant": run.tenant,
            "unspool.key.id": run.key,
            "unspool.parent": run.parent,
            "unspool.recoveries": len(run.recoveries) or None,
            "unspool.cost": cost.get("amount"),
            "unspool.cost.currency": cost.get("currency"),
            "gen_ai.request.model": run.model,
        }
        _tell(root, facts)
        if run.status in {"failed", "incomplete"}:
            self._fail(root, run.code)
        inside = self._api.set_span_in_context(root)
        for asked in run.requests.values():
            span = self._span(
                f"chat {asked.model}",
                inside,
                span_of(run.id, asked.number),
                asked.started_ms,
                kinds.CLIENT,
            )
            self._request(span, asked)
            ended_ms = run.ended_ms if asked.ended_ms is None else asked.ended_ms
            span.end(_ns(max(ended_ms, asked.started_ms)))
        for use in run.tools:
            self._tool(inside, use)
        root.end(_ns(max(run.ended_ms, run.started_ms)))

    def _span(self, name: str, parent: Any, span_id: str, start_ms: int, kind: Any = None) -> Span:
        self._ids.next_span = int(span_id, 16) if span_id else 0
        kind = self._api.SpanKind.INTERNAL if kind is None else kind
        return self._tracer.start_span(name, parent, kind=kind, start_time=_ns(start_ms))

    def _caller(self) -> Any:
        """Return the context of the span that asked for the run; empty: there is none."""
        from opentelemetry.context import Context

        if not self._run.traceparent:
            return Context()
        _, trace_id, span_id, flags = self._run.traceparent.split("-")
        caller = self._api.SpanContext(
            int(trace_id, 16),
            int(span_id, 16),
            is_remote=True,
            trace_flags=self._api.TraceFlags(int(flags, 16)),
        )
        return self._api.set_span_in_context(self._api.NonRecordingSpan(caller), Context())

    def _request(self, span: Span, asked: RequestFacts) -> None:
        usage = asked.usage or {}
        facts = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": PROVIDERS.get(asked.provider, asked.provider),
            "gen_ai.request.model": asked.model,
            "gen_ai.response.finish_reasons": [asked.finish_reason]
            if asked.finish_reason
            else None,
            "gen_ai.usage.input_tokens": usage.get("prompt_tokens"),
            "gen_ai.usage.output_tokens": usage.get("completion_tokens"),
            "gen_ai.response.time_to_first_chunk": asked.first_s,
            "unspool.attempt": asked.number,
            "unspool.strategy": asked.strategy,
            "unspool.usage.basis": usage.get("basis"),
            "unspool.cost": (asked.cost or {}).get("amount"),
            "unspool.cost.currency": (asked.cost or {}).get("currency"),
        }
        _tell(span, facts)
        if asked.first_ms is not None:
            span.add_event("gen_ai.first_chunk", timestamp=_ns(asked.first_ms))
        if asked.code not in {"ok", "cancelled"}:
            self._fail(span, asked.code)

    def _tool(self, inside: Any, use: ToolUse) -> None:
        span = self._span(f"execute_tool {use.name[:100]}", inside, "", use.called_ms)
        facts = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": use.name[:100]}
        _tell(span, {**facts, "unspool.attempt": use.attempt or None})
        if use.code:
            self._fail(span, use.code)
        ended_ms = self._run.ended_ms if use.answered_ms is None else use.answered_ms
        span.end(_ns(max(ended_ms, use.called_ms)))

    def _fail(self, span: Span, code: str) -> None:
        span.set_attribute("error.type", code or "unknown")
        span.set_status(self._api.Status(self._api.StatusCode.ERROR, code))


def _tell(span: Span, facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        if value is not None and value != "":
            span.set_attribute(name, value)


def _ns(ms: int) -> int:
    return ms * 1_000_000
