"""
The state of a virtual host at one moment, as one frozen value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs

from txcarp.change import Readiness, StepState
from txcarp.findings import Finding
from txcarp.protocol.effects import Role
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.timing import Timing
from txcarp.status.parts import (
    AddressStatus,
    CheckStatus,
    FamilyStatus,
    HoldStatus,
    Note,
    PastChange,
    PastOccurrence,
    PeerStatus,
    ProbeStatus,
    StepStatus,
    SyncStatus,
    spoken,
)

#: Problems because of which two hosts may be master, in few words after the address of the other.
_RIVALS = {
    Finding.WRONG_KEY.value: "has another password or other addresses",
    Finding.FOREIGN_GROUP.value: "has another password or other addresses",
    Finding.SAME_SOURCE.value: "is the source of another host, too",
    Finding.TWO_MASTERS.value: "is master, too",
}

#: Seconds for which such a problem is present.  It is reported once a minute while it lasts.
_PRESENT = 75.0


@attrs.frozen(kw_only=True)
class Status:
    """
    The state of a virtual host.

    @ivar name: The name of the virtual host, such as C{eth0:7}.
    @ivar title: The name of the group in the configuration file; C{None} if it has none.
    @ivar interface: The name of its interface.
    @ivar vhid: Its virtual host ID.
    @ivar time: When this snapshot was taken, in seconds since 1970.
    @ivar running: Whether it takes part in its group, or is about to leave it.
    @ivar since: Seconds since it got its present role; C{None} if it has never run.
    @ivar readiness: How far it is with acquiring or releasing what belongs to mastership.
    @ivar master: The address of the master that this host hears, or an empty string.
    @ivar peers: The known other hosts, the one heard last at the end.
    @ivar sync: The set to which it belongs; C{None} for none.
    @ivar checks: The health checks; none if it does not take part in its group.
    @ivar demotions: The reasons for demoting this host, with their amounts.
    @ivar demotion: The sum of the amounts.
    @ivar configured: The configured timing.
    @ivar advertised: The timing that this host advertises, or would as master.
    @ivar dialect: The name of the dialect.
    @ivar deadline: Seconds until this host takes over, unless it hears a master before;
        C{None} if it is not waiting for that.
    @ivar received: The number of good advertisements heard.
    @ivar sent: The number of advertisements sent.
    @ivar sendErrors: The number of advertisements that could not be sent.
    @ivar announced: The number of announcements of addresses (gratuitous ARP, unsolicited
        neighbour advertisements) since this host began to take part in its group.
    @ivar families: What was sent and heard in each family in which it takes part: C{"IPv4"},
        C{"IPv6"}.
    @ivar pauses: How often this host found that it did not run for so long that what it knew could
        be out of date: because the machine slept or was overloaded, for example.
    @ivar contested: The seconds in which this host was master and heard another master.
    @ivar vacant: The seconds in which this host heard no master, and was none.  A gap counts when
        it ends.
    @ivar rejected: The number of rejected packets, by reason.  The kernel drops packets that are
        too short, or have another hop limit, version or destination.  Of those, a few in a second
        are read and counted (L{txcarp.network.sample.SAMPLE}).
    @ivar findings: The number of occurrences of each kind of problem in the group.
    @ivar changes: The last changes of role, the newest at the end.
    @ivar history: What may have led to them: holds, demotions, results of checks, lost leases, and
        the last time of each problem between the hosts; the newest at the end.
    @ivar probes: What the probe knows of the host of the master, for each family in which the
        master is heard; none without a probe, or if this host is no backup.
    @ivar steps: The steps of a master, in the order in which they are acquired; none if it does
        not take part in its group.
    @ivar forms: The passwords and address sets with each of which this host advertises, or would
        as master, in words (L{Form.label<txcarp.protocol.authentication.Form>}); none if it takes
        no part in its group.  There are several only while the group changes them.
    """

    name: str
    title: str | None
    interface: str
    vhid: int
    time: float
    running: bool
    role: Role
    since: float | None
    readiness: Readiness
    master: str
    peers: Sequence[PeerStatus]
    addresses: Sequence[AddressStatus]
    holds: Sequence[HoldStatus]
    demotions: Mapping[str, int]
    demotion: int
    configured: Timing
    advertised: Timing
    dialect: str
    deadline: float | None
    received: int
    sent: int
    sendErrors: int
    rejected: Counter[Rejection]
    findings: Counter[Finding]
    changes: Sequence[PastChange]
    sync: SyncStatus | None = None
    checks: Sequence[CheckStatus] = ()
    history: Sequence[PastOccurrence] = ()
    steps: Sequence[StepStatus] = ()
    forms: Sequence[str] = ()
    announced: int = 0
    families: Mapping[str, FamilyStatus] = attrs.field(factory=dict)
    pauses: int = 0
    contested: float = 0.0
    vacant: float = 0.0
    probes: Sequence[ProbeStatus] = ()

    @property
    def complete(self) -> bool:
        """
        Whether it is master, and has acquired everything that belongs to that.
        """
        return self.readiness is Readiness.READY

    @property
    def problem(self) -> str:
        """
        What is not in order, as a clause; an empty string if all is well.
        """
        if not self.running:
            return "this host takes no part in it"
        if self.holds:
            held = ", ".join(hold.explain() for hold in self.holds)
            return f"this host is held back from the election ({held})"
        if failing := [one.name for one in self.checks if one.health != "good"]:
            names = ", ".join(failing)
            if len(failing) == 1:
                return f"the check {names} is not good"
            return f"the checks {names} are not good"
        if self.role is Role.MASTER and not self.complete:
            return "this master is not ready"
        if self.role is not Role.MASTER and not self.master:
            return "no master is heard"
        return ""

    @property
    def notes(self) -> list[Note]:
        """
        What a table has no column for: what this host is busy with, what failed, why it is held
        back or demoted, and why another host may be master, too.
        """
        notes = []
        if self.readiness in (Readiness.ACQUIRING, Readiness.RELEASING):
            # A step that takes long or hangs is what this host waits for.
            doing = [one.name for one in self.steps if one.state.value == self.readiness.value]
            notes.append(Note(" ".join([self.readiness.value, *doing])))
        notes += [Note(f"{one.name} failed") for one in self.steps if one.state is StepState.FAILED]
        if self.demotion:
            notes.append(Note(f"demoted {self.demotion}"))
        if self.sync is not None:
            notes += [Note(f"master silent on {one}") for one in self.sync.silent]
            if self.sync.insists:
                notes.append(Note("took over because of a silent side"))
        notes += [one.note() for one in self.holds]
        notes += [Note(f"also {form}") for form in self.forms[1:]]
        notes += [note for note in (probe.note() for probe in self.probes) if note is not None]
        notes += [Note(f"{peer.source} not changed") for peer in self.peers if peer.isBehind]
        notes += [
            Note(f"{one.occurrence.peer} {_RIVALS[one.occurrence.reason]}")
            for one in self.history
            if one.occurrence.reason in _RIVALS and one.age < _PRESENT
        ]
        if not self.running:
            notes.append(Note("not running"))
        return notes

    def lines(self) -> Iterator[str]:
        """
        Yield the lines that a log shows of this status.  The first one is ucarp's.
        """
        title = f" ({self.title})" if self.title else ""
        yield f"{self.role.value} on {self.interface} id {self.vhid}{title}"
        if self.holds:
            reasons = ", ".join(sorted(hold.explain() for hold in self.holds))
            yield f"Held back from the election: {reasons}"
        if self.demotions:
            reasons = ", ".join(f"{amount} for {why}" for why, amount in self.demotions.items())
            yield f"Demoted by {self.demotion}: {reasons}"
        if self.sync is not None:
            silent = ", ".join(self.sync.silent)
            more = f"; the master is silent on {silent}" if silent else ""
            yield f"Set {self.sync.name}: {', '.join(self.sync.groups)}{more}"
        for check in self.checks:
            if check.health != "good":
                yield f"Check {check.name} is {check.health} ({check.consequence}): {check.text}"
        for probe in self.probes:
            if not probe.canAct:
                yield probe.explain()
        for step in self.steps:
            if step.state not in (StepState.WAITING, StepState.ACQUIRED):
                being = "" if step.state is StepState.FAILED else "is "
                yield f"{step.name.capitalize()} {being}{step.explain()}"
        if len(self.forms) > 1:
            yield f"Each advertisement is sent {len(self.forms)} times: with {spoken(self.forms)}"
        for peer in self.peers:
            seal = ", sealed" if peer.sealed else ""
            signed = f", signed with {spoken(peer.forms)}" if peer.forms else ""
            yield (
                f"Peer {peer.source}: advbase {peer.timing.advbase} advskew "
                f"{peer.timing.advskew}{seal}{signed}, heard {peer.age:.1f} s ago"
            )
