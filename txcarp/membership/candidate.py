"""
A host in the election: its state, its two timers and its voice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.membership.advertiser import Advertiser
from txcarp.membership.channel import Channel
from txcarp.membership.timers import MasterDown, Rhythm, cancel
from txcarp.protocol import effects, election
from txcarp.protocol.effects import ChangeRole, Peer, Role
from txcarp.protocol.election import ICARPState, Standing, Transition
from txcarp.protocol.family import Family
from txcarp.protocol.timing import LEAVING, SHORTEST_INTERVAL, Timing

#: Intervals without a beat that are a pause, whatever the dead time is.
_PAUSE = 1.5


class Candidate:
    """
    Carries out what the election decides.

    @ivar held: Why this host is held back now, if it is, in words for people.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        clock: IReactorTime,
        advertiser: Advertiser,
        channels: Sequence[Channel],
        pauseSeconds: Callable[[], float],
        *,
        changed: Callable[[ChangeRole, Role], None],
        reassert: Callable[[Peer], None],
        advertised: Callable[[bool], None],
        silent: Callable[[Family, Family], None],
    ) -> None:
        """
        @param channels: The families to listen in; ties are decided in the
            first of them that peers are heard in.
        @param pauseSeconds: Seconds on a clock that also counts while the
            machine sleeps.
        @param changed: Called with a new role and the one before.
        @param reassert: Called when a worse master claims the addresses.
        @param advertised: Called after each advertisement of a master with
            whether it is one in good order.
        @param silent: Called with a family in which the master is not heard,
            and one in which it is.
        """
        self.held: set[str] = set()
        self._configuration = configuration
        self._advertiser = advertiser
        self._changed = changed
        self._reassert = reassert
        self._advertised = advertised
        self._clock = clock
        self._channels = {channel.family: channel for channel in channels}
        self._primary = next(iter(self._channels))
        self._primaryHeard = float("-inf")
        self._backupSince = clock.seconds()
        self._offer: IDelayedCall | None = None
        self._masterDown = MasterDown(
            clock,
            self._channels,
            self._expired,
            lambda: any(channel.transport.hasUnread() for channel in channels),
            silent=silent,
            any=configuration.anyFamily,
        )
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
        return self._standing(self._channels[self._primary].lastSource)

    def _standing(self, source: bytes) -> Standing:
        configuration = self._configuration
        waited = self._clock.seconds() - self._backupSince
        return Standing(
            timing=self._advertiser.timing,
            deadRatio=configuration.deadRatio,
            preempt=configuration.preempt and waited >= configuration.preemptDelay,
            source=source,
            deaf=bool(self.held),
            dialect=configuration.dialect,
            demotion=self._advertiser.demotion,
            configured=configuration.timing,
        )

    def _tieBreaker(self, family: Family) -> bytes:
        """
        The address of ours that decides a tie with a peer that was heard in
        this family; empty, which wins every tie, if another family decides.
        Two families might decide differently, for ever.
        """
        now = self._clock.seconds()
        if family is self._primary:
            self._primaryHeard = now
        elif now - self._primaryHeard < self.standing.deadTime:
            return b""
        return self._channels[family].lastSource

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
        source = self._tieBreaker(peer.family)
        self._input(
            lambda state, standing: state.heard(attrs.evolve(standing, source=source), peer)
        )

    def demotionChanged(self, offer: bool) -> None:
        """
        This host says another timing or demotion than before.

        @param offer: Whether it is demoted, and somebody better may be there.
        """
        self._input(lambda state, standing: state.demotionChanged(standing, offer))

    def speakUp(self) -> None:
        """
        Advertise at once if this host is master: what it said until now was not
        believed, and somebody else is master for that reason.
        """
        if self.role is Role.MASTER:
            self._advertise()

    def claim(self) -> None:
        """
        Become master.
        """
        self._input(lambda state, standing: state.claimed(standing))

    def hold(self, why: str) -> None:
        """
        Take no part any more, and say nothing: nothing can be sent or heard,
        or it is not to be.
        """
        self.held.add(why)
        self._input(lambda state, standing: state.linkLost(standing))

    def resign(self, why: str, *, unfit: bool) -> None:
        """
        Hand over, and hear nobody until L{resume}.
        """
        self.held.add(why)
        self._input(lambda state, standing: state.resigned(standing, unfit))

    def hearingChanged(self) -> None:
        """
        Packets can arrive in a family, or can no more.
        """
        deaf = [one for one, channel in self._channels.items() if not channel.transport.hears()]
        self._masterDown.deafen(deaf, self.standing.deadTime)

    def resume(self, why: str) -> None:
        """
        One reason to be held back is gone.
        """
        if why in self.held:
            self.held.discard(why)
            if not self.held:
                self._backupSince = self._clock.seconds()
                self._input(lambda state, standing: state.resumed(standing))

    def notePause(self) -> None:
        """
        Find out whether this host, as master, did not run for so long that
        its peers have given it up.  To be asked before anything else is done
        that a timer or a packet causes.
        """
        if self.role is not Role.MASTER:
            return
        configuration = self._configuration
        pause = self._rhythm.silence()
        # The most eager peer has no skew.  With a dead ratio of one it waits no
        # longer than the rhythm, and what counts is a beat that is missing.
        eager = configuration.dialect.deadTime(
            Timing(configuration.advbase, 0), configuration.deadRatio
        )
        if pause > max(eager, self._interval * _PAUSE):
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
                self._state, ordered = self._events.popleft()(self._state, self.standing)
                for effect in ordered:
                    try:
                        self._perform(effect, previous)
                    except Exception:
                        # The state is another already: the rest has to follow, or this
                        # host would be a master that does not advertise, or a backup
                        # that waits for nothing.
                        self._log.failure("{effect} was not done in full", effect=effect)
        finally:
            self._deciding = False

    def _perform(self, effect: effects.Effect, previous: Role) -> None:
        match effect:
            case effects.ArmMasterDown(delay, family):
                self._masterDown.arm(delay, family)
            case effects.DisarmMasterDown():
                self._masterDown.disarm()
            case effects.LookAgain(delay):
                self._masterDown.lookAgain(delay)
            case effects.Advertise():
                self._advertise()
            case effects.BowOut():
                self._advertiser.send(LEAVING)
            case effects.StartAdvertising():
                self._rhythm.start(self._interval, now=True)
            case effects.StopAdvertising():
                cancel(self._offer)
                self._rhythm.stop()
            case effects.OfferMastership(delay):
                cancel(self._offer)
                self._offer = self._clock.callLater(delay, self._notReplaced)
            case effects.WithdrawOffer():
                cancel(self._offer)
            case effects.Reassert(peer):
                self._reassert(peer)
            case effects.ChangeRole():
                self._backupSince = self._clock.seconds()
                self._changed(effect, previous)

    def _expired(self, lateness: float, unread: bool) -> None:
        self._input(lambda state, standing: state.expired(standing, lateness, unread))

    def _notReplaced(self) -> None:
        self._input(lambda state, standing: state.notReplaced(standing))

    @property
    def _interval(self) -> float:
        return max(self._advertiser.timing.interval, SHORTEST_INTERVAL)

    def _beat(self) -> None:
        self.notePause()
        if self.role is Role.MASTER:
            self._rhythm.beaten()
            self._advertise()

    def _advertise(self) -> None:
        """
        Send an advertisement, and keep the rhythm that it says.
        """
        self._advertiser.advertise()
        if self._rhythm.running and self._rhythm.interval != self._interval:
            self._rhythm.start(self._interval, now=False)
        if self.role is Role.MASTER:  # and not saying farewell
            self._advertised(self.isFit())
