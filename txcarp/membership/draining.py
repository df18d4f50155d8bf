"""
A drain: an administrator takes this host out of the election, for example to work on it.

A master that is drained bows out, and goes on answering for the addresses.  Its backups are silent,
so it cannot know whether there are any: if none takes over in time, it takes the group back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.change import Drained, NotDrained
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.findings import Finding
from txcarp.interfaces import IPlatform
from txcarp.mastership.handover import LINGER, SUCCESSION
from txcarp.mastership.mastership import Mastership
from txcarp.membership.candidate import Candidate, OwnStanding
from txcarp.membership.diagnostics import Diagnostics
from txcarp.membership.holds import Holds
from txcarp.membership.leaving import Leaving
from txcarp.membership.memory import Drain, Memory
from txcarp.membership.record import Record
from txcarp.membership.timers import cancel
from txcarp.protocol import events
from txcarp.protocol.actor import Actor
from txcarp.protocol.effects import Reason
from txcarp.protocol.election import MASTER
from txcarp.protocol.events import Event, HoldReason
from txcarp.protocol.timing import Peer

#: How many of its intervals a master may have been silent when a backup is drained.
_INTERVALS = 2

#: Seconds from which a time needs a date.
_DAY = 86400.0


@attrs.frozen
class _Request:
    """
    A drain that is not decided yet.

    @ivar drain: What it leads to.
    @ivar anyway: Whether this host stays out even if nobody is master.
    """

    drain: Drain
    anyway: bool


class Draining:
    """
    Keeps this host out of the election for an administrator.  A drained host stays out whatever
    happens to the others: whoever works on it relies on that.

    @ivar isWatching: Whether L{heard} needs to be called.
    @ivar master: The address of the host that was heard as master since this host bowed out or was
        drained; empty if none was, or it has fallen silent.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        platform: IPlatform,
        tell: Callable[[Event], None],
        memory: Memory,
        record: Record,
        *,
        own: OwnStanding,
        candidate: Candidate,
        holds: Holds,
        leaving: Leaving,
        mastership: Mastership,
        diagnostics: Diagnostics,
    ) -> None:
        """
        @param memory: Knows whether this host is drained.
        @param record: Has that saved.
        """
        self._clock = platform.clock
        self._wall = platform.wallSeconds
        self._tell = tell
        self._memory = memory
        self._record = record
        #: Fires with whether the last change is saved.
        self._saved: Deferred[bool] = succeed(False)
        self._own = own
        self._candidate = candidate
        self._holds = holds
        self._leaving = leaving
        self._mastership = mastership
        self._diagnostics = diagnostics
        self.isWatching = False
        self.master = ""
        self._request: _Request | None = None
        self._isWithdrawn = False
        self._result: Drained | NotDrained | None = None
        self._drains: list[Deferred[Drained]] = []
        self._resumes: list[Deferred[None]] = []
        self._silence: IDelayedCall | None = None
        self.adopt(configuration)

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Follow other settings.
        """
        self._names = {
            "group": configuration.display,
            "vhid": configuration.vhid,
            "interface": configuration.interface,
        }

    def start(self) -> None:
        """
        Stay out of the election if this host was drained before.
        """
        drain = self._memory.drain
        if drain is None:
            return
        if drain.until is not None and drain.until <= self._clock.seconds():
            self._memory.drain = None
            self._record.changed()
            return
        # The time that is left is saved, so that a clock that is set back cannot prolong it often.
        self._record.changed()
        self._log.warn(
            "This host is still drained{terms}, and stays out of the election. 'txcarp resume "
            "{group}' ends that (vhid {vhid} on {interface})",
            terms=self._terms(drain),
            **self._names,
        )
        self._hold(drain)
        self._watch(self._own.now().deadTime)

    def stop(self) -> None:
        """
        Cancel the timer.
        """
        cancel(self._silence)

    # Requests.

    def drain(self, event: events.DrainAsked) -> Deferred[Drained]:
        """
        See L{VirtualHost.drain<txcarp.virtualhost.VirtualHost.drain>}.
        """
        waiting: Deferred[Drained] = Deferred(partial(_remove, self._drains))
        self._drains.append(waiting)
        self._tell(event)
        return waiting

    def resume(self, event: events.ResumeAsked) -> Deferred[None]:
        """
        See L{VirtualHost.resume<txcarp.virtualhost.VirtualHost.resume>}.
        """
        waiting: Deferred[None] = Deferred(partial(_remove, self._resumes))
        self._resumes.append(waiting)
        self._tell(event)
        return waiting

    def happened(self, event: Event) -> None:
        """
        Handle an event that is about a drain.
        """
        match event:
            case events.DrainAsked():
                self._drainAsked(event)
            case events.ResumeAsked():
                self._resumeAsked(event.actor)
            case events.HandOverEnded(lateness=lateness):
                self._handOverEnded(lateness)
            case events.DrainDecided():
                self._decided()

    def _drainAsked(self, event: events.DrainAsked) -> None:
        drain = Drain(event.until, event.actor)
        self._isWithdrawn = False
        if self._request is not None:
            # If one of two administrators accepts that nobody may be master, that is so.
            self._request = _Request(drain, self._request.anyway or event.anyway)
            if HoldReason.DRAINED in self._holds:
                self._hold(drain)
            return
        self._request = _Request(drain, event.anyway)
        if self._candidate.state is MASTER:
            self.master = ""
            self.isWatching = True
            self._leaving.resign(HoldReason.DRAINED, self._left(drain), actor=drain.actor)
        elif self._memory.drain is not None:
            # Whoever is master, this host is out already.
            self._decide(True)
        elif self._mastership.isDraining:
            # It hands over with the others of its set, one of which was drained before.
            self.master = self._masterHeard()
            self.isWatching = True
        else:
            self.master = self._masterHeard()
            self._decide(bool(self.master) or event.anyway)

    def _resumeAsked(self, actor: Actor | None) -> None:
        if self._request is not None:
            # The successor may be about to take over: first this is decided.
            self._isWithdrawn = True
            return
        if self._memory.drain is not None:
            self._log.info(
                "Resumed{by}: this host takes part in the election again (vhid {vhid} on "
                "{interface})",
                by="" if actor is None else f" by {actor.explain()}",
                **self._names,
            )
            self._end(actor)
        self._tell(events.DrainDecided())

    def holdEnded(self) -> None:
        """
        Handle that the time of the drain is over.
        """
        if self._request is not None:
            self._isWithdrawn = True
            return
        self._log.info(
            "The drain has ended: this host takes part in the election again (vhid {vhid} on "
            "{interface})",
            **self._names,
        )
        self._end()

    # What follows.

    def givenBack(self, reason: HoldReason) -> None:
        """
        Handle that a master has released its steps before it bows out.

        @param reason: Why it bows out.
        """
        request = self._request
        if request is None or self._mastership.isDraining:
            return
        if self._candidate.isLeaving:
            self._decide(False)
        elif reason is not HoldReason.DRAINED:
            # This host is about to bow out for that reason.  The drain comes after it.
            self._request = None
            drain = request.drain
            self._tell(events.DrainAsked(drain.until, request.anyway, drain.actor))
        elif self._candidate.state is not MASTER:
            # Another host has taken over meanwhile.
            self.master = self._masterHeard()
            self._decide(bool(self.master) or request.anyway)

    def heard(self, peer: Peer) -> None:
        """
        Note the advertisement of another host.
        """
        source = textOf(peer.source)
        if not peer.isBowOut:
            self.master = source
            self._watch(self._own.now(peer).patience(peer))
        elif source == self.master:
            self._watch(SUCCESSION)

    def _handOverEnded(self, lateness: float) -> None:
        """
        Handle that the time is over which the successor of this drained master had.
        """
        if self._request is not None:
            self._decide(bool(self.master) or self._request.anyway, isLate=lateness > LINGER)
        else:
            self._mastership.giveBack()

    def returned(self) -> None:
        """
        Handle that the whole set of this host is master again.
        """
        if self._request is not None and self._candidate.state is MASTER:
            self._request = None
            self._end()
            self._result = self._noSuccessor("is master again")
            self._tell(events.DrainDecided())

    def _noSuccessor(self, where: str) -> NotDrained:
        words = f"Nobody took over {self._names['group']} within {SUCCESSION} s; this host {where}."
        return NotDrained("no-successor", words)

    def _decided(self) -> None:
        """
        Tell those who wait what was decided.
        """
        mastership = self._mastership
        if mastership.isDraining and self._request is None and not mastership.handOver.isWaiting:
            mastership.giveBack()  # its set did not take the group back
        result, self._result = self._result, None
        saved, self._saved = self._saved, succeed(False)
        resumes, self._resumes = self._resumes, []
        drains: list[Deferred[Drained]] = []
        if result is not None:
            drains, self._drains = self._drains, drains
        self._answer(saved, result, drains, resumes)

    @inlineCallbacks
    def _answer(
        self,
        saved: Deferred[bool],
        result: Drained | NotDrained | None,
        drains: list[Deferred[Drained]],
        resumes: list[Deferred[None]],
    ) -> Generator[Deferred[Any], Any, None]:
        """
        Tell those who wait what was decided, when it is carried out.
        """
        isKept: bool = yield saved
        if result is not None:
            yield self._mastership.settled()
        for resumed in resumes:
            if not resumed.called:  # or cancelled
                resumed.callback(None)
        for waiting in drains:
            if waiting.called:
                continue
            if isinstance(result, Drained):
                waiting.callback(attrs.evolve(result, isKept=isKept))
            else:
                waiting.errback(result)

    def _decide(self, isOut: bool, isLate: bool = False) -> None:
        """
        Stay out of the election, or go back.

        @param isOut: Whether this host stays out, unless the drain was withdrawn.
        @param isLate: Whether this host did not run when its successor may have advertised.
        """
        request, self._request = self._request, None
        assert request is not None
        if isOut and not self._isWithdrawn:
            self._stayOut(request.drain)
        else:
            self._goBack(isLate)
        self._tell(events.DrainDecided())

    def _stayOut(self, drain: Drain) -> None:
        isNew = self._memory.drain is None
        self._memory.drain = drain
        self._saved = self._record.save()
        self._result = Drained(self.master)
        self._log.warn(
            "Drained{terms}: this host stays out of the election. {who}. 'txcarp resume {group}' "
            "ends the drain (vhid {vhid} on {interface})",
            terms=self._terms(drain),
            who=f"{self.master} is master" if self.master else "No other host is master",
            **self._names,
        )
        if not self._candidate.isLeaving:
            if not isNew or HoldReason.DRAINED not in self._holds:
                self._hold(drain)
            if self.master:
                self._watch(self._own.now().deadTime)
            elif isNew:
                self.isWatching = True
                self._diagnostics.found(Finding.NO_MASTER)
        self._mastership.giveBack()

    def _goBack(self, isLate: bool) -> None:
        """
        @param isLate: Whether this host did not run when its successor may have advertised.  It
            does not claim the group then, because it may have a master.
        """
        display, successor = self._names["group"], self.master
        wasMaster, isLeaving = self._mastership.isDraining, self._candidate.isLeaving
        if not isLeaving:
            self._end()
        returns = wasMaster and not (successor or isLate or isLeaving or self._holds)
        if self._isWithdrawn:
            self._result = NotDrained("withdrawn", f"The drain of {display} was ended meanwhile.")
        elif isLeaving:
            words = f"{display} was stopped before another host had taken over."
            self._result = NotDrained("stopped", words)
        elif not wasMaster:
            words = (
                f"No other host is heard as master of {display}, so nobody might be master without "
                "this one. Try again when one is heard, or drain it anyway."
            )
            self._result = NotDrained("no-master", words)
        else:
            where = "is master again" if returns else "takes part again as backup"
            self._result = self._noSuccessor(where)
            self._log.error(
                "Nobody took over within {seconds} s after the bow-out. This host is not drained, "
                "and {where}. Check whether its peers run and hear it (vhid {vhid} on {interface})",
                seconds=SUCCESSION,
                where=where,
                **self._names,
            )
        if returns:
            self._tell(events.Claimed(reason=Reason.NO_SUCCESSOR))
        else:
            self._mastership.giveBack()

    def _end(self, actor: Actor | None = None) -> None:
        if self._memory.drain is not None:
            self._memory.drain = None
            self._saved = self._record.save()
        self.master = ""
        self.isWatching = False
        cancel(self._silence)
        self._holds.release(HoldReason.DRAINED, actor)

    def _hold(self, drain: Drain) -> None:
        left = self._left(drain)
        self._holds.hold(HoldReason.DRAINED, left, handOver=True, actor=drain.actor)

    def _left(self, drain: Drain) -> float | None:
        return None if drain.until is None else max(0.0, drain.until - self._clock.seconds())

    def _terms(self, drain: Drain) -> str:
        """
        By whom a host is drained, and until when, as the end of a phrase.
        """
        words = "" if drain.actor is None else f" by {drain.actor.explain()}"
        left = self._left(drain)
        if left is not None:
            when = time.localtime(self._wall() + left)
            words += time.strftime(" until %H:%M:%S" if left < _DAY else " until %b %d %H:%M", when)
        return words

    # The others.

    def _masterHeard(self) -> str:
        """
        The address of the host that is master now, as far as this backup knows.
        """
        last, now = self._memory.heardSince, self._clock.seconds()
        if last is None:
            return ""
        peer = Peer(last.timing, last.source, last.demotion)
        longest = min(self._own.now(peer).patience(peer), _INTERVALS * peer.timing.interval)
        return textOf(last.source) if now - last.heard < longest else ""

    def _watch(self, patience: float) -> None:
        self.isWatching = True
        cancel(self._silence)
        if self._candidate.isLeaving:
            return
        due = self._clock.seconds() + patience
        self._silence = self._clock.callLater(patience, self._silent, patience, due)

    def _silent(self, patience: float, due: float) -> None:
        if self._memory.drain is None:
            return
        slept = self._clock.seconds() - due > LINGER
        if slept or len(self._holds) > 1:
            # This host cannot have heard the master.
            self._watch(patience)
            return
        self.master = ""
        self._diagnostics.found(Finding.NO_MASTER)


def _remove(waiting: list[Deferred[Any]], one: Deferred[Any]) -> None:
    if one in waiting:
        waiting.remove(one)
