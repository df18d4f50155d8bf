"""
What the service manager gets to know about this process all the time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, MutableMapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from txcarp.daemon.notify import Notifier
from txcarp.interfaces import IOccurrenceObserver
from txcarp.occurrences import Occurrence, OccurrenceKind
from txcarp.protocol.effects import Role
from txcarp.service import CARPService

#: Seconds in which several changes of role count as one.
_TOGETHER = 0.2

#: The most groups that are named for each role.
_NAMED = 5

#: How often the watchdog is fed in its time.
_FEEDS = 4

_CHANGES = (OccurrenceKind.TRANSITION, OccurrenceKind.ADDED, OccurrenceKind.REMOVED)


def watchdogOf(environment: MutableMapping[str, str]) -> float | None:
    """
    The seconds within which the service manager expects a sign of life (C{WATCHDOG_USEC},
    sd_watchdog_enabled(3)); C{None} if it does not.

    @param environment: It is removed from there, so that it does not count for scripts.
    """
    text, process = (environment.pop(f"WATCHDOG_{one}", "") for one in ("USEC", "PID"))
    if not text.isdecimal() or int(text) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(text) / 1e6


def summary(roles: Iterable[tuple[str, Role]]) -> str:
    """
    The roles of all groups in one line.

    @param roles: The name and the role of each group.
    """
    found: dict[Role, list[str]] = {}
    for name, role in roles:
        found.setdefault(role, []).append(name)
    parts = []
    words = {Role.MASTER: "master of", Role.BACKUP: "backup of", Role.INIT: "not in"}
    for role, what in words.items():
        names = found.get(role, [])
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            parts.append(f"{what} {', '.join(names[:_NAMED])}{more}")
    text = "; ".join(parts) or "no groups"
    return text[:1].upper() + text[1:]


@implementer(IOccurrenceObserver)
class Supervision(Service):
    """
    Tells the service manager when this process is ready and when it ends, the roles of its groups,
    and that its loop is on time.

    A loop that runs, but late, cannot advertise in time.  So the watchdog is not fed by a call
    that comes late.  After a single pause the next call is on time again.
    """

    def __init__(
        self, carp: CARPService, notifier: Notifier, watchdog: float | None, reactor: Any = None
    ) -> None:
        """
        @param watchdog: Seconds within which the service manager expects a sign of life; C{None}
            if it does not.
        @param reactor: Says when it runs; by default the global one.
        """
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = installed
        self._carp = carp
        self._notifier = notifier
        self._reactor = reactor
        self._clock = carp.platform.clock
        self._interval = None if watchdog is None else watchdog / _FEEDS
        self._due = 0.0
        self._later: IDelayedCall | None = None

    def startService(self) -> None:
        """
        Say that this process is ready as soon as the reactor runs.
        """
        Service.startService(self)
        self._carp.addOccurrenceObserver(self)
        self._reactor.callWhenRunning(self._ready)

    def stopService(self) -> None:
        """
        Say that this process ends.  The watchdog is fed while it leaves its groups.
        """
        Service.stopService(self)
        self._carp.removeOccurrenceObserver(self)
        if self._later is not None and self._later.active():
            self._later.cancel()
        self._notifier.tell("STOPPING=1", "STATUS=Leaving all groups")

    def occurred(self, occurrence: Occurrence) -> None:
        """
        See L{IOccurrenceObserver.occurred}.
        """
        if occurrence.kind in _CHANGES and (self._later is None or not self._later.active()):
            self._later = self._clock.callLater(_TOGETHER, self._tellStatus)

    def _ready(self) -> None:
        if self.running:
            self._notifier.tell("READY=1", self._status())
            if self._interval is not None:
                self._feed()

    def _feed(self) -> None:
        now = self._clock.seconds()
        assert self._interval is not None
        if now - self._due <= self._interval or self._due == 0.0:
            self._notifier.tell("WATCHDOG=1")
        self._due = now + self._interval
        self._clock.callLater(self._interval, self._feed)

    def _tellStatus(self) -> None:
        self._notifier.tell(self._status())

    def _status(self) -> str:
        hosts = self._carp.virtualHosts
        return f"STATUS={summary((one.configuration.display, one.role) for one in hosts)}"
