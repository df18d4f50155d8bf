"""
Tests for L{tests.fuzz}, which C{python -m benchmarks.fuzz} runs for longer, and for the
memory that packets take.
"""

from __future__ import annotations

import gc
import random
from types import FunctionType, ModuleType
from typing import Any

from hypothesis import Phase
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted, fuzz
from tests.fakes import Stage
from txcarp.protocol import freshness
from txcarp.protocol.freshness import Freshness
from txcarp.protocol.rejection import Rejected, Rejection

#: What happens a few times in every short run.
_EXPECTED = ("believed", "kept back", "restarts", "changes of role")


class FuzzTests(SynchronousTestCase):
    """
    The machine, for a moment.
    """

    def setUp(self) -> None:
        fuzz.tally.clear()

    def test_sound(self) -> None:
        """
        Nothing is wrong, and what the attacker sends is refused for every reason there is, except
        for the one that depends on a crash of this host.
        """
        reasons = [one for one in Rejection if one is not Rejection.BEHIND]
        expected = dict.fromkeys(reasons, 1) | dict.fromkeys(_EXPECTED, 6)
        # What a seed leads to depends on the modules that Hypothesis finds loaded.
        for number in range(30):
            fuzz.run(20, number)
            missing = {what for what, count in expected.items() if fuzz.tally[what] < count}
            if not missing:
                break
        self.assertEqual(missing, set())

    def find(self, words: str) -> None:
        """
        @param words: What the machine must say is wrong.
        """
        with self.assertRaises(Exception) as raised:
            fuzz.run(2000, phases=[Phase.generate], report_multiple_bugs=False, derandomize=True)
        self.assertIn(words, repr(raised.exception))

    def test_holes(self) -> None:
        """
        A hole in what is verified is found.
        """

        def believing(self: Freshness, *arguments: object) -> bool:
            return False

        for name in ("judge", "_sealedBefore"):
            with self.subTest(name):
                patched = self.patch(Freshness, name, believing)
                self.find("was believed: ")
                patched.restore()

    def test_exceptions(self) -> None:
        """
        An exception other than L{Rejected} is found.
        """

        def broken(self: Freshness, *arguments: object) -> bool:
            raise ZeroDivisionError

        self.patch(Freshness, "_sealedBefore", broken)
        self.find("ZeroDivisionError")

    def test_influence(self) -> None:
        """
        A refused packet that changes what the host remembers is found.
        """
        judge = Freshness.judge

        def remembering(self: Freshness, *arguments: Any) -> bool:
            try:
                return judge(self, *arguments)
            except Rejected:
                for known in self.sources.values():
                    known.at += 0.001
                raise

        self.patch(Freshness, "judge", remembering)
        self.find("as if it had believed")


def reachable(*roots: object) -> int:
    """
    How many objects these hold, directly or not.
    """
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType)):
            continue
        seen.add(id(one))
        # The globals of a function belong to nobody.
        waiting += one.__closure__ or () if isinstance(one, FunctionType) else gc.get_referents(one)
    return len(seen)


class MemoryTests(SynchronousTestCase):
    """
    What one host remembers of others has a limit.
    """

    def flood(self, stage: Stage, hosts: range) -> None:
        """
        Each of many hosts sends everything that can be remembered: a sealed advertisement
        twice and one without a seal, and what an attacker makes of each.
        """
        draw = random.Random(1)
        for host in hosts:
            source = f"10.99.{host // 200 + 1}.{host % 200 + 1}"
            start = 10**10 + 10 * host
            for packet in (
                *(crafted.sealedPacket(start + n, source, advbase=1) for n in range(2)),
                crafted.packet(source=source, counter=draw.getrandbits(64), advbase=1),
            ):
                for sent in (packet, packet, crafted.forged(packet, advskew=9), packet[:50]):
                    stage.deliver(sent)
            stage.deliver(crafted.packet(draw.randbytes(36), source=source))

    def test_bounded(self) -> None:
        """
        After some hundred hosts, a thousand more do not take more memory.
        """
        self.patch(freshness, "REMEMBERED", 100)
        stage = Stage(advskew=200)
        stage.start()
        self.flood(stage, range(300))
        before = reachable(stage.host)
        self.flood(stage, range(300, 1300))
        self.assertGreater(stage.host.status().received, 2500)
        self.assertEqual(stage.network.transport.packets, [])
        self.assertLess(reachable(stage.host) - before, 50)
