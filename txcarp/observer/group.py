"""
One group: who advertises in it, and what that says about who is master.

A listener hears advertisements and no thoughts.  Most changes are plain: the
master said good-bye or was silent, or somebody better spoke up, to whom it
gives way.  Somebody who speaks up without any of that is doubtful: he may be a
second master, or the successor of one that is just gone, or have lost his way
for a moment.  What both do next tells.
"""

from __future__ import annotations

from typing import Any

from txcarp.observer.claim import Reason, advantage, isTie
from txcarp.observer.events import Event, GroupKey, GroupView, Kind
from txcarp.observer.host import Host
from txcarp.observer.sighting import Sighting

#: Hosts of one group that are remembered.
MAXIMUM_HOSTS = 8

#: Seconds, at least, in which the advertisements of an old and a new master may
#: cross.
_CROSSING = 1.0

#: Intervals after which somebody who still advertises means it.  A ucarp that
#: gives way says its last word up to half a second later.
_INSISTING = 0.75


class Group:
    """
    What is heard of it.
    """

    def __init__(self, key: GroupKey, listening: float, maximumHosts: int = MAXIMUM_HOSTS) -> None:
        """
        @param listening: Since when it would have been heard.
        """
        self.key = key
        self._listening = listening
        self._maximumHosts = maximumHosts
        self._hosts: dict[bytes, Host] = {}
        self._claimants: dict[bytes, Host] = {}
        self._master: Host | None = None
        self._last: Host | None = None
        self._left = False
        self._saidSilent = False
        self._nobodySince: float | None = None
        self._twoSince: float | None = None

    @property
    def nobodySince(self) -> float | None:
        """
        Since when nobody advertises; C{None} while somebody does.
        """
        return self._nobodySince

    def listensAgain(self, now: float) -> None:
        """
        Nothing could be heard until now; the silence proves nothing.
        """
        self._listening = now

    def heard(
        self, sighting: Sighting, when: float, hardware: bytes = b"", here: bool = False
    ) -> list[Event]:
        """
        An advertisement arrived.
        """
        host = self._hosts.get(sighting.source)
        if sighting.leaving:
            return self._heardLeaving(sighting, host, when)
        events: list[Event] = []
        if host is None:
            host = Host(sighting, when)
            if not self._remember(host):
                return [self._event(Kind.TOO_MANY_HOSTS, when)]
        claims = host.source in self._claimants
        lastHeard, before, sealed = host.heard, host.claim, host.sealed
        if not claims:
            host.begin(sighting, when, self._witnessed(host, when))
        host.hear(sighting, when, hardware, here)
        if not claims:
            events += self._speaksUp(host, when, lastHeard)
        elif before != host.claim:
            events.append(self._event(Kind.CLAIM, when, host, before=before))
        if sealed != host.sealed:
            events.append(self._event(Kind.SEAL, when, host, detail=_word(sealed)))
        return events + self._settle(when)

    def tick(self, now: float) -> list[Event]:
        """
        Time passed.
        """
        events: list[Event] = []
        silent = [host for host in self._claimants.values() if host.isSilent(now, self._listening)]
        for host in silent:
            del self._claimants[host.source]
            master = self._master
            if not host.confirmed and master and not _cross(master, host, host.since):
                events.append(self._event(Kind.STRAY, now, host))
        events += self._withoutThem([host for host in silent if host.confirmed], now)
        return events + self._settle(now) + self._noticeSilence(now)

    def view(self) -> GroupView:
        """
        What is reported of it.
        """
        masters = sorted(self._confirmed(), key=lambda host: host is not self._master)
        return GroupView(
            key=self.key,
            masters=tuple(host.view() for host in masters),
            last=self._last.view() if self._last is not None and not masters else None,
            nobodySince=self._nobodySince,
            twoSince=self._twoSince,
        )

    def _remember(self, host: Host) -> bool:
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
        Whether a host that speaks up now did not do so before, unheard.
        """
        return when - self._listening > host.patience() or (
            self._last is not None and self._last.heard >= self._listening
        )

    def _speaksUp(self, host: Host, when: float, lastHeard: float) -> list[Event]:
        self._claimants[host.source] = host
        master = self._master
        if master is None:
            return [self._fillVacancy(host, when, lastHeard)]
        if self._twoSince is not None:
            return []
        if master.heard < self._listening <= when:
            return []  # nobody heard what happened before
        if master.missed(when, self._listening):
            return [self._replace(host, Reason.SILENCE, when)]
        reason = advantage(host.claim, master.claim)
        return [] if reason is None else [self._replace(host, reason, when)]

    def _fillVacancy(self, host: Host, when: float, lastHeard: float) -> Event:
        last, since = self._last, self._nobodySince
        reason = Reason.BOW_OUT if self._left else Reason.SILENCE
        if since is not None and since < self._listening <= when:
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
        There is another master in place of the one that was.
        """
        previous = self._master
        assert previous is not None
        self._claimants.pop(previous.source, None)
        previous.confirmed = False
        self._becomes(host)
        # It may have spoken up while the other still did.
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
        self._nobodySince = None

    def _settle(self, now: float) -> list[Event]:
        """
        See what has become of those who spoke up without an apparent reason.
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
                and master.missed(now, self._listening)
            ):
                events.append(self._replace(host, self._guess(host, master), now))
        return events

    def _guess(self, host: Host, master: Host) -> Reason:
        if master.heard < self._listening:
            return Reason.UNKNOWN
        if host.since - master.heard > master.claim.interval:
            return Reason.SILENCE
        return Reason.EQUAL if isTie(host.claim, master.claim) else Reason.UNKNOWN

    def _withoutThem(self, gone: list[Host], now: float) -> list[Event]:
        """
        Some that were master, or one of several, are not any more.
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
            elif successor := self._waiting(now):
                reason = Reason.BOW_OUT if self._left else Reason.SILENCE
                events.append(self._replace(successor, reason, now))
            else:
                self._nobodySince = max(host.heard for host in gone)
                self._master = None
                self._claimants.clear()
        return events

    def _waiting(self, now: float) -> Host | None:
        """
        Who has spoken up, and may go on.
        """
        hosts = [host for host in self._claimants.values() if not host.missed(now, self._listening)]
        return max(hosts, key=lambda host: host.heard, default=None)

    def _heardLeaving(self, sighting: Sighting, host: Host | None, when: float) -> list[Event]:
        if host is not None and host.source in self._claimants:
            del self._claimants[host.source]
            host.heard = max(host.heard, when)
            events = [self._event(Kind.BOW_OUT, when, host)]
            if host.confirmed:
                self._left = host is self._master
                events += self._withoutThem([host], when)
            return events
        if self._left and host is self._last:
            return []  # said twice, or to each peer
        stranger = host or Host(sighting, when)
        return [self._event(Kind.BOW_OUT, when, stranger)]

    def _noticeSilence(self, now: float) -> list[Event]:
        last, since = self._last, self._nobodySince
        if self._saidSilent or last is None or since is None:
            return []
        if not last.isSilent(now, self._listening):
            return []  # it bowed out, and somebody has yet to follow
        self._saidSilent = True
        return [self._event(Kind.SILENT, now, last, seconds=now - since)]

    def _confirmed(self) -> list[Host]:
        return [host for host in self._claimants.values() if host.confirmed]

    def _event(self, kind: Kind, when: float, host: Host | None = None, **more: Any) -> Event:
        return Event(
            kind=kind,
            when=when,
            interface=self.key.interface,
            group=self.view(),
            host=None if host is None else host.view(),
            **more,
        )


def _cross(master: Host, host: Host, when: float) -> bool:
    """
    Whether a host that speaks now may not have heard the new master yet.
    """
    return when - master.since <= max(_CROSSING, host.claim.interval)


def _word(sealed: bool | None) -> str:
    return {None: "", True: "sealed", False: "not sealed"}[sealed]
