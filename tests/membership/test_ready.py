"""
Waiting for mastership: L{VirtualHost.whenMaster<txcarp.virtualhost.VirtualHost.whenMaster>}.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests import crafted
from tests.mastership.table import LeaseStage
from txcarp.change import Change
from txcarp.interfaces import IMastershipStep


@implementer(IMastershipStep)
class Slow:
    """
    A step that takes time.
    """

    name, required, timeLimit = "slow", True, None

    def __init__(self) -> None:
        self.acquiring: list[Deferred[None]] = []

    def acquire(self, change: Change) -> Deferred[None]:
        self.acquiring.append(Deferred())
        return self.acquiring[-1]

    def release(self, change: Change) -> None:
        pass


class WhenMasterTests(SynchronousTestCase):
    """
    A host that becomes master.
    """

    def setUp(self) -> None:
        self.stage = LeaseStage()
        self.host = self.stage.host

    def test_ready(self) -> None:
        """
        It fires when all steps are acquired, and then at once.
        """
        step = Slow()
        self.host.addStep(step)
        waiting = self.host.whenMaster()
        self.stage.start()
        self.stage.run(4)
        self.assertNoResult(waiting)
        step.acquiring[0].callback(None)
        self.successResultOf(waiting)
        self.successResultOf(self.host.whenMaster())

    def test_next(self) -> None:
        """
        A backup that was master waits for the next time, over a stop and a start.
        """
        self.stage.becomeMaster()
        self.stage.deliver(advskew=0, source=crafted.PEER)
        waiting = self.host.whenMaster()
        self.host.stopService()
        self.stage.run(1)
        self.host.startService()
        self.stage.run(2)
        self.assertNoResult(waiting)
        self.stage.run(2)
        self.successResultOf(waiting)

    def test_cancelled(self) -> None:
        """
        Whoever stops waiting is forgotten.
        """
        waiting, other = self.host.whenMaster(), self.host.whenMaster()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.stage.becomeMaster()
        self.successResultOf(other)

    def test_takenBack(self) -> None:
        """
        A master that is drained is not master, until it takes the group back.
        """
        self.stage.becomeMaster()
        self.host.drain().addErrback(lambda failure: None)
        waiting = self.host.whenMaster()
        self.stage.run(1)
        self.assertNoResult(waiting)
        self.stage.run(1)
        self.successResultOf(waiting)
