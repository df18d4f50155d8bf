"""
What the state of a virtual host consists of.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from txcarp.change import Change, Runs, StepState
from txcarp.occurrences import Occurrence
from txcarp.protocol.actor import Actor
from txcarp.protocol.authentication import CURRENT
from txcarp.protocol.events import HoldReason
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
        limit = "" if self.limit is None else f", and may take {self.limit:g} s"
        if self.state is StepState.ACQUIRING:
            return f"still being acquired after {self.since:.1f} s{limit}"
        if self.state is StepState.RELEASING:
            return f"still being released after {self.since:.1f} s{limit}"
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
