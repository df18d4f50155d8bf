"""
Hosts that follow the plain protocol: the rules of ucarp, FreeBSD and OpenBSD and their timers,
and nothing else.  There are no seals, holds, offers, pauses or leases here.

Nothing of L{txcarp} is used, so that the program is compared with something else than itself.
The rules were read in ucarp 1.5.2 (C{src/carp.c}), FreeBSD 14 and OpenBSD 7 (both
C{sys/netinet/ip_carp.c}).  Three things are idealized: the hosts read packets at once, look at
their deadlines in time, and all of them send and obey bow-outs.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

import attrs
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from tests import crafted

#: The highest skew to which a demotion leads.
_HIGHEST_SKEW = 240

#: The base and the skew in a bow-out.
_LEAVING = (255, 255)

#: Seconds after a sleep in which advertisements may be old.
_SETTLING = 0.05

#: Seconds that a host waits after it was asked to hand over, as in ucarp.
RESIGNATION = 3.0


@attrs.frozen
class Claim:
    """
    What an advertisement says.

    @ivar timing: Base and skew.
    @ivar demotion: OpenBSD's demotion counter.
    @ivar source: The packed source address.
    """

    timing: tuple[int, int]
    demotion: int
    source: bytes


@attrs.frozen
class Rules:
    """
    The rules of one implementation.

    @ivar yields: Whether a master becomes backup, given its own claim and the one that it hears.
    @ivar byte: Whether demotion is a number of its own.  Otherwise it is a part of the skew.
    @ivar farewell: Whether a master that yields advertises once more.
    """

    yields: Callable[[Claim, Claim], bool]
    byte: bool = False
    farewell: bool = False

    def dead(self, base: int, skew: int, ratio: int) -> float:
        """
        Seconds of silence after which a backup takes over.

        @param ratio: How many times the base a master may be silent.  The kernels have 3.
        """
        if self.byte:
            return ratio * max(base + skew / 256, 1 / 256)
        return base * ratio + skew / 256

    def takesOver(self, own: Claim, other: Claim, preempts: bool, ratio: int) -> bool:
        """
        Whether a backup takes over from a master that it hears.

        @param ratio: See L{dead}.
        """
        if other.demotion > own.demotion or other.timing == _LEAVING:
            return True
        base, skew = own.timing
        if other.timing[0] == base * ratio > base:  # an offer, see L{PlainHost.offer}
            return (own.demotion, skew) < (other.demotion, other.timing[1])
        if preempts and own.timing < other.timing and own.demotion <= other.demotion:
            return True
        return (base > 0 or not self.byte) and (base * ratio, skew) < other.timing


def _ucarp(own: Claim, other: Claim) -> bool:
    if own.timing == other.timing:
        return other.source[::-1] < own.source[::-1]  # as numbers of a little-endian machine
    return other.timing < own.timing


def _freebsd(own: Claim, other: Claim) -> bool:
    return other.timing <= own.timing


def _openbsd(own: Claim, other: Claim) -> bool:
    return (other.demotion, other.timing) <= (own.demotion, own.timing)


#: The rules by the name of the dialect.
RULES = {
    "ucarp": Rules(_ucarp, farewell=True),
    "freebsd": Rules(_freebsd),
    "openbsd": Rules(_openbsd, byte=True),
}


class IsHost(Protocol):
    """
    What a plain host needs of its machine.
    """

    clock: Clock
    source: str

    def send(self, packet: bytes) -> None:
        """
        Send a packet.
        """

    def noteMaster(self, isMaster: bool) -> None:
        """
        Note that the host became master, or no longer is.
        """


class PlainHost:
    """
    A host with the rules of one implementation.

    @ivar isMaster: Whether it is master.
    @ivar demotion: The sum of its demotions.
    """

    def __init__(
        self,
        machine: IsHost,
        dialect: str,
        base: int,
        skew: int,
        ratio: int,
        preempts: bool,
        seed: str,
    ) -> None:
        """
        @param ratio: How many times the base a master may be silent.
        @param preempts: Whether it takes over from a master that is less preferred.
        @param seed: Determines its counters.
        """
        self.isMaster = False
        self.demotion = 0
        self._machine = machine
        self._rules = RULES[dialect]
        self._base, self._skew, self._ratio = base, skew, ratio
        self._preempts = preempts
        self._source = crafted.packed(machine.source)
        self._random = random.Random(seed)
        #: One of twenty counters of OpenBSD can be taken for one of a host that seals.  The others
        #: are greater.
        self._counter: int | None = None
        if self._rules.byte:
            self._counter = self._random.getrandbits(63) + 2**63
        self._linked = self._resting = self._takesPart = False
        self._oldUntil = 0.0
        self._deadline: IDelayedCall | None = None
        self._beat: IDelayedCall | None = None
        self._silence: IDelayedCall | None = None

    @property
    def claim(self) -> Claim:
        """
        What it advertises as master.
        """
        if self._rules.byte:
            return Claim((self._base, self._skew), min(self.demotion, 255), self._source)
        skew = self._skew
        if self.demotion:
            skew = max(skew, min(skew + self.demotion, _HIGHEST_SKEW))
        return Claim((self._base, skew), 0, self._source)

    @property
    def deadTime(self) -> float:
        """
        Seconds of silence after which it takes over.  A demotion does not change them.
        """
        return self._rules.dead(self._base, self._skew, self._ratio)

    def connect(self, linked: bool) -> None:
        """
        Take part while there is a link.
        """
        self._linked = linked
        self._join()

    def _join(self) -> None:
        takesPart = self._linked and not self._resting
        if takesPart and not self._takesPart:
            self._wait()
        elif self._takesPart and not takesPart:
            self._release()
        self._takesPart = takesPart

    def heard(self, packet: bytes) -> None:
        """
        Handle an advertisement.
        """
        body = crafted.payloadOf(packet)
        if self._silence is not None and self._silence.active():
            leaves = (body[5], body[2]) == _LEAVING
            self._silence.reset(0.0 if leaves else self.deadTime)
        if not self._takesPart:
            return
        demotion = body[4] if self._rules.byte else 0
        other = Claim((body[5], body[2]), demotion, crafted.sourceOf(packet))
        if not self._rules.byte:
            self._counter = int.from_bytes(body[8:16], "big")
        if self.isMaster:
            if other.timing != _LEAVING and self._rules.yields(self.claim, other):
                if self._rules.farewell and not self.demotion:
                    self._advertise()
                self._release()
                self._wait()
        elif self._machine.clock.seconds() < self._oldUntil:
            self._wait()
        elif self._rules.takesOver(self.claim, other, self._preempts, self._ratio):
            self._takeOver()
        else:
            self._wait()

    def demote(self, demotion: int) -> None:
        """
        Set the sum of the demotions.  A master advertises it at once.
        """
        self.demotion = demotion
        self.advertise()

    def bowOut(self) -> None:
        """
        As master, let the backups take over.
        """
        if self.isMaster:
            self._advertise(_LEAVING)

    def advertise(self) -> None:
        """
        As master, advertise now, and go on from there.
        """
        if self.isMaster:
            self._advertise()
            self._goOn()

    def offer(self) -> None:
        """
        As master, advertise once with the longest base that better hosts tolerate, as txcarp does
        when it is demoted, and soon as usual.  The better hosts take over.
        """
        if self.isMaster:
            self._advertise((self._base * self._ratio, self.claim.timing[1]))
            self._machine.clock.callLater(0.05, self.advertise)

    def takeOver(self) -> None:
        """
        Take over now.
        """
        if self._takesPart and not self.isMaster:
            self._takeOver()

    def resign(self) -> None:
        """
        As master, hand over and wait for a while.
        """
        if self.isMaster:
            self.bowOut()
            self.rest(RESIGNATION)

    def rest(self, seconds: float) -> None:
        """
        Take no part for a while.
        """
        self._resting = True
        self._join()
        self._machine.clock.callLater(seconds, self._rested)

    def restWhileLed(self, seconds: float) -> None:
        """
        Take no part for a while, or until no other host is master.
        """
        self.rest(seconds)
        self._silence = self._machine.clock.callLater(self.deadTime, self._rested)

    def _rested(self) -> None:
        self._cancel(self._silence)
        self._resting = False
        self._join()

    def slept(self) -> None:
        """
        Wait for the dead time, as a backup, since this host slept.
        """
        self._oldUntil = self._machine.clock.seconds() + _SETTLING
        self._release()
        if self._takesPart:
            self._wait()

    def stop(self) -> None:
        """
        Leave the group.
        """
        self.bowOut()
        self.connect(False)

    def _wait(self) -> None:
        deadline = self._deadline
        if deadline is not None and deadline.active():
            deadline.reset(self.deadTime)
        else:
            self._deadline = self._machine.clock.callLater(self.deadTime, self._takeOver)

    def _takeOver(self) -> None:
        self._cancel(self._deadline)
        self.isMaster = True
        self._advertise()
        self._goOn()
        self._machine.noteMaster(True)

    def _release(self) -> None:
        self._cancel(self._deadline)
        self._cancel(self._beat)
        if self.isMaster:
            self.isMaster = False
            self._machine.noteMaster(False)

    def _goOn(self) -> None:
        self._cancel(self._beat)
        base, skew = self.claim.timing
        interval = max(base + skew / 256, 1 / 256)
        self._beat = self._machine.clock.callLater(interval, self.advertise)

    @staticmethod
    def _cancel(call: IDelayedCall | None) -> None:
        if call is not None and call.active():
            call.cancel()

    def _advertise(self, timing: tuple[int, int] | None = None) -> None:
        claim = self.claim
        base, skew = timing or claim.timing
        if self._counter is None:
            counter = self._random.getrandbits(64)
        elif self._rules.byte:
            counter = self._counter
        else:
            counter = self._counter = (self._counter + 1) % 2**64
        packet = crafted.packet(
            source=self._machine.source,
            advbase=base,
            advskew=skew,
            demotion=claim.demotion,
            counter=counter,
        )
        self._machine.send(packet)
