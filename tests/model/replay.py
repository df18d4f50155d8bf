"""
A story of the model, played by real virtual hosts.

Everything but the network, the clocks and the order of events is production code.  The story says
which packet arrives next and which timer expires next.  The clock of each process is elastic: it
stands still before a timer until the story says that the timer expires.  That makes up for
intervals that are no whole number of ticks, and for the milliseconds for which an offer stands.
After each move, every timer must be due when the story expects it, give or take a tick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock, LoopingCall

from tests.model.machine import QUEUE, TICK, Local, Move, Sleep, Spec
from tests.model.production import DEMOTION, settingsOf, sourceOf
from tests.model.space import Step
from tests.simulation.segment import Computer, Segment
from txcarp.addresses import textOf
from txcarp.clock.metronome import Slot
from txcarp.protocol.dialect import Dialect
from txcarp.protocol.effects import Role
from txcarp.protocol.election import MASTER
from txcarp.protocol.envelope import readPacket
from txcarp.protocol.events import FitnessAsked, HoldEnded, OfferUnanswered
from txcarp.protocol.family import Family

#: Seconds before a timer at which the clock stands still.
_JUST_BEFORE = 1e-6

#: Seconds by which a timer may differ from that of the story: what was rounded up, and the short
#: times of an offer.
_TOLERATED = TICK + 0.1


class Mismatch(AssertionError):
    """
    The real virtual hosts did something else than those of the model.
    """


class _Wire(Segment):
    """
    A segment that keeps each packet until the story says what becomes of it.
    """

    def carry(self, sender: Computer, packet: bytes) -> None:
        for actor in self.computers:
            assert isinstance(actor, _Actor)
            isFull = actor.sleep is Sleep.FROZEN and len(actor.inbox) >= QUEUE
            isDeaf = actor.receiver is None or actor.sleep is Sleep.SUSPENDED or isFull
            if actor is not sender and not isDeaf:
                actor.inbox.append((self.computers.index(sender), packet))


class _Actor(Computer):
    """
    A host of the story.
    """

    def __init__(self, segment: Segment, number: int, spec: Spec, dialect: Dialect) -> None:
        super().__init__(segment, textOf(sourceOf(number)), settingsOf(number, spec, dialect))
        self.spec = spec
        self.inbox: list[tuple[int, bytes]] = []
        self.sleep = Sleep.AWAKE
        self.isUnread = False
        #: The number of packets, the first of the inbox, that were in the socket when it woke up.
        self.waiting = 0
        self._slept = 0.0

    def hasUnread(self) -> bool:
        return self.isUnread or self.waiting > 0

    # Time.

    def _timers(self) -> dict[str, IDelayedCall]:
        """
        The timers that the story speaks of, by the verbs of their moves.
        """
        found: dict[str, IDelayedCall] = {}
        for call in self.clock.getDelayedCalls():
            assert isinstance(call, DelayedCall)
            function, name = call.func, getattr(call.func, "__name__", "")
            beat = function.f if isinstance(function, LoopingCall) else function
            if isinstance(getattr(beat, "__self__", None), Slot):
                found["beat"] = call
            elif name == "_looked":
                found["look"] = call
            elif name == "_woke" and not self._isEarly(call):
                found["deadline"] = call
            elif call.args and isinstance(call.args[0], HoldEnded):
                found["release"] = call
            elif call.args and isinstance(call.args[0], OfferUnanswered):
                found["offer unanswered"] = call
        return found

    def _isEarly(self, call: IDelayedCall) -> bool:
        """
        Whether the timer of the deadline expires before the deadline, and will only be set again.
        """
        run = self.virtualHost._run if self.virtualHost is not None else None
        deadline = run.parts.masterDown.deadline if run is not None else None
        now = max(call.getTime(), self.clock.seconds())
        return deadline is not None and now < deadline

    def pass_(self, seconds: float) -> None:
        """
        Let time pass, up to the next timer of the story.
        """
        if self.sleep:
            self._slept += seconds
            return
        end = self.clock.seconds() + seconds
        while True:
            known = self._timers().values()
            stops = [call.getTime() - _JUST_BEFORE for call in known]
            until = max(min([end, *stops]), self.clock.seconds())
            others = [call for call in self.clock.getDelayedCalls() if call not in known]
            due = [call for call in others if call.getTime() <= until + _JUST_BEFORE]
            if not due:
                self.clock.rightNow = until
                return
            _fire(self.clock, min(due, key=lambda call: call.getTime()))

    def compareTimers(self, local: Local) -> None:
        """
        Check the timers.

        @param local: This host in the story.
        @raise Mismatch: If one of them is missing, or due at another time.
        """
        run = self.virtualHost._run if self.virtualHost is not None else None
        if run is None or local.sleep or local.state == "off":
            return
        now = self.clock.seconds()
        found = {name: call.getTime() for name, call in self._timers().items()}
        due = {
            "deadline": (local.deadline, run.parts.masterDown.deadline),
            "beat": (local.beat, found.get("beat")),
            "release": (local.hold, found.get("release")),
            "look": (0 if local.looks else None, found.get("look")),
            "offer unanswered": (0 if local.offers else None, found.get("offer unanswered")),
        }
        for name, (expected, time) in due.items():
            if expected is None and time is None:
                continue
            if expected is None or time is None:
                raise Mismatch(f"{self.source} has the timer {name!r}: {time}, and {expected}")
            real, expectedSeconds = max(time - now, 0.0), max(expected, 0) * TICK
            if abs(real - expectedSeconds) > _TOLERATED:
                raise Mismatch(
                    f"{name!r} of {self.source} is due in {real} s, and in {expectedSeconds} s "
                    "in the model"
                )

    # The moves of the story.

    def do(self, move: Move) -> None:
        """
        Make a move.
        """
        host = self.virtualHost
        doing: dict[str, Callable[[], object]] = {
            "start": self.start,
            "stop": self.stop,
            "crash": self.crash,
            "freeze": lambda: self._fallAsleep(Sleep.FROZEN),
            "suspend": lambda: self._fallAsleep(Sleep.SUSPENDED),
            "wake": lambda: self._wakeUp(isLate=False),
            "wake, late": lambda: self._wakeUp(isLate=True),
            "hear": lambda: self._arrive(move, isHeard=True),
            "lose": lambda: self._arrive(move, isHeard=False),
        }
        if host is not None:
            doing["resign"] = host.resign
            doing["demote"] = lambda: host.demote(DEMOTION, self.spec.demotion)
            doing["promote"] = lambda: host.promote(DEMOTION)
        timer, _, unread = move.verb.partition(", ")
        if move.verb in doing:
            doing[move.verb]()
        else:
            timers = self._timers()
            if timer not in timers:
                raise Mismatch(f"{self.source} has no timer for {timer!r}")
            self.isUnread = bool(unread)
            _fire(self.clock, timers[timer])
            self.isUnread = False
        if not move.after.sleep:
            self.pass_(0.0)

    def start(self) -> None:
        if self.virtualHost is not None:
            # It was stopped, and gives a successor half a second to appear.  The model does not
            # wait for the end of the process.
            self.crash()
        self.inbox.clear()  # what a process that was still stopping has heard
        super().start()

    def crash(self) -> None:
        super().crash()
        self.inbox.clear()
        self.sleep, self._slept, self.waiting = Sleep.AWAKE, 0.0, 0

    def _arrive(self, move: Move, isHeard: bool) -> None:
        for index, (sender, packet) in enumerate(self.inbox):
            if sender == move.sender:
                del self.inbox[index]
                self.waiting = max(self.waiting - 1, 0)
                if isHeard and self.receiver is not None:
                    self.receiver.packetReceived(readPacket(packet))
                return
        raise Mismatch(f"no packet of host {move.sender} is on its way to {self.source}")

    def _fallAsleep(self, sleep: Sleep) -> None:
        self.sleep = sleep
        if sleep is Sleep.SUSPENDED:
            self.inbox.clear()

    def _wakeUp(self, isLate: bool) -> None:
        """
        Wake up.

        @param isLate: Whether this host notices that, because it is too late for something.  A
            backup depends on when its next timer was due, which the story does not know.
        """
        run = self.virtualHost._run if self.virtualHost is not None else None
        assert run is not None
        slept, self.sleep, self._slept = self._slept, Sleep.AWAKE, 0.0
        # A time that is just the longest one which is tolerated must not become longer in the
        # last bit of a number.
        if run.parts.candidate.state is MASTER and not isLate:
            slept = max(slept - _JUST_BEFORE, 0.0)
        elif (deadline := run.parts.masterDown.deadline) is not None:
            due = self.clock.seconds() if isLate else max(deadline, self.clock.seconds())
            run.parts.masterDown._wakeBefore(due, Family.IPV4)
            run.parts.masterDown._wakes[Family.IPV4] = due + _JUST_BEFORE
        self.clock.rightNow += slept
        if isLate:
            self.waiting = len(self.inbox)
            run.tell(FitnessAsked())  # all that this does is to look for a pause
            self.clock.rightNow += _JUST_BEFORE


def _fire(clock: Clock, call: IDelayedCall) -> None:
    """
    Run a delayed call, whatever else is due.
    """
    assert isinstance(call, DelayedCall)
    clock.rightNow = max(clock.rightNow, call.getTime())
    clock.calls.remove(call)
    call.called = 1
    call.func(*call.args, **call.kw)


def replay(
    hosts: Sequence[tuple[Spec, Dialect]], steps: Sequence[Step]
) -> list[tuple[float, list[int]]]:
    """
    Play a story with real virtual hosts.

    @param hosts: The hosts, each with its dialect.
    @return: The time of each move in seconds, and the numbers of the masters after it.
    @raise Mismatch: If other hosts are master than in the model, or their timers are not due when
        the model expects it.
    """
    wire = _Wire()
    actors = [_Actor(wire, number, *host) for number, host in enumerate(hosts)]
    wire.computers.extend(actors)
    seen = []
    for index, step in enumerate(steps):
        what = "time passes" if step.move is None else step.move.verb
        try:
            _play(wire, actors, step)
            for actor, local in zip(actors, step.group, strict=True):
                actor.compareTimers(local)
        except Mismatch as mismatch:
            raise Mismatch(f"in move {index} ({what}): {mismatch}") from None
        masters = [n for n, actor in enumerate(actors) if actor.role is Role.MASTER]
        expected = [n for n, local in enumerate(step.group) if local.state == "master"]
        now = wire.clock.seconds()
        if masters != expected:
            raise Mismatch(
                f"after move {index} ({what}) at {now} s, the masters are {masters}, and "
                f"{expected} in the model"
            )
        seen.append((now, masters))
    return seen


def _play(wire: Segment, actors: Sequence[_Actor], step: Step) -> None:
    """
    Make a move of the group.
    """
    if step.host is not None and step.move is not None:
        actors[step.host].do(step.move)
        return
    wire.clock.advance(TICK)
    for actor in actors:
        actor.pass_(TICK)
