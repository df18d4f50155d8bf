"""
How a host gives up: a master hands over and stays out of the election, or the host leaves its
group.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.mastership.mastership import Mastership
from txcarp.membership.candidate import Candidate
from txcarp.membership.holds import Holds
from txcarp.membership.roles import Roles
from txcarp.protocol import effects, events
from txcarp.protocol.actor import Actor
from txcarp.protocol.effects import Role
from txcarp.protocol.election import MASTER
from txcarp.protocol.events import Event, HoldReason

#: Seconds that a host stays out of the election after it was asked to hand over, as in ucarp.
#: Another host takes over in this time.
RESIGNATION = 3.0


class Leaving:
    """
    Hands mastership over, and leaves the group, in the order that the configuration asks for:
    the bow-out first and then the steps of the master (L{Mastership}), or the other way round
    (C{releaseFirst}).

    @ivar isResigning: Whether a master releases its steps, and bows out afterwards.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        tell: Callable[[Event], None],
        *,
        candidate: Candidate,
        holds: Holds,
        mastership: Mastership,
        roles: Roles,
    ) -> None:
        """
        @param tell: Called with L{GivenBack<events.GivenBack>} and L{Stopped<events.Stopped>}.
        """
        self._tell = tell
        self._candidate = candidate
        self._holds = holds
        self._mastership = mastership
        self._roles = roles
        self.isResigning = False
        #: Fires when this host has left the election.
        self._outOfElection: Deferred[None] = Deferred()
        self.adopt(configuration)

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Follow another order.
        """
        self._releaseFirst = configuration.releaseFirst

    # Handing over.

    def resign(
        self,
        reason: HoldReason,
        seconds: float | None,
        detail: str = "",
        actor: Actor | None = None,
    ) -> None:
        """
        Hand over if this host is master, and stay out of the election.

        @param seconds: For how long; C{None} for no end.
        @param detail: More about the reason, as text; may be empty.
        @param actor: Who asked for it; C{None} if nobody did.
        """
        if not self._releaseFirst or self._candidate.state is not MASTER:
            self._holds.hold(reason, seconds, detail=detail, handOver=True, actor=actor)
        elif not self.isResigning:
            self.isResigning = True
            effect = effects.ChangeRole(Role.BACKUP, reason.change, detail=detail, actor=actor)
            change = self._roles.change(effect, Role.MASTER)
            self._mastership.release(change).addBoth(
                lambda _: self._tell(events.GivenBack(reason, seconds, detail, actor))
            )

    def givenBack(self, event: events.GivenBack) -> None:
        """
        Handle that a master that resigns has released its steps: it bows out now.
        """
        self.isResigning = False
        if self._candidate.isLeaving:
            return
        reason, seconds, detail = event.reason, event.seconds, event.detail
        actor = event.actor
        isMaster = self._candidate.state is MASTER
        if isMaster and self._mastership.wanted:
            # It lost mastership and regained it meanwhile.
            self.resign(reason, seconds, detail, actor)
        elif isMaster or reason is HoldReason.UNFIT:
            # A backup that was asked to hand over has nothing left to do: another host has
            # taken over already.
            self._holds.hold(reason, seconds, detail=detail, handOver=True, actor=actor)

    # Leaving.

    def leave(
        self, close: Callable[[], Deferred[None]], actor: Actor | None
    ) -> Deferred[None]:
        """
        Leave the election, and release all steps.  A master bows out.

        @param close: Called afterwards, to close what belongs to this run.  Returns a Deferred.
        @param actor: Who asked for it; C{None} if nobody did.
        @return: Fires when that Deferred has fired.
        """
        candidate = self._candidate
        candidate.isLeaving = True
        role: Role = candidate.state.role
        leaving = self._mastership.leave(self._roles.stopping(role, actor), self._leaveElection)
        leaving.addErrback(self._failed).addCallback(lambda _: close())
        return leaving.addErrback(self._failed)

    def leftElection(self) -> None:
        """
        Handle that this host is out of the election.
        """
        if not self._outOfElection.called:
            self._outOfElection.callback(None)

    def _leaveElection(self) -> Deferred[None]:
        """
        Leave the election; a master bows out.

        @return: Fires when that is done, after the event that is being handled.
        """
        self._tell(events.Stopped())
        return self._outOfElection

    def _failed(self, failure: Failure) -> None:
        self._log.failure("Internal error while this host was leaving its group", failure)
