"""
One group: which host is master, as its advertisements show.

Most changes are clear at once: the master bowed out or fell silent, or a
preferred host began to advertise, to which the master yields.  A host that
begins to advertise without any of these is in doubt.  It may be a second
master, the successor of a master that has just died, or a host that advertised
by mistake.  What both hosts send next decides.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from txcarp.observer.events import Event, GroupKey, GroupView, Kind, Reason
from txcarp.observer.host import Host
from txcarp.observer.sighting import CARPClaim, Claim, Sighting
from txcarp.observer.vrrp import VRRPClaim

#: Hosts of one group to remember.
MAXIMUM_HOSTS = 8

#: Seconds, at least, in which the advertisements of an old and a new master may
#: cross.
_CROSSING = 1.0

#: Intervals after which a host that still advertises is not about to yield.  A
#: ucarp that yields sends its last advertisement up to half a second later.
_INSISTING = 0.75

_SEAL_WORDS = {None: "", True: "sealed", False: "not sealed"}


def advantage(claim: Claim, other: Claim) -> Reason | None:
    """
    Why a claim is preferred to another one; C{None} if it is not.

    @raise TypeError: If the claims are of different protocols.
    """
    match claim, other:
        case CARPClaim(), CARPClaim():
            if claim.demotion != other.demotion:
                return Reason.DEMOTION if claim.demotion < other.demotion else None
            return Reason.TIMING if claim.timing < other.timing else None
        case VRRPClaim(), VRRPClaim():
            return Reason.PRIORITY if claim.priority > other.priority else None
    raise TypeError(f"{claim} and {other} are of different protocols")


class Group:
    """
    The hosts of one group.

    @ivar listening: Since when its advertisements can be heard.  Silence before
        that proves nothing.
    @ivar nobodySince: When the last master fell silent; C{None} while a host
        advertises, and before the first.
    """

    def __init__(self, key: GroupKey, listening: float, maximumHosts: int = MAXIMUM_HOSTS) -> None:
        self.listening = listening
        self.nobodySince: float | None = None
        self._key = key
        self._maximumHosts = maximumHosts
        self._hosts: dict[bytes, Host] = {}
        self._claimants: dict[bytes, Host] = {}
        self._master: Host | None = None
        self._last: Host | None = None
        self._left = False
        self._saidSilent = False
        self._twoSince: float | None = None

    def heard(
        self, sighting: Sighting, when: float, hardware: bytes = b"", here: bool = False
    ) -> list[Event]:
        """
        Take in an advertisement.
        """
        host = self._hosts.get(sighting.source)
        if sighting.leaving:
            return self._heardLeaving(sighting, host, when)
        if host is None:
            host = Host(sighting, sighting.claim, when, when)
            if not self._remember(host):
                return [self._event(Kind.TOO_MANY_HOSTS, when)]
        claims = host.source in self._claimants
        lastHeard, before, sealed = host.heard, host.claim, host.sealed
        if not claims:
            host.begin(sighting, when, self._witnessed(host, when))
        host.hear(sighting, when, hardware, here)
        events: list[Event] = []
        if not claims:
            events += self._begins(host, when, lastHeard)
        elif before != host.claim:
            events.append(self._event(Kind.CLAIM, when, host, before=before))
        if sealed != host.sealed:
            events.append(self._event(Kind.SEAL, when, host, detail=_SEAL_WORDS[sealed]))
        return events + self._settle(when)

    def tick(self, now: float) -> list[Event]:
        """
        Look for hosts that have fallen silent.
        """
        events: list[Event] = []
        silent = [host for host in self._claimants.values() if host.isSilent(now, self.listening)]
        for host in silent:
            del self._claimants[host.source]
            master = self._master
            if not host.confirmed and master and not _cross(master, host):
                events.append(self._event(Kind.STRAY, now, host))
        events += self._remove([host for host in silent if host.confirmed], now)
        return events + self._settle(now) + self._noticeSilence(now)

    def view(self) -> GroupView:
        """
        What is reported of the group.
        """
        masters = sorted(self._confirmed(), key=lambda host: host is not self._master)
        return GroupView(
            key=self._key,
            masters=tuple(map(copy, masters)),
            last=None if masters else copy(self._last),
            nobodySince=self.nobodySince,
            twoSince=self._twoSince,
        )

    def _remember(self, host: Host) -> bool:
        """
        Make room for a host, at the cost of the one that was heard longest ago.

        @return: Whether there is room.
        """
        if len(self._hosts) >= self._maximumHosts:
            idle = [
                known
                for known in self._hosts.values()
                if known.source not in self._claimants and known is not self._last
            ]
            if not idle:
                return False
            del self._hosts[min(idle, key=lambda known: known.heard).source]
        self._hosts[host.source] = host
        return True

    def _witnessed(self, host: Host, when: float) -> bool:
        """
        Whether a host that begins to advertise could not have begun earlier
        without being heard.
        """
        return when - self.listening > host.patience() or (
            self._last is not None and self._last.heard >= self.listening
        )

    def _begins(self, host: Host, when: float, lastHeard: float) -> list[Event]:
        self._claimants[host.source] = host
        master = self._master
        if master is None:
            return [self._fillVacancy(host, when, lastHeard)]
        if self._twoSince is not None:
            return []
        if master.heard < self.listening <= when:
            return []  # what happened before was not heard
        if master.missed(when, self.listening):
            return [self._replace(host, Reason.SILENCE, when)]
        reason = advantage(host.claim, master.claim)
        return [] if reason is None else [self._replace(host, reason, when)]

    def _fillVacancy(self, host: Host, when: float, lastHeard: float) -> Event:
        last, since = self._last, self.nobodySince
        reason = Reason.BOW_OUT if self._left else Reason.SILENCE
        if since is not None and since < self.listening <= when:
            reason = Reason.UNKNOWN
        self._becomes(host)
        if last is None or since is None:
            return self._event(Kind.GROUP, when, host)
        if last is host:
            return self._event(Kind.RETURNED, when, host, seconds=when - lastHeard)
        return self._event(
            Kind.MASTER, when, host, previous=last.source, reason=reason, seconds=when - since
        )

    def _replace(self, host: Host, reason: Reason, when: float) -> Event:
        """
        Make a host the master in place of the present one.
        """
        previous = self._master
        assert previous is not None
        self._claimants.pop(previous.source, None)
        previous.confirmed = False
        self._becomes(host)
        # The new master may have begun while the old one still advertised.
        began = host.since if host.since > previous.heard else when
        return self._event(
            Kind.MASTER,
            when,
            host,
            previous=previous.source,
            reason=reason,
            seconds=max(0.0, began - previous.heard),
            before=previous.claim,
        )

    def _becomes(self, host: Host) -> None:
        host.confirmed = True
        self._master = self._last = host
        self._left = self._saidSilent = False
        self.nobodySince = None

    def _settle(self, now: float) -> list[Event]:
        """
        Decide about hosts that began to advertise without an apparent reason.
        """
        events: list[Event] = []
        for host in [host for host in self._claimants.values() if not host.confirmed]:
            master = self._master
            assert master is not None
            insists = host.heard - host.since > _INSISTING * host.claim.interval
            if insists and master.heard > host.since:
                host.confirmed = True
                if self._twoSince is None:
                    self._twoSince = host.since
                events.append(self._event(Kind.TWO_MASTERS, now, host))
            elif (
                self._twoSince is None
                and host.heard > master.heard
                and master.missed(now, self.listening)
            ):
                events.append(self._replace(host, self._guess(host, master), now))
        return events

    def _guess(self, host: Host, master: Host) -> Reason:
        if master.heard < self.listening:
            return Reason.UNKNOWN
        if host.since - master.heard > master.claim.interval:
            return Reason.SILENCE
        better = advantage(host.claim, master.claim) or advantage(master.claim, host.claim)
        return Reason.UNKNOWN if better else Reason.EQUAL

    def _remove(self, gone: list[Host], now: float) -> list[Event]:
        """
        Take hosts that were master, or one of several, off the masters.
        """
        for host in gone:
            host.confirmed = False
        confirmed = self._confirmed()
        events: list[Event] = []
        if gone and len(confirmed) <= 1:
            since, self._twoSince = self._twoSince, None
            if since is not None and confirmed:
                ended = max(host.heard for host in gone)
                self._becomes(confirmed[0])
                events.append(
                    self._event(Kind.ONE_MASTER, now, confirmed[0], seconds=max(0.0, ended - since))
                )
        if self._master in gone:
            if confirmed:
                self._becomes(min(confirmed, key=lambda host: host.since))
            elif successor := self._successor(now):
                reason = Reason.BOW_OUT if self._left else Reason.SILENCE
                events.append(self._replace(successor, reason, now))
            else:
                self.nobodySince = max(host.heard for host in gone)
                self._master = None
                self._claimants.clear()
        return events

    def _successor(self, now: float) -> Host | None:
        """
        The host in doubt that advertised last, unless its next advertisement is
        overdue.
        """
        hosts = [host for host in self._claimants.values() if not host.missed(now, self.listening)]
        return max(hosts, key=lambda host: host.heard, default=None)

    def _heardLeaving(self, sighting: Sighting, host: Host | None, when: float) -> list[Event]:
        if host is not None and host.source in self._claimants:
            del self._claimants[host.source]
            host.heard = max(host.heard, when)
            events = [self._event(Kind.BOW_OUT, when, host)]
            if host.confirmed:
                self._left = host is self._master
                events += self._remove([host], when)
            return events
        if self._left and host is self._last:
            return []  # sent twice, or to each peer
        stranger = host or Host(sighting, sighting.claim, when, when)
        return [self._event(Kind.BOW_OUT, when, stranger)]

    def _noticeSilence(self, now: float) -> list[Event]:
        last, since = self._last, self.nobodySince
        if self._saidSilent or last is None or since is None:
            return []
        if not last.isSilent(now, self.listening):
            return []  # it bowed out, and a successor may still come
        self._saidSilent = True
        return [self._event(Kind.SILENT, now, last, seconds=now - since)]

    def _confirmed(self) -> list[Host]:
        return [host for host in self._claimants.values() if host.confirmed]

    def _event(self, kind: Kind, when: float, host: Host | None = None, **more: Any) -> Event:
        return Event(
            kind=kind,
            when=when,
            interface=self._key.interface,
            group=self.view(),
            host=copy(host),
            **more,
        )


def _cross(master: Host, host: Host) -> bool:
    """
    Whether a host that advertises may not have heard the new master yet.
    """
    return host.since - master.since <= max(_CROSSING, host.claim.interval)
