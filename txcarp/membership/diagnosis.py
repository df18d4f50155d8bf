"""
Names for what goes wrong between the hosts of a group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.findings import Diagnosis, Finding
from txcarp.interfaces import IDiagnosisObserver
from txcarp.logs.limits import SayOnce
from txcarp.protocol.rejection import Rejection

#: How many hosts are named in a minute that still use the other key.
_NOT_DONE = 32

_BAD_DIGEST = "Bad digest - Check vhid, password and virtual IP address: "

_EXPLANATIONS = {
    Finding.WRONG_KEY: _BAD_DIGEST + "{peer}, which was a member of this group, now signs with "
    "another password or set of addresses: they must be the same on all hosts",
    Finding.FOREIGN_GROUP: _BAD_DIGEST + "{peer} uses vhid {vhid} with another password or set "
    "of addresses. It belongs to another group, which needs a vhid of its own, or is "
    "configured wrongly",
    Finding.VRRP: "{peer} speaks VRRP with the number {vhid}: both protocols work, but with "
    "virtual hardware addresses two hosts would have the same one",
    Finding.EQUAL_TIMING: "{peer} has the same advbase and advskew as this host, and this "
    "dialect has no tie-break: give them different ones",
    Finding.OWN_ECHO: "advertisements of this host come back to it: a loop in the network, or a "
    "hypervisor that reflects them",
    Finding.SAME_SOURCE: "another host of this group sends from {peer}, the source of this host. "
    "Neither hears the other, and both become master: give each its own (-s), an address that "
    "only it has",
    Finding.FAMILY_SILENT: "{peer} is heard in one family only: the advertisements of the other "
    "are lost on the way",
    Finding.TWO_MASTERS: "{peer} is master, too: it does not hear this host, or does not "
    "accept what it hears",
    Finding.OTHER_KEY: "{peer} still signs with what is accepted besides",
    Finding.REPLAY: "somebody repeats old advertisements, or changed ones, as {peer}: they are "
    "not believed",
    Finding.UNSEALED: "{peer} sends without a seal: somebody forges its advertisements, or "
    "another program runs there now. If that is so, remove the address from the state file "
    "and start again",
}

_REJECTIONS = {
    Rejection.VRRP: Finding.VRRP,
    Rejection.OWN_ECHO: Finding.OWN_ECHO,
    Rejection.OWN_SOURCE: Finding.SAME_SOURCE,
    Rejection.REPLAY: Finding.REPLAY,
    Rejection.UNSEALED: Finding.UNSEALED,
}


class Diagnostics:
    """
    Counts what is seen, tells observers, and says it once a minute at most.

    @ivar counts: How often each was seen.
    """

    _log = Logger()

    def __init__(
        self, vhid: int, interface: str, clock: IReactorTime, sayOnce: SayOnce
    ) -> None:
        self.counts: Counter[Finding] = Counter()
        self.observers: list[IDiagnosisObserver] = []
        self._vhid = vhid
        self._interface = interface
        self._clock = clock
        self._sayOnce = sayOnce
        # Apart from the rest: without seals, who has a capture can make hosts up.
        self._sayOfEach = SayOnce(clock, maximumKeys=_NOT_DONE)
        self._rivalSince: float | None = None
        self._rivalLast = 0.0

    def found(self, finding: Finding, peer: bytes = b"", more: str = "") -> None:
        """
        Something was seen.

        @param peer: The packed address of the other host.
        @param more: What else is known, for people.
        """
        self.counts[finding] += 1
        who = textOf(peer) if peer else ""
        # Who is not done yet has to be known of each.
        if finding is Finding.OTHER_KEY:
            ready = self._sayOfEach.ready(peer)
        else:
            ready = self._sayOnce.ready(finding)
        if ready is None and not self.observers:
            return
        explanation = _EXPLANATIONS[finding].format(peer=who or "a host", vhid=self._vhid)
        if more:
            explanation += f" ({more})"
        if ready is not None:
            self._log.warn(
                "{explanation} ({name}, vhid {vhid} on {interface}{left})",
                name=finding.value,
                explanation=explanation,
                vhid=self._vhid,
                interface=self._interface,
                left=f"; {ready} more like it since the last line" if ready else "",
            )
        diagnosis = Diagnosis(finding, self._vhid, self._interface, who, explanation)
        for observer in list(self.observers):
            try:
                observer.found(diagnosis)
            except Exception:
                self._log.failure("An observer of vhid {vhid} failed", vhid=self._vhid)

    def refused(
        self, reason: Rejection, peer: bytes, detail: str, isPeer: Callable[[bytes], bool]
    ) -> None:
        """
        A packet was not believed.

        @param isPeer: Whether a good advertisement came from there before.
        """
        if reason is Rejection.DIGEST:
            self.found(Finding.WRONG_KEY if isPeer(peer) else Finding.FOREIGN_GROUP, peer)
        elif reason in _REJECTIONS:
            self.found(_REJECTIONS[reason], peer, detail)

    def rival(self, peer: bytes, patience: float) -> None:
        """
        This host is master, and hears another.  Two masters that hear each
        other are nothing to speak of unless it lasts.

        @param patience: Seconds in which one of them has to give way.
        """
        now = self._clock.seconds()
        if self._rivalSince is None or now - self._rivalLast > 2 * patience:
            self._rivalSince = now
        self._rivalLast = now
        since = now - self._rivalSince
        if since > patience:
            self.found(Finding.TWO_MASTERS, peer, f"for {since:.1f} s now")

    def noRival(self) -> None:
        """
        This host is not master any more, or has just become it.
        """
        self._rivalSince = None
