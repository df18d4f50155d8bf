"""
Attacks with captured advertisements, on real processes: those of C{python -m
benchmarks.attacks} that take a ucarp pair down.
"""

from __future__ import annotations

from twisted.internet import reactor

from benchmarks.assaults import ATTACKS
from benchmarks.attacks import mount
from benchmarks.siege import PAIRS
from tests.lab.world import LabTestCase


class AttackTests(LabTestCase):
    """
    A pair of txcarp hosts as they are by default, and a pair of ucarp hosts, attacked
    at the same time.
    """

    async def falls(self, name: str) -> None:
        """
        See one pair fall to an attack, and the other not even notice.
        """
        [attack] = [attack for attack in ATTACKS if attack.name == name]
        txcarp, ucarp = await mount(reactor, attack, [PAIRS["learn"], PAIRS["ucarp"]])
        self.assertEqual(txcarp.faults, (), "txcarp")
        self.assertGreater(sum(txcarp.refused.values()), 3, "nothing reached it")
        self.assertNotEqual(ucarp.faults, (), "this was no attack")

    async def test_preferred(self) -> None:
        """
        One advertisement that is sent again as 0/0 leaves a ucarp pair without master.
        """
        await self.falls("0/0 from a new source")

    async def test_bowOut(self) -> None:
        """
        One that is sent again as 255/255 makes the backup of a ucarp pair a second master.
        """
        await self.falls("255/255 as the master")

    async def test_replay(self) -> None:
        """
        All that was captured, sent again as it was, keeps a ucarp backup that was just
        started from taking over from a dead master.
        """
        await self.falls("replay to a restarted backup")

    async def test_ownWords(self) -> None:
        """
        A txcarp host that was restarted knows its own old words again.
        """
        await self.falls("0/0 made of a host's own adverts")
