"""
What has happened to a virtual host: remembered, and reported to observers.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from txcarp.addresses import textOf
from txcarp.change import Change
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IOccurrenceObserver
from txcarp.membership.observers import tellAll
from txcarp.membership.peers import Succession
from txcarp.membership.timeline import Timeline
from txcarp.occurrences import Occurrence, OccurrenceKind, ofChange
from txcarp.protocol.actor import Actor

#: The number of occurrences that are remembered, besides changes of role.
REMEMBERED = 20

#: What may lead to a change of role, and is remembered.
_CAUSES = frozenset(
    (
        OccurrenceKind.HOLD,
        OccurrenceKind.RELEASE,
        OccurrenceKind.DEMOTION,
        OccurrenceKind.CHECK,
        OccurrenceKind.LEASE_LOST,
        OccurrenceKind.TWO_MASTERS,
        OccurrenceKind.FINDING,
    )
)

#: What is reported again and again for as long as it lasts.  Only the last time is remembered, so
#: that it does not push the rest out.
_LASTING = frozenset((OccurrenceKind.TWO_MASTERS, OccurrenceKind.FINDING))


class Chronicle:
    """
    Tells observers what happens to a virtual host, and remembers what may explain its role.

    @ivar observers: Called with each occurrence.  While there are none, changes of role need not
        be told.
    @ivar timeline: Who was master when.
    @ivar past: The last occurrences besides changes of role, each with its time in seconds of the
        clock.
    """

    def __init__(
        self,
        clock: IReactorTime,
        configuration: VirtualHostConfiguration,
        timeline: Timeline,
    ) -> None:
        self._clock = clock
        self.timeline = timeline
        self.observers: list[IOccurrenceObserver] = []
        self.past: list[tuple[float, Occurrence]] = []
        self.adopt(configuration)

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Call the group by another name.
        """
        self._group = configuration.title or configuration.name
        self._interface = configuration.interface
        self._vhid = configuration.vhid

    def note(
        self,
        kind: OccurrenceKind,
        reason: str,
        what: str,
        why: str = "",
        *,
        actor: Actor | None = None,
        peer: str = "",
        **facts: str | int,
    ) -> None:
        """
        Remember and report what has happened.  The parameters are those of L{Occurrence}.
        """
        occurrence = Occurrence(
            kind,
            self._group,
            self._interface,
            self._vhid,
            reason,
            what,
            why,
            actor,
            peer,
            facts,
        )
        if kind in _LASTING:
            for one in [one for one in self.past if _isSame(one[1], occurrence)]:
                self.past.remove(one)
        if kind in _CAUSES:
            self.past.append((self._clock.seconds(), occurrence))
            del self.past[:-REMEMBERED]
        if kind is OccurrenceKind.HOLD:
            self.timeline.held(reason)
        self._report(occurrence)

    def otherMaster(self, new: Succession) -> None:
        """
        Report that another host is master than before.
        """
        source = textOf(new.source)
        previous = "" if new.previous is None else textOf(new.previous)
        self.note(
            OccurrenceKind.MASTER,
            new.reason,
            f"{source} is the new master",
            f"in place of {previous} ({new.reason})" if previous else "",
            peer=source,
            previous=previous,
        )

    def changed(self, change: Change) -> None:
        """
        Report a change of role.
        """
        self._report(ofChange(change, self._group))

    def _report(self, occurrence: Occurrence) -> None:
        if self.observers:
            tellAll(
                self.observers,
                lambda observer: observer.occurred(occurrence),
                "occurrences",
                self._vhid,
                self._interface,
            )


def _isSame(past: Occurrence, new: Occurrence) -> bool:
    """
    Whether the same was reported of the same host.
    """
    return (past.kind, past.reason, past.peer) == (new.kind, new.reason, new.peer)
