"""
Answers the question for metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime

from txcarp.change import FileStatus
from txcarp.clock.monotonic import Lateness, MonotonicClock
from txcarp.interfaces import IReloader
from txcarp.operate.documents import Answer, refusal
from txcarp.operate.gathering import Gathering
from txcarp.operate.tally import Tally
from txcarp.service import CARPService
from txcarp.state.store import inDaemonThread
from txcarp.virtualhost import VirtualHost

if TYPE_CHECKING:
    from txcarp.operate.metrics import Group, Metric

#: The number of groups for which one metric is written in one turn of the reactor.  A metric has
#: some twenty values for a group, so that a turn takes two or three milliseconds at most.
BLOCK = 16


#: The most programs that wait for metrics at a time.  An answer about hundreds of groups has
#: megabytes.
MOST_SCRAPES = 8


class Metrics:
    """
    The metrics of a service.

    They are made from the statuses of all groups, and from what a L{Tally} has counted since this
    object was made.
    """

    def __init__(
        self, carp: CARPService, reactor: IReactorTime, reloader: IReloader | None
    ) -> None:
        self._carp = carp
        self._reactor = reactor
        self._reloader = reloader
        self._file: FileStatus | None = None
        self._format: ModuleType | None = None
        self._waiting = 0
        self._tally = Tally()
        carp.addOccurrenceObserver(self._tally)
        self._gathering: Gathering[bytes] = Gathering(reactor, self._steps)

    @inlineCallbacks
    def answer(self) -> Generator[Deferred[Any], Any, Answer]:
        """
        All metrics in the text format of Prometheus.
        """
        if self._waiting >= MOST_SCRAPES:
            return refusal(
                503,
                "too-many-clients",
                f"{MOST_SCRAPES} programs wait for metrics, and more are not served: try later.",
            )
        self._waiting += 1
        try:
            answer: Answer = yield self._made()
        finally:
            self._waiting -= 1
        return answer

    @inlineCallbacks
    def _made(self) -> Generator[Deferred[Any], Any, Answer]:
        if self._format is None:
            # A module that is being imported in another thread is waited for there.
            self._format = yield inDaemonThread(cast(IReactorFromThreads, self._reactor), _load)
        if self._reloader is not None:
            self._file = yield self._reloader.status()
        pieces: tuple[bytes, ...] = yield self._gathering.gather()
        return Answer(200, b"".join(pieces), self._format.CONTENT_TYPE)

    def _steps(self) -> Iterator[Callable[[], bytes]]:
        """
        All that is to be done, in short steps.  Each returns its part of the answer.
        """
        # They were loaded with the format.
        from txcarp.operate.groupmetrics import GROUP_METRICS
        from txcarp.operate.metrics import Group, Process
        from txcarp.operate.processmetrics import PROCESS_METRICS

        form, hosts = self._format, self._carp.virtualHosts
        assert form is not None
        groups: list[Group] = []
        for host in hosts:
            yield partial(self._look, Group, host, groups)
        for metric in GROUP_METRICS:
            for begin in range(0, len(hosts), BLOCK):
                yield partial(_block, form, metric, groups, begin)
        process = Process(
            len(hosts),
            dict(self._tally.reloads),
            self._file,
            _latenessOf(self._carp),
            self._carp.platform.status(),
        )
        for one in PROCESS_METRICS:
            yield partial(form.ofProcess, one, process)
        yield form.ofKernel

    def _look(self, make: type[Group], host: VirtualHost, groups: list[Group]) -> bytes:
        """
        Take the status of a group.
        """
        status = host.status()
        groups.append(make(status, self._tally.of(status.interface, status.vhid)))
        return b""


def _load() -> ModuleType:
    """
    Load the format and the tables.  This takes 10 ms, and more on a busy host.
    """
    from txcarp.operate import exposition, groupmetrics, processmetrics  # noqa: F401

    return exposition


def _block(form: ModuleType, metric: Metric[Group], groups: list[Group], begin: int) -> bytes:
    found: bytes = form.ofGroups(metric, groups[begin : begin + BLOCK], begin == 0)
    return found


def _latenessOf(carp: CARPService) -> Lateness | None:
    clock = carp.platform.clock
    return clock.lateness if isinstance(clock, MonotonicClock) else None
