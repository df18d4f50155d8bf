"""
What a metric is: its name, its meaning and its values, in no format.

Two tables have all metrics: C{GROUP_METRICS} in L{txcarp.operate.groupmetrics}, one value or some
for each group, and C{PROCESS_METRICS} in L{txcarp.operate.processmetrics}.  C{docs/metrics.rst}
describes the same ones.

Labels have few values, whatever other hosts send and operators type: the groups, addresses, checks
and steps of the configuration, words of this program, and the sources of the peers that a group
remembers (L{txcarp.membership.peers.MAXIMUM}).  The reasons for demotions are not among them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import attrs

from txcarp.change import FileStatus
from txcarp.clock.monotonic import Lateness
from txcarp.operate.tally import Counts
from txcarp.status.process import PlatformStatus
from txcarp.status.snapshot import Status

#: The labels of each metric of a group, besides its own ones.
GROUP_LABELS = ("group", "interface", "vhid")

_Subject = TypeVar("_Subject")


@attrs.frozen
class Sample:
    """
    A value.

    @ivar labels: The values of the labels.
    @ivar suffix: What is behind the name of the metric.
    """

    value: float
    labels: tuple[str, ...] = ()
    suffix: str = ""


class Kind(enum.Enum):
    """
    The kinds of metrics, by the names that Prometheus has for them.
    """

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


@attrs.frozen
class Group:
    """
    What is known of a group.

    @ivar counts: What has happened to it.
    """

    status: Status
    counts: Counts

    @property
    def labels(self) -> tuple[str, ...]:
        """
        The values of L{GROUP_LABELS}.
        """
        status = self.status
        return status.title or status.name, status.interface, str(status.vhid)

    def when(self, age: float) -> float:
        """
        The time, in seconds since 1970, of what is so many seconds old.
        """
        return round(self.status.time - age, 3)


@attrs.frozen
class Process:
    """
    What is known of the process.

    @ivar groups: The number of groups.
    @ivar reloads: How often the configuration file was read again, by the word of the result.
    @ivar file: The state of the configuration file; C{None} if there is none.
    @ivar lateness: How late timers were; C{None} if that is not measured.
    @ivar platform: What all groups share.
    """

    groups: int
    reloads: Mapping[str, int]
    file: FileStatus | None
    lateness: Lateness | None
    platform: PlatformStatus = attrs.field(factory=PlatformStatus)


@attrs.frozen
class Metric(Generic[_Subject]):
    """
    A metric of each L{Group}, or of the L{Process}.

    @ivar name: Its name.  That of a counter ends in C{_total}.
    @ivar help: Its meaning.
    @ivar read: Returns the values for a group, or for the process; the labels are those in
        C{labels}.
    @ivar labels: Its labels, besides the L{GROUP_LABELS} of a group.
    """

    name: str
    help: str
    read: Callable[[_Subject], Iterable[Sample]]
    labels: tuple[str, ...] = ()
    kind: Kind = Kind.GAUGE


def counter(
    name: str,
    help: str,
    read: Callable[[_Subject], Iterable[Sample]],
    labels: tuple[str, ...] = (),
) -> Metric[_Subject]:
    """
    Make a metric that only grows.
    """
    return Metric(name, help, read, labels, Kind.COUNTER)


def numbers(counted: Mapping[str, int], keys: Sequence[str]) -> list[Sample]:
    """
    A sample for each key, also for those that were not counted yet: an increase from a value that
    was not there is none for Prometheus.
    """
    known = dict.fromkeys((*keys, *counted))
    return [Sample(float(counted.get(key, 0)), (key,)) for key in known]
