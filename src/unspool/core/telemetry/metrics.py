"""
Figures for Prometheus, of this process.

Runs are counted at their ends, from their logs. What is true now (live runs, viewers, the journal)
is asked when somebody reads the figures. Labels have few values: flows and models that exist, and
codes of ours; anything else is `other`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ... import plugs
from ...errors import JournalError
from ...journals import Journal
from .facts import RequestFacts, RunSummary

OTHER: Final = "other"

MAX_VALUES: Final = 64
"""Codes and currencies that are told apart: there are some thirty; providers of others may vary."""

RUN_S: Final = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800)
FIRST_S: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120)
PER_S: Final = (1, 2, 5, 10, 20, 40, 60, 80, 100, 150, 200, 400, 1000)
"""Limits of the buckets of histograms: what people feel as different."""

LEAST_S: Final = 0.1
"""Of writing; the speed of less is chance."""

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


class _Words:
    """The values of one label, as they come: only words, and not too many."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def of(self, value: str) -> str:
        if value not in self._known:
            if len(self._known) >= MAX_VALUES or not _CODE.fullmatch(value.lower()):
                return OTHER
            self._known.add(value)
        return value


class ServerMetrics:
    """
    Args:
        models: Returns the names of models that exist.
    """

    def __init__(self, models: Callable[[], Collection[str]]) -> None:
        self.registry = registry = CollectorRegistry()
        self._models = models
        self._codes, self._currencies, self._strategies = _Words(), _Words(), _Words()

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(f"unspool_{name}", words, labels, registry=registry)

        def histogram(name: str, words: str, label: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(f"unspool_{name}", words, [label], registry=registry, buckets=buckets)

        self._runs = counter("runs", "Ended runs.", "flow", "status")
        self._run_s = histogram("run_seconds", "From the request to the ending.", "flow", RUN_S)
        self._attempts = counter("attempts", "Requests to models; `ok` or why.", "model", "code")
        self._first_s = histogram(
            "first_token_seconds", "From a request to its first output.", "model", FIRST_S
        )
        self._speed = histogram(
            "tokens_per_second", "Speed of answers that a provider counted.", "model", PER_S
        )
        self._tokens = counter("tokens", "Tokens of requests.", "model", "direction")
        self._cost = counter("cost", "Cost of requests.", "model", "currency")
        self._seams = counter("seams", "Texts that another request continued.", "strategy")
        self._recoveries = counter("recoveries", "Runs taken over from other servers.", "reason")
        self.webhooks = counter("webhooks", "Webhooks by what became of them.", "outcome")
        self.uncounted = counter("uncounted_runs", "Ended runs that are in no other figure.")
        facts = Gauge("unspool_info", "Versions.", ["version"], registry=registry)
        facts.labels(version("unspool")).set(1)

    def count(self, run: RunSummary) -> None:
        """Count an ended run."""
        flow = run.flow if run.flow in plugs.names("flows") else OTHER
        self._runs.labels(flow, run.status).inc()
        self._run_s.labels(flow).observe(run.seconds)
        for reason in run.recoveries:
            self._recoveries.labels(reason).inc()
        known = self._models()
        for each in run.requests.values():
            self._count(each, each.model if each.model in known else OTHER)

    def _count(self, asked: RequestFacts, model: str) -> None:
        self._attempts.labels(model, self._codes.of(asked.code)).inc()
        if asked.first_s is not None:
            self._first_s.labels(model).observe(asked.first_s)
            if asked.continues:
                self._seams.labels(self._strategies.of(asked.strategy)).inc()
        usage, cost = asked.usage or {}, asked.cost or {}
        written = usage.get("completion_tokens")
        for direction, tokens in (("input", usage.get("prompt_tokens")), ("output", written)):
            if tokens:
                self._tokens.labels(model, direction).inc(tokens)
        if written and usage["basis"] == "measured" and asked.writing_s >= LEAST_S:
            self._speed.labels(model).observe(written / asked.writing_s)
        if cost.get("amount"):
            self._cost.labels(model, self._currencies.of(cost["currency"])).inc(cost["amount"])


class Present(Collector):
    """What is true now; it adds itself to `metrics`."""

    def __init__(
        self,
        metrics: ServerMetrics,
        journal: Journal,
        *,
        live_runs: Callable[[], int],
        waiting_runs: Callable[[], int],
        viewers: Callable[[], int],
        webhooks: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._asked = {
            "live_runs": ("Runs that this process carries.", live_runs),
            "waiting_runs": ("Runs of this process that wait for people.", waiting_runs),
            "viewers": ("Open streams.", viewers),
            "webhooks_waiting": ("Webhooks that are not delivered yet.", webhooks),
            "journal_up": ("Whether the journal can be written.", self._is_up),
            "journal_commit_seconds": (
                "Time of a commit, the average of the last ones.",
                lambda: journal.commits()[0],
            ),
        }
        metrics.registry.register(self)

    def _is_up(self) -> int:
        try:
            self._journal.check()
        except JournalError:
            return 0
        return 1

    def collect(self) -> Iterable[Metric]:
        for name, (words, ask) in self._asked.items():
            metric = Metric(f"unspool_{name}", words, "gauge")
            metric.add_sample(metric.name, {}, ask())
            yield metric
        failures = Metric("unspool_journal_commit_failures", "Commits that failed.", "counter")
        failures.add_sample(f"{failures.name}_total", {}, self._journal.commits()[1])
        yield failures
