"""
All groups on all interfaces: packets and times go in, reports come out.

Nothing in this module waits, reads a clock or a socket, or raises because of a packet.  Memory is
bounded, whatever a network sends.
"""

from __future__ import annotations

from txcarp.observer.group import Group
from txcarp.observer.reports import GroupKey, GroupView, Kind, Report
from txcarp.observer.sighting import look
from txcarp.observer.verification import NOTHING, Verifier
from txcarp.protocol.envelope import Packet
from txcarp.protocol.rejection import Rejected, Rejection

#: Groups to remember.  One interface can have 1020: two protocols and two families with 255
#: numbers each.
MAXIMUM_GROUPS = 1024

#: Seconds after which a group without a master makes room for another.
_FORGOTTEN = 3600.0

#: Seconds between two ticks from which this program must have been stopped, and may have missed
#: packets.
_PAUSE = 2.0


class Watch:
    """
    The groups of the observed interfaces.

    @ivar deaf: The interfaces on which nothing can be heard, with C{DOWN} or C{GONE}.
    """

    def __init__(
        self, maximumGroups: int = MAXIMUM_GROUPS, verifier: Verifier | None = None
    ) -> None:
        """
        @param verifier: Knows the password of a group; C{None} if nobody does.
        """
        self._verifier = verifier
        self._maximumGroups = maximumGroups
        self._groups: dict[GroupKey, Group] = {}
        self._listening: dict[str, float] = {}
        self.deaf: dict[str, Kind] = {}
        self._lastTick: float | None = None

    def listens(self, now: float, interface: str) -> list[Report]:
        """
        Note that an interface is listened to, for the first time or again.
        """
        detail = "again" if self.deaf.pop(interface, None) is not None else ""
        self._listening[interface] = now
        for key, group in self._groups.items():
            if key.interface == interface:
                group.listening = now
        return [Report(Kind.LISTENING, now, interface, detail=detail)]

    def deafened(self, now: float, interface: str, kind: Kind) -> list[Report]:
        """
        Note that nothing can be heard on an interface, until L{listens}.

        @param kind: C{DOWN} or C{GONE}.
        @return: No report if that was known.
        """
        if self.deaf.get(interface) is kind:
            return []
        self.deaf[interface] = kind
        return [Report(kind, now, interface)]

    def heard(
        self, when: float, interface: str, packet: Packet, hardware: bytes = b"", here: bool = False
    ) -> list[Report]:
        """
        Take in a packet.

        @param hardware: The link-layer address that sent it.
        @param here: Whether this machine sent it.
        """
        try:
            sighting = look(packet)
        except Rejected as rejected:
            if rejected.reason is Rejection.PROTOCOL:
                return []  # the socket filter drops these
            detail = str(rejected)
            return [Report(Kind.IGNORED, when, interface, source=packet.source, detail=detail)]
        key = GroupKey(interface, sighting.protocol, sighting.vhid, packet.family)
        group = self._groups.get(key)
        if group is None:
            if not self._hasRoom(when):
                detail = str(self._maximumGroups)
                return [Report(Kind.TOO_MANY_GROUPS, when, interface, detail=detail)]
            group = self._groups[key] = Group(key, self._listening.get(interface, when))
        proof = NOTHING
        if self._verifier is not None:
            proof = self._verifier.judge(sighting, interface, when)
        return group.heard(sighting, when, hardware, here, proof)

    def tick(self, now: float) -> list[Report]:
        """
        Look for hosts that have fallen silent.  Call this several times a second.
        """
        if self._lastTick is not None and now - self._lastTick > _PAUSE:
            for group in self._groups.values():
                group.listening = now
        self._lastTick = now
        reports: list[Report] = []
        for key, group in self._groups.items():
            if key.interface not in self.deaf:
                reports += group.tick(now)
        return reports

    def groups(self) -> list[GroupView]:
        """
        The groups, sorted for people: those with several masters first.
        """
        views = [self._groups[key].view() for key in sorted(self._groups)]
        return sorted(views, key=lambda view: len(view.masters) < 2)

    def _hasRoom(self, now: float) -> bool:
        if len(self._groups) < self._maximumGroups:
            return True
        for key, group in self._groups.items():
            since = group.nobodySince
            if since is not None and now - since > _FORGOTTEN:
                del self._groups[key]
                return True
        return False
