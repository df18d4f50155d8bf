"""
Everything that can happen to a virtual host, as values.

Each event is a small frozen value, so that it can be recorded, replayed and generated.  All
of them enter a running virtual host through
L{Participation.tell<txcarp.membership.participation.Participation.tell>}.  The host passes
those of the first group below to the election (L{txcarp.protocol.election}).  Those of the
second group it handles itself, or turns into events of the first.
"""

from __future__ import annotations

import enum

import attrs

from txcarp.links import Link
from txcarp.protocol.actor import Actor
from txcarp.protocol.effects import Reason
from txcarp.protocol.family import Family
from txcarp.protocol.pulse import Loss
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.timing import Peer


class HoldReason(enum.Enum):
    """
    Why a host is held back from the election.  The values are phrases for log lines.
    """

    NO_LINK = "no link"
    DEAF = "no packet can be received"
    NOT_READY = "not ready"
    STARTING = "start delay"
    RESIGNED = "handed over on request"
    DRAINED = "drained"
    UNFIT = "a required step failed"
    CHECK = "a health check is not good"
    FLAPPING = "lost mastership too often"
    SYNC = "together with its set"

    @property
    def change(self) -> Reason:
        """
        Why a master that is held back becomes backup: the L{Reason} of the same name, if there
        is one.
        """
        return Reason.__members__.get(self.name, Reason.LINK_LOST)


class Event:
    """
    Something that happened to a virtual host.  The subclasses are all the events there are.
    """

    __slots__ = ()


# Events for the election.


@attrs.frozen
class Started(Event):
    """
    The virtual host starts to take part in its group.
    """


@attrs.frozen
class Heard(Event):
    """
    A good advertisement arrived.

    @ivar peer: Its sender and what it says.
    @ivar counter: Its 64-bit counter.
    @ivar sealed: Whether it is sealed.
    @ivar pair: Which password and address set it was signed with, in the words of
        L{Keyring.recognise<txcarp.protocol.authentication.Keyring.recognise>}.
    @ivar expected: Whether it came to the group, or from a host that is known to send unicast.
    @ivar isAhead: Whether its tick shows that the group's ticks are far ahead of this host's,
        so that the group has rejected what this host sent until now.
    @ivar isOld: Whether it waited in the socket while this host did not run, so that it does not
        say who is master now.
    @ivar hasLapsed: Whether its sender sealed its advertisements before, and no longer does.
    """

    peer: Peer
    counter: int = 0
    sealed: bool = False
    pair: str = ""
    isAhead: bool = False
    expected: bool = True
    isOld: bool = False
    hasLapsed: bool = False


@attrs.frozen
class DeadlineNear(Event):
    """
    The deadline passes in a moment, unless the master is heard.
    """


@attrs.frozen
class DeadlinePassed(Event):
    """
    The master was silent for the dead time.

    @ivar lateness: Seconds from the deadline to the moment at which this was noticed.
    @ivar unread: Whether unread packets wait, which may be from the master.
    @ivar hasLooked: Whether this host has looked again since, and read everything that had
        arrived.
    """

    lateness: float = 0.0
    unread: bool = False
    hasLooked: bool = False


@attrs.frozen
class MasterVanished(Event):
    """
    The host of the master does not answer any more, and a third party does.

    @ivar losses: What was seen, in each family in which the master was heard.
    """

    losses: tuple[Loss, ...]


@attrs.frozen
class Slept(Event):
    """
    This host did not run: a master for longer than its peers wait, a backup for longer than a
    living master needs to advertise.

    @ivar pause: The seconds for which it did not run, at least.
    """

    pause: float


@attrs.frozen
class Held(Event):
    """
    This host is held back from the election from now on.

    @ivar detail: More about the reason, as text; may be empty.
    @ivar actor: Who asked for that; C{None} if nobody did.
    """

    reason: HoldReason
    detail: str = ""
    actor: Actor | None = None


@attrs.frozen
class Released(Event):
    """
    Nothing holds this host back from the election any more.
    """


@attrs.frozen
class Resigned(Event):
    """
    This host hands over, and is held back from the election from now on.

    @ivar detail: More about the reason, as text; may be empty.
    @ivar actor: Who asked for that; C{None} if nobody did.
    """

    reason: HoldReason
    detail: str = ""
    actor: Actor | None = None


@attrs.frozen
class Claimed(Event):
    """
    This host is to become master now.

    @ivar actor: Who asked for that; C{None} if nobody did.
    @ivar reason: Why: somebody asked for it, or nobody else took over.
    """

    actor: Actor | None = None
    reason: Reason = Reason.CLAIMED


@attrs.frozen
class SetTakesOver(Event):
    """
    The set to which this virtual host belongs takes over (L{txcarp.protocol.together}).

    @ivar reason: Why this host does.
    @ivar peer: The master that it displaces; C{None} if it hears none.
    @ivar detail: More about the reason, as text; may be empty.
    """

    reason: Reason
    peer: Peer | None = None
    detail: str = ""


@attrs.frozen
class DemotionChanged(Event):
    """
    A new demotion changes what this host advertises.

    @ivar offer: Whether a better host may exist, which needs an offer if it does not preempt.
    """

    offer: bool = False


@attrs.frozen
class OfferUnanswered(Event):
    """
    No host has taken over from this demoted master in the time that it gave them.
    """


@attrs.frozen
class Stopped(Event):
    """
    The virtual host takes part no longer.
    """


# Events for the host itself.


@attrs.frozen
class SetSlept(Event):
    """
    Another member of the set of this virtual host found that this host did not run for longer than
    its peers wait for a master.

    @ivar pause: The seconds for which it did not run, at least.
    """

    pause: float


@attrs.frozen
class Refused(Event):
    """
    A packet arrived, and was rejected.

    @ivar reason: Why.
    @ivar source: Its packed source address.
    @ivar detail: The offending value, as text; may be empty.
    @ivar putsOff: Whether it may all the same be of the living master, so that a backup waits.
    """

    reason: Rejection
    source: bytes
    detail: str = ""
    putsOff: bool = False


@attrs.frozen
class BeatDue(Event):
    """
    This master's next advertisement is due.
    """


@attrs.frozen
class LinkChanged(Event):
    """
    The interface of the group, or a tracked one, appeared, vanished or changed.

    @ivar name: The name of the interface.
    @ivar link: Its new state; C{None} if no interface has this name.
    """

    name: str
    link: Link | None


@attrs.frozen
class TransportChanged(Event):
    """
    This host can perhaps take part in a family in which it could not before, or the reverse.

    @ivar deaf: The families in which no packet can arrive now.
    @ivar isDeaf: Whether these are all families, and it is not known what this host lacks.
    @ivar lack: What this host lacks to take part in any family, as a phrase for log lines; empty
        if nothing.
    @ivar isOff: Whether the interface cannot have all of the virtual addresses, so that this host
        cannot be master for another moment.
    @ivar missing: The packed sources of this host that no interface has, and that it can do
        without.
    """

    deaf: frozenset[Family] = frozenset()
    isDeaf: bool = False
    lack: str = ""
    isOff: bool = False
    missing: tuple[bytes, ...] = ()


@attrs.frozen
class Demoted(Event):
    """
    A reason to demote this host was set.

    @ivar reason: The name of the reason.
    @ivar amount: What it adds to the demotion.
    @ivar actor: Who asked for that; C{None} if nobody did.
    """

    reason: str
    amount: int
    actor: Actor | None = None


@attrs.frozen
class Promoted(Event):
    """
    A reason to demote this host was cleared.

    @ivar reason: The name of the reason.
    @ivar actor: Who asked for that; C{None} if nobody did.
    """

    reason: str
    actor: Actor | None = None


@attrs.frozen
class CheckChanged(Event):
    """
    A health check has another state than before.

    @ivar name: The name of the check.
    @ivar good: Whether the new state is good.
    @ivar text: What the last run of the check said.
    """

    name: str
    good: bool
    text: str


@attrs.frozen
class Reconfigured(Event):
    """
    An administrator changed settings for which this host need not leave its group.

    @ivar settings: Each of the settings with its new value, which may be a secret.
    """

    settings: tuple[tuple[str, object], ...] = attrs.field(
        repr=lambda settings: ", ".join(name for name, _ in settings)
    )


@attrs.frozen
class ResignAsked(Event):
    """
    An administrator asked this host to hand over.

    @ivar actor: Who asked for that; C{None} if nobody did.
    """

    actor: Actor | None = None


@attrs.frozen
class DrainAsked(Event):
    """
    An administrator asked this host to stay out of the election.

    @ivar until: When that ends, in seconds of the clock; C{None} for no end.
    @ivar anyway: Whether it stays out even if no other host is master.
    @ivar actor: Who asked for that; C{None} if nobody did.
    """

    until: float | None = None
    anyway: bool = False
    actor: Actor | None = None


@attrs.frozen
class ResumeAsked(Event):
    """
    An administrator asked this host to take part in the election again, after L{DrainAsked}.

    @ivar actor: Who asked for that; C{None} if nobody did.
    """

    actor: Actor | None = None


@attrs.frozen
class HandOverEnded(Event):
    """
    The time for which a drained master waits for its successor is over.

    @ivar lateness: Seconds by which this was noticed late.
    @ivar hasLooked: Whether the packets that waited in the sockets were read before.
    """

    lateness: float = 0.0
    hasLooked: bool = False


@attrs.frozen
class DrainDecided(Event):
    """
    What L{DrainAsked} led to is decided, and the host has acted on it.
    """


@attrs.frozen
class StepFailed(Event):
    """
    A required step of becoming or being master failed.

    @ivar name: The name of the step.
    """

    name: str


@attrs.frozen
class GivenBack(Event):
    """
    A master that will resign has released everything, and can now resign.

    @ivar reason: Why it resigns.
    @ivar seconds: How long it is held back from the election afterwards; C{None} for no end.
    @ivar detail: More about the reason, as text; may be empty.
    @ivar actor: Who asked for that; C{None} if nobody did.
    """

    reason: HoldReason
    seconds: float | None
    detail: str = ""
    actor: Actor | None = None


@attrs.frozen
class HoldEnded(Event):
    """
    The time of a hold is over.
    """

    reason: HoldReason


@attrs.frozen
class FitnessAsked(Event):
    """
    A mastership step asks whether this host is still a healthy master.  As with every event,
    the host first finds out whether it slept.
    """


@attrs.frozen
class StopAsked(Event):
    """
    The service was asked to stop.

    @ivar actor: Who asked for that; C{None} if nobody did.
    """

    actor: Actor | None = None
