"""
A host that goes back from txcarp to the real ucarp.
"""

from __future__ import annotations

import signal

from tests.lab.world import LabTestCase


class ReturnTests(LabTestCase):
    """
    Two txcarp hosts.  The preferred one is stopped, and ucarp is started there with the same
    options.
    """

    async def test_believed(self) -> None:
        """
        The other host, which is master meanwhile, believes ucarp after three advertisements, and
        gives way.  When it is restarted, it stays backup.
        """
        a, b = self.host("a"), self.host("b")
        first = a.txcarp("-P")
        await self.becomes(first, "MASTER")
        second = b.txcarp("-k", "100")
        await self.becomes(second, "BACKUP")
        await self.until(lambda: len(self.wire.of(a.address)) > 5, "it is heard twice", 20)
        await self.stopped(first, signal.SIGTERM)
        await self.becomes(second, "MASTER")
        ucarp = a.ucarp("-P")
        await self.becomes(ucarp, "MASTER")
        await self.until(lambda: second.state == "BACKUP", "the other gives way", 20)
        # On a busy machine it may have given way because it slept.
        await self.until(lambda: second.said("seal-ended"), "it says why", 20)
        self.assertEqual(len(second.said("seal-ended")), 1)
        self.assertEqual(ucarp.state, "MASTER")
        await self.stopped(second, signal.SIGTERM)
        again = b.txcarp("-k", "100")
        await self.becomes(again, "BACKUP")
        await self.during(5.0)
        self.assertEqual((ucarp.state, again.state), ("MASTER", "BACKUP"))
