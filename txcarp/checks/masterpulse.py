"""
Asks the host of one master, every few milliseconds, whether it is there.

What the answers mean is decided by L{txcarp.protocol.pulse}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.checks.gateway import MOST_WITNESSES
from txcarp.checks.hearing import Hearing
from txcarp.checks.probes import cancel
from txcarp.interfaces import IPlatform, IPolling
from txcarp.protocol.family import Family
from txcarp.protocol.pulse import TOLERATED, Loss, Pulse
from txcarp.status.parts import ProbeStatus

#: Seconds until a host that does not answer, or not always, is asked again: at first, and at most.
#: The time doubles with each attempt.
FIRST_REST, LONGEST_REST = 1.0, 64.0

#: Seconds between two looks at what may have changed: the gateways, the addresses of this host,
#: and which witnesses answer.
ROUND = 10.0

#: How often in a row no witness must have answered before that is told.
_UNVOUCHED = 3

#: The number of questions to a host that is gone before it is asked as rarely as one that never
#: answered.
LINGER = 32


@attrs.frozen
class Wish:
    """
    How one group wants its master to be asked.

    @ivar interval: Seconds between two questions.
    @ivar sources: The packed addresses that this host alone has on the interface.
    @ivar witnesses: The packed addresses of hosts that are asked besides the gateways, the best
        ones first.
    @ivar never: The packed addresses that are no witnesses, whoever has them.
    """

    interval: float
    sources: tuple[bytes, ...] = ()
    witnesses: tuple[bytes, ...] = ()
    never: frozenset[bytes] = frozenset()


class MasterPulse:
    """
    Asks the host of one master.

    @ivar address: Its packed address.
    @ivar loss: What was seen if the host is gone; C{None} otherwise.
    @ivar lacksWitness: Whether the host answers, and no witness does.
    """

    _log = Logger()

    def __init__(
        self,
        platform: IPlatform,
        interface: str,
        address: bytes,
        polling: Callable[[Family], IPolling],
        problem: str = "",
    ) -> None:
        """
        @param polling: Returns what asks the neighbours of a family; raises C{OSError}.
        @param problem: Why the host is not asked at all, as a phrase; empty if it is.
        """
        self.address = address
        self.loss: Loss | None = None
        self.lacksWitness = False
        self._platform = platform
        self._interface = interface
        self._hearing = Hearing(interface, polling)
        self._isRefused = bool(problem)
        self._problem = problem
        self._listeners: dict[object, tuple[Wish, Callable[[], None]]] = {}
        self._pulse = Pulse()
        self._interval = 0.0
        self._sources: tuple[bytes, ...] = ()
        self._gateways: tuple[bytes, ...] = ()
        self._candidates: tuple[bytes, ...] = ()
        self._vouching: frozenset[bytes] = frozenset()
        #: How often in a row no witness has answered while the host did.
        self._unvouched = 0
        self._call: IDelayedCall | None = None
        self._rest = FIRST_REST
        self._nextRound = 0.0
        self._suspendedUntil = 0.0
        #: Whether what follows from the wishes of all groups is known.
        self._isArranged = False
        #: When the last question was asked, and how long its answer may take; whether it was sent;
        #: whether witnesses were asked.
        self._askedAt = self._askedSteady = self._patience = 0.0
        self._wasSent = self._askedWitnesses = False
        #: When the first question of the present silence was asked.
        self._since = 0.0
        self._asked = self._answered = self._missed = 0
        self._hasSaid = False

    @property
    def isIdle(self) -> bool:
        """
        Whether no group has this master.
        """
        return not self._listeners

    def add(self, key: object, wish: Wish, changed: Callable[[], None]) -> None:
        """
        Ask for one more group, or in another way.

        @param key: What L{remove} knows the group by.
        @param changed: Called when L{loss} or L{lacksWitness} has changed.
        """
        self._listeners[key] = wish, changed
        self._isArranged = False
        if self._call is None and not self._isRefused:
            now = self._platform.clock.seconds()
            self._call = self._platform.clock.callLater(
                max(0.0, self._suspendedUntil - now), self._begin
            )

    def remove(self, key: object) -> None:
        """
        Undo L{add}.
        """
        self._listeners.pop(key, None)
        self._isArranged = False
        if not self._listeners:
            self._stop()

    def suspend(self, seconds: float) -> None:
        """
        Do not ask for some time.
        """
        clock = self._platform.clock
        self._stop()
        self._suspendedUntil = clock.seconds() + seconds
        if self._listeners and not self._isRefused:
            self._call = clock.callLater(seconds, self._begin)

    def status(self) -> ProbeStatus:
        """
        The present state.
        """
        self._arrange()
        left = self._suspendedUntil - self._platform.clock.seconds()
        if self._problem:
            state = "unable"
        elif left > 0:
            state = "suspended"
        elif self.loss is not None:
            state = "lost"
        elif self._pulse.isArmed:
            state = "armed"
        else:
            state = "arming" if self._pulse.answered else "searching"
        return ProbeStatus(
            master=textOf(self.address),
            state=state,
            interval=self._interval,
            witnesses=[textOf(one) for one in sorted(self._vouching)],
            asked=self._asked,
            answered=self._answered,
            missed=self._missed,
            suspended=left if left > 0 else None,
            problem=self._problem,
        )

    # What is asked.

    def _arrange(self) -> None:
        """
        Follow the wishes of all groups, if they have changed.  This is done once for a thousand
        groups that change at a time.
        """
        if self._isArranged or not self._listeners:
            return
        self._isArranged = True
        wishes = [wish for wish, _ in self._listeners.values()]
        self._interval = min(wish.interval for wish in wishes)
        self._sources = tuple(dict.fromkeys(one for wish in wishes for one in wish.sources))
        never = {self.address}.union(*(wish.never for wish in wishes))
        named = dict.fromkeys(one for wish in wishes[:MOST_WITNESSES] for one in wish.witnesses)
        possible = [one for one in (*named, *self._gateways) if one not in never]
        self._candidates = tuple(possible[:MOST_WITNESSES])
        if self._hearing.followed:
            self._follow()

    def _follow(self) -> None:
        """
        Follow the answers of the host and of the witnesses.

        @raise OSError: If they cannot be received.
        """
        self._hearing.follow((self.address, *self._candidates))

    def _stop(self) -> None:
        cancel(self._call)
        self._call = None
        self._hearing.stop()
        self._pulse, self.loss, self.lacksWitness = Pulse(), None, False
        self._vouching, self._unvouched = frozenset(), 0
        self._rest = FIRST_REST

    # Asking.

    def _begin(self) -> None:
        """
        Ask for the first time, or after a rest.
        """
        self._call = None
        self._arrange()
        try:
            self._follow()
        except OSError as error:
            self._complain(error)
            self._later(ROUND, self._begin)
            return
        self._ask()

    def _complain(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        if reason != self._problem:
            self._problem = reason
            self._log.warn(
                "The probe cannot ask {address} on {interface}: {reason}. Until it can, only the "
                "advertisements of the master count",
                address=textOf(self.address),
                interface=self._interface,
                reason=reason,
            )

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        self._call = self._platform.clock.callLater(seconds, function)

    def _ask(self) -> None:
        """
        Ask once, and look for the answer an interval later.
        """
        self._arrange()
        now, pulse = self._platform.clock.seconds(), self._pulse
        isRound = now >= self._nextRound
        if isRound:
            self._nextRound = now + ROUND
            self._refresh()
        # All hosts on the link are asked only while it is not known which one has the address.
        isKnown = pulse.answered > 0 if not pulse.missed else self.loss is not None
        self._askedAt, self._askedSteady = now, self._platform.pauseSeconds()
        hardware = self._hearing.heard(self.address)[1] if isKnown else b""
        self._wasSent = self._send(self.address, hardware)
        self._asked += 1
        self._askedWitnesses = isRound or not isKnown
        if self._askedWitnesses:
            for one in self._hearing.followed[1:]:
                # A health check may have asked it meanwhile.
                hardware = self._hearing.forget(one)
                self._send(one, b"" if isRound else hardware)
        self._patience = self._interval
        self._later(self._patience, self._look)

    def _send(self, address: bytes, to: bytes) -> bool:
        """
        @return: Whether a question was sent.
        """
        try:
            self._hearing.of(address).ask(address, self._sources, to or None)
        except OSError as error:
            if address == self.address:
                self._complain(error)
            return False
        if address == self.address:
            self._problem = ""
        return True

    def _refresh(self) -> None:
        """
        Look at what may have changed.
        """
        for polling in self._hearing.pollings:
            polling.refresh()
        neighbours = self._platform.neighbours
        if neighbours is not None:
            found = neighbours.gateways(self._interface)
            found.addCallbacks(self._foundGateways, lambda _: None)  # as many as were known

    def _foundGateways(self, gateways: Sequence[bytes]) -> None:
        if self._listeners:
            self._isArranged = self._isArranged and self._gateways == tuple(gateways)
            self._gateways = tuple(gateways)

    # Looking.

    def _look(self) -> None:
        """
        Look for the answer to the last question, and ask the next one.
        """
        self._call = None
        steady = self._platform.pauseSeconds()
        late = steady - self._askedSteady - self._patience
        hearing = self._hearing
        for polling in hearing.pollings:
            polling.read()
        answered = hearing.isHeard(self.address)
        if self._askedWitnesses:
            # One that has the hardware address of the master is no third party.
            own = hearing.heard(self.address)[1]
            self._vouching = frozenset(
                one
                for one in hearing.followed[1:]
                if hearing.isHeard(one) and hearing.heard(one)[1] != own
            )
        isLate = not self._wasSent or late > TOLERATED * self._patience
        before = self._pulse
        pulse = self._pulse = before.after(answered, self._vouching, isLate=isLate)
        self._answered += answered
        self._missed += pulse.missed > before.missed
        if pulse.missed and not before.missed:
            self._since = self._askedAt
        if pulse.isArmed and not before.isArmed:
            self._rest = FIRST_REST
            self._nextRound = 0.0
        if pulse.isArmed and answered and self._askedWitnesses:
            self._countVouching()
        self._conclude()
        if self._call is not None or not hearing.followed:
            return  # all listeners have left, and perhaps joined again
        if pulse.missed >= LINGER:
            self._pulse = Pulse()
        if self._pulse.answered or self._pulse.missed:
            self._ask()
        else:
            self._later(self._rest, self._begin)
            self._rest = min(2 * self._rest, LONGEST_REST)

    def _countVouching(self) -> None:
        """
        Note whether a witness has answered besides a host that always answers.  If none has, ask
        again soon.  If one has, log once that the probe has all that it needs.
        """
        self._unvouched = 0 if self._vouching else self._unvouched + 1
        if 0 < self._unvouched < _UNVOUCHED:
            self._nextRound = self._platform.clock.seconds() + FIRST_REST
        if self._hasSaid or not self._vouching:
            return
        self._hasSaid = True
        self._log.info(
            "The probe is ready: {address} on {interface} answers every {interval:g} ms, and "
            "{witnesses} can vouch",
            address=textOf(self.address),
            interface=self._interface,
            interval=self._interval * 1000,
            witnesses=" and ".join(textOf(one) for one in sorted(self._vouching)),
        )

    def _conclude(self) -> None:
        """
        Tell all groups what has changed.
        """
        pulse = self._pulse
        loss = self.loss
        if pulse.isLost and loss is None:
            loss = Loss(
                textOf(self.address),
                self._since,
                pulse.missed,
                self._platform.clock.seconds() - self._since,
                tuple(textOf(one) for one in sorted(pulse.witnesses)),
            )
        elif pulse.answered and not pulse.missed:
            loss = None
        lacks = self._unvouched >= _UNVOUCHED
        if (loss, lacks) == (self.loss, self.lacksWitness):
            return
        self.loss, self.lacksWitness = loss, lacks
        for _, changed in list(self._listeners.values()):
            try:
                changed()
            except Exception:
                self._log.failure("Handling the pulse of {address} failed", address=self.address)
