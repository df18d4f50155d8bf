"""
Tests of L{txcarp.observer.group} and L{txcarp.observer.host}: what is made of what is
heard.
"""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.observer.air import ALPHA, BETA, GAMMA, Air, Talker, packed
from txcarp.observer import records, tables, words
from txcarp.observer.events import Event, Kind, Reason
from txcarp.observer.group import MAXIMUM_HOSTS
from txcarp.observer.sighting import CARPClaim
from txcarp.observer.words import Calendar
from txcarp.protocol.seal import Says, Seal, Ticks
from txcarp.protocol.timing import Timing

#: Unsealed, as from a constant counter: said with the third advertisement.
_START = [Kind.GROUP, Kind.SEAL]


class SuccessionTests(SynchronousTestCase):
    """
    One master after another.
    """

    def setUp(self) -> None:
        self.air = Air()
        self.alpha, self.beta = self.air.talker(ALPHA), self.air.talker(BETA, 100)

    def established(self) -> None:
        """
        Alpha is master.
        """
        self.air.run(5, self.alpha)
        self.assertEqual(self.air.take(), _START)

    def followed(self, events: list[Event]) -> Event:
        """
        The only event of a new master, which is beta.
        """
        (event,) = [event for event in events if event.kind is Kind.MASTER]
        assert event.host is not None
        assert event.group is not None
        self.assertEqual((event.host.source, event.previous), (packed(BETA), packed(ALPHA)))
        self.assertEqual([host.source for host in event.group.masters], [packed(BETA)])
        return event

    def test_first(self) -> None:
        """
        A group is reported with its first advertisement, and not again.
        """
        (event,) = self.air.hear(self.air.carp())
        self.assertIs(event.kind, Kind.GROUP)
        self.air.run(60, self.alpha)
        self.assertEqual(self.air.take(), _START)
        (host,) = self.air.group().masters
        self.assertEqual((host.source, host.claim), (packed(ALPHA), CARPClaim(Timing(1, 0))))
        self.assertEqual((host.since, host.witnessed), (1010.0, True))
        self.assertAlmostEqual(host.seen or 0, 1.0, 2)

    def test_bowOut(self) -> None:
        """
        After a bow-out the next master comes at once, and that is why.
        """
        self.established()
        self.air.hear(self.air.bowOut())
        self.assertEqual(self.air.group().masters, ())
        self.assertEqual(self.air.group().nobodySince, self.air.now)
        self.air.now += 0.02
        event = self.followed(self.air.run(20, self.beta))
        self.assertEqual((event.reason, round(event.seconds or 0, 3)), (Reason.BOW_OUT, 0.02))
        self.assertEqual(self.air.take(), [Kind.BOW_OUT, Kind.MASTER, Kind.SEAL])

    def test_bowOutTwice(self) -> None:
        """
        A bow-out that is said again, or to each of several peers, is one.
        """
        self.established()
        for _ in range(3):
            self.air.hear(self.air.bowOut())
        self.assertEqual(self.air.take(), [Kind.BOW_OUT])

    def test_nobodyFollows(self) -> None:
        """
        When nobody follows, that is said after three intervals.
        """
        self.established()
        self.air.hear(self.air.bowOut())
        left = self.air.now
        self.air.run(2.9)
        self.assertEqual(self.air.take(), [Kind.BOW_OUT])
        (event,) = self.air.run(60)
        self.assertIs(event.kind, Kind.SILENT)
        assert event.group is not None
        self.assertEqual(event.group.nobodySince, left)
        self.assertIsNotNone(event.group.last)

    def test_silence(self) -> None:
        """
        A master that is silent for three intervals is missed, and then followed.
        """
        self.established()
        heard = self.air.group().masters[0].heard
        self.air.now = heard
        self.air.run(3.0)
        self.assertEqual(self.air.take(), [])
        (event,) = self.air.run(0.39)
        self.assertEqual(
            (event.kind, event.group and event.group.nobodySince), (Kind.SILENT, heard)
        )
        event = self.followed(self.air.run(20, self.beta))
        self.assertIs(event.reason, Reason.SILENCE)
        self.assertAlmostEqual(event.seconds or 0, 3.39)

    def test_quickSilence(self) -> None:
        """
        A backup with a small dead ratio follows before the observer would have missed the
        master; the reason is the same.
        """
        self.established()
        self.air.now = self.air.group().masters[0].heard + 1.4
        event = self.followed(self.air.run(20, self.beta))
        self.assertIs(event.reason, Reason.SILENCE)
        self.assertEqual(self.air.take(), [Kind.MASTER, Kind.SEAL])

    def test_veryQuickSilence(self) -> None:
        """
        With a dead ratio of 1 it is a matter of milliseconds: the change is seen when the
        old master has missed its time for good.
        """
        self.established()
        self.air.now = self.air.group().masters[0].heard + 1.1
        event = self.followed(self.air.run(20, self.beta))
        self.assertIs(event.reason, Reason.SILENCE)
        self.assertAlmostEqual(event.seconds or 0, 1.1)

    def test_preemption(self) -> None:
        """
        Somebody better follows at once.  The last word of the old master, half a second
        late as from a busy ucarp, makes no second one.
        """
        self.air.run(5, self.beta)
        self.air.take()
        (event,) = self.air.hear(self.air.carp(ALPHA))
        self.assertEqual((event.kind, event.reason), (Kind.MASTER, Reason.TIMING))
        self.assertEqual(event.before, CARPClaim(Timing(1, 100)))
        self.air.hear(self.air.carp(BETA, 100))
        self.air.now += 0.53
        self.air.hear(self.air.carp(BETA, 100))
        self.air.now += 0.47
        self.air.run(60, self.alpha)
        self.assertEqual(self.air.take(), [Kind.MASTER, Kind.SEAL])

    def test_race(self) -> None:
        """
        Two backups speak up together, and the worse one gives way: nothing to speak of.
        """
        self.established()
        self.air.run(3.5)
        self.air.hear(self.air.carp(BETA, 100))
        self.air.now += 0.01
        self.air.hear(self.air.carp(GAMMA, 200))
        self.air.now += 0.001
        self.air.hear(self.air.carp(GAMMA, 200))
        self.air.now += 1.4
        self.air.run(60, self.beta)
        self.assertEqual(self.air.take(), [Kind.SILENT, Kind.MASTER, Kind.SEAL])

    def test_demotion(self) -> None:
        """
        Demotion decides before the timing.
        """
        self.air.run(5, self.air.talker(ALPHA, demotion=5))
        self.air.take()
        (event,) = self.air.hear(self.air.carp(BETA, 100))
        self.assertEqual((event.kind, event.reason), (Kind.MASTER, Reason.DEMOTION))

    def test_priority(self) -> None:
        """
        In VRRP the priority decides, and a priority of 0 is the last word.
        """
        low = Talker(1.0, lambda: self.air.vrrp(ALPHA, 100))
        high = Talker(1.0, lambda: self.air.vrrp(BETA, 200))
        self.air.run(5, low)
        (event,) = self.air.run(5, high)
        self.assertEqual((event.kind, event.reason), (Kind.MASTER, Reason.PRIORITY))
        self.air.hear(self.air.vrrp(BETA, 0))
        event = self.air.run(5, low)[0]
        self.assertEqual((event.kind, event.reason), (Kind.MASTER, Reason.BOW_OUT))
        self.assertEqual(self.air.take(), [Kind.GROUP, Kind.MASTER, Kind.BOW_OUT, Kind.MASTER])

    def test_equal(self) -> None:
        """
        One of the same timing may take over without a reason that can be heard: that is
        seen when the other stays away.
        """
        self.established()
        self.air.now = self.air.group().masters[0].heard + 0.5
        event = self.followed(self.air.run(20, self.air.talker(BETA)))
        self.assertIs(event.reason, Reason.EQUAL)

    def test_worse(self) -> None:
        """
        So may a worse one.
        """
        self.established()
        self.air.now = self.air.group().masters[0].heard + 0.5
        self.assertIs(self.followed(self.air.run(20, self.beta)).reason, Reason.UNKNOWN)

    def test_returns(self) -> None:
        """
        The same master after a silence has returned.
        """
        self.established()
        self.air.run(12)
        event = self.air.run(5, self.alpha)[0]
        self.assertIs(event.kind, Kind.RETURNED)
        self.assertAlmostEqual(event.seconds or 0, 13.0)
        self.assertEqual(self.air.take(), [Kind.SILENT, Kind.RETURNED])

    def test_claim(self) -> None:
        """
        A master that says something else of itself is reported with what it said.
        """
        self.established()
        (event,) = self.air.run(5, self.air.talker(ALPHA, 240))
        self.assertIs(event.kind, Kind.CLAIM)
        self.assertEqual(event.before, CARPClaim(Timing(1, 0)))
        assert event.host is not None
        self.assertEqual(event.host.claim, CARPClaim(Timing(1, 240)))

    def test_seal(self) -> None:
        """
        Sealed advertisements look sealed after the fourth, and it is said when they do not
        any more.
        """
        ticks, seal = Ticks(), Seal(crafted.PASSWORD, 7)

        def sealed() -> bytes:
            tick = ticks.next(1.7e9 + self.air.now, self.air.now)
            assert tick is not None
            return self.air.carp(ALPHA, counter=seal.counter(tick, Says(1, 0), packed(ALPHA)))

        self.air.run(20, Talker(1.0, sealed))
        self.assertEqual(self.air.take(), [Kind.GROUP, Kind.SEAL])
        self.assertIs(self.air.group().masters[0].sealed, True)
        (event,) = self.air.run(20, self.alpha)
        self.assertEqual((event.kind, event.detail), (Kind.SEAL, "sealed"))
        self.assertIs(self.air.group().masters[0].sealed, False)


class TroubleTests(SynchronousTestCase):
    """
    Several masters, and what only looks like it.
    """

    def setUp(self) -> None:
        self.air = Air()
        self.alpha, self.beta = self.air.talker(ALPHA), self.air.talker(BETA, 100)
        self.gamma = self.air.talker(GAMMA, 200)
        self.air.run(5.5, self.alpha)
        self.air.take()
        self.began = self.air.now + 0.5

    def test_two(self) -> None:
        """
        Two that both go on are two masters, from when the second began to when one was
        heard last.
        """
        self.air.run(0.5)
        events = self.air.run(10, self.alpha, self.beta)
        self.assertEqual(self.air.take(), [Kind.TWO_MASTERS, Kind.SEAL])
        self.assertLess(events[0].when, self.began + 3)
        group = self.air.group()
        self.assertEqual([host.source for host in group.masters], [packed(ALPHA), packed(BETA)])
        self.assertEqual(group.twoSince, self.began)
        lasted = max(host.heard for host in group.masters if host.source == packed(BETA))
        (event,) = self.air.run(20, self.alpha)
        self.assertIs(event.kind, Kind.ONE_MASTER)
        self.assertAlmostEqual(event.seconds or 0, lasted - self.began)
        self.assertIsNone(self.air.group().twoSince)

    def test_twoBetter(self) -> None:
        """
        A better one that follows, to whom the old one does not give way, is a second
        master, too.
        """
        air = Air()
        air.run(5, air.talker(BETA, 100))
        air.take()
        air.run(10, air.talker(ALPHA), air.talker(BETA, 100))
        self.assertEqual(air.take(), [Kind.MASTER, Kind.TWO_MASTERS, Kind.SEAL])

    def test_bowOut(self) -> None:
        """
        One that bows out leaves the other alone.
        """
        for leaving, staying in ((ALPHA, self.beta), (BETA, self.alpha)):
            self.air.run(10, self.alpha, self.beta)
            self.air.take()
            self.air.hear(self.air.bowOut(leaving))
            self.assertEqual(self.air.take(), [Kind.BOW_OUT, Kind.ONE_MASTER])
            self.air.run(20, staying)
            self.assertEqual(self.air.take(), [])

    def test_bothGone(self) -> None:
        """
        When both fall silent, there is nobody.
        """
        self.air.run(10, self.alpha, self.beta)
        self.air.take()
        self.air.run(20)
        self.assertEqual(self.air.take()[-1], Kind.SILENT)
        self.assertEqual(self.air.group().masters, ())
        self.assertIsNone(self.air.group().twoSince)

    def test_three(self) -> None:
        """
        A third one is reported, with all of them, and the trouble is over with the last
        but one.
        """
        self.air.run(10, self.alpha, self.beta)
        self.air.take()
        self.air.run(10, self.alpha, self.beta, self.gamma)
        self.assertEqual(self.air.take(), [Kind.TWO_MASTERS, Kind.SEAL])
        self.assertEqual(len(self.air.group().masters), 3)
        self.air.run(20, self.beta, self.gamma)
        self.assertEqual(self.air.take(), [])
        self.assertEqual(len(self.air.group().masters), 2)
        self.air.run(20, self.beta)
        self.assertEqual(self.air.take(), [Kind.ONE_MASTER])

    def test_stray(self) -> None:
        """
        A single advertisement of a worse one is no master.
        """
        self.air.run(2, self.alpha)
        self.air.hear(self.air.carp(BETA, 100))
        self.assertEqual(len(self.air.group().masters), 1)
        self.air.run(20, self.alpha)
        self.assertEqual(self.air.take(), [Kind.STRAY])

    def test_forgedBest(self) -> None:
        """
        A single advertisement of a better one, from nobody, changes the master for as long
        as the real one does not speak.
        """
        self.air.run(2, self.alpha)
        self.air.hear(self.air.carp(GAMMA, 1, 0))
        events = self.air.run(20, self.alpha)
        self.assertIs(events[-1].reason, Reason.SILENCE)
        self.assertGreaterEqual(events[-1].seconds or 0, 0.5)
        self.assertEqual(self.air.take(), [Kind.MASTER, Kind.MASTER])
        self.assertEqual(self.air.group().masters[0].source, packed(ALPHA))

    def test_stranger(self) -> None:
        """
        A bow-out from somebody who was not master is reported, and changes nothing.
        """
        self.air.hear(self.air.bowOut(GAMMA))
        self.assertEqual(self.air.take(), [Kind.BOW_OUT])
        self.assertEqual(self.air.group().masters[0].source, packed(ALPHA))
        air = Air()
        air.hear(air.bowOut())
        air.run(20)
        self.assertEqual(air.take(), [Kind.BOW_OUT])
        self.assertEqual((air.group().masters, air.group().last), ((), None))

    def test_successorWaits(self) -> None:
        """
        One that spoke up beside a master is its successor when that bows out.
        """
        self.air.run(0.5)
        self.air.hear(self.air.carp(BETA, 100))
        self.air.hear(self.air.bowOut())
        (_, event) = self.air.events
        self.assertEqual((event.kind, event.reason), (Kind.MASTER, Reason.BOW_OUT))

    def test_tooManyHosts(self) -> None:
        """
        So many are remembered, those that advertise first; more are counted out.
        """
        talkers = [
            self.air.talker(f"10.99.1.{number}", number) for number in range(1, MAXIMUM_HOSTS)
        ]
        self.air.run(10, self.alpha, *talkers)
        self.assertNotIn(Kind.TOO_MANY_HOSTS, self.air.take())
        self.air.hear(self.air.carp("10.99.2.1"))
        self.assertEqual(self.air.take(), [Kind.TOO_MANY_HOSTS])
        self.assertEqual(len(self.air.group().masters), MAXIMUM_HOSTS)

    def test_forgotten(self) -> None:
        """
        Those that do not advertise any more make room.
        """
        for number in range(1, 5 * MAXIMUM_HOSTS):
            self.air.hear(self.air.carp(f"10.99.1.{number}", 250))
            self.air.run(10, self.alpha)
        self.assertNotIn(Kind.TOO_MANY_HOSTS, self.air.take())


class ListeningTests(SynchronousTestCase):
    """
    What an observer cannot have heard.
    """

    def setUp(self) -> None:
        self.air = Air()
        self.alpha, self.beta = self.air.talker(ALPHA), self.air.talker(BETA, 100)

    def test_before(self) -> None:
        """
        Who is heard soon after the beginning may have advertised before it.
        """
        for waited, witnessed in ((2.9, False), (3.1, True)):
            air = Air()
            air.watch.listens(air.now, "eth0")
            air.now += waited
            air.run(1, air.talker())
            self.assertIs(air.group().masters[0].witnessed, witnessed)

    def test_successor(self) -> None:
        """
        But not its successor.
        """
        air = Air()
        air.watch.listens(air.now, "eth0")
        air.run(1.5, air.talker())
        air.hear(air.bowOut())
        air.hear(air.carp(BETA, 100))
        self.assertIs(air.group().masters[0].witnessed, True)

    def test_deaf(self) -> None:
        """
        While an interface is down, silence says nothing; who is heard afterwards became
        master for reasons unknown.
        """
        self.air.run(5, self.alpha)
        self.air.take()
        self.air.watch.deafened(self.air.now, "eth0", Kind.DOWN)
        self.air.run(60)
        self.air.watch.listens(self.air.now, "eth0")
        self.air.run(2)
        self.assertEqual(self.air.take(), [])
        events = self.air.run(10, self.beta)
        self.assertEqual(self.air.take(), [Kind.MASTER, Kind.SEAL])
        self.assertIs(events[0].reason, Reason.UNKNOWN)

    def test_deafAlone(self) -> None:
        """
        If nobody is heard afterwards, that is said, three intervals later.
        """
        self.air.run(5, self.alpha)
        self.air.hear(self.air.bowOut())
        self.air.take()
        self.air.watch.deafened(self.air.now, "eth0", Kind.DOWN)
        self.air.run(60)
        self.air.watch.listens(self.air.now, "eth0")
        self.assertEqual(self.air.take(), [])
        self.air.run(3.5)
        self.assertEqual(self.air.take(), [Kind.SILENT])
        events = self.air.run(5, self.beta)
        self.assertEqual((events[0].kind, events[0].reason), (Kind.MASTER, Reason.UNKNOWN))

    def test_deafVacancy(self) -> None:
        """
        Who follows unheard after a bow-out is not known to have followed because of it.
        """
        self.air.run(5, self.alpha)
        self.air.hear(self.air.bowOut())
        self.air.watch.deafened(self.air.now, "eth0", Kind.DOWN)
        self.air.run(60)
        self.air.watch.listens(self.air.now, "eth0")
        events = self.air.run(1, self.beta)
        self.assertEqual((events[0].kind, events[0].reason), (Kind.MASTER, Reason.UNKNOWN))

    def test_paused(self) -> None:
        """
        An observer that was stopped blames nobody for the time it slept, and what waited
        for it in the socket is read with the time of its arrival.
        """
        self.air.run(5, self.alpha)
        self.air.take()
        heard = self.air.group().masters[0].heard
        awake = self.air.now + 60
        self.assertEqual(self.air.watch.tick(awake), [])
        for number in range(60):
            self.air.now = heard + 1 + number
            self.air.hear(self.air.carp())
        self.air.now = awake
        self.air.run(2)
        self.assertEqual(self.air.take(), [])
        self.assertAlmostEqual(self.air.group().masters[0].seen or 0, 1.0)


class IntervalTests(SynchronousTestCase):
    """
    The time between advertisements.
    """

    def test_peers(self) -> None:
        """
        A host that sends to several peers is measured at one of them, and at another when
        it sends to that one no more.
        """
        air = Air()

        def to(peer: str) -> Talker:
            body = crafted.payload(vhid=7, advbase=1, advskew=0)
            return Talker(1.0, lambda: crafted.packet(body, source=ALPHA, destination=peer, ttl=60))

        air.run(20, to(BETA), to(GAMMA))
        (host,) = air.group().masters
        self.assertAlmostEqual(host.seen or 0, 1.0)
        self.assertEqual(host.sighting.destination, packed(BETA))
        air.run(20, to(GAMMA))
        (host,) = air.group().masters
        self.assertAlmostEqual(host.seen or 0, 1.0)
        self.assertEqual(host.sighting.destination, packed(GAMMA))

    def test_slow(self) -> None:
        """
        A master that is slower than it says is not silent when it always was.
        """
        air = Air()
        air.run(60, Talker(2.0, air.carp))
        self.assertEqual(air.take(), _START)
        self.assertAlmostEqual(air.group().masters[0].seen or 0, 2.0)
        air.run(7)
        self.assertEqual(air.take(), [Kind.SILENT])

    def test_faster(self) -> None:
        """
        What was measured counts no more when the host says another interval.
        """
        air = Air()
        air.run(100, air.talker(ALPHA, base=20))
        air.run(5, air.talker(ALPHA, base=1))
        air.take()
        air.run(4)
        self.assertEqual(air.take(), [Kind.SILENT])

    def test_shortest(self) -> None:
        """
        The shortest intervals do not make every delay of the observer a silence.
        """
        air = Air()
        air.run(3, air.talker(ALPHA, 1, 0))
        air.take()
        air.run(0.4)
        self.assertEqual(air.take(), [])
        air.run(0.5)
        self.assertEqual(air.take(), [Kind.SILENT])

    def test_none(self) -> None:
        """
        VRRP can say an interval of zero, which is taken for a second.
        """
        air = Air()
        air.run(20, Talker(1.0, lambda: air.vrrp(interval=0)))
        self.assertEqual(air.take(), [Kind.GROUP])


@attrs.frozen
class Step:
    """
    Something that may happen.
    """

    seconds: float
    source: int
    claim: tuple[int, int, int]
    counter: int
    deaf: bool


STEPS = st.lists(
    st.builds(
        Step,
        seconds=st.sampled_from((0.0, 0.001, 0.3, 1.0, 1.5, 4.0)),
        source=st.integers(0, MAXIMUM_HOSTS + 2),
        claim=st.sampled_from(((1, 0, 0), (1, 100, 0), (1, 0, 9), (0, 1, 0), (255, 255, 0))),
        counter=st.integers(0, 2**64 - 1),
        deaf=st.integers(0, 19).map(lambda number: not number),
    ),
    max_size=40,
)


class AnythingTests(SynchronousTestCase):
    """
    Whatever is heard.
    """

    @settings(max_examples=60)
    @given(STEPS)
    def test_consistent(self, steps: list[Step]) -> None:
        """
        There are masters or there is a time since when there are none, several have a time
        since when, and all that happens can be said, shown and written down.
        """
        air = Air(now=100.0)
        clock = Clock()
        calendar = Calendar(clock.seconds)
        for step in steps:
            if step.deaf:
                air.watch.deafened(air.now, "eth0", Kind.DOWN)
                air.run(step.seconds * 5)
                air.watch.listens(air.now, "eth0")
            air.run(step.seconds)
            base, skew, demotion = step.claim
            air.hear(
                air.carp(
                    f"10.99.0.{step.source}", skew, base, demotion=demotion, counter=step.counter
                )
            )
            group = air.group()
            self.assertEqual(group.twoSince is not None, len(group.masters) > 1)
            if group.masters:
                self.assertIsNone(group.nobodySince)
                self.assertIsNone(group.last)
            else:
                self.assertEqual(group.nobodySince is None, group.last is None)
            self.assertLessEqual(len(group.masters), MAXIMUM_HOSTS)
            rows = tables.rows([group], calendar, {})
            self.assertEqual(len(rows), max(1, len(group.masters)))
            self.assertTrue(records.ofGroup(group, calendar))
        for event in air.events:
            self.assertIsNot(words.sentence(event, calendar), "")
            self.assertTrue(records.ofEvent(event, calendar))
            if event.group and event.kind in (Kind.MASTER, Kind.GROUP, Kind.RETURNED):
                self.assertEqual(event.group.masters[:1], (event.host,))
        air.run(2000)
        for group in air.watch.groups():
            self.assertEqual(group.masters, ())
