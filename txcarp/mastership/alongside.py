"""
The scripts of a virtual host that assigns its addresses.
"""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.change import Change
from txcarp.interfaces import IMastershipStep
from txcarp.mastership.sequence import MastershipSequence
from txcarp.protocol.effects import Role


@attrs.frozen(eq=False)
class _ScriptStep:
    """
    What the two steps have in common.
    """

    name = "script"
    required = False
    timeLimit = None

    _scripts: ScriptsAlongside


@implementer(IMastershipStep)
@attrs.frozen(eq=False)
class _Down(_ScriptStep):
    def acquire(self, change: Change) -> None:
        pass

    def release(self, change: Change) -> Deferred[None]:
        return self._scripts.run(change)


@implementer(IMastershipStep)
@attrs.frozen(eq=False)
class _Up(_ScriptStep):
    def acquire(self, change: Change) -> Deferred[None]:
        return self._scripts.run(change)

    def release(self, change: Change) -> Deferred[None] | None:
        return self._scripts.runFirst(change)


class ScriptsAlongside:
    """
    Keeps the addresses from waiting for a script.

    The up script may use the addresses, and runs after they were added.  The down script may
    take any time, in which a successor has the addresses, and runs after they were removed.  So
    the scripts are two steps, with the addresses between them.  When the newest wish turns
    around, the steps do not wait for a script any more, but the scripts wait for each other: they
    have a sequence of their own.

    @ivar down: The step before the addresses, whose release runs the down script.
    @ivar up: The step after the addresses, whose acquisition runs the up script.
    @ivar waiting: What a step waits for; C{None} while no script runs.
    @ivar wanted: Whether the newest wish is to be master.
    """

    _log = Logger()

    def __init__(
        self, scripts: IMastershipStep, clock: IReactorTime, downFirst: float | None
    ) -> None:
        """
        @param scripts: Runs the scripts.
        @param downFirst: Seconds for which the addresses wait for the down script; C{None} if
            it runs after they were removed.
        """
        self._clock = clock
        self._downFirst = downFirst
        self._sequence = MastershipSequence([scripts], clock)
        self.waiting: Deferred[None] | None = None
        self.wanted = False
        self._settling = False
        self.down: IMastershipStep = _Down(self)
        self.up: IMastershipStep = _Up(self)

    def goOn(self, waiting: Deferred[None]) -> None:
        """
        Have no step wait for this any more.
        """
        if not waiting.called:
            waiting.callback(None)

    def run(self, change: Change) -> Deferred[None]:
        """
        Run the script for a change, unless it has run, after the one that is running.

        @return: Fires when no script is running, or L{goOn} was called.  It has fired if the
            change is not wanted any more.
        """
        self._sequence.wish(change)
        waiting: Deferred[None] = Deferred()
        self.waiting = waiting
        if self.wanted is not (change.role is Role.MASTER):
            self.goOn(waiting)
        if not self._settling:
            self._settling = True
            self._sequence.settled().addCallback(self._settled)
        return waiting

    def _settled(self, result: None) -> None:
        self._settling = False
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            self.goOn(waiting)

    def runFirst(self, change: Change) -> Deferred[None] | None:
        """
        Run the down script before the addresses are removed, if it is to, and wait for its end
        for a limited time.
        """
        if self._downFirst is None:
            return None
        waiting = self.run(change)
        if not waiting.called:
            limit = self._clock.callLater(self._downFirst, self._tooLong, waiting, change)
            waiting.addCallback(lambda _: limit.cancel() if limit.active() else None)
        return waiting

    def _tooLong(self, waiting: Deferred[None], change: Change) -> None:
        self._log.error(
            "The down script has run for {seconds} s. The addresses are removed now, while it "
            "goes on (vhid {vhid} on {interface})",
            seconds=self._downFirst,
            vhid=change.vhid,
            interface=change.interface,
        )
        self.goOn(waiting)
