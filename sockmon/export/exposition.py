"""Metrics → the text formats of Prometheus and OpenMetrics, by prometheus-client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    StateSetMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from sockmon.export.metric import SEVERITIES, Facts, Metric, Sample
from sockmon.export.metrics import METRICS
from sockmon.fault_log import FAULTS


class HostCollector(Collector):
    """Yields every metric of the newest sample; only what identifies sockmon before there is one."""

    def __init__(self, facts: Callable[[], Facts | None]) -> None:
        self._facts = facts

    def describe(self) -> Iterable[Family]:
        return ()

    def collect(self) -> Iterator[Family]:
        facts = self._facts()
        if facts is not None:
            for metric in METRICS:
                yield _family(metric, facts)


def registry_of(facts: Callable[[], Facts | None], own_process: bool = True) -> CollectorRegistry:
    """Return a registry with the metrics of `facts()`, and of this process (`process_cpu_seconds_total`, ...) if
    `own_process`."""
    registry = CollectorRegistry()
    registry.register(HostCollector(facts))
    if own_process:
        ProcessCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """Return the page and its content type, in the format that the header `accept` prefers; in the plain one if it
    cannot be understood."""
    try:
        encoder, content_type = choose_encoder(accept)
    except (TypeError, ValueError):
        # Such as a version that is not a number.
        encoder, content_type = choose_encoder("")
    return encoder(registry), content_type


def _family(metric: Metric, facts: Facts) -> Family:
    """Return one family; it is empty if it cannot be read, and the others go on."""
    samples: list[Sample] = []
    try:
        samples = list(metric.read(facts))
    except Exception as error:
        FAULTS.note(metric.name, error)
    if metric.kind == "gauge":
        gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
        for sample in samples:
            gauge.add_metric(sample.labels, cast(float, sample.value))
        return gauge
    if metric.kind == "counter":
        counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        for sample in samples:
            counter.add_metric(sample.labels, cast(float, sample.value))
        return counter
    if metric.kind == "info":
        info = InfoMetricFamily(metric.name, metric.help, labels=metric.labels)
        for sample in samples:
            info.add_metric(sample.labels, dict(cast("Mapping[str, str]", sample.value)))
        return info
    states = StateSetMetricFamily(metric.name, metric.help, labels=metric.labels)
    for sample in samples:
        states.add_metric(sample.labels, {each: each == sample.value for each in SEVERITIES})
    return states
