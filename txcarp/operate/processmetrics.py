"""
The metrics of the process.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator

import twisted
from txcarp import __version__
from txcarp.clock.monotonic import LATENESS_BOUNDS
from txcarp.operate.metrics import Kind, Metric, Process, Sample, counter, numbers
from txcarp.status.process import GuardStatus

#: What may come of reading the configuration file again.
_RELOADS = ("done", "refused", "undone")


def _version(process: Process) -> list[Sample]:
    return [Sample(1.0, (__version__, platform.python_version(), twisted.__version__))]


def _differs(process: Process) -> list[Sample]:
    file = process.file
    return [] if file is None else [Sample(float(file.differs is not False))]


def _unconfirmed(process: Process) -> list[Sample]:
    file = process.file
    return [] if file is None else [Sample(file.unconfirmed or 0.0)]


def _undone(process: Process) -> list[Sample]:
    file = process.file
    return [] if file is None else [Sample(float(file.undone is not None))]


def _lateness(process: Process) -> Iterator[Sample]:
    lateness = process.lateness
    if lateness is None:
        return
    number = 0
    bounds = [f"{bound:g}" for bound in LATENESS_BOUNDS]
    for bound, count in zip((*bounds, "+Inf"), lateness.counts, strict=True):
        number += count
        yield Sample(float(number), (bound,), "_bucket")
    yield Sample(float(number), (), "_count")
    yield Sample(lateness.total, (), "_sum")


def _netlinkErrors(process: Process) -> list[Sample]:
    netlink = process.platform.netlink
    return [
        Sample(float(netlink.overruns), ("overrun",)),
        Sample(float(netlink.malformed), ("malformed",)),
    ]


def _guard(read: Callable[[GuardStatus], float | None]) -> Callable[[Process], list[Sample]]:
    """
    The value of a metric of the guard, if there is one.
    """

    def samples(process: Process) -> list[Sample]:
        guard = process.platform.guard
        value = None if guard is None else read(guard)
        return [] if value is None else [Sample(float(value))]

    return samples


#: The metrics of the process.
PROCESS_METRICS: tuple[Metric[Process], ...] = (
    Metric(
        "txcarp_build_info",
        "Always 1; the versions are in the labels.",
        _version,
        ("version", "python", "twisted"),
    ),
    Metric(
        "txcarp_groups",
        "The number of groups.",
        lambda process: [Sample(float(process.groups))],
    ),
    counter(
        "txcarp_reloads_total",
        "How often the configuration file was read again, by the result.",
        lambda process: numbers(process.reloads, _RELOADS),
        ("result",),
    ),
    Metric(
        "txcarp_configuration_differs",
        "Whether the configuration file has another text than what runs, or cannot be read (1).",
        _differs,
    ),
    Metric(
        "txcarp_configuration_unconfirmed_seconds",
        "Seconds until the last change is undone unless it is confirmed; 0 if none waits for that.",
        _unconfirmed,
    ),
    Metric(
        "txcarp_configuration_undone",
        "Whether the last change was undone because nobody confirmed it (1).",
        _undone,
    ),
    Metric(
        "txcarp_timer_lateness_seconds",
        "How late the timers of this process were.",
        _lateness,
        ("le",),
        Kind.HISTOGRAM,
    ),
    counter(
        "txcarp_netlink_errors_total",
        "How often messages of the kernel about links and addresses were lost (overrun) or could "
        "not be understood (malformed).",
        _netlinkErrors,
        ("kind",),
    ),
    counter(
        "txcarp_netlink_lists_total",
        "How often the links or the addresses of this host were listed: at the start, and after "
        "each loss of messages.",
        lambda process: [Sample(float(process.platform.netlink.lists))],
    ),
    Metric(
        "txcarp_guard_running",
        "Whether the process of the guard runs (1) or not (0).",
        _guard(lambda guard: guard.running),
    ),
    counter(
        "txcarp_guard_starts_total",
        "How often a guard was started.",
        _guard(lambda guard: guard.starts),
    ),
    Metric(
        "txcarp_guard_wills",
        "For how many groups a guard would act if txcarp died now.",
        _guard(lambda guard: guard.wills),
    ),
    counter(
        "txcarp_guard_acted_total",
        "For how many groups a guard has acted because txcarp had died or hung; with a state file, "
        "this counts on over restarts.",
        _guard(lambda guard: guard.acted),
    ),
    Metric(
        "txcarp_guard_acted_timestamp_seconds",
        "When a guard acted the last time, in seconds since 1970.",
        _guard(lambda guard: guard.actedAt),
    ),
)
