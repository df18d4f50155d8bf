"""
One group: which host is master, as its advertisements show.

Most changes are clear at once: the master bowed out or fell silent, or a preferred host began to
advertise, to which the master yields.  A host that begins to advertise without any of these is in
doubt.  It may be a second master, the successor of a master that has just died, or a host that
advertised by mistake.  What both hosts send next decides.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from txcarp.observer.host import TOGETHER, ObservedHost
from txcarp.observer.reports import Cause, GroupKey, GroupView, Kind, Report
from txcarp.observer.sighting import CARPClaim, Claim, Sighting
from txcarp.observer.verification import NOTHING, Proof
from txcarp.observer.vrrp import VRRPClaim

#: Hosts of one group to remember.
MAXIMUM_HOSTS = 8

#: Seconds, at least, in which the advertisements of an old and a new master may cross.
_CROSSING = 1.0

#: Intervals after which a host that still advertises is not about to yield.  A ucarp that yields
#: sends its last advertisement up to half a second later.
_INSISTING = 0.75

_SEAL_WORDS = {None: "", True: "sealed", False: "not sealed"}


def advantage(claim: Claim, other: Claim) -> Cause | None:
    """
    Why a claim is preferred to another one; C{None} if it is not.

    @raise TypeError: If the claims are of different protocols.
    """
    match claim, other:
        case CARPClaim(), CARPClaim():
            if claim.demotion != other.demotion:
                return Cause.DEMOTION if claim.demotion < other.demotion else None
            return Cause.TIMING if claim.timing < other.timing else None
        case VRRPClaim(), VRRPClaim():
            return Cause.PRIORITY if claim.priority > other.priority else None
    raise TypeError(f"{claim} and {other} are of different protocols")


class Group:
    """
    The hosts of one group.

    @ivar listening: Since when its advertisements can be heard.  Silence before that proves
        nothing.
    @ivar nobodySince: When the last master fell silent; C{None} while a host advertises, and
        before the first.
    """

    def __init__(self, key: GroupKey, listening: float) -> None:
        self.listening = listening
        self.nobodySince: float | None = None
        self._key = key
        self._hosts: dict[bytes, ObservedHost] = {}
        #: The hosts that advertise.
        self._claimants: dict[bytes, ObservedHost] = {}
        self._master: ObservedHost | None = None
        #: The newest master, also after its end.
        self._last: ObservedHost | None = None
        #: How it ended, if it did.
        self._ending = Cause.SILENCE
        self._reportedSilence = False
        self._twoSince: float | None = None

    def heard(
        self,
        sighting: Sighting,
        when: float,
        hardware: bytes = b"",
        here: bool = False,
        proof: Proof = NOTHING,
    ) -> list[Report]:
        """
        Take in an advertisement.

        @param proof: What is known for certain about it.
        """
        host = self._hosts.get(sighting.source)
        isStranger = host is not None and host.verified is False
        isForged = sighting.leaving and proof.verified is False and not isStranger
        if proof.isReplay or isForged:
            # No member of the group believes this.
            sender = ObservedHost(sighting, sighting.claim, when, when, verified=proof.verified)
            return [self._report(Kind.REPLAY if proof.isReplay else Kind.DIGEST, when, sender)]
        if sighting.leaving:
            return self._heardLeaving(sighting, host, when)
        if host is None:
            host = ObservedHost(sighting, sighting.claim, when, when)
            if not self._remember(host):
                return [self._report(Kind.TOO_MANY_HOSTS, when)]
        claims = host.source in self._claimants
        lastHeard, before, sealed = host.heard, host.claim, host.sealed
        verified = host.verified
        if not claims:
            host.begin(sighting, when, self._witnessed(host, when))
        host.hear(sighting, when, hardware, here, proof)
        reports: list[Report] = []
        if not claims:
            reports += self._begins(host, when, lastHeard)
        elif before != host.claim:
            reports.append(self._report(Kind.CLAIM, when, host, before=before))
        if sealed != host.sealed:
            reports.append(self._report(Kind.SEAL, when, host, detail=_SEAL_WORDS[sealed]))
        if verified != host.verified and (host.verified is False or verified is False):
            reports.append(self._report(Kind.DIGEST, when, host))
        return reports + self._settle(when)

    def tick(self, now: float) -> list[Report]:
        """
        Look for hosts that have fallen silent.
        """
        reports: list[Report] = []
        silent = [host for host in self._claimants.values() if host.isSilent(now, self.listening)]
        for host in silent:
            del self._claimants[host.source]
            master = self._master
            if not host.confirmed and master and not _cross(master, host):
                reports.append(self._report(Kind.STRAY, now, host))
        reports += self._remove([host for host in silent if host.confirmed], now)
        return reports + self._settle(now) + self._noticeSilence(now)

    def view(self) -> GroupView:
        """
        The group as reports show it.
        """
        masters = sorted(self._confirmed(), key=lambda host: host is not self._master)
        return GroupView(
            key=self._key,
            masters=tuple(map(copy, masters)),
            last=None if masters else copy(self._last),
            nobodySince=self.nobodySince,
            twoSince=self._twoSince,
        )

    def _remember(self, host: ObservedHost) -> bool:
        """
        Make room for a host, at the cost of the one that was heard longest ago.

        @return: Whether there is room.
        """
        if len(self._hosts) >= MAXIMUM_HOSTS:
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

    def _witnessed(self, host: ObservedHost, when: float) -> bool:
        """
        Whether a host that begins to advertise could not have begun earlier without being heard.
        """
        return when - self.listening > host.patience() or (
            self._last is not None and self._last.heard >= self.listening
        )

    def _begins(self, host: ObservedHost, when: float, lastHeard: float) -> list[Report]:
        self._claimants[host.source] = host
        master = self._master
        if master is None:
            return [self._fillVacancy(host, when, lastHeard)]
        if self._twoSince is not None:
            return []
        if master.heard < self.listening <= when:
            return []  # what happened before was not heard
        if master.missed(when, self.listening):
            return [self._replace(master, host, Cause.SILENCE, when)]
        cause = advantage(host.claim, master.claim)
        return [] if cause is None else [self._replace(master, host, cause, when)]

    def _fillVacancy(self, host: ObservedHost, when: float, lastHeard: float) -> Report:
        last, since = self._last, self.nobodySince
        deaf = since is not None and since < self.listening <= when
        cause = Cause.UNKNOWN if deaf else self._ending
        self._becomes(host)
        if last is None or since is None:
            return self._report(Kind.GROUP, when, host)
        if last is host:
            return self._report(Kind.RETURNED, when, host, seconds=when - lastHeard)
        return self._report(
            Kind.MASTER, when, host, previous=last.source, cause=cause, seconds=when - since
        )

    def _replace(
        self, previous: ObservedHost, host: ObservedHost, cause: Cause, when: float
    ) -> Report:
        """
        Make a host the master in place of the present one.
        """
        self._claimants.pop(previous.source, None)
        previous.confirmed = False
        self._becomes(host)
        # The new master may have begun while the old one still advertised.
        began = host.since if host.since > previous.heard else when
        return self._report(
            Kind.MASTER,
            when,
            host,
            previous=previous.source,
            cause=cause,
            seconds=max(0.0, began - previous.heard),
            before=previous.claim,
        )

    def _becomes(self, host: ObservedHost) -> None:
        host.confirmed = True
        self._master = self._last = host
        self._ending, self._reportedSilence = Cause.SILENCE, False
        self.nobodySince = None

    def _settle(self, now: float) -> list[Report]:
        """
        Decide about hosts that began to advertise without an apparent cause.
        """
        reports: list[Report] = []
        for host in [host for host in self._claimants.values() if not host.confirmed]:
            master = self._master
            assert master is not None
            insists = host.heard - host.since > _INSISTING * host.claim.interval
            if insists and master.heard > host.since:
                host.confirmed = True
                if self._twoSince is None:
                    self._twoSince = host.since
                reports.append(self._report(Kind.TWO_MASTERS, now, host))
            elif (
                self._twoSince is None
                and host.heard > master.heard
                and master.missed(now, self.listening)
            ):
                reports.append(self._replace(master, host, self._guess(host, master), now))
        return reports

    def _guess(self, host: ObservedHost, master: ObservedHost) -> Cause:
        if master.heard < self.listening:
            return Cause.UNKNOWN
        if host.since - master.heard > master.claim.interval:
            return Cause.SILENCE
        better = advantage(host.claim, master.claim) or advantage(master.claim, host.claim)
        return Cause.UNKNOWN if better else Cause.EQUAL

    def _remove(self, gone: list[ObservedHost], now: float) -> list[Report]:
        """
        Remove hosts from the masters.
        """
        if not gone:
            return []
        for host in gone:
            host.confirmed = False
        confirmed = self._confirmed()
        ended = max(host.heard for host in gone)
        reports: list[Report] = []
        if len(confirmed) <= 1:
            since, self._twoSince = self._twoSince, None
            if since is not None and confirmed:
                seconds = max(0.0, ended - since)
                self._becomes(confirmed[0])
                reports.append(self._report(Kind.ONE_MASTER, now, confirmed[0], seconds=seconds))
        if self._master in gone:
            if confirmed:
                self._becomes(min(confirmed, key=lambda host: host.since))
            elif successor := self._successor(now):
                reports.append(self._replace(self._master, successor, self._ending, now))
            else:
                self.nobodySince = ended
                self._master = None
                self._claimants.clear()
        return reports

    def _successor(self, now: float) -> ObservedHost | None:
        """
        The host in doubt that advertised last, unless its next advertisement is overdue.
        """
        hosts = [host for host in self._claimants.values() if not host.missed(now, self.listening)]
        return max(hosts, key=lambda host: host.heard, default=None)

    def _heardLeaving(
        self, sighting: Sighting, host: ObservedHost | None, when: float
    ) -> list[Report]:
        if host is not None and host.source in self._claimants:
            del self._claimants[host.source]
            host.heard = max(host.heard, when)
            reports = [self._report(Kind.BOW_OUT, when, host)]
            if host.confirmed:
                self._ending = Cause.BOW_OUT if host is self._master else Cause.SILENCE
                reports += self._remove([host], when)
            return reports
        if self._ending is Cause.BOW_OUT and host is self._last:
            return []  # sent twice, or to each peer
        if host is not None and when - host.heard < TOGETHER:
            return []  # signed with another password, and heard after the reply of another host
        stranger = host or ObservedHost(sighting, sighting.claim, when, when)
        return [self._report(Kind.BOW_OUT, when, stranger)]

    def _noticeSilence(self, now: float) -> list[Report]:
        last, since = self._last, self.nobodySince
        if self._reportedSilence or last is None or since is None:
            return []
        if not last.isSilent(now, self.listening):
            return []  # it bowed out, and a successor may still come
        self._reportedSilence = True
        return [self._report(Kind.SILENT, now, last, seconds=now - since)]

    def _confirmed(self) -> list[ObservedHost]:
        return [host for host in self._claimants.values() if host.confirmed]

    def _report(
        self, kind: Kind, when: float, host: ObservedHost | None = None, **more: Any
    ) -> Report:
        return Report(kind, when, self._key.interface, self.view(), copy(host), **more)


def _cross(master: ObservedHost, host: ObservedHost) -> bool:
    """
    Whether a host that advertises may not have heard the new master yet.
    """
    return host.since - master.since <= max(_CROSSING, host.claim.interval)
