"""
Tests for L{txcarp.protocol.freshness}: what an attacker achieves who captures everything and
sends anything, but does not know the password.

Every advertisement here counts as having a correct digest. The attacker's counters are those of
captured advertisements, because there is a digest for no other.
"""

from __future__ import annotations

import random
import sys
from collections import OrderedDict
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from txcarp.protocol.advertisement import Advertisement, decode
from txcarp.protocol.freshness import (
    LAG,
    REMEMBERED,
    REMEMBERED_OWN,
    SAYINGS,
    SOURCES,
    Freshness,
    SealedSource,
)
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.seal import FAR_AHEAD, PACE, Fields, Seal, Verification, saidBy

_PEER, _OWN = crafted.PEER, crafted.OWN
_OTHER = "10.99.0.3"
_PEER6, _OWN6 = "fe80::1", "fe80::2"
#: Not members of the group.
_STRANGER = "10.99.0.66"
_STRANGER6 = "fe80::66"

#: The tick of every host at the beginning of a test, by default.
_START = 10**9

_USUAL = Fields(1, 0)

_SEALS = (Seal(crafted.PASSWORD, crafted.VHID),)


def advertisement(counter: int, says: Fields) -> Advertisement:
    """
    Return an advertisement with this counter, as decoded from a packet.
    """
    return decode(
        crafted.payload(
            advbase=says.advbase, advskew=says.advskew, demotion=says.demotion, counter=counter
        )
    )


def sealed(
    when: float, source: str = _PEER, says: Fields = _USUAL, start: int = _START
) -> Advertisement:
    """
    Return the advertisement that a host with an accurate clock sends at some time.

    @param start: The host's tick at the time 0.
    """
    tick = start + round(when * PACE)
    return advertisement(crafted.sealed(tick, source, **attrs.asdict(says)), says)


def forged(captured: Advertisement, **changes: Any) -> Advertisement:
    """
    Return an advertisement with changed fields, which anybody can make.
    """
    return attrs.evolve(captured, **changes)


class FreshnessTestCase(SynchronousTestCase):
    """
    A test with one receiver.
    """

    verification = Verification.LEARN

    def setUp(self) -> None:
        self.now = 0.0
        self.freshness = self.receiver()

    def receiver(self, **more: Any) -> Freshness:
        """
        Return a receiver that has heard nothing.
        """
        return Freshness(self.verification, _SEALS, **more)

    def restarted(self, *, reboot: bool = False) -> Freshness:
        """
        Return the receiver after a restart, with what it remembers about its peers.

        @param reboot: Whether the whole machine was restarted.
        """
        sources = OrderedDict(
            (address, attrs.evolve(source, offset=None, at=0.0) if reboot else source)
            for address, source in self.freshness.sources.items()
        )
        return self.receiver(sources=sources.items(), unsealed=self.freshness.unsealed)

    def judge(self, heard: Advertisement, source: str = _PEER) -> bool:
        """
        Have the receiver judge an advertisement now.
        """
        return self.freshness.judge(heard.counter, saidBy(heard), packed(source), self.now)

    def send(self, mine: Advertisement, source: str = _OWN) -> None:
        """
        Have the receiver record an advertisement of its own now.
        """
        self.freshness.sent(mine.counter, saidBy(mine), packed(source), self.now)

    def refused(
        self, reason: Rejection, heard: Advertisement, source: str = _PEER, about: Any = None
    ) -> str:
        """
        Check that the receiver rejects an advertisement for this reason.

        @return: The detail of the rejection.
        """
        error = self.assertRaises(Rejected, self.judge, heard, source)
        self.assertIs(error.reason, reason, about)
        return error.detail

    def hear(
        self,
        seconds: int = 3,
        source: str = _PEER,
        says: Fields = _USUAL,
        start: int = _START,
    ) -> list[Advertisement]:
        """
        Let a peer advertise once a second for a while.

        @return: What it sent.
        """
        sent = []
        for _ in range(seconds):
            self.now += 1
            sent.append(sealed(self.now, source, says, start))
            self.assertTrue(self.judge(sent[-1], source))
        return sent


#: The changes that an attacker wants to make to captured advertisements.
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
    Captured advertisements are sent again.
    """

    def test_fresh(self) -> None:
        """
        Fresh advertisements are believed, and their source is known to seal.
        """
        self.hear(20)
        self.assertEqual(list(self.freshness.sources), [packed(_PEER)])
        known = self.freshness.sources[packed(_PEER)]
        self.assertEqual(known.tick, _START + 20 * PACE)
        self.assertEqual(known.sayings, (Fields(1, 0),))

    def test_exact(self) -> None:
        """
        No advertisement is believed twice.
        """
        captured = self.hear(5)
        for old in captured[:-1]:
            self.assertIn("heard before", self.refused(Rejection.REPLAY, old))
        for _ in range(5):
            self.now += 1
            self.refused(Rejection.DUPLICATE, captured[-1])

    def test_inOrderAtTheirPace(self) -> None:
        """
        Replaying everything in order and at its pace does not keep a dead master alive.
        """
        captured = self.hear(30)
        for old in captured:
            self.now += 1
            error = self.assertRaises(Rejected, self.judge, old)
            self.assertIn(error.reason, (Rejection.REPLAY, Rejection.DUPLICATE))

    def test_secondPath(self) -> None:
        """
        A second copy that arrives by another path is rejected as a duplicate, and the next
        advertisement is believed.
        """
        for _ in range(5):
            [sent] = self.hear(1)
            self.refused(Rejection.DUPLICATE, sent)
            self.now += 0.2
            self.refused(Rejection.DUPLICATE, sent)

    def test_changed(self) -> None:
        """
        An advertisement that was heard is not believed with other values, whatever its source.
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
        Neither is one that was captured before it could reach this host.
        """
        self.hear(5)
        captured = sealed(self.now + 0.5)
        for change in _CHANGES:
            self.refused(Rejection.UNSEALED, forged(captured, **change), _PEER, change)
            for source in (_OTHER, _STRANGER, _STRANGER6):
                self.refused(
                    Rejection.REPLAY, forged(captured, **change), source, (change, source)
                )
        # The advertisement itself is still believed.
        self.assertTrue(self.judge(captured))

    def test_sourceOnly(self) -> None:
        """
        An advertisement is not believed from another source, even if nothing else is changed.
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
        A captured bow-out cannot be changed either, although this host never heard the peer bow
        out.
        """
        self.hear(5)
        farewell = sealed(self.now + 0.5, says=Fields(255, 255))
        revived = forged(farewell, advbase=0, advskew=0)
        self.refused(Rejection.REPLAY, revived, _STRANGER)
        self.refused(Rejection.UNSEALED, revived, _PEER)
        self.assertTrue(self.judge(farewell))

    def test_demotedBowOut(self) -> None:
        """
        The same holds for the bow-out of a peer that is demoted in OpenBSD's field. The bow-out
        has the same demotion, or the highest.
        """
        self.hear(5, says=Fields(1, 0, 7))
        for demotion in (7, 255):
            farewell = sealed(self.now + 0.5 + demotion, says=Fields(255, 255, demotion))
            revived = forged(farewell, advbase=0, advskew=0, demotion=0)
            self.refused(Rejection.REPLAY, revived, _STRANGER)
            self.assertTrue(self.judge(farewell))

    def test_olderThanTheLast(self) -> None:
        """
        An advertisement from before the last one of its source is rejected, whether it was heard
        or not.
        """
        self.hear(5)
        late = sealed(self.now - 0.5)
        self.assertIn("0.50 s older", self.refused(Rejection.REPLAY, late))

    def test_otherFamily(self) -> None:
        """
        An advertisement captured in one family is not believed in the other.
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
        A host that sends in both families is two sources, each with its own last tick. Their
        advertisements may arrive in any order.
        """
        for _ in range(10):
            self.now += 1
            first, second = sealed(self.now), sealed(self.now + 0.01, "fe80::1")
            self.assertTrue(self.judge(second, "fe80::1"))
            self.assertTrue(self.judge(first))

    def test_unsealed(self) -> None:
        """
        A source that is known to seal is not believed without a seal, even in an advertisement
        from before it began to seal.
        """
        old = advertisement(0x1122334455667788, Fields(0, 0))
        self.assertFalse(self.judge(old))
        self.hear(5)
        detail = self.refused(Rejection.UNSEALED, old)
        self.assertIn("this peer seals", detail)
        self.refused(Rejection.UNSEALED, advertisement(99, Fields(1, 0)))

    def test_otherPassword(self) -> None:
        """
        While the password of a group changes, replays sealed with the old one are rejected, too.
        """
        seals = (Seal(b"new", crafted.VHID), *_SEALS)
        self.freshness = Freshness(Verification.LEARN, seals)
        captured = self.hear(5)
        unheard = forged(sealed(self.now + 0.5), advskew=9)
        for old in (*captured, unheard):
            self.refused(Rejection.REPLAY, old, _STRANGER)
        self.refused(Rejection.UNSEALED, unheard)


class OvertakenTests(FreshnessTestCase):
    """
    A guard whose daemon died before it handed over the next bow-out.
    """

    def test_believed(self) -> None:
        """
        A bow-out is believed after one later advertisement, once, and the next advertisements of
        the host are, too.
        """
        self.hear(3)
        bowOut = sealed(self.now + 0.1, _PEER, Fields(255, 255))
        last = self.hear(1)
        self.now += 0.01
        self.assertTrue(self.judge(bowOut))
        self.refused(Rejection.REPLAY, bowOut)
        self.refused(Rejection.DUPLICATE, last[0])
        self.hear(2)

    def test_onceOnly(self) -> None:
        """
        It is not believed a second time after its counter was forgotten.
        """
        self.hear(3)
        bowOut = sealed(self.now + 0.1, _PEER, Fields(255, 255))
        self.hear(1)
        self.now += 0.01
        self.assertTrue(self.judge(bowOut))
        for n in range(REMEMBERED):
            vars(self.freshness)["_seen"].add(n)
        self.assertIn("older than the last", self.refused(Rejection.REPLAY, bowOut))

    def test_late(self) -> None:
        """
        After two later advertisements it is not believed.
        """
        self.hear(3)
        bowOut = sealed(self.now + 0.1, _PEER, Fields(255, 255))
        self.hear(2)
        self.refused(Rejection.REPLAY, bowOut)

    def test_others(self) -> None:
        """
        What is no bow-out is not believed after a later advertisement.
        """
        self.hear(3)
        early = [sealed(self.now + 0.1, _PEER, says) for says in (_USUAL, Fields(1, 240))]
        self.hear(1)
        for one in early:
            self.refused(Rejection.REPLAY, one)

    def test_restart(self) -> None:
        """
        A receiver that has started after the later advertisement does not believe it.
        """
        self.hear(3)
        bowOut = sealed(self.now + 0.1, _PEER, Fields(255, 255))
        self.hear(1)
        self.freshness = self.restarted(reboot=True)
        self.refused(Rejection.REPLAY, bowOut)


class HeldBackTests(FreshnessTestCase):
    """
    An attacker delays advertisements.
    """

    def test_lateAndLater(self) -> None:
        """
        An advertisement is believed up to ten seconds late, and not later.
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
        Delaying each advertisement a little more than the one before gains no more.
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
        # 10 s at 0.1 s each, and the drift that is allowed meanwhile.
        self.assertLess(believed, 103)

    def test_longerDeadTime(self) -> None:
        """
        With a longer dead time an advertisement may be later. The limit is never below ten
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
        A source that was silent for long is compared with the others: what was held back while
        they were heard is rejected.
        """
        self.hear(3, _PEER)
        held = [sealed(self.now + n) for n in range(1, 20)]
        self.hear(20, _OTHER)
        for old in held[: 19 - int(LAG)]:
            self.refused(Rejection.REPLAY, old)

    def test_heldBackWhileMaster(self) -> None:
        """
        That this host is master makes no difference.
        """
        self.hear(3, _PEER)
        held = [sealed(self.now + n, _PEER) for n in range(1, 10)]
        for _ in range(20):
            self.now += 1
            self.send(sealed(self.now, _OWN))
        for old in held:
            self.refused(Rejection.REPLAY, old)

    def test_receiverSlept(self) -> None:
        """
        The receiver's clock runs while it sleeps, so what was held back meanwhile is rejected.
        """
        self.hear(3)
        held = sealed(self.now + 1)
        self.now += 3600
        self.refused(Rejection.REPLAY, held)
        self.assertTrue(self.judge(sealed(self.now)))


class RestartTests(FreshnessTestCase):
    """
    The receiver is restarted.
    """

    def test_remembered(self) -> None:
        """
        With its state, the receiver rejects everything that it heard before, changed or not, from
        any source.
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
        It also rejects what was sent while it was down, except for the last ten seconds.
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
        It also rejects what a host that it never heard sent meanwhile, because all hosts keep
        pace with those that it did hear.
        """
        self.hear(5)
        missed = [sealed(self.now + n, _OTHER) for n in range(1, 60)]
        self.now += 120
        self.freshness = self.restarted()
        for old in missed:
            self.refused(Rejection.REPLAY, old, _OTHER)
        self.assertTrue(self.judge(sealed(self.now, _OTHER), _OTHER))

    def test_goneAhead(self) -> None:
        """
        After a crash, the ticks of the receiver are ahead of the group. A host that it has not
        heard in this family, and that has not heard it yet, is refused, but not as a replay.
        """
        for reboot in (False, True):
            self.freshness = self.receiver()
            self.now = 0.0
            self.hear(3)
            for own in (_OWN, _OWN6):
                self.send(sealed(self.now, own), own)
            self.now += 20
            self.freshness = self.restarted(reboot=reboot)
            self.hear(1)
            ahead = _START + 30 * PACE
            for own in (_OWN, _OWN6):
                self.send(sealed(self.now, own, start=ahead), own)
            for wait in (0.0, 0.4, 5.0):
                self.now += wait
                self.refused(Rejection.BEHIND, sealed(self.now, _PEER6), _PEER6, reboot)
                old = sealed(self.now - LAG - 1, _PEER6)
                self.refused(Rejection.REPLAY, old, _PEER6, reboot)
            self.assertTrue(self.judge(sealed(self.now, _PEER6, start=ahead), _PEER6))
            self.refused(Rejection.REPLAY, sealed(self.now + 1, _PEER6), _PEER6, reboot)

    def test_goneAheadBefore(self) -> None:
        """
        Ten seconds later it is a replay, because all hosts have heard the receiver meanwhile.
        """
        self.hear(3)
        self.send(sealed(self.now, _OWN, start=_START + 30 * PACE))
        self.now += LAG
        self.refused(Rejection.BEHIND, sealed(self.now, _OTHER), _OTHER)
        self.now += 0.01
        self.refused(Rejection.REPLAY, sealed(self.now, _OTHER), _OTHER)

    def test_missedOverAReboot(self) -> None:
        """
        After a reboot the clock does not tell how long the machine was down. What was sent
        meanwhile is believed once, in order and at its pace. When a live host was heard, or this
        host has sent, it is not believed any later than that.
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
            self.now += 1
            self.assertTrue(self.judge(missed[20]))
            self.now += LAG + 1
            for old in missed[21:]:
                self.now += 1
                self.refused(Rejection.REPLAY, old)

    def test_missedOfOneNotHeardSince(self) -> None:
        """
        Once a live host was heard after the reboot, or this host has sent, such advertisements of
        a host that was not heard since are rejected.
        """
        self.hear(5)
        missed = [sealed(self.now + n) for n in range(1, 60)]
        alive = sealed(self.now + 120, _OTHER)
        before = self.freshness
        for end in ("heard", "sent"):
            self.freshness = before
            self.freshness = self.restarted(reboot=True)
            self.now = 0.0
            if end == "heard":
                self.assertTrue(self.judge(alive, _OTHER))
                self.now += 0.01
                self.assertTrue(self.judge(sealed(self.now + 126, _OTHER), _OTHER))
            else:
                self.send(alive)
            for old in missed:
                self.refused(Rejection.REPLAY, old)

    def test_forgotten(self) -> None:
        """
        Without its state, the receiver believes everything ever captured, with the same limits.
        A host whose ticks go on is believed, whatever the ticks of other hosts are.
        """
        captured = self.hear(30)
        self.freshness = self.receiver()
        self.now = 0.0
        for old in captured[:10]:
            self.now += 1
            self.assertTrue(self.judge(old))
        self.hear(2, _OTHER, start=_START + 10**5)
        for old in captured[12:15]:
            self.now += 1
            self.assertTrue(self.judge(old))
        self.now += LAG + 1
        for old in captured[15:20]:
            self.now += 1
            self.refused(Rejection.REPLAY, old)

    def test_otherFamilyIsNoWitness(self) -> None:
        """
        The families are independent of each other: a host may be heard in one alone.
        """
        self.send(sealed(3600.0, "fe80::2"), "fe80::2")
        self.hear(3)


class OwnTests(FreshnessTestCase):
    """
    This host's own advertisements come back.
    """

    def test_echo(self) -> None:
        """
        C21: they are recognised from any source, and with any values.
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
        They are also rejected after a restart, and after so many others were sent that their
        counters are forgotten.
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
                # This host may have another address by now.
                self.refused(Rejection.REPLAY, one, _OWN)

    def test_whose(self) -> None:
        """
        This host knows its own advertisements from those of another host with its source: in this
        process, after a restart, and after so many others that their counters are forgotten, even
        if they are altered.
        """
        mine = [sealed(float(n), _OWN) for n in range(1, 5)]
        for reboot in (None, False, True):
            self.freshness = self.receiver()
            for one in mine:
                self.now += 1
                self.send(one)
            if reboot is None:
                for n in range(1, REMEMBERED):
                    later = crafted.sealed((mine[-1].counter >> 24) + n, _OWN, advbase=1)
                    self.freshness.sent(later, _USUAL, packed(_OWN), self.now)
            else:
                self.freshness = self.restarted(reboot=reboot)
            for one in mine:
                for change in ({}, *_CHANGES):
                    altered = forged(one, **change)
                    self.assertTrue(self.freshness.isOwn(altered, packed(_OWN)), (reboot, change))
            another = sealed(float(REMEMBERED), _OWN)
            for other in (another, forged(another, advskew=3), advertisement(99, _USUAL)):
                self.assertFalse(self.freshness.isOwn(other, packed(_OWN)), reboot)

    def test_nothingElse(self) -> None:
        """
        An advertisement of this host does not make those that peers send at the same time look
        old.
        """
        for _ in range(20):
            self.now += 1
            self.send(sealed(self.now, _OWN))
            self.assertTrue(self.judge(sealed(self.now)))


class HonestTests(FreshnessTestCase):
    """
    Honest hosts with imperfect clocks.
    """

    def test_equalClocks(self) -> None:
        """
        Two senders with the same ticks are both believed.
        """
        for _ in range(20):
            self.now += 1
            for source in (_PEER, _OTHER):
                self.assertTrue(self.judge(sealed(self.now, source), source))

    def test_clocksApart(self) -> None:
        """
        A known host that hears nobody goes on with its own ticks. It is believed, however far the
        ticks of this host or of a third one are ahead, and however long it was silent.
        """
        for silence in (1.0, LAG + 1, 3600.0, 86400.0):
            for rate in (0.9995, 1.0005):
                self.freshness = self.receiver()
                self.now = 0.0
                self.hear(5)
                self.now += silence
                self.send(sealed(self.now, _OWN, start=_START + 20 * PACE))
                self.assertTrue(self.judge(sealed(self.now + 3600, _OTHER), _OTHER))
                for _ in range(60):
                    self.now += 1
                    self.assertTrue(self.judge(sealed(self.now * rate)), (silence, rate))
                    self.send(sealed(self.now, _OWN, start=_START + 20 * PACE))

    def test_clockSetWhileApart(self) -> None:
        """
        Its clock may even be set forward.
        """
        self.hear(3)
        for n in range(60):
            self.now += 1
            self.send(sealed(self.now, _OWN, start=_START + 1000 * PACE))
            self.assertTrue(self.judge(sealed(self.now, start=_START + n * PACE)))

    def test_farBehind(self) -> None:
        """
        A host whose clock is hours slow is rejected until it has heard this host, and then
        believed.
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
        A host whose clock is hours fast is believed at once, and so is a host that has heard it.
        """
        self.hear(3)
        self.hear(3, _OTHER, start=_START + 10**6)
        self.hear(3, _PEER, start=_START + 10**6)

    def test_clockSetForward(self) -> None:
        """
        A host whose clock is set forward is believed.
        """
        self.hear(3)
        self.hear(3, start=_START + 10**7)

    def test_drift(self) -> None:
        """
        The clocks of two hosts may drift apart for a day.
        """
        for rate in (0.9995, 1.0005):
            self.freshness = self.receiver()
            self.now = 0.0
            for n in range(1, 24 * 360):
                self.now = n * 10.0
                tick = _START + round(self.now * rate * PACE)
                counter = crafted.sealed(tick, advbase=1)
                self.assertTrue(self.judge(advertisement(counter, Fields(1, 0))))

    def test_rare(self) -> None:
        """
        They may also drift if the peer is heard once a day.
        """
        for day in range(30):
            self.now = day * 86400.0
            tick = _START + round(self.now * 0.9995 * PACE)
            counter = crafted.sealed(tick, advbase=1)
            self.assertTrue(self.judge(advertisement(counter, Fields(1, 0))))

    def test_pausedPeer(self) -> None:
        """
        A virtual machine that was paused for 5 s, together with its clocks, is believed.
        """
        self.hear(3)
        self.now += 5
        self.hear(60, start=_START - 5 * PACE)

    def test_pausedForLong(self) -> None:
        """
        One that was paused for a minute is believed once it has heard the host that replaced it.
        """
        self.hear(5)
        self.now += 60
        self.refused(Rejection.REPLAY, sealed(self.now - 59))
        self.send(sealed(self.now, _OWN))
        self.hear(5)

    def test_jitter(self) -> None:
        """
        Advertisements may be up to a second late.
        """
        for n in range(1, 200):
            self.now = n + (n * 37 % 100) / 100
            self.assertTrue(self.judge(sealed(float(n))))

    def test_restartedPeer(self) -> None:
        """
        A peer that is restarted may use ticks that are up to a minute ahead.
        """
        self.hear(3)
        self.hear(3, start=_START + 60 * PACE)


class MixedTests(FreshnessTestCase):
    """
    Some hosts of the group do not seal.
    """

    def test_never(self) -> None:
        """
        A host that was never heard sealed is believed like any other.
        """
        self.hear(3)
        for n in range(50):
            self.now += 1
            unsealed = advertisement(0xABCDEF0102030405 + n, Fields(1, 1))
            self.assertFalse(self.judge(unsealed, _OTHER))
        self.assertNotIn(packed(_OTHER), self.freshness.sources)

    def test_countsOn(self) -> None:
        """
        ucarp and FreeBSD continue from the counter that they heard last. They are believed even
        if that one was sealed, and if they count beyond the end of its tag.
        """
        last = self.hear(3)[-1].counter
        for n in range(1, 500):
            self.now += 1
            self.assertFalse(self.judge(advertisement(last + n, Fields(1, 1)), _OTHER), n)
        self.hear(1)
        edge = (last >> 24 << 24) + 0xFFFFFF
        for counter in (edge, edge + 1, edge + 2):
            self.assertFalse(self.judge(advertisement(counter, Fields(1, 1)), _OTHER))

    def test_sealedCounterOfAnother(self) -> None:
        """
        A sealed counter itself is not believed from them.
        """
        last = self.hear(3)[-1].counter
        self.refused(Rejection.REPLAY, advertisement(last, Fields(1, 1)), _OTHER)

    def test_manySealedHosts(self) -> None:
        """
        The counters of a host that does not seal take few digests, however many other hosts seal:
        none if they are centuries ahead, and none again for each that the host counts on to.
        """
        for number in range(SOURCES):
            self.hear(3, f"10.99.1.{number}")
        made = []
        counter = Seal.counter

        def counting(seal: Seal, *arguments: Any) -> int:
            made.append(arguments)
            return counter(seal, *arguments)

        self.patch(Seal, "counter", counting)
        for first, digests in ((0xABCDEF0102030405, 0), (_START << 24 | 0x123456, 5 * SOURCES)):
            for n in range(50):
                self.assertFalse(self.judge(advertisement(first + n, Fields(1, 1)), _OTHER))
            self.assertLessEqual(len(made), digests)

    def test_newlySealed(self) -> None:
        """
        A counter is not believed with which another host sealed something, also if that host said
        so for the first time, or was first heard, after the counter's tick was looked at.
        """
        tick = _START + 150
        self.hear(3)
        changed, other = Fields(1, 7), "10.99.0.88"
        for says, source in ((changed, _PEER), (_USUAL, other)):
            unheard = crafted.sealed(tick, source, **attrs.asdict(says))
            self.assertFalse(self.judge(advertisement(unheard ^ 1, Fields(1, 1)), _OTHER))
            for _ in range(2):
                self.now += 1
                self.assertTrue(self.judge(sealed(self.now, source, says), source))
            self.refused(Rejection.REPLAY, advertisement(unheard, Fields(1, 1)), _OTHER)

    def test_byChance(self) -> None:
        """
        One in 2^24 random counters has a valid tag by chance. Its host stays an ordinary member,
        and no other host is affected.
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
            # Its counter is remembered nevertheless.
            for change in _CHANGES:
                self.refused(Rejection.REPLAY, forged(chance, **change), _STRANGER)

    def test_olderThanByChance(self) -> None:
        """
        The age in a rejection is that relative to the last tick of the source, even if only that
        source is so far ahead.
        """
        self.hear(3)
        self.assertTrue(self.judge(sealed(60.0, _OTHER), _OTHER))
        detail = self.refused(Rejection.REPLAY, sealed(50.0, _OTHER), _OTHER)
        self.assertEqual(detail, "10.00 s older than the last")

    def test_guessed(self) -> None:
        """
        A counter of a host that does not seal, with a guessed tag, is nearly always centuries
        ahead. From a source that is known to seal, or where seals are required, it is believed
        only if the next one continues it, as after a clock was set forward.
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
                    # The guess, the guess again, and other guesses.
                    guess = sealed(0.0, source, start=far + n * 10**6)
                    for _ in range(2):
                        self.assertIn("years", self.refused(Rejection.UNSEALED, guess, source))
                self.hear(3)
            self.now += 1
            self.refused(Rejection.UNSEALED, sealed(self.now, start=far))
            self.hear(3, start=far)

    def test_putsOff(self) -> None:
        """
        The first tick that leaps ahead may be of a living master, whose clock was set.  A recording
        of it counts only once.
        """
        self.hear(3)
        leap = sealed(0.0, start=_START + (FAR_AHEAD + 1000) * PACE)
        found = [self.assertRaises(Rejected, self.judge, leap, _PEER).putsOff for _ in range(3)]
        self.assertEqual(found, [True, False, False])
        late = self.assertRaises(Rejected, self.judge, sealed(-60.0), _PEER)
        self.assertFalse(late.putsOff)

    def test_manyGuesses(self) -> None:
        """
        The memory for such guesses is bounded.
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
        A source counts as sealing after two sealed advertisements in a row, or after the first
        one where seals are required.
        """
        first, second = sealed(1.0), sealed(2.0)
        self.assertTrue(self.judge(first))
        self.refused(Rejection.DUPLICATE, first)
        self.refused(Rejection.REPLAY, forged(second, advbase=9), _STRANGER)
        self.assertEqual(self.freshness.sources, {})
        self.now = 1.0
        self.assertTrue(self.judge(second))
        self.assertEqual(list(self.freshness.sources), [packed(_PEER)])
        self.refused(Rejection.UNSEALED, advertisement(8, Fields(1, 0)))
        self.verification = Verification.REQUIRE
        self.freshness = self.receiver()
        self.assertTrue(self.judge(first))
        self.assertEqual(list(self.freshness.sources), [packed(_PEER)])

    def test_upgraded(self) -> None:
        """
        A host that begins to seal counts as sealing from then on.
        """
        self.assertFalse(self.judge(advertisement(7, Fields(1, 0))))
        self.hear(3)
        self.refused(Rejection.UNSEALED, advertisement(8, Fields(1, 0)))

    def test_require(self) -> None:
        """
        Where seals are required, advertisements without one are rejected, and the other rules
        hold as usual.
        """
        self.verification = Verification.REQUIRE
        self.freshness = self.receiver()
        for source in (_PEER, _OTHER):
            self.assertEqual(
                self.refused(Rejection.UNSEALED, advertisement(7, Fields(1, 0)), source), ""
            )
        captured = self.hear(5)
        for old in captured:
            for change in _CHANGES:
                self.refused(Rejection.REPLAY, forged(old, **change), _STRANGER)
        self.refused(Rejection.UNSEALED, forged(sealed(self.now + 0.5), advskew=9), _STRANGER)
        self.refused(Rejection.UNSEALED, advertisement(7, Fields(1, 0)))

    def test_off(self) -> None:
        """
        With verification off, everything is believed and nothing is remembered.
        """
        self.verification = Verification.OFF
        self.freshness = self.receiver()
        heard = sealed(1.0)
        for _ in range(3):
            self.assertFalse(self.judge(heard))
            self.assertFalse(self.judge(advertisement(7, Fields(0, 0)), _STRANGER))
        self.assertEqual(self.freshness.sources, {})


class MemoryTests(FreshnessTestCase):
    """
    Memory is bounded.
    """

    def test_counters(self) -> None:
        """
        A limited number of counters is remembered, the newest ones, in a limited space.
        """
        self.hear(2)
        first = sealed(self.now, _OWN)
        self.send(first)
        # Consecutive ticks, so that no counter is rejected for its age.
        tick = first.counter >> 24
        others = [
            crafted.sealed(tick + n, _OWN, advbase=1) for n in range(1, REMEMBERED_OWN // 2)
        ]
        for counter in others:
            self.freshness.sent(counter, _USUAL, packed(_OWN), self.now)
        self.refused(Rejection.OWN_ECHO, first, _STRANGER)
        for n in range(5 * REMEMBERED_OWN // 4):
            self.freshness.sent(2**63 + n, _USUAL, packed(_OWN), self.now)
        last = advertisement(2**63 + n, Fields(0, 0))
        self.refused(Rejection.OWN_ECHO, last, _STRANGER)
        seen, own = (vars(self.freshness)[name] for name in ("_seen", "_own"))
        self.assertLessEqual(len(own), REMEMBERED_OWN)
        for n in range(5 * REMEMBERED // 4):
            seen.add(n)
        self.assertLessEqual(len(seen), REMEMBERED)
        space = sum(
            sys.getsizeof(each) for one in (seen, own) for each in (one._young, one._old)
        )
        self.assertLess(space, 16 * 1024)

    def test_forgottenCounters(self) -> None:
        """
        An advertisement whose counter is forgotten is still rejected, because its source and what
        the source said are remembered.
        """
        captured = self.hear(3)
        for n in range(REMEMBERED):
            vars(self.freshness)["_seen"].add(n)
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
        A limited number of sources is remembered. A new one replaces the one that has been silent
        for longest.
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
        The number of sources heard sealed only once is limited, too.
        """
        for n in range(SOURCES + 1):
            self.hear(1, f"10.99.1.{n}")
        self.hear(1, "10.99.1.0")
        self.assertEqual(self.freshness.sources, {})
        self.hear(1, f"10.99.1.{SOURCES}")
        self.assertEqual(list(self.freshness.sources), [packed(f"10.99.1.{SOURCES}")])

    def test_sayings(self) -> None:
        """
        Of what each source said, the last few are remembered.
        """
        self.hear(2, says=Fields(1, 0))
        for skew in range(1, SAYINGS):
            self.hear(1, says=Fields(1, skew))
        self.hear(1, says=Fields(1, 0))
        known = self.freshness.sources[packed(_PEER)]
        expected = [*range(1, SAYINGS), 0]
        self.assertEqual([says.advskew for says in known.sayings], expected)
        self.hear(1, says=Fields(1, 99))
        self.assertEqual([says.advskew for says in known.sayings], [*expected[1:], 99])
        # They are still known after a restart.
        self.freshness = self.restarted()
        for skew in (*expected[1:], 99):
            captured = sealed(self.now, says=Fields(1, skew))
            self.refused(Rejection.REPLAY, forged(captured, advbase=0), _STRANGER, skew)

    def test_heardTells(self) -> None:
        """
        A source reports whether it said something new.
        """
        source = SealedSource(1)
        heard = [
            source.heard(n, says, float(n))
            for n, says in enumerate((Fields(1, 0), Fields(1, 0), Fields(1, 1), Fields(1, 0)))
        ]
        self.assertEqual(heard, [True, False, True, False])
