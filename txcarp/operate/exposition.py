"""
Metrics in the text format of Prometheus.

This module imports C{prometheus_client}, which takes 10 ms, and more on a busy host.  It is
therefore imported in a thread, when metrics are asked for the first time
(L{txcarp.operate.scraping}).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from txcarp.operate.metrics import GROUP_LABELS, Group, Kind, Metric, Process, Sample

#: The media type of the format.  Later versions of it allow names that these metrics do not have.
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class _Made(Collector):
    """
    A metric that was made for one answer.
    """

    def __init__(self, metric: Family) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Family]:
        yield self._metric


def ofGroups(metric: Metric[Group], groups: Sequence[Group], isFirst: bool) -> bytes:
    """
    The lines of a metric for some groups.

    @param isFirst: Whether these are the first groups, so that the meaning of the metric comes
        first.
    """
    made = _made(metric)
    for group in groups:
        _add(made, (*GROUP_LABELS, *metric.labels), group.labels, metric.read(group))
    text = _text(made)
    # The first two lines are the meaning and the kind.
    return text if isFirst else text.split(b"\n", 2)[2]


def ofProcess(metric: Metric[Process], process: Process) -> bytes:
    """
    The lines of a metric of the process.
    """
    made = _made(metric)
    _add(made, metric.labels, (), metric.read(process))
    return _text(made)


def ofKernel() -> bytes:
    """
    The lines of the metrics that all programs have: memory, processor time, descriptors, start.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _made(metric: Metric[Group] | Metric[Process]) -> Family:
    return Family(metric.name.removesuffix("_total"), metric.help, metric.kind.value)


def _add(
    made: Family, names: Sequence[str], common: tuple[str, ...], samples: Iterable[Sample]
) -> None:
    suffix = "_total" if made.type == Kind.COUNTER.value else ""
    for sample in samples:
        values = [_clean(one) for one in (*common, *sample.labels)]
        # The number and the sum of a histogram have no label for the bound.
        labels = dict(zip(names, values, strict=False))
        made.add_sample(made.name + (sample.suffix or suffix), labels, sample.value)


def _text(metric: Family) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Made(metric))
    return generate_latest(registry)


def _clean(value: str) -> str:
    """
    A text without what has no form in UTF-8.
    """
    return value.encode("utf-8", "backslashreplace").decode()
