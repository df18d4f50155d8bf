"""
The waiting of the other tests here.
"""

from __future__ import annotations

from twisted.internet import reactor

from tests.lab.daemons import Daemon
from tests.lab.world import LabTestCase


class BecomesTests(LabTestCase):
    """
    L{LabTestCase.becomes}.
    """

    needsUcarp = False

    def says(self, daemon: Daemon, *states: str) -> None:
        """
        Have a process say that it is in one state after the other, in one go.
        """
        lines = "".join(f"[WARNING] Switching to state: {state}\n" for state in states)
        daemon.childDataReceived(2, lines.encode())

    async def test_leftAgain(self) -> None:
        """
        A state that a process was in for no time at all was one; one from before was not.
        """
        daemon = Daemon("hasty")
        self.says(daemon, "BACKUP", "MASTER")
        await self.becomes(daemon, "MASTER", 5)
        reactor.callLater(0.05, self.says, daemon, "BACKUP", "MASTER")  # type: ignore[attr-defined]
        await self.becomes(daemon, "BACKUP", 5)
        with self.assertRaises(self.failureException):
            await self.becomes(daemon, "BACKUP", 0.05)

    async def test_ended(self) -> None:
        """
        A process that ended says nothing more.
        """
        daemon = Daemon("gone")
        daemon.ended = True
        with self.assertRaisesRegex(self.failureException, "gone ended"):
            await self.becomes(daemon, "MASTER", 5)
