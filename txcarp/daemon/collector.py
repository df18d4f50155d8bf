"""
Keeps Python's garbage collector from holding the process up.

A full collection looks at every object, and nothing is sent meanwhile.  The objects of a thousand
groups are 380,000, for which that takes half a second (Python 3.11), and longer than any lease on
a busy machine.  Python starts a full collection when so many objects were made, which happens when
all groups change their roles at once: at the worst moment.
"""

from __future__ import annotations

import gc
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds after the start at which the objects of the groups are there.
SETTLED = 10.0

#: Seconds between two full collections of what was made since.
INTERVAL = 3600.0

#: More objects than there are: a full collection never starts by itself.
_NEVER = 2**31 - 1


class Collector(Service):
    """
    Leaves the objects that are made at the start out of all collections: they stay until the
    process ends.  The rest is collected in full once an hour, which takes some milliseconds, and
    in the usual partial way meanwhile.
    """

    def __init__(self, clock: IReactorTime, collector: Any = gc) -> None:
        """
        @param collector: What has the functions of the module C{gc}.
        """
        self._clock = clock
        self._gc = collector
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        """
        Begin, before the groups start.
        """
        Service.startService(self)
        first, second, _ = self._gc.get_threshold()
        self._gc.set_threshold(first, second, _NEVER)
        self._gc.freeze()
        self._timer = self._clock.callLater(SETTLED, self._settled)

    def stopService(self) -> None:
        """
        Collect no more.  The end of the process collects nothing in full either.
        """
        Service.stopService(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _settled(self) -> None:
        self._gc.collect(1)
        self._gc.freeze()
        self._timer = self._clock.callLater(INTERVAL, self._collect)

    def _collect(self) -> None:
        self._timer = self._clock.callLater(INTERVAL, self._collect)
        self._gc.collect()
