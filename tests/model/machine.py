"""
A host of the model as a value, and what may happen to it next.

A L{Local} is everything that a host of the model remembers.  A L{Machine} knows the rules of one
host.  It turns a L{Local} into the L{Move}s that are possible in it.  The result depends on nothing
else, so that L{tests.model.space} asks once for each L{Local}.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from typing import NamedTuple

import attrs

from txcarp.protocol.advertisement import BOW_OUT
from txcarp.protocol.seal import Fields

#: Seconds of the model's unit of time.
TICK = 0.25

#: The number of packets that a frozen process's socket keeps.  The oldest are kept.
QUEUE = 2

#: A host that is heard answers at most this many unread packets at a time.  The model is wrong
#: about something if more are in flight.
_MOST_IN_FLIGHT = 12


def ticks(seconds: float) -> int:
    """
    A time in ticks, rounded up.
    """
    return math.ceil(seconds / TICK - 1e-9)


class Kind(enum.IntEnum):
    """
    What a move of the model is.

    The fault-free continuation of a state has C{FREE} and C{TICK} moves only.  Those from C{LOSS}
    on are faults and requests.  Each kind of them happens a limited number of times.
    """

    FREE = 0
    TICK = 1
    #: Time passes while a host sleeps.
    SLEEPING = 2
    #: A host that is off starts.
    START = 3
    LOSS = 4
    CRASH = 5
    SLEEP = 6
    DEMOTE = 7
    RESIGN = 8
    STOP = 9


class Sleep(enum.IntEnum):
    """
    Whether a host runs.
    """

    AWAKE = 0
    #: The process does not run.  Its socket keeps the first packets that arrive.
    FROZEN = 1
    #: The machine does not run, and no packet reaches it.
    SUSPENDED = 2


class Local(NamedTuple):
    """
    One host of the model.  Times are in ticks from now; those of a host that sleeps pass too, and
    are negative afterwards.

    @ivar state: C{"off"}, C{"backup"}, C{"master"} or C{"waiting"}.
    @ivar deadline: When it takes over.
    @ivar beat: When it advertises next.
    @ivar interval: The interval of that rhythm.
    @ivar hold: When it takes part in the election again.
    @ivar offers: Whether the short time runs in which others may accept its offer.
    @ivar again: Whether the short time runs from its offer to its next advertisement.
    @ivar looks: Whether the short time runs in which it reads packets before it takes over.
    @ivar demoted: Whether it is demoted.
    @ivar known: The last advertisement of each other host, by its number.
    @ivar sleep: Whether it runs.
    @ivar slept: For how long it has not run, as long as that matters.
    @ivar waiting: The number of packets, the first of the inbox, that were in the socket when it
        woke up, as long as that matters.
    @ivar catching: For how long it still doubts that a packet is new, unless it has read all that
        waited.
    @ivar settling: For how long it doubts that in any case.
    @ivar inbox: The packets on their way to it, each with the number of its sender.
    """

    state: str = "off"
    deadline: int | None = None
    beat: int | None = None
    interval: int = 0
    hold: int | None = None
    offers: bool = False
    again: bool = False
    looks: bool = False
    demoted: bool = False
    known: tuple[tuple[int, Fields], ...] = ()
    sleep: Sleep = Sleep.AWAKE
    slept: int = 0
    waiting: int = 0
    catching: int = 0
    settling: int = 0
    inbox: tuple[tuple[int, Fields], ...] = ()


OFF = Local()


class Move(NamedTuple):
    """
    Something that may happen to a host.

    @ivar verb: What it is, for L{tests.model.story} and L{tests.model.replay}.
    @ivar after: The host afterwards.
    @ivar sends: What it sends to all others.
    @ivar sender: The number of the host whose packet is received or lost.
    @ivar isShort: Whether it happens some milliseconds after its cause: later than every packet
        that is on its way, and before the next tick.
    """

    kind: Kind
    verb: str
    after: Local
    sends: tuple[Fields, ...] = ()
    sender: int | None = None
    isShort: bool = False


@attrs.frozen
class Spec:
    """
    One host of a scenario.

    @ivar rules: The name of its rules in L{tests.model.scenarios.RULES}.
    @ivar skew: Its advskew.
    @ivar preempt: Whether it preempts.
    @ivar demotion: By how much it is demoted, if it is.
    """

    rules: str
    skew: int = 0
    preempt: bool = False
    demotion: int = 240


Outcome = tuple[Local, tuple[Fields, ...]]


class Machine:
    """
    The rules of one host.  The subclasses decide; this class knows what may happen, and when.

    @ivar kinds: The faults and requests that may happen to this host.
    """

    #: Whether packets of different senders may overtake each other.  Otherwise they arrive
    #: everywhere in the order in which they were sent, as from one switch.
    overtaking = False

    def __init__(self, number: int, spec: Spec, kinds: frozenset[Kind]) -> None:
        self.number = number
        self.spec = spec
        self.kinds = kinds

    # The rules.

    def start(self) -> Outcome:
        """
        Begin to take part.
        """
        raise NotImplementedError

    def hear(self, local: Local, sender: int, says: Fields) -> Outcome:
        """
        Hear an advertisement.
        """
        raise NotImplementedError

    def expire(self, local: Local, lateness: int, unread: bool) -> Outcome:
        """
        Notice that the deadline has passed.
        """
        raise NotImplementedError

    def beat(self, local: Local) -> Outcome:
        """
        Advertise in turn.
        """
        raise NotImplementedError

    def release(self, local: Local) -> Outcome:
        """
        Take part again after a hold.
        """
        raise NotImplementedError

    def look(self, local: Local) -> Outcome:
        """
        Decide again about a deadline, after all packets are read.
        """
        raise NotImplementedError

    def offerUnanswered(self, local: Local) -> Outcome:
        """
        Notice that nobody accepted an offer.
        """
        raise NotImplementedError

    def demote(self, local: Local) -> Outcome:
        """
        Become demoted, or no longer be.
        """
        raise NotImplementedError

    def resign(self, local: Local) -> Outcome:
        """
        Hand over on request, as master.
        """
        raise NotImplementedError

    def stop(self, local: Local) -> Outcome:
        """
        Stop in good order, as master.
        """
        raise NotImplementedError

    def wakes(self, local: Local) -> Iterator[Move]:
        """
        What may happen when this host wakes up.

        @param local: The host, which is awake already.
        """
        yield Move(Kind.FREE, "wake", local)

    def mustRead(self, local: Local) -> bool:
        """
        Whether nothing but the packets in its socket can be next.
        """
        return False

    def earliestBeat(self, local: Local) -> int:
        """
        Beats that are later than this make no difference, in ticks.
        """
        return 0

    # What may happen.

    def moves(self, local: Local) -> Iterator[Move]:
        """
        Everything that may happen to a host now, apart from the passing of time.
        """
        if local.state == "off":
            yield Move(Kind.START, "start", *self.start())
            return
        if Kind.CRASH in self.kinds:
            yield Move(Kind.CRASH, "crash", OFF)
        if local.sleep:
            yield from self.wakes(local._replace(sleep=Sleep.AWAKE))
            return
        yield from self._packets(local)
        if self.mustRead(local):
            return
        yield from self._timers(local)
        yield from self._requests(local)

    def _packets(self, local: Local) -> Iterator[Move]:
        seen = set()
        for index, (sender, says) in enumerate(local.inbox):
            if sender in seen:
                continue
            if seen and not self.overtaking:
                return
            seen.add(sender)
            rest = local._replace(
                inbox=local.inbox[:index] + local.inbox[index + 1 :],
                waiting=max(local.waiting - 1, 0),
            )
            yield Move(Kind.FREE, "hear", *self.hear(rest, sender, says), sender)
            if Kind.LOSS in self.kinds:
                yield Move(Kind.LOSS, "lose", rest, (), sender)

    def _timers(self, local: Local) -> Iterator[Move]:
        if local.deadline is not None and local.deadline <= 0:
            late = -local.deadline
            passed = local._replace(deadline=None)
            yield Move(Kind.FREE, "deadline", *self.expire(passed, late, False))
            if local.inbox:
                # A packet may wait in the socket already, or still be on its way.
                yield Move(Kind.FREE, "deadline, unread", *self.expire(passed, late, True))
        if local.beat is not None and local.beat <= 0:
            isShort = local.again and local.beat == 0
            yield Move(Kind.FREE, "beat", *self.beat(local), isShort=isShort)
        if local.hold is not None and local.hold <= 0:
            yield Move(Kind.FREE, "release", *self.release(local._replace(hold=None)))
        if local.looks:
            after = self.look(local._replace(looks=False))
            yield Move(Kind.FREE, "look", *after, isShort=True)
        if local.offers:
            after = self.offerUnanswered(local._replace(offers=False))
            yield Move(Kind.FREE, "offer unanswered", *after, isShort=True)

    def _requests(self, local: Local) -> Iterator[Move]:
        if Kind.DEMOTE in self.kinds:
            verb = "promote" if local.demoted else "demote"
            yield Move(Kind.DEMOTE, verb, *self.demote(local))
        if Kind.SLEEP in self.kinds:
            yield Move(Kind.SLEEP, "freeze", local._replace(sleep=Sleep.FROZEN))
            suspended = local._replace(sleep=Sleep.SUSPENDED, inbox=())
            yield Move(Kind.SLEEP, "suspend", suspended)
        if local.state == "master":
            if Kind.RESIGN in self.kinds:
                yield Move(Kind.RESIGN, "resign", *self.resign(local))
            if Kind.STOP in self.kinds:
                yield Move(Kind.STOP, "stop", *self.stop(local))

    def isQuiet(self, local: Local) -> bool:
        """
        Whether no packet is on its way to this host, or none can arrive.
        """
        return not local.inbox or bool(local.sleep)

    def isStill(self, local: Local) -> bool:
        """
        Whether time may pass: nothing is due.
        """
        if local.sleep:
            return True
        due = any(
            timer is not None and timer <= 0 for timer in (local.deadline, local.beat, local.hold)
        )
        return not (due or local.looks or local.offers)

    def tick(self, local: Local) -> Local:
        """
        A host after a tick.
        """
        deadline, beat, hold = local.deadline, local.beat, local.hold
        return local._replace(
            # More than one tick late is as good as one.
            deadline=None if deadline is None else max(deadline - 1, -1),
            beat=None if beat is None else max(beat - 1, self.earliestBeat(local)),
            hold=None if hold is None else max(hold - 1, 0),
        )

    def receive(self, local: Local, sender: int, sent: tuple[Fields, ...]) -> Local:
        """
        A host when packets are on their way to it.
        """
        if local.state == "off" or local.sleep is Sleep.SUSPENDED:
            return local
        coming = tuple((sender, says) for says in sent)
        if local.sleep is Sleep.FROZEN:
            coming = coming[: max(QUEUE - len(local.inbox), 0)]
        inbox = (*local.inbox, *coming)
        if self.overtaking:  # the order of different senders says nothing
            inbox = tuple(sorted(inbox, key=lambda packet: packet[0]))
        if len(inbox) > _MOST_IN_FLIGHT:
            raise OverflowError(f"{len(inbox)} packets are on their way to one host: {inbox}")
        return local._replace(inbox=inbox)


def isBowOut(says: Fields) -> bool:
    """
    Whether an advertisement is a bow-out.
    """
    return says.advbase == says.advskew == BOW_OUT
