"""
Tests for L{txcarp.protocol.lapse}: a host that goes back to ucarp or a BSD kernel is believed, and
nobody else in its name.
"""

from __future__ import annotations

import random
from typing import Any

import attrs

from tests import crafted
from tests.crafted import packed
from tests.protocol.test_freshness import (
    _CHANGES,
    _OTHER,
    _OWN,
    _PEER,
    _SEALS,
    _START,
    _STRANGER,
    _USUAL,
    FreshnessTestCase,
    advertisement,
    forged,
    sealed,
)
from txcarp.protocol.advertisement import Advertisement
from txcarp.protocol.freshness import LAG, Freshness
from txcarp.protocol.lapse import BELIEVED_AFTER, OBSERVED, RECENT, REMEMBERED, SPARE, STRIDE
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.seal import PACE, Fields, Verification


class LapseTestCase(FreshnessTestCase):
    """
    A receiver that knows that a peer seals.  The peer was silent since.
    """

    constantCounters = False

    def setUp(self) -> None:
        super().setUp()
        self.captured = self.hear(5)
        self.now += 5

    def receiver(self, **more: Any) -> Freshness:
        return Freshness(
            self.verification, _SEALS, constantCounters=self.constantCounters, **more
        )

    def mine(self) -> int:
        """
        Have this host advertise.

        @return: The counter, which a ucarp host that hears it continues.
        """
        sent = sealed(self.now, _OWN)
        self.send(sent)
        return sent.counter

    def says(self, counter: int, says: Fields = _USUAL) -> Advertisement:
        """
        Return what the peer sends with a counter, without a seal.
        """
        return advertisement(counter, says)

    def refuses(self, *counters: int, source: str = _PEER, seconds: float = 1.0) -> None:
        """
        Assert that unsealed advertisements with these counters are refused, one after the other.
        """
        for counter in counters:
            self.now += seconds
            self.refused(Rejection.UNSEALED, self.says(counter), source)

    def believes(self, counter: int, source: str = _PEER) -> None:
        """
        Assert that an unsealed advertisement is believed, and that its source counts as one that
        does not seal.
        """
        self.now += 1
        self.assertFalse(self.judge(self.says(counter), source))
        self.assertNotIn(packed(source), self.freshness.sources)


class CountingTests(LapseTestCase):
    """
    The group counts as ucarp and FreeBSD do.
    """

    def test_heardThisHost(self) -> None:
        """
        The third advertisement that continues counters of this host is believed, and so is all
        that follows.
        """
        self.refuses(self.mine() + 1)
        self.refuses(self.mine() + 1)
        last = self.mine() + 1
        self.believes(last)
        for n in range(1, 10):
            self.believes(last + n)
        self.believes(random.Random(112).getrandbits(64))

    def test_countsAlone(self) -> None:
        """
        The host may have heard a single counter and count on from there.  Some of its
        advertisements may be lost.
        """
        first = self.mine() + 1
        self.refuses(first, first + 2)
        self.believes(first + 3)

    def test_bothFamilies(self) -> None:
        """
        A FreeBSD host takes a step for each family.
        """
        first = self.mine() + 1
        self.refuses(first, first + 2)
        self.believes(first + 4)

    def test_heardAnother(self) -> None:
        """
        It may have heard a third host that seals.
        """
        [heard] = self.hear(2, _OTHER)[1:]
        self.refuses(heard.counter + 1, heard.counter + 2)
        self.believes(heard.counter + 3)

    def test_afterARestart(self) -> None:
        """
        A receiver that was restarted meanwhile believes it as well.
        """
        for reboot in (False, True):
            before = self.freshness
            self.freshness = self.restarted(reboot=reboot)
            self.refuses(self.mine() + 1, self.mine() + 2)
            self.believes(self.mine() + 1)
            self.freshness = before

    def test_bowOut(self) -> None:
        """
        A bow-out counts neither for the host nor as its interval.
        """
        self.assertTrue(self.judge(sealed(self.now, says=Fields(255, 255))))
        first = self.mine() + 1
        self.now += 1
        self.refused(Rejection.UNSEALED, self.says(first, Fields(255, 255)))
        self.refuses(first + 1, first + 2)
        self.believes(first + 3)

    def test_sealsAgain(self) -> None:
        """
        When it seals again, its advertisements need a seal from then on.
        """
        first = self.mine() + 1
        self.refuses(first, first + 1)
        self.believes(first + 2)
        self.hear(3)
        self.refuses(first + 3)

    def test_sealedMeanwhile(self) -> None:
        """
        Any sealed advertisement between them shows that the host still seals.
        """
        for _ in range(5):
            for _ in range(BELIEVED_AFTER - 1):
                self.refuses(self.mine() + 1)
            self.hear(1)

    def test_rhythm(self) -> None:
        """
        Those that come faster than the host advertises do not count.  The interval is the one
        that it claims, or the one that it had before, whichever is longer.
        """
        first = self.mine() + 1
        self.refuses(*range(first, first + 20), seconds=0.02)
        self.refuses(first + 20)
        self.believes(first + 21)
        self.freshness = self.receiver()
        self.hear(5, says=Fields(10, 0))
        first = self.mine() + 1
        self.refuses(*range(first, first + 10))
        self.believes(first + 10)

    def test_silence(self) -> None:
        """
        A pause makes the count begin again.
        """
        first = self.mine() + 1
        self.refuses(first, first + 1)
        self.now += LAG
        self.refuses(first + 2, first + 3)
        self.believes(first + 4)

    def test_require(self) -> None:
        """
        Where seals are required, no host is believed without.
        """
        self.freshness.adopt(Verification.REQUIRE, _SEALS, LAG)
        first = self.mine() + 1
        self.refuses(*range(first, first + 20))

    def test_otherFamily(self) -> None:
        """
        Each address of the host counts for itself.
        """
        self.hear(3, "fe80::1")
        first = self.mine() + 1
        self.refuses(first, first + 2)
        self.refuses(first + 1, first + 3, source="fe80::1")
        self.believes(first + 4)
        self.believes(first + 5, "fe80::1")


class ForgeryTests(LapseTestCase):
    """
    An attacker who has recorded everything sends in the name of a host that is silent.
    """

    def test_altered(self) -> None:
        """
        Sealed advertisements that were altered, heard or not, are refused.
        """
        missed = [sealed(self.now + n) for n in range(10)]
        for old in (*missed, *self.captured, *missed):
            for change in _CHANGES:
                self.now += 1
                changed = forged(old, **change)
                heard = old in self.captured
                self.refused(Rejection.REPLAY if heard else Rejection.UNSEALED, changed)

    def test_beforeItSealed(self) -> None:
        """
        So is what the host sent before it began to seal, whether it counted on or drew random
        numbers.
        """
        generator = random.Random(112)
        root = generator.getrandbits(64)
        self.refuses(*range(root, root + 20))
        self.refuses(*(generator.getrandbits(64) for _ in range(20)))

    def test_earlierTime(self) -> None:
        """
        So is what it sent at an earlier time when it did not seal, although that continues
        counters of this host.
        """
        first = self.mine() + 1
        self.refuses(first, first + 1)
        self.believes(first + 2)
        self.now += 1
        recorded = range(first, first + 20)
        for counter in recorded[3:]:
            self.believes(counter)
        self.hear(3)
        self.refuses(*recorded)
        missed = self.mine() + 1
        self.now += LAG
        self.mine()
        self.refuses(*range(missed, missed + 20))
        self.freshness = self.restarted()
        self.refuses(*recorded, *range(missed, missed + 20))

    def test_ofAnother(self) -> None:
        """
        So is what a host that never sealed sends, once this host has heard that.
        """
        for _ in range(10):
            counter = self.mine() + 1
            self.believes(counter, _OTHER)
            self.refuses(counter, seconds=0.5)
            self.assertIn(packed(_PEER), self.freshness.sources)

    def test_repeated(self) -> None:
        """
        One advertisement does not count twice.
        """
        self.refuses(*[self.mine() + 1] * 5)
        self.hear(1)
        first = self.mine() + 1
        self.refuses(first, *[first + 1, first] * 5)

    def test_farBeyond(self) -> None:
        """
        A counter that is many steps beyond the last one does not continue it.
        """
        first = self.mine() + 1 + STRIDE
        self.refuses(*range(first, first + 10 * STRIDE, STRIDE + 1))

    def test_bounded(self) -> None:
        """
        The memory is bounded.
        """
        for n in range(REMEMBERED + 2):
            # By chance, none of these counters has the tag of a known host.
            self.assertFalse(self.judge(self.says((1 << 40) + n), _STRANGER))
        for n in range(OBSERVED + 2):
            source = f"10.99.2.{n}"
            self.hear(2, source)
            self.refuses(self.mine() + 1, source=source, seconds=0.01)
        for _ in range(2 * RECENT):
            self.now += 0.01
            self.mine()
        lapses = attrs.asdict(vars(self.freshness)["_lapses"], recurse=False)
        self.assertTrue(REMEMBERED // 2 <= len(lapses["_used"]) <= REMEMBERED)
        self.assertLessEqual(len(lapses["_runs"]), OBSERVED)
        for each in lapses["_recent"], lapses["_times"]:
            self.assertTrue(RECENT <= len(each) <= RECENT + SPARE)
        for _ in range(2 * SPARE):
            self.now += 1
            self.mine()
        for each in lapses["_recent"], lapses["_times"]:
            self.assertTrue(LAG <= len(each) <= LAG + SPARE)


class ConstantTests(LapseTestCase):
    """
    The group counts as OpenBSD does.
    """

    constantCounters = True

    #: A counter whose upper bits are a tick in the distant future.
    constant = 0xFEDCBA9876543210

    def test_standsStill(self) -> None:
        """
        The third advertisement with one new counter is believed.
        """
        self.refuses(self.constant, self.constant)
        self.believes(self.constant)
        self.believes(self.constant)

    def test_others(self) -> None:
        """
        Different counters do not add up.
        """
        self.refuses(*range(self.constant, self.constant + 20))

    def test_heardBefore(self) -> None:
        """
        A counter that was heard before is refused: of this host, before it began to seal, or of
        another one; also after a restart of the receiver.
        """
        for source in (_STRANGER, _PEER):
            self.freshness = self.receiver()
            self.assertFalse(self.judge(self.says(self.constant), source))
            self.hear(3)
            self.now += 5
            self.refuses(*[self.constant] * 20)
            self.freshness = self.restarted()
            self.refuses(*[self.constant] * 20)

    def test_altered(self) -> None:
        """
        A sealed counter is refused, whenever the host sealed it, and whatever it said.
        """
        for seconds in (-3600.0, 0.5, LAG + 1, 365 * 86400.0):
            counter = crafted.sealed(_START + round((self.now + seconds) * PACE), _PEER)
            self.refuses(*[counter] * 20)
