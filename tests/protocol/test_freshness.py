"""
Tests for L{txcarp.protocol.freshness}: what an attacker gets who captures
everything, sends anything, and does not know the password.

All that is judged here has a good digest: an attacker has no other counters
than those of advertisements that were captured.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from txcarp.protocol.advertisement import Advertisement, decode
from txcarp.protocol.freshness import (
    FAR_AHEAD,
    LAG,
    REMEMBERED,
    SAYINGS,
    SOURCES,
    Freshness,
    SealedSource,
)
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.seal import PACE, Says, Seal, Verification, saidBy

_PEER, _OWN = crafted.PEER, crafted.OWN
_OTHER = "10.99.0.3"
#: Not a member.
_STRANGER = "10.99.0.66"
_STRANGER6 = "fe80::66"

#: The ticks of everybody at the beginning of a test, unless it says otherwise.
_START = 10**9

_USUAL = Says(1, 0)

_SEALS = (Seal(crafted.PASSWORD, crafted.VHID),)


def advertisement(counter: int, says: Says) -> Advertisement:
    """
    One with this counter, as it comes out of a packet.
    """
    return decode(
        crafted.payload(
            advbase=says.advbase, advskew=says.advskew, demotion=says.demotion, counter=counter
        )
    )


def sealed(
    when: float, source: str = _PEER, says: Says = _USUAL, start: int = _START
) -> Advertisement:
    """
    What a host with an exact clock sends at a moment.

    @param start: Its tick at the moment 0.
    """
    tick = start + round(when * PACE)
    return advertisement(crafted.sealed(tick, source, **attrs.asdict(says)), says)


def forged(captured: Advertisement, **changes: Any) -> Advertisement:
    """
    The same with other values, as anybody can make it.
    """
    return attrs.evolve(captured, **changes)


class FreshnessTestCase(SynchronousTestCase):
    """
    One receiver.
    """

    verification = Verification.LEARN

    def setUp(self) -> None:
        self.now = 0.0
        self.freshness = self.receiver()

    def receiver(self, **more: Any) -> Freshness:
        """
        One that has heard nothing.
        """
        return Freshness(self.verification, _SEALS, **more)

    def restarted(self, *, reboot: bool = False) -> Freshness:
        """
        The receiver after a restart, with what was remembered of its peers.

        @param reboot: Whether the whole machine was.
        """
        sources = OrderedDict(
            (address, attrs.evolve(source, offset=None, at=0.0) if reboot else source)
            for address, source in self.freshness.sources.items()
        )
        return self.receiver(sources=sources.items())

    def judge(self, heard: Advertisement, source: str = _PEER) -> bool:
        """
        Let the receiver decide now.
        """
        return self.freshness.judge(heard, packed(source), self.now)

    def send(self, mine: Advertisement, source: str = _OWN) -> None:
        """
        Let the receiver have sent this now.
        """
        self.freshness.sent(mine.counter, saidBy(mine), packed(source), self.now)

    def refused(
        self, reason: Rejection, heard: Advertisement, source: str = _PEER, about: Any = None
    ) -> str:
        """
        It must say no, for this reason.

        @return: The detail.
        """
        error = self.assertRaises(Rejected, self.judge, heard, source)
        self.assertIs(error.reason, reason, about)
        return error.detail

    def hear(
        self,
        seconds: int = 3,
        source: str = _PEER,
        says: Says = _USUAL,
        start: int = _START,
    ) -> list[Advertisement]:
        """
        Let a peer advertise for a while, once a second.

        @return: What it sent.
        """
        sent = []
        for _ in range(seconds):
            self.now += 1
            sent.append(sealed(self.now, source, says, start))
            self.assertTrue(self.judge(sent[-1], source))
        return sent


#: What an attacker would like a captured advertisement to say.
_CHANGES: tuple[dict[str, int], ...] = (
    {"advbase": 0, "advskew": 0},
    {"advbase": 255, "advskew": 255},
    {"advskew": 1},
    {"advskew": 240},
    {"advbase": 2},
    {"demotion": 9},
)


class ReplayTests(FreshnessTestCase):
    """
    Captured advertisements, sent again.
    """

    def test_fresh(self) -> None:
        """
        What is new is believed, and known to be sealed.
        """
        self.hear(20)
        self.assertEqual(list(self.freshness.sources), [packed(_PEER)])
        known = self.freshness.sources[packed(_PEER)]
        self.assertEqual(known.tick, _START + 20 * PACE)
        self.assertEqual(known.sayings, (Says(1, 0),))

    def test_exact(self) -> None:
        """
        Nothing is believed twice.
        """
        captured = self.hear(5)
        for old in captured[:-1]:
            self.assertIn("heard before", self.refused(Rejection.REPLAY, old))
        for _ in range(5):
            self.now += 1
            self.refused(Rejection.DUPLICATE, captured[-1])

    def test_inOrderAtTheirPace(self) -> None:
        """
        A dead master is not kept alive.
        """
        captured = self.hear(30)
        for old in captured:
            self.now += 1
            error = self.assertRaises(Rejected, self.judge, old)
            self.assertIn(error.reason, (Rejection.REPLAY, Rejection.DUPLICATE))

    def test_secondPath(self) -> None:
        """
        A second copy by another way is named as such, and the next
        advertisement is as good as ever.
        """
        for _ in range(5):
            [sent] = self.hear(1)
            self.refused(Rejection.DUPLICATE, sent)
            self.now += 0.2
            self.refused(Rejection.DUPLICATE, sent)

    def test_changed(self) -> None:
        """
        What was heard is not believed with other values either, from whatever
        source.
        """
        captured = self.hear(5)
        for old in captured:
            for change in _CHANGES:
                for source in (_PEER, _OTHER, _STRANGER, _STRANGER6):
                    self.refused(
                        Rejection.REPLAY, forged(old, **change), source, (change, source)
                    )

    def test_changedAndNeverHeard(self) -> None:
        """
        Nor what was captured where this host did not hear it.
        """
        self.hear(5)
        captured = sealed(self.now + 0.5)
        for change in _CHANGES:
            self.refused(Rejection.UNSEALED, forged(captured, **change), _PEER, change)
            for source in (_OTHER, _STRANGER, _STRANGER6):
                self.refused(
                    Rejection.REPLAY, forged(captured, **change), source, (change, source)
                )
        # None of this keeps the advertisement itself from being believed.
        self.assertTrue(self.judge(captured))

    def test_sourceOnly(self) -> None:
        """
        Nor with another source alone.
        """
        captured = self.hear(5, _PEER)
        self.hear(5, _OTHER)
        unheard = sealed(self.now + 0.5)
        for old in (*captured, unheard):
            for source in (_STRANGER, _STRANGER6):
                self.refused(Rejection.REPLAY, old, source)
        for old in captured:
            self.refused(Rejection.REPLAY, old, _OTHER)
        self.refused(Rejection.UNSEALED, unheard, _OTHER)

    def test_bowOutChanged(self) -> None:
        """
        A farewell that was captured is known although the peer was never
        heard to say it.
        """
        self.hear(5)
        farewell = sealed(self.now + 0.5, says=Says(255, 255))
        revived = forged(farewell, advbase=0, advskew=0)
        self.refused(Rejection.REPLAY, revived, _STRANGER)
        self.refused(Rejection.UNSEALED, revived, _PEER)
        self.assertTrue(self.judge(farewell))

    def test_demotedBowOut(self) -> None:
        """
        Also that of a peer that is demoted in OpenBSD's field, which its farewell
        says, too.
        """
        self.hear(5, says=Says(1, 0, 7))
        farewell = sealed(self.now + 0.5, says=Says(255, 255, 7))
        revived = forged(farewell, advbase=0, advskew=0, demotion=0)
        self.refused(Rejection.REPLAY, revived, _STRANGER)
        self.assertTrue(self.judge(farewell))

    def test_olderThanTheLast(self) -> None:
        """
        What a source sent before its last one is old, heard or not.
        """
        self.hear(5)
        late = sealed(self.now - 0.5)
        self.assertIn("0.50 s older", self.refused(Rejection.REPLAY, late))

    def test_otherFamily(self) -> None:
        """
        What was captured in one family is worth nothing in the other.
        """
        captured = self.hear(5)
        unheard = sealed(self.now + 0.5)
        for old in (*captured, unheard):
            for source in ("fe80::1", "::10.99.0.1", "::ffff:10.99.0.1"):
                self.refused(Rejection.REPLAY, old, source)
        captured6 = self.hear(5, "fe80::1")
        for old in (*captured6, sealed(self.now + 0.5, "fe80::1")):
            self.refused(Rejection.REPLAY, old, _STRANGER)

    def test_bothFamilies(self) -> None:
        """
        One host is two sources, each with its own last tick; the order in which
        the families arrive does not matter.
        """
        for _ in range(10):
            self.now += 1
            first, second = sealed(self.now), sealed(self.now + 0.01, "fe80::1")
            self.assertTrue(self.judge(second, "fe80::1"))
            self.assertTrue(self.judge(first))

    def test_unsealed(self) -> None:
        """
        A source once heard sealed stays sealed: an advertisement of an earlier
        member without a seal is not believed as its.
        """
        old = advertisement(0x1122334455667788, Says(0, 0))
        self.assertFalse(self.judge(old))
        self.hear(5)
        detail = self.refused(Rejection.UNSEALED, old)
        self.assertIn("this peer seals", detail)
        self.refused(Rejection.UNSEALED, advertisement(99, Says(1, 0)))

    def test_otherPassword(self) -> None:
        """
        While a password changes, replays of what the old one sealed are told as
        well.
        """
        seals = (Seal(b"new", crafted.VHID), *_SEALS)
        self.freshness = Freshness(Verification.LEARN, seals)
        captured = self.hear(5)
        unheard = forged(sealed(self.now + 0.5), advskew=9)
        for old in (*captured, unheard):
            self.refused(Rejection.REPLAY, old, _STRANGER)
        self.refused(Rejection.UNSEALED, unheard)


class HeldBackTests(FreshnessTestCase):
    """
    Somebody who can delay advertisements.
    """

    def test_lateAndLater(self) -> None:
        """
        Up to ten seconds late an advertisement is believed, once; later it is
        not.
        """
        self.hear(5)
        held = [sealed(self.now + n) for n in range(1, 31)]
        self.now += 1 + LAG - 0.05
        self.assertTrue(self.judge(held[0]))
        self.now += 1
        self.assertTrue(self.judge(held[1]))
        self.now += 1.1
        detail = self.refused(Rejection.REPLAY, held[2])
        self.assertIn("sent 10.", detail)

    def test_slowerAndSlower(self) -> None:
        """
        Nor does it help to delay each a little more than the one before.
        """
        self.hear(5)
        start, believed = self.now, 0
        for n in range(1, 400):
            self.now = start + n * 1.1
            try:
                self.judge(sealed(start + n))
            except Rejected as rejected:
                self.assertIs(rejected.reason, Rejection.REPLAY)
            else:
                believed += 1
        # 10 s of a tenth each, and what clocks may run apart meanwhile.
        self.assertLess(believed, 103)

    def test_longerDeadTime(self) -> None:
        """
        Where everybody is slow there is more time, and never less than ten
        seconds.
        """
        for lag, allowed in ((45.0, 45.0), (1.0, LAG)):
            self.freshness = self.receiver(lag=lag)
            self.now = 0.0
            self.hear(5)
            held = [sealed(self.now + n) for n in (1, 2)]
            self.now += 1 + allowed - 0.05
            self.assertTrue(self.judge(held[0]))
            self.now += 1.1
            self.refused(Rejection.REPLAY, held[1])

    def test_behindTheGroup(self) -> None:
        """
        A source that was silent for long is compared with the others: what was
        held back of it while they were heard is old.
        """
        self.hear(3, _PEER)
        held = [sealed(self.now + n) for n in range(1, 20)]
        self.hear(20, _OTHER)
        for old in held[: 20 - int(LAG)]:
            self.refused(Rejection.REPLAY, old)

    def test_behindThisHost(self) -> None:
        """
        And with this host, once that is master.
        """
        self.hear(3, _PEER)
        held = [sealed(self.now + n) for n in range(1, 10)]
        mine = sealed(self.now + 20, _OWN)
        self.send(mine)
        for old in held:
            self.refused(Rejection.REPLAY, old)

    def test_receiverSlept(self) -> None:
        """
        The clock of the receiver goes on while it sleeps: what was held back
        meanwhile is old.
        """
        self.hear(3)
        held = sealed(self.now + 1)
        self.now += 3600
        self.refused(Rejection.REPLAY, held)
        self.assertTrue(self.judge(sealed(self.now)))


class RestartTests(FreshnessTestCase):
    """
    The receiver was restarted.
    """

    def test_remembered(self) -> None:
        """
        With what was remembered everything that was heard is old, changed or
        not, from whatever source.
        """
        for reboot in (False, True):
            captured = self.hear(20)
            self.freshness = self.restarted(reboot=reboot)
            for old in captured:
                self.refused(Rejection.REPLAY, old)
                for change in _CHANGES:
                    self.refused(Rejection.UNSEALED, forged(old, **change))
                    for source in (_STRANGER, _STRANGER6):
                        self.refused(Rejection.REPLAY, forged(old, **change), source)
                self.refused(Rejection.REPLAY, old, _STRANGER)
            self.hear(1)

    def test_missed(self) -> None:
        """
        So is what this host missed while it was down, beyond ten seconds.
        """
        self.hear(5)
        missed = [sealed(self.now + n) for n in range(1, 60)]
        self.now += 120
        self.freshness = self.restarted()
        for old in missed:
            self.refused(Rejection.REPLAY, old)
        self.assertTrue(self.judge(sealed(self.now)))

    def test_missedOfAnother(self) -> None:
        """
        Also what it missed of a host that it never heard: everybody keeps pace with
        those that it did.
        """
        self.hear(5)
        missed = [sealed(self.now + n, _OTHER) for n in range(1, 60)]
        self.now += 120
        self.freshness = self.restarted()
        for old in missed:
            self.refused(Rejection.REPLAY, old, _OTHER)
        self.assertTrue(self.judge(sealed(self.now, _OTHER), _OTHER))

    def test_missedOverAReboot(self) -> None:
        """
        When the machine was started anew its clock does not know. What was missed can
        be sent once, in order, until somebody living is heard, or this host is
        master.
        """
        self.hear(5)
        missed = [sealed(self.now + n) for n in range(1, 60)]
        alive = [sealed(self.now + n, _OTHER) for n in (120, 121)]
        before = self.freshness
        for end in ("heard", "sent"):
            self.freshness = before
            self.freshness = self.restarted(reboot=True)
            self.now = 0.0
            for old in missed[:20]:
                self.now += 1
                self.assertTrue(self.judge(old))
                self.assertIn(
                    self.assertRaises(Rejected, self.judge, old).reason,
                    (Rejection.DUPLICATE, Rejection.REPLAY),
                )
            self.refused(Rejection.REPLAY, missed[10])
            if end == "heard":
                for living in alive:
                    self.assertTrue(self.judge(living, _OTHER))
            else:
                self.send(alive[0])
            for old in missed[20:]:
                self.refused(Rejection.REPLAY, old)

    def test_forgotten(self) -> None:
        """
        With nothing remembered it is the same for all that was ever captured.
        """
        captured = self.hear(20)
        self.freshness = self.receiver()
        self.now = 0.0
        for old in captured[:10]:
            self.now += 1
            self.assertTrue(self.judge(old))
        self.hear(2, _OTHER, start=_START + 10**5)
        for old in captured[10:]:
            self.refused(Rejection.REPLAY, old)

    def test_otherFamilyIsNoWitness(self) -> None:
        """
        The families are compared each for itself: a host may be heard in one alone.
        """
        self.send(sealed(3600.0, "fe80::2"), "fe80::2")
        self.hear(3)


class OwnTests(FreshnessTestCase):
    """
    What this host sent itself.
    """

    def test_echo(self) -> None:
        """
        C21: it is known under whatever source, and with whatever values.
        """
        self.hear(2)
        sent = []
        for _ in range(5):
            self.now += 1
            sent.append(sealed(self.now, _OWN))
            self.send(sent[-1])
        for mine in sent:
            for change in ({}, *_CHANGES):
                for source in (_OWN, _PEER, _STRANGER, _STRANGER6):
                    detail = self.refused(
                        Rejection.OWN_ECHO, forged(mine, **change), source, (change, source)
                    )
                    self.assertIn("another source", detail)

    def test_afterARestart(self) -> None:
        """
        Nor does it fool a later run of this host, or one that has sent so much
        since that the counter is forgotten.
        """
        mine = [sealed(float(n), _OWN) for n in range(1, 5)]
        for reboot in (None, False, True):
            self.freshness = self.receiver()
            for one in mine:
                self.now += 1
                self.send(one)
            if reboot is None:
                for n in range(REMEMBERED):
                    later = crafted.sealed((mine[-1].counter >> 24) + n, _OWN, advbase=1)
                    self.freshness.sent(later, _USUAL, packed(_OWN), self.now)
            else:
                self.freshness = self.restarted(reboot=reboot)
            for one in mine[:-1]:
                for change in ({}, *_CHANGES):
                    for source in (_PEER, _STRANGER, _STRANGER6):
                        self.refused(
                            Rejection.REPLAY, forged(one, **change), source, (reboot, change)
                        )
                # Its address may be another one by now.
                self.refused(Rejection.REPLAY, one, _OWN)

    def test_nothingElse(self) -> None:
        """
        Sending says nothing against what others send at the same time.
        """
        for _ in range(20):
            self.now += 1
            self.send(sealed(self.now, _OWN))
            self.assertTrue(self.judge(sealed(self.now)))


class HonestTests(FreshnessTestCase):
    """
    What happens to honest hosts.
    """

    def test_equalClocks(self) -> None:
        """
        Two senders with the same ticks are both believed.
        """
        for _ in range(20):
            self.now += 1
            for source in (_PEER, _OTHER):
                self.assertTrue(self.judge(sealed(self.now, source), source))

    def test_farBehind(self) -> None:
        """
        A host whose clock is hours late is refused until it has heard us, and
        believed from then on.
        """
        mine = sealed(self.now, _OWN)
        self.send(mine)
        late = _START - 3 * 3600 * PACE
        for _ in range(3):
            self.now += 1
            self.refused(Rejection.REPLAY, sealed(self.now, start=late))
        self.hear(10, start=(mine.counter >> 24) + 1)

    def test_farAhead(self) -> None:
        """
        One that is hours early is believed at once; so is a host that heard
        it.
        """
        self.hear(3)
        self.hear(3, _OTHER, start=_START + 10**6)
        self.hear(3, _PEER, start=_START + 10**6)

    def test_clockSetForward(self) -> None:
        """
        Nor does a jump ahead do any harm.
        """
        self.hear(3)
        self.hear(3, start=_START + 10**7)

    def test_drift(self) -> None:
        """
        Clocks may run apart for a day.
        """
        for rate in (0.9995, 1.0005):
            self.freshness = self.receiver()
            self.now = 0.0
            for n in range(1, 24 * 360):
                self.now = n * 10.0
                tick = _START + round(self.now * rate * PACE)
                counter = crafted.sealed(tick, advbase=1)
                self.assertTrue(self.judge(advertisement(counter, Says(1, 0))))

    def test_rare(self) -> None:
        """
        Also of a host that is heard once in a while.
        """
        for day in range(30):
            self.now = day * 86400.0
            tick = _START + round(self.now * 0.9995 * PACE)
            counter = crafted.sealed(tick, advbase=1)
            self.assertTrue(self.judge(advertisement(counter, Says(1, 0))))

    def test_pausedPeer(self) -> None:
        """
        A virtual machine that stood still for 5 s, and its clocks with it, is
        believed.
        """
        self.hear(3)
        self.now += 5
        self.hear(60, start=_START - 5 * PACE)

    def test_pausedForLong(self) -> None:
        """
        One that stood still for a minute is believed once it has heard who
        took its place.
        """
        self.hear(5)
        self.now += 60
        self.refused(Rejection.REPLAY, sealed(self.now - 59))
        self.send(sealed(self.now, _OWN))
        self.hear(5)

    def test_jitter(self) -> None:
        """
        Advertisements may be up to a second late now and then.
        """
        for n in range(1, 200):
            self.now = n + (n * 37 % 100) / 100
            self.assertTrue(self.judge(sealed(float(n))))

    def test_restartedPeer(self) -> None:
        """
        A peer that was restarted uses ticks that are up to a minute ahead.
        """
        self.hear(3)
        self.hear(3, start=_START + 60 * PACE)


class MixedTests(FreshnessTestCase):
    """
    Hosts that do not seal among those that do.
    """

    def test_never(self) -> None:
        """
        A host that was never heard sealed is a member as any other.
        """
        self.hear(3)
        for n in range(50):
            self.now += 1
            self.assertFalse(self.judge(advertisement(0xABCDEF0102030405 + n, Says(1, 1)), _OTHER))
        self.assertNotIn(packed(_OTHER), self.freshness.sources)

    def test_countsOn(self) -> None:
        """
        ucarp and FreeBSD count on from what they heard, also from a sealed
        counter, also over the end of its tag.
        """
        last = self.hear(3)[-1].counter
        for n in range(1, 500):
            self.now += 1
            self.assertFalse(self.judge(advertisement(last + n, Says(1, 1)), _OTHER), n)
        self.hear(1)
        edge = (last >> 24 << 24) + 0xFFFFFF
        for counter in (edge, edge + 1, edge + 2):
            self.assertFalse(self.judge(advertisement(counter, Says(1, 1)), _OTHER))

    def test_sealedCounterOfAnother(self) -> None:
        """
        But a sealed counter itself is not one that they would use.
        """
        last = self.hear(3)[-1].counter
        self.refused(Rejection.REPLAY, advertisement(last, Says(1, 1)), _OTHER)

    def test_byChance(self) -> None:
        """
        One counter in 2^24 of a host that draws them is sealed by chance. It
        goes on as a member, and nobody else suffers.
        """
        generator = random.Random(112)
        self.hear(5)
        for tick in (_START + 600, _START + 10**6, 2**40 - 2):
            chance = advertisement(crafted.sealed(tick, _OTHER, advbase=1), _USUAL)
            self.assertTrue(self.judge(chance, _OTHER))
            self.assertNotIn(packed(_OTHER), self.freshness.sources)
            for _ in range(3):
                self.now += 1
                drawn = advertisement(generator.getrandbits(64), _USUAL)
                self.assertFalse(self.judge(drawn, _OTHER))
                self.assertTrue(self.judge(sealed(self.now)))
            # It was heard, all the same, and changed it is a replay.
            for change in _CHANGES:
                self.refused(Rejection.REPLAY, forged(chance, **change), _STRANGER)

    def test_guessed(self) -> None:
        """
        A tag that was guessed for a counter of an unsealed host, under the name of one
        that seals or where seals are required, is centuries ahead; it takes two that
        follow each other, as of a host whose clock was set, to be believed.
        """
        far = _START + (FAR_AHEAD + 1000) * PACE
        for verification in (Verification.LEARN, Verification.REQUIRE):
            self.verification = verification
            self.freshness = self.receiver()
            self.now = 0.0
            self.hear(3)
            names = [_PEER] if verification is Verification.LEARN else [_PEER, _OTHER]
            for source in names:
                for n in range(SOURCES):
                    # A guess, again, and others.
                    guess = sealed(0.0, source, start=far + n * 10**6)
                    for _ in range(2):
                        self.assertIn("years", self.refused(Rejection.UNSEALED, guess, source))
                self.hear(3)
            self.now += 1
            self.refused(Rejection.UNSEALED, sealed(self.now, start=far))
            self.hear(3, start=far)

    def test_manyGuesses(self) -> None:
        """
        What is remembered of them has an end.
        """
        self.verification = Verification.REQUIRE
        self.freshness = self.receiver()
        self.hear(3)
        for n in range(SOURCES + 2):
            source = f"10.99.1.{n}"
            guess = sealed(0.0, source, start=_START + (FAR_AHEAD + 1000) * PACE)
            self.refused(Rejection.UNSEALED, guess, source)
        self.assertEqual(len(vars(self.freshness)["_leaps"]), SOURCES)

    def test_twiceInARow(self) -> None:
        """
        Two in a row are no chance; before the second one nobody is held to seals,
        unless they are required.
        """
        first, second = sealed(1.0), sealed(2.0)
        self.assertTrue(self.judge(first))
        self.refused(Rejection.DUPLICATE, first)
        self.refused(Rejection.REPLAY, forged(second, advbase=9), _STRANGER)
        self.assertEqual(self.freshness.sources, {})
        self.now = 1.0
        self.assertTrue(self.judge(second))
        self.assertEqual(list(self.freshness.sources), [packed(_PEER)])
        self.refused(Rejection.UNSEALED, advertisement(8, Says(1, 0)))
        self.verification = Verification.REQUIRE
        self.freshness = self.receiver()
        self.assertTrue(self.judge(first))
        self.assertEqual(list(self.freshness.sources), [packed(_PEER)])

    def test_upgraded(self) -> None:
        """
        A host that begins to seal is known from then on.
        """
        self.assertFalse(self.judge(advertisement(7, Says(1, 0))))
        self.hear(3)
        self.refused(Rejection.UNSEALED, advertisement(8, Says(1, 0)))

    def test_require(self) -> None:
        """
        Where seals are required there are no others, and the rest is as usual.
        """
        self.verification = Verification.REQUIRE
        self.freshness = self.receiver()
        for source in (_PEER, _OTHER):
            self.assertEqual(
                self.refused(Rejection.UNSEALED, advertisement(7, Says(1, 0)), source), ""
            )
        captured = self.hear(5)
        for old in captured:
            for change in _CHANGES:
                self.refused(Rejection.REPLAY, forged(old, **change), _STRANGER)
        self.refused(Rejection.UNSEALED, forged(sealed(self.now + 0.5), advskew=9), _STRANGER)
        self.refused(Rejection.UNSEALED, advertisement(7, Says(1, 0)))

    def test_off(self) -> None:
        """
        Who does not want to know is told nothing.
        """
        self.verification = Verification.OFF
        self.freshness = self.receiver()
        heard = sealed(1.0)
        for _ in range(3):
            self.assertFalse(self.judge(heard))
            self.assertFalse(self.judge(advertisement(7, Says(0, 0)), _STRANGER))
        self.assertEqual(self.freshness.sources, {})


class MemoryTests(FreshnessTestCase):
    """
    What is remembered has an end.
    """

    def test_counters(self) -> None:
        """
        A counter is remembered until so many others came.
        """
        self.hear(2)
        first = sealed(self.now, _OWN)
        self.send(first)
        # Ticks that follow each other closely: time is not what it is about.
        tick = first.counter >> 24
        others = [
            crafted.sealed(tick + n, _OWN, advbase=1) for n in range(1, REMEMBERED)
        ]
        for counter in others:
            self.freshness.sent(counter, _USUAL, packed(_OWN), self.now)
        self.refused(Rejection.OWN_ECHO, first, _STRANGER)
        for counter in (2**63, 2**63 + 1):
            self.freshness.sent(counter, _USUAL, packed(_OWN), self.now)
        for name in ("_seen", "_own", "_order"):
            self.assertLessEqual(len(vars(self.freshness)[name]), REMEMBERED)
        self.refused(Rejection.OWN_ECHO, advertisement(others[-1], Says(0, 0)), _STRANGER)

    def test_forgottenCounters(self) -> None:
        """
        Those of peers that are forgotten are refused all the same: their source is
        known, and what it said.
        """
        captured = self.hear(3)
        for n in range(REMEMBERED):
            self.freshness.sent(n, _USUAL, packed(crafted.OWN6), self.now)
        for old in captured:
            self.assertIn("older than the last", self.refused(Rejection.REPLAY, old))
            for change in _CHANGES:
                self.refused(Rejection.UNSEALED, forged(old, **change))
                self.assertIn(
                    "another host",
                    self.refused(Rejection.REPLAY, forged(old, **change), _STRANGER),
                )

    def test_sources(self) -> None:
        """
        So many hosts are known; the one not heard for longest gives way.
        """
        addresses = [f"10.99.1.{n}" for n in range(SOURCES + 1)]
        for address in addresses[:SOURCES]:
            self.hear(2, address)
        self.hear(1, addresses[0])
        self.hear(2, addresses[SOURCES])
        self.assertEqual(len(self.freshness.sources), SOURCES)
        self.assertIn(packed(addresses[0]), self.freshness.sources)
        self.assertNotIn(packed(addresses[1]), self.freshness.sources)
        self.assertIn(packed(addresses[SOURCES]), self.freshness.sources)

    def test_onceOnly(self) -> None:
        """
        Of those heard sealed only once, too, the first of too many is forgotten.
        """
        for n in range(SOURCES + 1):
            self.hear(1, f"10.99.1.{n}")
        self.hear(1, "10.99.1.0")
        self.assertEqual(self.freshness.sources, {})
        self.hear(1, f"10.99.1.{SOURCES}")
        self.assertEqual(list(self.freshness.sources), [packed(f"10.99.1.{SOURCES}")])

    def test_sayings(self) -> None:
        """
        So many things that a host said are remembered, those that it said last.
        """
        self.hear(2, says=Says(1, 0))
        for skew in range(1, SAYINGS):
            self.hear(1, says=Says(1, skew))
        self.hear(1, says=Says(1, 0))
        known = self.freshness.sources[packed(_PEER)]
        expected = [*range(1, SAYINGS), 0]
        self.assertEqual([says.advskew for says in known.sayings], expected)
        self.hear(1, says=Says(1, 99))
        self.assertEqual([says.advskew for says in known.sayings], [*expected[1:], 99])
        # Each of them is known again after a restart.
        self.freshness = self.restarted()
        for skew in (*expected[1:], 99):
            captured = sealed(self.now, says=Says(1, skew))
            self.refused(Rejection.REPLAY, forged(captured, advbase=0), _STRANGER, skew)

    def test_heardTells(self) -> None:
        """
        A source tells whether it said something new.
        """
        source = SealedSource(1)
        heard = [
            source.heard(n, says, float(n))
            for n, says in enumerate((Says(1, 0), Says(1, 0), Says(1, 1), Says(1, 0)))
        ]
        self.assertEqual(heard, [True, False, True, False])
