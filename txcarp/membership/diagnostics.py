"""
Faults between the hosts of a group: counted, explained in the log, and reported to observers.
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
from txcarp.membership.observers import tellAll
from txcarp.occurrences import OccurrenceKind
from txcarp.protocol.election import Standing
from txcarp.protocol.events import Heard, Refused
from txcarp.protocol.family import Family
from txcarp.protocol.rejection import Rejection

#: The most hosts that are named for one finding within the time between two lines about a host.
_MAXIMUM_NAMED = 32

#: The findings of which each host gets a line, and the seconds between two lines about one.  A host
#: that is believed although it is no peer may be there for years.
_EACH_PEER = {Finding.OTHER_KEY: 60.0, Finding.UNLISTED_PEER: 86400.0}

#: The number of hosts of which the first bad digest is remembered.
_MAXIMUM_STRANGERS = 64

#: Seconds within which the advertisements arrive that a host sends at one moment, each with another
#: password or for other addresses.
_ONE_BEAT = 0.1

#: Intervals without a good advertisement after which a peer is no longer a member of the group.
_OVERDUE = 2.5

#: The minimum time, in seconds, that one of two masters has to give way.
_PATIENCE = 0.5

_BAD_DIGEST = "Bad digest - Check vhid, password and virtual IP address: "

#: The log line of each finding, with the host and the number of the group.
EXPLANATIONS = {
    Finding.WRONG_KEY: _BAD_DIGEST + "{peer} was a member of this group, but now signs with "
    "another password or set of addresses. Both must be the same on all hosts",
    Finding.FOREIGN_GROUP: _BAD_DIGEST + "{peer} uses vhid {vhid} with another password or set "
    "of addresses. If it belongs to another group, give that group another vhid. Otherwise "
    "correct its configuration",
    Finding.VRRP: "{peer} uses VRRP with the virtual router ID {vhid}. Both protocols work side by "
    "side, but their virtual hardware addresses are the same: if both groups use them, give one "
    "of the groups another number",
    Finding.EQUAL_TIMING: "{peer} advertises the same advbase and advskew as this host, and this "
    "dialect has no tie-break: give each host an advskew of its own",
    Finding.OWN_ECHO: "Advertisements of this host come back to it. Look for a loop in the "
    "network, or a switch or hypervisor that reflects packets",
    Finding.SAME_SOURCE: "Another host of this group sends from {peer}, the source address of this "
    "host. Each takes the other's advertisements for its own, and both become master: give each "
    "host a source address (-s) that no other host has",
    Finding.FAMILY_SILENT: "{peer} is heard in one address family only: its advertisements of the "
    "other family are lost. Check firewalls and multicast snooping",
    Finding.TWO_MASTERS: "{peer} is also master: it does not receive the advertisements of this "
    "host, or it rejects them. See its log, and check the network in that direction",
    Finding.OTHER_KEY: "{peer} has not been changed yet: it signs only with another password or "
    "set of addresses. Keep that on this host until {peer} has the current one, too",
    Finding.UNLISTED_PEER: "{peer} sends its advertisements to this host alone, and is not one of "
    "its peers. This host believes them, because they are signed with the password of the group. "
    "Add the address to its peers (--peer {peer}), or let that host send from an address that is "
    "one of them",
    Finding.REPLAY: "Somebody sends old or altered advertisements in the name of {peer}. This host "
    "ignores them. Find out which host on this network sends them",
    Finding.UNSEALED: "{peer} sends advertisements without a seal. This host ignores them: either "
    "somebody forges them, or {peer} now runs another program, such as ucarp. In that case this "
    "host believes it after some advertisements, or at once after 'txcarp forget {peer}' here; "
    "with --seal require it believes none",
    Finding.SEAL_ENDED: "{peer} no longer seals its advertisements. They are new, so {peer} now "
    "runs another program, such as ucarp, and this host believes it from now on. Others can alter "
    "such advertisements unnoticed: to refuse them, set --seal require",
    Finding.NO_MASTER: "No host is heard as master of this group, and this host does not take over "
    "because it is drained. To end that, run 'txcarp resume' here",
    Finding.NO_RESET: "This host cannot end TCP connections, as reset_connections demands. Clients "
    "that only wait for an answer of this host will not notice that an address has left it. Use "
    "another kernel, or remove reset_connections",
    Finding.SIDE_SILENT: "The master is silent on this side of its set, and is heard on another. "
    "Either this host is deaf on this side, or the master is mute there, and clients do not reach "
    "it. Look at the switch ports of both hosts",
    Finding.GUARD_ENDED: "The guard, the process that would give up the place of master if txcarp "
    "dies, has ended. txcarp starts another one. Find out what ended it: its end is logged, too",
    Finding.NO_WITNESS: "{peer} answers the probe, but no witness does. Without one, this host "
    "cannot tell a dead master from a broken cable of its own, and waits for the dead time as "
    "without a probe. Name a host on this link that always answers (--witness ADDRESS)",
    Finding.PROBE_MISLED: "{peer} did not answer the probe, and this host took over, but {peer} "
    "was alive. Find out why it did not answer: a paused virtual machine, a switch that changed "
    "its paths, a limit for ARP. A longer --probe tolerates longer pauses",
}

_FINDINGS = {
    Rejection.VRRP: Finding.VRRP,
    Rejection.OWN_ECHO: Finding.OWN_ECHO,
    Rejection.OWN_SOURCE: Finding.SAME_SOURCE,
    Rejection.REPLAY: Finding.REPLAY,
    Rejection.UNSEALED: Finding.UNSEALED,
}

#: The log lines for other reasons, in ucarp's words.  The remaining reasons are only counted.
_WARNINGS = {
    Rejection.TTL: "Bad TTL: [{detail}]. Advertisements leave with 255, so a router is between the "
    "hosts (give them peers), or another program has made this one",
    Rejection.VERSION: "Bad version: [{detail}]. This host knows version 2 of CARP only",
    Rejection.CHECKSUM: "Bad IP checksum. The packet was damaged on its way, or made by hand",
}


class Diagnostics:
    """
    Recognizes faults in the packets that are accepted and rejected.  It logs each kind of fault
    at most once a minute, whatever arrives.
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
        @param observers: Called with each finding.  The caller may change the list.
        """
        self._vhid = configuration.vhid
        self._interface = configuration.interface
        self._debug = configuration.debug
        self._follows = configuration.followPeers
        self._clock = clock
        self._memory = memory
        self._observers = observers
        # Separate from other lines: without seals, an attacker with a captured advertisement can
        # invent hosts.
        self._eachPeer: dict[Finding, SayOnce] = {}
        #: When each host sent the first bad digest since its last good advertisement.
        self._strangers: dict[bytes, float] = {}
        self._rivalSince: float | None = None
        self._rivalLast = 0.0

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Log rejected packets, or stop that.
        """
        self._debug = configuration.debug

    def heard(self, heard: Heard, own: Standing | None) -> None:
        """
        Examine an accepted advertisement.

        @param own: The facts about this host if it is also master.
        """
        peer = heard.peer
        if not heard.expected and not self._follows:
            self.found(Finding.UNLISTED_PEER, peer.source)
        if heard.hasLapsed:
            self.found(Finding.SEAL_ENDED, peer.source)
        if own is not None:
            if peer.timing == own.timing and not own.dialect.breaksTies:
                self.found(Finding.EQUAL_TIMING, peer.source)
            self._rival(peer.source, max(own.timing.interval, _PATIENCE))

    def refused(self, refused: Refused) -> None:
        """
        Count a rejected packet, and log the reason.
        """
        reason, source = refused.reason, refused.source
        self._memory.rejected[reason] += 1
        if self._debug:
            why = f"{reason.value}: {refused.detail}" if refused.detail else reason.value
            self._log.debug("Dropped from {source}: {why}", source=textOf(source), why=why)
        if reason is Rejection.DIGEST:
            self._unknownKey(source)
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

    def _unknownKey(self, source: bytes) -> None:
        """
        Report a digest that was made with an unknown password or set of addresses, unless its
        sender is a member of the group that advertises with a known one, too.  This host waits for
        that until the next interval.
        """
        now, peer = self._clock.seconds(), self._memory.peers.last(source)
        since = self._strangers.pop(source, now)
        if peer is not None and peer.heard >= since:
            since = now
        self._strangers[source] = since
        if len(self._strangers) > _MAXIMUM_STRANGERS:
            # Some host invents addresses.
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            self.found(Finding.FOREIGN_GROUP, oldest)
        if now - since <= _ONE_BEAT:
            return
        if peer is None:
            self.found(Finding.FOREIGN_GROUP, source)
        elif now - peer.heard > _OVERDUE * peer.timing.interval:
            self.found(Finding.WRONG_KEY, source)

    def familySilent(self, silent: Family, heard: Family) -> None:
        """
        Report that the master is heard in one family, but not in the other.
        """
        self.found(Finding.FAMILY_SILENT, more=f"{heard.value} is heard, {silent.value} is not")

    def found(self, finding: Finding, peer: bytes = b"", more: str = "") -> None:
        """
        Count a finding, log it unless that was done within the last minute, and call the
        observers.

        @param peer: The packed address of the other host; empty if it is not known.
        @param more: Details for people; may be empty.
        """
        self._memory.findings[finding] += 1
        who = textOf(peer) if peer else ""
        # An administrator must know each host that is to be changed.
        if finding in _EACH_PEER and finding not in self._eachPeer:
            interval = _EACH_PEER[finding]
            self._eachPeer[finding] = SayOnce(self._clock, interval, _MAXIMUM_NAMED)
        eachPeer = self._eachPeer.get(finding)
        omitted = eachPeer.ready(peer) if eachPeer else self._memory.limits.ready(finding)
        if omitted is None and not self._observers:
            return
        explanation = EXPLANATIONS[finding].format(peer=who or "a host", vhid=self._vhid)
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
            rival = finding is Finding.TWO_MASTERS
            self._memory.chronicle.note(
                OccurrenceKind.TWO_MASTERS if rival else OccurrenceKind.FINDING,
                finding.value,
                f"finding {finding.value}",
                explanation,
                peer=who,
            )
        diagnosis = Diagnosis(finding, self._vhid, self._interface, who, explanation)
        tellAll(
            self._observers,
            lambda observer: observer.found(diagnosis),
            "findings",
            self._vhid,
            self._interface,
        )

    def roleChanged(self) -> None:
        """
        Forget another master, because this host became or ceased to be master.
        """
        self._rivalSince = None

    def _rival(self, peer: bytes, patience: float) -> None:
        """
        Note that this host and a peer are both master, and report it if that lasts.

        @param patience: Seconds that one of them has to give way.
        """
        now = self._clock.seconds()
        if self._rivalSince is None or now - self._rivalLast > 2 * patience:
            self._rivalSince = now
        self._rivalLast = now
        since = now - self._rivalSince
        if since > patience:
            self._memory.chronicle.timeline.rival(peer, since)
            self.found(Finding.TWO_MASTERS, peer, f"for {since:.1f} s so far")


def _moreLikeIt(omitted: int) -> str:
    return f"; {omitted} more like it since the last line" if omitted else ""
