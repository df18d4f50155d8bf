"""
A host in the election: its state, its two timers and its voice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txcarp.advertiser import Advertiser
from txcarp.configuration import VirtualHostConfiguration
from txcarp.interfaces import IAdvertisementTransport, ICARPState
from txcarp.protocol import election
from txcarp.protocol.election import ChangeRole, Peer, Role, Standing, Transition
from txcarp.protocol.timing import LEAVING
from txcarp.timers import MasterDown, Rhythm

#: Intervals without a beat that are a pause, whatever the dead time is.
_PAUSE = 1.5


class Candidate:
    """
    Carries out what the election decides.

    @ivar held: Why this host is held back now, if it is: no link, a
        resignation.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        clock: IReactorTime,
        advertiser: Advertiser,
        transport: IAdvertisementTransport,
        pauseSeconds: Callable[[], float],
        *,
        changed: Callable[[ChangeRole, Role], None],
        reassert: Callable[[Peer], None],
        advertised: Callable[[bool], None],
    ) -> None:
        """
        @param pauseSeconds: Seconds on a clock that also counts while the
            machine sleeps.
        @param changed: Called with a new role and the one before.
        @param reassert: Called when a worse master claims the addresses.
        @param advertised: Called after each beat with whether this host is a
            master in good order.
        """
        self.held: set[str] = set()
        self._configuration = configuration
        self._advertiser = advertiser
        self._changed = changed
        self._reassert = reassert
        self._advertised = advertised
        self._masterDown = MasterDown(clock, self._expired, transport.hasUnread)
        self._rhythm = Rhythm(clock, self._beat, pauseSeconds)
        self._state: ICARPState = election.INIT
        self._events: deque[Callable[[ICARPState, Standing], Transition]] = deque()
        self._deciding = False

    @property
    def role(self) -> Role:
        """
        What this host is now.
        """
        role: Role = self._state.role
        return role

    @property
    def standing(self) -> Standing:
        """
        What the election has to know about this host.
        """
        configuration = self._configuration
        return Standing(
            timing=self._advertiser.timing,
            deadRatio=configuration.deadRatio,
            preempt=configuration.preempt,
            source=configuration.source,
            deaf=bool(self.held),
        )

    def start(self) -> None:
        """
        Take part.
        """
        self._input(lambda state, standing: state.started(standing))

    def stop(self) -> None:
        """
        Take no part any more; a master bows out.
        """
        self._input(lambda state, standing: state.stopped(standing))

    def heard(self, peer: Peer, counter: int) -> None:
        """
        A peer advertises.
        """
        self._advertiser.heard(counter)
        self._input(lambda state, standing: state.heard(standing, peer))

    def loseLink(self, why: str) -> None:
        """
        Nothing is heard any more.
        """
        self.held.add(why)
        self._input(lambda state, standing: state.linkLost(standing))

    def resign(self, why: str, *, unfit: bool) -> None:
        """
        Hand over, and hear nobody until L{resume}.
        """
        self.held.add(why)
        self._input(lambda state, standing: state.resigned(standing, unfit))

    def resume(self, why: str) -> None:
        """
        One reason to be held back is gone.
        """
        if why in self.held:
            self.held.discard(why)
            if not self.held:
                self._input(lambda state, standing: state.resumed(standing))

    def notePause(self) -> None:
        """
        Find out whether this host, as master, did not run for so long that
        its peers have given it up.  To be asked before anything else is done
        that a timer or a packet causes.
        """
        if self.role is not Role.MASTER:
            return
        timing = self._advertiser.timing
        pause = self._rhythm.silence()
        # The most eager peer has no skew.  With a dead ratio of one it waits no
        # longer than the rhythm, and what counts is a beat that is missing.
        if pause > max(
            timing.advbase * self._configuration.deadRatio, timing.interval * _PAUSE
        ):
            self._log.error(
                "This host did not run for {pause:.3f} s, longer than its peers wait", pause=pause
            )
            self._input(lambda state, standing: state.slept(standing, pause))

    def isFit(self) -> bool:
        """
        Whether this host is a master in good order: it did not sleep, nothing
        holds it back, and its last advertisement left.
        """
        self.notePause()
        return self.role is Role.MASTER and not self.held and self._advertiser.lastLeft

    def _input(self, event: Callable[[ICARPState, Standing], Transition]) -> None:
        """
        Let the election decide, and do what it says.  An event that an effect
        causes waits until all effects of the first are done.
        """
        self._events.append(event)
        if self._deciding:
            return
        self._deciding = True
        try:
            while self._events:
                previous = self.role
                self._state, effects = self._events.popleft()(self._state, self.standing)
                for effect in effects:
                    self._perform(effect, previous)
        finally:
            self._deciding = False

    def _perform(self, effect: election.Effect, previous: Role) -> None:
        match effect:
            case election.ArmMasterDown(delay):
                self._masterDown.arm(delay)
            case election.DisarmMasterDown():
                self._masterDown.disarm()
            case election.LookAgain(delay):
                self._masterDown.lookAgain(delay)
            case election.Advertise():
                self._advertise()
            case election.BowOut():
                self._advertiser.send(LEAVING)
            case election.StartAdvertising():
                self._rhythm.start(self._advertiser.timing.interval, now=True)
            case election.StopAdvertising():
                self._rhythm.stop()
            case election.Reassert(peer):
                self._reassert(peer)
            case election.ChangeRole():
                self._changed(effect, previous)

    def _expired(self, lateness: float) -> None:
        self._input(lambda state, standing: state.expired(standing, lateness))

    def _beat(self) -> None:
        self.notePause()
        if self.role is Role.MASTER:
            self._rhythm.beaten()
            self._advertise()
            self._advertised(self.isFit())

    def _advertise(self) -> None:
        """
        Send an advertisement, and keep the rhythm that it says.
        """
        before = self._advertiser.timing
        self._advertiser.advertise()
        if self._rhythm.running and self._advertiser.timing != before:
            self._rhythm.start(self._advertiser.timing.interval, now=False)
