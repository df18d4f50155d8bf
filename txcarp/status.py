"""
The state of a virtual host at one moment, as one frozen value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs

from txcarp.change import Change, Readiness, Runs, StepState
from txcarp.findings import Finding
from txcarp.occurrences import Occurrence
from txcarp.protocol.actor import Actor
from txcarp.protocol.authentication import CURRENT
from txcarp.protocol.effects import Role
from txcarp.protocol.events import HoldReason
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.timing import Timing


def spoken(forms: Sequence[str]) -> str:
    """
    A phrase for several passwords and address sets.

    @param forms: Their labels (L{Form.label<txcarp.protocol.authentication.Form>}).
    """
    words = ["the current password and addresses" if one == CURRENT else one for one in forms]
    return ", with ".join(words)


@attrs.frozen
class PeerStatus:
    """
    The last advertisement of another host.

    @ivar source: Its source address.
    @ivar demotion: OpenBSD's demotion counter.
    @ivar sealed: Whether it was sealed.
    @ivar forms: With which of several passwords and address sets the host signs, in words
        (L{Form.label<txcarp.protocol.authentication.Form>}); none if this host knows one only.
    @ivar age: Seconds since it arrived.
    @ivar number: How many advertisements of the host were heard since it became known.
    """

    source: str
    timing: Timing
    demotion: int
    sealed: bool
    forms: Sequence[str]
    age: float
    number: int = 1

    @property
    def isBehind(self) -> bool:
        """
        Whether the host signs with other passwords or address sets only, and not with the current
        ones of this host.
        """
        return bool(self.forms) and CURRENT not in self.forms


@attrs.frozen
class FamilyStatus:
    """
    What was sent and heard in one family.

    @ivar received: The number of good advertisements heard.
    @ivar sent: The number of packets with advertisements that were sent: one for each password or
        address set with which this host signs, and for each configured peer.
    @ivar sendErrors: The number of packets that could not be sent.
    """

    received: int
    sent: int
    sendErrors: int


@attrs.frozen
class AddressStatus:
    """
    One of the shared addresses.

    @ivar text: The address with its prefix length.
    @ivar held: Whether this program holds it on lease; C{None} if scripts add the addresses,
        so that this program does not know.
    @ivar lease: Seconds until the lease ends unless it is renewed; C{None} without a lease.
    """

    text: str
    held: bool | None = None
    lease: float | None = None


@attrs.frozen
class Note:
    """
    A few words for a table.

    @ivar remaining: Seconds until this ends; C{None} if nobody knows.
    """

    text: str
    remaining: float | None = None


@attrs.frozen
class HoldStatus:
    """
    A reason that holds this host back from the election.

    @ivar remaining: Seconds until the hold ends; C{None} if it has no fixed end.
    @ivar detail: More about the reason, as text; may be empty.
    @ivar actor: Who asked for it; C{None} if nobody did.
    """

    reason: HoldReason
    remaining: float | None
    detail: str = ""
    actor: Actor | None = None

    def explain(self) -> str:
        """
        Return the reason as a phrase for a log line.
        """
        return f"{self.reason.value} ({self.detail})" if self.detail else self.reason.value

    def note(self) -> Note:
        """
        Return the reason for a table.  Only a drain has an end that somebody chose.
        """
        if self.reason is not HoldReason.DRAINED:
            return Note(self.explain())
        by = "" if self.actor is None else f" by {self.actor.name or self.actor.uid}"
        return Note(f"drained{by}", self.remaining)


@attrs.frozen
class CheckStatus:
    """
    A health check.

    @ivar name: Its name.
    @ivar health: C{"good"}, C{"bad"}, or C{"unknown"} before the first result.
    @ivar consequence: What follows while it is not good: C{"unfit"}, or a phrase such as
        C{"demoted by 50"}.
    @ivar since: Seconds since its health changed, or it was started.
    @ivar outcome: How the last run ended: C{"passed"}, C{"failed"} or C{"timeout"}; empty if none
        has.
    @ivar text: What the last run said.
    @ivar next: Seconds until the next run.
    @ivar runs: How often it was run, and how long that took.
    """

    name: str
    health: str
    consequence: str
    since: float
    outcome: str
    text: str
    next: float | None
    runs: Runs = attrs.field(factory=Runs)


@attrs.frozen
class StepStatus:
    """
    One of the steps of a master: something that it acquires, and releases afterwards.

    @ivar name: Its name, such as C{address} or C{step haproxy}.
    @ivar since: Seconds since the state began.
    @ivar text: Why the step failed, if that is how it last ended; empty otherwise.
    @ivar required: Whether a host where it fails must not be master.
    @ivar limit: Seconds that acquiring or releasing it may take; C{None} for no limit.
    @ivar acquired: How often it was acquired, and how long that took.
    @ivar released: How often it was released, and how long that took.
    """

    name: str
    state: StepState
    since: float
    text: str
    required: bool
    limit: float | None
    acquired: Runs = attrs.field(factory=Runs)
    released: Runs = attrs.field(factory=Runs)

    def explain(self) -> str:
        """
        Return the state as a phrase.
        """
        limit = "" if self.limit is None else f", of {self.limit:g} s at most"
        if self.state is StepState.ACQUIRING:
            return f"being acquired for {self.since:.1f} s{limit}"
        if self.state is StepState.RELEASING:
            return f"being released for {self.since:.1f} s{limit}"
        return f"failed: {self.text}" if self.state is StepState.FAILED else self.state.value


@attrs.frozen
class ProbeStatus:
    """
    What the probe knows of the host of a master.

    @ivar master: The address that is asked for.
    @ivar state: C{"searching"} if the host does not answer, or not always; C{"arming"} if it has
        not answered often enough yet; C{"armed"} if it answers, so that its silence means
        something; C{"lost"} if it is gone; C{"suspended"} if it is not asked because its silence
        was no death; C{"unable"} if it cannot be asked.
    @ivar interval: Seconds between two questions.
    @ivar witnesses: The addresses of the witnesses that answered when they were asked last.
    @ivar asked: The number of questions.
    @ivar answered: The number of those that were answered.
    @ivar missed: The number of those that were not, although an answer was expected.
    @ivar suspended: Seconds until it is asked again; C{None} if it is not suspended.
    @ivar problem: Why it cannot be asked, as a phrase; empty if it can.
    @ivar delay: Seconds within which this host takes over if the other one is gone.
    """

    master: str
    state: str
    interval: float
    witnesses: Sequence[str]
    asked: int
    answered: int
    missed: int
    suspended: float | None = None
    problem: str = ""
    delay: float = 0.0

    @property
    def canAct(self) -> bool:
        """
        Whether this host takes over if the other one no longer answers.
        """
        return self.state == "armed" and bool(self.witnesses)

    def note(self) -> Note | None:
        """
        Return, for a table, why the probe cannot act; C{None} if it can, or soon will.
        """
        if self.state == "armed" and not self.witnesses:
            return Note("no witness answers the probe")
        if self.state == "searching":
            return Note(f"{self.master} does not answer the probe")
        if self.state == "suspended":
            return Note("probe suspended", self.suspended)
        return Note(f"no probe: {self.problem}") if self.state == "unable" else None

    def explain(self) -> str:
        """
        Return the state as a sentence.
        """
        who, every = self.master, f"every {self.interval * 1000:g} ms"
        match self.state:
            case "unable":
                return f"The probe cannot ask {who}: {self.problem}."
            case "suspended":
                return (
                    f"The probe does not ask {who} for {self.suspended or 0:.0f} s more, because "
                    "it did not answer while it was alive."
                )
            case "lost":
                return f"{who} does not answer the probe, and a witness does."
            case "armed" if self.canAct:
                return (
                    f"{who} answers the probe {every}. If it no longer does and "
                    f"{' or '.join(self.witnesses)} still answers, this host takes over within "
                    f"{self.delay * 1000:.0f} ms."
                )
            case "armed":
                return (
                    f"{who} answers the probe {every}, but no witness does, so that the probe "
                    "cannot act."
                )
            case "arming":
                return f"{who} has begun to answer the probe {every}."
        return f"{who} does not answer the probe, so that only its advertisements count."


@attrs.frozen
class SyncStatus:
    """
    The set to which a virtual host belongs: all of its members are master, or none is.

    @ivar name: Its name.
    @ivar groups: The names of all members.
    @ivar silent: Those on whose side the master is silent while another side hears it.
    @ivar preferred: Those on whose side this host would take over from the master that it hears.
    @ivar insists: Whether this host took over because of a silent side, and therefore advertises as
        the most preferred host.
    """

    name: str
    groups: Sequence[str]
    silent: Sequence[str] = ()
    preferred: Sequence[str] = ()
    insists: bool = False


@attrs.frozen
class PastChange:
    """
    An earlier change of role.

    @ivar age: Seconds since then.
    """

    age: float
    change: Change


@attrs.frozen
class PastOccurrence:
    """
    Something that happened.

    @ivar age: Seconds since then.
    """

    age: float
    occurrence: Occurrence


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
    @ivar rejected: The number of rejected packets, by reason.
    @ivar findings: The number of occurrences of each kind of problem in the group.
    @ivar changes: The last changes of role, the newest at the end.
    @ivar history: What may have led to them: holds, demotions, results of checks and lost leases,
        the newest at the end.
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
        back or demoted.
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
                yield f"{step.name.capitalize()} is {step.explain()}"
        if len(self.forms) > 1:
            yield f"Each advertisement is sent {len(self.forms)} times: with {spoken(self.forms)}"
        for peer in self.peers:
            seal = ", sealed" if peer.sealed else ""
            signed = f", signed with {spoken(peer.forms)}" if peer.forms else ""
            yield (
                f"Peer {peer.source}: advbase {peer.timing.advbase} advskew "
                f"{peer.timing.advskew}{seal}{signed}, heard {peer.age:.1f} s ago"
            )


@attrs.frozen
class NetlinkStatus:
    """
    The conversation of a process with the kernel.

    @ivar overruns: How often messages of the kernel were lost.  Everything is listed anew then.
    @ivar malformed: The number of its messages that could not be understood.
    @ivar lists: How often links or addresses were listed: at the start, and after each overrun.
    """

    overruns: int = 0
    malformed: int = 0
    lists: int = 0


@attrs.frozen
class GuardStatus:
    """
    The guard of a process.

    @ivar running: Whether its process runs.
    @ivar starts: How often one was started.
    @ivar wills: The number of groups that have a will now.
    @ivar acted: How often a guard gave back what this host held of a group, because txcarp had died
        or hung.  With a state file, this includes the guards of earlier processes.
    @ivar actedAt: When that happened last, in seconds since 1970; C{None} if it never did.
    """

    running: bool
    starts: int
    wills: int
    acted: int
    actedAt: float | None


@attrs.frozen
class PlatformStatus:
    """
    The state of what all virtual hosts of a process share.

    @ivar guard: The guard; C{None} if there is none.
    """

    netlink: NetlinkStatus = attrs.field(factory=NetlinkStatus)
    guard: GuardStatus | None = None
