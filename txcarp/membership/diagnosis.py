"""
Faults between the hosts of a group: counted, explained in the log, and told to observers.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.findings import Diagnosis, Finding
from txcarp.interfaces import IDiagnosisObserver
from txcarp.logs.limits import SayOnce
from txcarp.membership.memory import Memory
from txcarp.protocol.authentication import CURRENT
from txcarp.protocol.election import Standing
from txcarp.protocol.events import Heard, Refused
from txcarp.protocol.family import Family
from txcarp.protocol.rejection import Rejection

#: How many hosts are named in a minute that still use the other password or addresses.
_NOT_DONE = 32

#: Seconds in which one of two masters gives way, at least.
_PATIENCE = 0.5

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
    Finding.OTHER_KEY: "{peer} has not changed yet: it signs with the other password or set of "
    "addresses, which this host accepts until all hosts have changed",
    Finding.REPLAY: "somebody sends old or altered advertisements in the name of {peer}: this "
    "host ignores them",
    Finding.UNSEALED: "{peer} sends without a seal: somebody forges its advertisements, or "
    "another program runs there now. If that is so, remove the address from the state file "
    "and start again",
}

_FINDINGS = {
    Rejection.VRRP: Finding.VRRP,
    Rejection.OWN_ECHO: Finding.OWN_ECHO,
    Rejection.OWN_SOURCE: Finding.SAME_SOURCE,
    Rejection.REPLAY: Finding.REPLAY,
    Rejection.UNSEALED: Finding.UNSEALED,
}

#: The log lines of other refusals, in ucarp's words.  The rest is only counted.
_WARNINGS = {
    Rejection.TTL: "Bad TTL: [{detail}]",
    Rejection.VERSION: "Bad version: [{detail}]",
    Rejection.CHECKSUM: "Bad IP checksum",
}


class Diagnostics:
    """
    Finds out what is wrong from what is heard and refused, and writes at most one line a
    minute about each kind of fault, whatever arrives.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        clock: IReactorTime,
        memory: Memory,
        observers: Sequence[IDiagnosisObserver],
    ) -> None:
        """
        @param memory: Has the counts.
        @param observers: Are told each finding; others may be added to it later.
        """
        self._vhid = configuration.vhid
        self._interface = configuration.interface
        self._debug = configuration.debug
        self._clock = clock
        self._memory = memory
        self._observers = observers
        # Apart from the rest: without seals, an attacker with a capture can invent hosts.
        self._otherKeys = SayOnce(clock, maximumKeys=_NOT_DONE)
        self._rivalSince: float | None = None
        self._rivalLast = 0.0

    def heard(self, heard: Heard, own: Standing | None) -> None:
        """
        Look at an advertisement that was believed.

        @param own: The facts about this host, if it is master, too.
        """
        peer = heard.peer
        if heard.pair != CURRENT:
            self.found(Finding.OTHER_KEY, peer.source, heard.pair)
        if own is not None:
            if peer.timing == own.timing and not own.dialect.breaksTies:
                self.found(Finding.EQUAL_TIMING, peer.source)
            self._rival(peer.source, max(own.timing.interval, _PATIENCE))

    def refused(self, refused: Refused) -> None:
        """
        Count a packet that was not believed, and explain it.
        """
        reason, source = refused.reason, refused.source
        self._memory.rejected[reason] += 1
        if self._debug:
            why = f"{reason.value}: {refused.detail}" if refused.detail else reason.value
            self._log.debug("Dropped from {source}: {why}", source=textOf(source), why=why)
        if reason is Rejection.DIGEST:
            known = self._memory.peers.knows(source)
            self.found(Finding.WRONG_KEY if known else Finding.FOREIGN_GROUP, source)
        elif reason in _FINDINGS:
            self.found(_FINDINGS[reason], source, refused.detail)
        elif reason in _WARNINGS:
            omitted = self._memory.limits.ready(reason)
            if omitted is not None:
                self._log.warn(
                    "{what} (vhid {vhid}, from {source}{more})",
                    what=_WARNINGS[reason].format(detail=refused.detail),
                    vhid=self._vhid,
                    source=textOf(source),
                    more=_moreLikeIt(omitted),
                )

    def familySilent(self, silent: Family, heard: Family) -> None:
        """
        The master is heard in one family, and not in the other.
        """
        self.found(
            Finding.FAMILY_SILENT, more=f"{heard.value} is heard, {silent.value} is not"
        )

    def found(self, finding: Finding, peer: bytes = b"", more: str = "") -> None:
        """
        Count a finding, write it to the log if that is due, and tell the observers.

        @param peer: The packed address of the other host.
        @param more: What else is known, for people.
        """
        self._memory.findings[finding] += 1
        who = textOf(peer) if peer else ""
        # An administrator has to know of each host that has not changed yet.
        if finding is Finding.OTHER_KEY:
            omitted = self._otherKeys.ready(peer)
        else:
            omitted = self._memory.limits.ready(finding)
        if omitted is None and not self._observers:
            return
        explanation = _EXPLANATIONS[finding].format(peer=who or "a host", vhid=self._vhid)
        if more:
            explanation += f" ({more})"
        if omitted is not None:
            self._log.warn(
                "{explanation} ({name}, vhid {vhid} on {interface}{more})",
                name=finding.value,
                explanation=explanation,
                vhid=self._vhid,
                interface=self._interface,
                more=_moreLikeIt(omitted),
            )
        diagnosis = Diagnosis(finding, self._vhid, self._interface, who, explanation)
        for observer in list(self._observers):
            try:
                observer.found(diagnosis)
            except Exception:
                self._log.failure("An observer of vhid {vhid} failed", vhid=self._vhid)

    def roleChanged(self) -> None:
        """
        Forget the other master: this host is not master any more, or has just become it.
        """
        self._rivalSince = None

    def _rival(self, peer: bytes, patience: float) -> None:
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


def _moreLikeIt(omitted: int) -> str:
    return f"; {omitted} more like it since the last line" if omitted else ""
