"""
The text of `/metrics`: of this process, and of the other workers behind the same port.

A scrape reaches any of the workers. So each writes its figures into the data directory every few
seconds, and the one that is asked tells those of all, each with the label `worker`: counters never
seem to fall, and a sum is the sum of the port.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

WRITE_S: Final = 5.0
"""Seconds between two writes: a third of the usual time between scrapes."""

GONE_S: Final = 30.0
"""Age of figures whose worker is gone."""


class Family(msgspec.Struct):
    """One metric with its samples: name, labels, value."""

    name: str
    words: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


_decode = msgspec.json.Decoder(list[Family]).decode


class Exposition:
    """
    Args:
        worker: The number of this process.
        is_shared: Others have the port too.
    """

    def __init__(
        self, registry: CollectorRegistry, data_dir: Path, worker: int, *, is_shared: bool
    ) -> None:
        self._registry = registry
        self._worker = worker
        self.is_shared = is_shared
        self._data_dir = data_dir
        self._file = data_dir / f"metrics-{worker}.json"

    def text(self) -> bytes:
        """Return all figures in the format of Prometheus."""
        own = self.write()
        workers = dict(self._others()) if self.is_shared else {}
        return generate_latest(_Merged({**workers, self._worker: own}))

    def write(self) -> list[Family]:
        """
        Write the figures for other workers, if there are any, and return them.

        What we tell ourselves is written too: told by another later, no counter falls.
        """
        own = self._own()
        if self.is_shared:
            new = self._file.with_suffix(".new")
            with suppress(OSError):  # a full disk: others tell older figures of this worker
                new.write_bytes(msgspec.json.encode(own))
                new.replace(self._file)
        return own

    def close(self) -> None:
        """Take the figures away."""
        if self.is_shared:
            with suppress(OSError):
                self._file.unlink()

    def _own(self) -> list[Family]:
        return [
            Family(
                metric.name,
                metric.documentation,
                metric.type,
                [
                    (each.name, each.labels, each.value)
                    for each in metric.samples
                    if not each.name.endswith("_created")
                ],
            )
            for metric in self._registry.collect()
        ]

    def _others(self) -> Iterator[tuple[int, list[Family]]]:
        for path in self._data_dir.glob("metrics-*.json"):
            number = path.stem.partition("-")[2]
            if path == self._file or not number.isdecimal():
                continue
            with suppress(OSError, msgspec.DecodeError):
                if time.time() - path.stat().st_mtime <= GONE_S:
                    yield int(number), _decode(path.read_bytes())


class _Merged(Collector):
    """The figures of several workers, metric by metric."""

    def __init__(self, workers: dict[int, list[Family]]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        metrics: dict[str, Metric] = {}
        for number, families in sorted(self._workers.items()):
            for family in families:
                metric = metrics.get(family.name)
                if metric is None:
                    metric = Metric(family.name, family.words, family.kind)
                    metrics[family.name] = metric
                for name, labels, value in family.samples:
                    metric.add_sample(name, {**labels, "worker": str(number)}, value)
        yield from metrics.values()
