"""
The reasons that keep a host out of the election, and for how long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.membership.chronicle import Chronicle
from txcarp.membership.timers import cancel
from txcarp.occurrences import OccurrenceKind
from txcarp.protocol.actor import Actor
from txcarp.protocol.events import Event, Held, HoldEnded, HoldReason, Released, Resigned
from txcarp.protocol.timing import Peer

#: Seconds for which a host stays out of the election after a required step failed.
HOLD_OFF = 10.0

#: The upper limit, in seconds, to which this grows while the step fails again and again, and
#: each attempt displaces a working master.
LONGEST_HOLD_OFF = 320.0


@attrs.define
class Hold:
    """
    A reason that keeps a host out of the election.

    @ivar detail: More about it, as text; may be empty.
    @ivar actor: Who asked for it; C{None} if nobody did.
    @ivar timer: Ends it; C{None} if it has no end.
    @ivar isNoted: Whether it is in the chronicle.
    """

    detail: str
    actor: Actor | None
    timer: IDelayedCall | None
    isNoted: bool


class Holds:
    """
    The present reasons that keep a host out of the election, each with an optional end.

    @ivar present: The reasons.
    """

    def __init__(
        self, clock: IReactorTime, tell: Callable[[Event], None], chronicle: Chronicle
    ) -> None:
        """
        @param tell: Called with L{Held} or L{Resigned} for each new reason, L{HoldEnded} at the
            end of one, and L{Released} when the last one is removed.
        """
        self._clock = clock
        self._tell = tell
        self._chronicle = chronicle
        self.present: dict[HoldReason, Hold] = {}

    def __contains__(self, reason: HoldReason) -> bool:
        return reason in self.present

    def __iter__(self) -> Iterator[HoldReason]:
        return iter(self.present)

    def __len__(self) -> int:
        return len(self.present)

    def hold(
        self,
        reason: HoldReason,
        seconds: float | None = None,
        *,
        detail: str = "",
        handOver: bool = False,
        actor: Actor | None = None,
        provisional: bool = False,
    ) -> None:
        """
        Add a reason, or give it a new end.

        @param seconds: Seconds until its end; C{None} for no end.
        @param detail: More about the reason, as text; may be empty.
        @param handOver: Whether a master bows out, so that another host takes over at once.
        @param actor: Who asked for it; C{None} if nobody did.
        @param provisional: Whether this is not known to be so, and not worth telling.
        """
        before = self.present.get(reason)
        timer = None
        if seconds is not None:
            timer = self._clock.callLater(seconds, self._tell, HoldEnded(reason))
        hold = self.present[reason] = Hold(detail, actor, timer, not provisional)
        if before is not None:
            cancel(before.timer)
            hold.actor = actor or before.actor
            hold.isNoted |= before.isNoted
        if not provisional:
            lasting = "" if seconds is None else f" for {seconds:.0f} s"
            words = f"{reason.value} ({detail})" if detail else reason.value
            self._chronicle.note(
                OccurrenceKind.HOLD,
                reason.name.lower(),
                f"held back from the election{lasting}",
                words,
                actor=actor,
            )
        event = Resigned if handOver else Held
        self._tell(event(reason, detail, actor))

    def release(self, reason: HoldReason, actor: Actor | None = None) -> None:
        """
        Remove a reason, if it is present.

        @param actor: Who asked for that; C{None} if nobody did.
        """
        hold = self.present.pop(reason, None)
        if hold is not None:
            cancel(hold.timer)
            if hold.isNoted:
                rest = ", ".join(one.value for one in self.present)
                self._chronicle.note(
                    OccurrenceKind.RELEASE,
                    reason.name.lower(),
                    f"no longer held back for this reason, only for others ({rest})"
                    if rest
                    else "takes part in the election again",
                    f"the hold has ended ({reason.value})",
                    actor=actor,
                )
            if not self.present:
                self._tell(Released())

    def end(self, reason: HoldReason) -> None:
        """
        Have a reason removed as if its time were over.
        """
        self._tell(HoldEnded(reason))

    def detailOf(self, reason: HoldReason) -> str | None:
        """
        More about a reason, as text; C{None} if it is not present.
        """
        hold = self.present.get(reason)
        return None if hold is None else hold.detail

    def endOf(self, reason: HoldReason) -> float | None:
        """
        The end of a reason in seconds of the clock; C{None} if it has no end.
        """
        hold = self.present.get(reason)
        timer = None if hold is None else hold.timer
        return None if timer is None or not timer.active() else timer.getTime()

    def stop(self) -> None:
        """
        Cancel all timers.
        """
        for hold in self.present.values():
            cancel(hold.timer)


class Damping:
    """
    Decides how long a host stays out of the election after it lost mastership too often, or
    after a required step failed.

    @ivar isWatching: Whether L{heard} needs to be called.
    """

    _log = Logger()

    def __init__(
        self, configuration: VirtualHostConfiguration, clock: IReactorTime, holds: Holds
    ) -> None:
        self._configuration = configuration
        self._clock = clock
        self._holds = holds
        self.isWatching = False
        #: Whether this host lost mastership, and has heard no other master since.
        self._hasLost = False
        self._returns: list[float] = []
        self._masterSince = float("-inf")
        self._displaced = False
        self._holdOff = 0.0
        self._silence: IDelayedCall | None = None

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Follow another limit.
        """
        self._configuration = configuration

    def becameMaster(self, displaced: bool) -> None:
        """
        Note that this host became master.

        @param displaced: Whether it displaced a master that is still running.
        """
        self._masterSince = self._clock.seconds()
        self._displaced = displaced
        self._hasLost = False

    def becameBackup(self, replaced: bool) -> None:
        """
        Note that this host lost mastership.  That counts when another master is heard.  While
        there is none, a hold would only leave the group without a master.

        @param replaced: Whether another master was heard already.
        """
        if replaced:
            self._otherHeard()
        else:
            self.isWatching = self._hasLost = True

    def heard(self, peer: Peer, patience: float) -> None:
        """
        Note an advertisement.

        While this host is held because it lost mastership too often, it stays out only as long as
        another host is master.  Otherwise a group whose last other host dies would have no master
        until the hold ends.

        @param patience: Seconds of silence after which that master is taken for dead.
        """
        if peer.isBowOut:
            patience = 0.0
        elif self._hasLost:
            self._otherHeard()
        self.isWatching = HoldReason.FLAPPING in self._holds or self._hasLost
        if HoldReason.FLAPPING in self._holds:
            self._listen(patience)

    def _listen(self, patience: float) -> None:
        cancel(self._silence)
        self._silence = self._clock.callLater(patience, self._silent)

    def _silent(self) -> None:
        if HoldReason.FLAPPING in self._holds:
            self._log.warn(
                "The master has fallen silent: this host takes part again, although it lost "
                "mastership too often (vhid {vhid} on {interface})",
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
            self._holds.end(HoldReason.FLAPPING)

    def _otherHeard(self) -> None:
        """
        Count the last loss of mastership, since another host is master now, and hold this host
        if that has happened too often.
        """
        self._hasLost = False
        limit = self._configuration.flapLimit
        if limit is None:
            return
        now = self._clock.seconds()
        self._returns.append(now)
        while self._returns[0] < now - limit.seconds:
            del self._returns[0]
        if len(self._returns) >= limit.changes:
            self._returns.clear()
            self._log.error(
                "This host lost mastership {changes} times within {seconds:.0f} s and stays out "
                "of the election for {seconds:.0f} s, unless no other host is master. Look for "
                "lost packets, an unstable link, or peers that disagree about the best host (vhid "
                "{vhid} on {interface})",
                changes=limit.changes,
                seconds=limit.seconds,
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
            self.isWatching = True
            self._holds.hold(HoldReason.FLAPPING, limit.seconds)
            own = self._configuration
            self._listen(own.dialect.deadTime(own.timing, own.deadRatio))

    def stop(self) -> None:
        """
        Cancel the timer.
        """
        cancel(self._silence)

    def failed(self, step: str) -> float:
        """
        Decide, and log, how long this host stays out because a required step failed.  The time
        doubles if this host had displaced a working master and failed again soon.  It stays
        short where no other host was master.

        @param step: The name of the step.
        @return: Seconds.
        """
        lasted = self._clock.seconds() - self._masterSince
        soon = self._displaced and lasted < self._holdOff
        self._holdOff = min(self._holdOff * 2, LONGEST_HOLD_OFF) if soon else HOLD_OFF
        self._log.error(
            "This host is not fit to be master: {step} failed. It hands over and tries again in "
            "{delay:.0f} s (vhid {vhid} on {interface})",
            step=step,
            delay=self._holdOff,
            vhid=self._configuration.vhid,
            interface=self._configuration.interface,
        )
        return self._holdOff
