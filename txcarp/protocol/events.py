"""
Everything that can happen to a virtual host, as values.

Each event is a small frozen value, so that it can be written down, replayed and generated.
A running virtual host has one door for them,
L{Participation.tell<txcarp.membership.participation.Participation.tell>}.  The first group
below goes to the election as it is (L{txcarp.protocol.election}); the host translates the
second group into events of the first, or carries it out itself.
"""

from __future__ import annotations

import enum

import attrs

from txcarp.links import Link
from txcarp.protocol.family import Family
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.timing import Peer


class HoldReason(enum.Enum):
    """
    What keeps a host out of the election.  The values are the words of log lines.
    """

    NO_LINK = "no link"
    DEAF = "nothing can be heard"
    STARTING = "just started"
    RESIGNED = "handed over a moment ago"
    UNFIT = "a required step failed"
    FLAPPING = "became backup too often"


class Event:
    """
    Something that happened to a virtual host.  The subclasses are all there are.
    """


# Events that the election decides about.


@attrs.frozen
class Started(Event):
    """
    The virtual host begins to take part.
    """


@attrs.frozen
class Heard(Event):
    """
    A good advertisement arrived.

    @ivar peer: Its sender, and what it says about itself.
    @ivar counter: Its 64-bit counter.
    @ivar sealed: Whether it is sealed.
    @ivar pair: The password and addresses that it was signed with, in the words of
        L{txcarp.protocol.authentication.Keyring.recognise}.
    @ivar isAhead: Whether the group turned out to be so far ahead of this host's ticks
        that nobody believed what this host sent until now.
    """

    peer: Peer
    counter: int = 0
    sealed: bool = False
    pair: str = ""
    isAhead: bool = False


@attrs.frozen
class DeadlinePassed(Event):
    """
    Nothing was heard of the master for the dead time.

    @ivar lateness: Seconds from the deadline to the moment at which this was noticed.
    @ivar unread: Whether packets wait that may speak for the master.
    """

    lateness: float = 0.0
    unread: bool = False


@attrs.frozen
class Slept(Event):
    """
    This host did not run for longer than its peers were willing to wait.

    @ivar pause: Seconds.
    """

    pause: float


@attrs.frozen
class Held(Event):
    """
    Something keeps this host out of the election from now on.

    @ivar reason: What.
    """

    reason: HoldReason


@attrs.frozen
class Released(Event):
    """
    Nothing keeps this host out of the election any more.
    """


@attrs.frozen
class Resigned(Event):
    """
    This host hands over, and stays out of the election for a while.

    @ivar unfit: Whether that is because it cannot do the work of a master; otherwise
        somebody asked for it.
    """

    unfit: bool = False


@attrs.frozen
class Claimed(Event):
    """
    An administrator wants this host to be master.
    """


@attrs.frozen
class DemotionChanged(Event):
    """
    This host advertises another timing or demotion than before.

    @ivar offer: Whether it is demoted, and a better host may be there to take its place.
    """

    offer: bool = False


@attrs.frozen
class OfferUnanswered(Event):
    """
    No host took the place of a demoted master on hearing that it is demoted.
    """


@attrs.frozen
class Stopped(Event):
    """
    The virtual host takes no part any more.
    """


# Events that the host translates, or carries out itself.


@attrs.frozen
class Refused(Event):
    """
    A packet arrived that must not be believed.

    @ivar reason: Why.
    @ivar source: The packed address that it came from.
    @ivar detail: The value that was found, for people.
    """

    reason: Rejection
    source: bytes
    detail: str = ""


@attrs.frozen
class BeatDue(Event):
    """
    The interval since the last advertisement of this master is over.
    """


@attrs.frozen
class LinkChanged(Event):
    """
    The interface of the group, or a tracked one, came, went or changed.

    @ivar name: The name of the interface.
    @ivar link: What it is now; C{None} if there is none of this name.
    """

    name: str
    link: Link | None


@attrs.frozen
class HearingChanged(Event):
    """
    Packets can arrive in a family in which they could not, or the other way round.

    @ivar deaf: The families in which none can arrive.
    """

    deaf: frozenset[Family]


@attrs.frozen
class Demoted(Event):
    """
    A reason to be less preferred holds from now on.

    @ivar reason: Its name.
    @ivar amount: What it adds to the skew.
    """

    reason: str
    amount: int


@attrs.frozen
class Promoted(Event):
    """
    A reason to be less preferred holds no more.

    @ivar reason: Its name.
    """

    reason: str


@attrs.frozen
class ResignAsked(Event):
    """
    An administrator wants this host to hand over.
    """


@attrs.frozen
class StepFailed(Event):
    """
    A required step of becoming, or being, master failed.

    @ivar name: The name of the step.
    """

    name: str


@attrs.frozen
class GivenBack(Event):
    """
    A master that is to hand over gave everything back before it says so.

    @ivar reason: Why it hands over.
    @ivar seconds: How long it stays out of the election afterwards.
    """

    reason: HoldReason
    seconds: float


@attrs.frozen
class HoldEnded(Event):
    """
    The time of a hold is over.

    @ivar reason: The hold.
    """

    reason: HoldReason


@attrs.frozen
class FitnessAsked(Event):
    """
    A timer of a step asks whether this host is still a master in good order.
    """


@attrs.frozen
class StopAsked(Event):
    """
    The service is stopped.
    """
