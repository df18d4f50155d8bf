"""
Tests of L{txcarp.observer.group} and L{txcarp.observer.host}.
"""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from tests.observer.air import ALPHA, BETA, GAMMA, Air, Talker
from txcarp.observer import records, tables, words
from txcarp.observer.group import MAXIMUM_HOSTS
from txcarp.observer.reports import Cause, Kind, Report
from txcarp.observer.sighting import CARPClaim
from txcarp.observer.words import Calendar
from txcarp.protocol.seal import Fields, Seal, Ticks
from txcarp.protocol.timing import Timing

#: Unsealed, as from a constant counter: said with the third advertisement.
_START = [Kind.GROUP, Kind.SEAL]


class SuccessionTests(SynchronousTestCase):
    """
    One master follows another.
    """

    def setUp(self) -> None:
        self.air = Air()
        self.alpha, self.beta = self.air.talker(ALPHA), self.air.talker(BETA, 100)

    def established(self) -> None:
        """
        Let alpha become master.
        """
        self.air.run(5, self.alpha)
        self.assertEqual(self.air.take(), _START)

    def followed(self, reports: list[Report]) -> Report:
        """
        The only report of a new master, which is beta.
        """
        (report,) = [report for report in reports if report.kind is Kind.MASTER]
        assert report.host is not None
        assert report.group is not None
        self.assertEqual((report.host.source, report.previous), (packed(BETA), packed(ALPHA)))
        self.assertEqual([host.source for host in report.group.masters], [packed(BETA)])
        return report

    def test_first(self) -> None:
        """
        A group is reported with its first advertisement, and not again.
        """
        (report,) = self.air.hear(self.air.carp())
        self.assertIs(report.kind, Kind.GROUP)
        self.air.run(60, self.alpha)
        self.assertEqual(self.air.take(), _START)
        (host,) = self.air.group().masters
        self.assertEqual((host.source, host.claim), (packed(ALPHA), CARPClaim(Timing(1, 0))))
        self.assertEqual((host.since, host.witnessed), (1010.0, True))
        self.assertAlmostEqual(host.seen or 0, 1.0, 2)

    def test_forms(self) -> None:
        """
        A master that advertises in several forms, because its group changes the password, is one
        host with one interval.  It leaves once, also if its successor replies between two bow-outs.
        """
        tick = 0
        for _ in range(20):
            for _ in range(3):
                tick += 1
                self.air.hear(self.air.carp(counter=crafted.sealed(tick)))
            tick += 97
            self.air.run(1)
        self.assertEqual(self.air.take(), _START)
        (host,) = self.air.group().masters
        self.assertAlmostEqual(host.seen or 0, 1.0, 2)
        self.assertIs(host.sealed, True)
        self.air.hear(self.air.bowOut())
        self.air.hear(self.air.carp(BETA, 100))
        self.air.hear(self.air.bowOut())
        self.assertEqual(self.air.take(), [Kind.BOW_OUT, Kind.MASTER])

    def test_bowOut(self) -> None:
        """
        When another host follows a bow-out, the bow-out is the reason.
        """
        self.established()
        self.air.hear(self.air.bowOut())
        self.assertEqual(self.air.group().masters, ())
        self.assertEqual(self.air.group().nobodySince, self.air.now)
        self.air.now += 0.02
        report = self.followed(self.air.run(20, self.beta))
        self.assertEqual((report.cause, round(report.seconds or 0, 3)), (Cause.BOW_OUT, 0.02))
        self.assertEqual(self.air.take(), [Kind.BOW_OUT, Kind.MASTER, Kind.SEAL])

    def test_bowOutTwice(self) -> None:
        """
        A bow-out that is repeated, or sent to several peers, is one report.
        """
        self.established()
        for _ in range(3):
            self.air.hear(self.air.bowOut())
        self.assertEqual(self.air.take(), [Kind.BOW_OUT])

    def test_nobodyFollows(self) -> None:
        """
        If no host follows a bow-out, that is reported after three intervals.
        """
        self.established()
        self.air.hear(self.air.bowOut())
        left = self.air.now
        self.air.run(2.9)
        self.assertEqual(self.air.take(), [Kind.BOW_OUT])
        (report,) = self.air.run(60)
        self.assertIs(report.kind, Kind.SILENT)
        assert report.group is not None
        self.assertEqual(report.group.nobodySince, left)
        self.assertIsNotNone(report.group.last)

    def test_silence(self) -> None:
        """
        A master that is silent for three intervals is reported, and then its successor.
        """
        self.established()
        heard = self.air.group().masters[0].heard
        self.air.now = heard
        self.air.run(3.0)
        self.assertEqual(self.air.take(), [])
        (report,) = self.air.run(0.39)
        self.assertEqual(
            (report.kind, report.group and report.group.nobodySince), (Kind.SILENT, heard)
        )
        report = self.followed(self.air.run(20, self.beta))
        self.assertIs(report.cause, Cause.SILENCE)
        self.assertAlmostEqual(report.seconds or 0, 3.39)

    def test_quickSilence(self) -> None:
        """
        A backup with a small dead ratio takes over before the observer would report the
        silence.  The reason is still silence.
        """
        self.established()
        self.air.now = self.air.group().masters[0].heard + 1.4
        report = self.followed(self.air.run(20, self.beta))
        self.assertIs(report.cause, Cause.SILENCE)
        self.assertEqual(self.air.take(), [Kind.MASTER, Kind.SEAL])

    def test_veryQuickSilence(self) -> None:
        """
        With a dead ratio of 1 the backup takes over a few milliseconds late.  The change is
        reported once an advertisement of the old master is overdue.
        """
        self.established()
        self.air.now = self.air.group().masters[0].heard + 1.1
        report = self.followed(self.air.run(20, self.beta))
        self.assertIs(report.cause, Cause.SILENCE)
        self.assertAlmostEqual(report.seconds or 0, 1.1)

    def test_preemption(self) -> None:
        """
        A preferred host becomes master at once.  An advertisement that the old master, a busy
        ucarp, sends half a second later does not make two masters.
        """
        self.air.run(5, self.beta)
        self.air.take()
        (report,) = self.air.hear(self.air.carp(ALPHA))
        self.assertEqual((report.kind, report.cause), (Kind.MASTER, Cause.TIMING))
        self.assertEqual(report.before, CARPClaim(Timing(1, 100)))
        self.air.hear(self.air.carp(BETA, 100))
        self.air.now += 0.53
        self.air.hear(self.air.carp(BETA, 100))
        self.air.now += 0.47
        self.air.run(60, self.alpha)
        self.assertEqual(self.air.take(), [Kind.MASTER, Kind.SEAL])

    def test_race(self) -> None:
        """
        If two backups begin together and one yields, no trouble is reported.
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
        Demotion counts before the timing.
        """
        self.air.run(5, self.air.talker(ALPHA, demotion=5))
        self.air.take()
        (report,) = self.air.hear(self.air.carp(BETA, 100))
        self.assertEqual((report.kind, report.cause), (Kind.MASTER, Cause.DEMOTION))

    def test_priority(self) -> None:
        """
        In VRRP the priority decides, and a priority of 0 is a bow-out.
        """
        low = Talker(1.0, lambda: self.air.vrrp(ALPHA, 100))
        high = Talker(1.0, lambda: self.air.vrrp(BETA, 200))
        self.air.run(5, low)
        (report,) = self.air.run(5, high)
        self.assertEqual((report.kind, report.cause), (Kind.MASTER, Cause.PRIORITY))
        self.air.hear(self.air.vrrp(BETA, 0))
        report = self.air.run(5, low)[0]
        self.assertEqual((report.kind, report.cause), (Kind.MASTER, Cause.BOW_OUT))
        self.assertEqual(self.air.take(), [Kind.GROUP, Kind.MASTER, Kind.BOW_OUT, Kind.MASTER])

    def test_equal(self) -> None:
        """
        A host with the same timing may take over.  That is known once the old master stays
        silent.
        """
        self.established()
        self.air.now = self.air.group().masters[0].heard + 0.5
        report = self.followed(self.air.run(20, self.air.talker(BETA)))
        self.assertIs(report.cause, Cause.EQUAL)

    def test_worse(self) -> None:
        """
        A host with a worse timing may take over in the same way.
        """
        self.established()
        self.air.now = self.air.group().masters[0].heard + 0.5
        self.assertIs(self.followed(self.air.run(20, self.beta)).cause, Cause.UNKNOWN)

    def test_returns(self) -> None:
        """
        A master that advertises again after a silence has returned.
        """
        self.established()
        self.air.run(12)
        report = self.air.run(5, self.alpha)[0]
        self.assertIs(report.kind, Kind.RETURNED)
        self.assertAlmostEqual(report.seconds or 0, 13.0)
        self.assertEqual(self.air.take(), [Kind.SILENT, Kind.RETURNED])

    def test_claim(self) -> None:
        """
        A change of what a master claims is reported with the old claim.
        """
        self.established()
        (report,) = self.air.run(5, self.air.talker(ALPHA, 240))
        self.assertIs(report.kind, Kind.CLAIM)
        self.assertEqual(report.before, CARPClaim(Timing(1, 0)))
        assert report.host is not None
        self.assertEqual(report.host.claim, CARPClaim(Timing(1, 240)))

    def test_seal(self) -> None:
        """
        Sealed advertisements look sealed after the fourth, and a report tells when they no
        longer do.
        """
        ticks, seal = Ticks(), Seal(crafted.PASSWORD, 7)

        def sealed() -> bytes:
            tick = ticks.next(1.7e9 + self.air.now, self.air.now)
            assert tick is not None
            return self.air.carp(ALPHA, counter=seal.counter(tick, Fields(1, 0), packed(ALPHA)))

        self.air.run(20, Talker(1.0, sealed))
        self.assertEqual(self.air.take(), [Kind.GROUP, Kind.SEAL])
        self.assertIs(self.air.group().masters[0].sealed, True)
        (report,) = self.air.run(20, self.alpha)
        self.assertEqual((report.kind, report.detail), (Kind.SEAL, "sealed"))
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
        Two hosts that both keep advertising are two masters, from the first advertisement of
        the second to the last of the first that falls silent.
        """
        self.air.run(0.5)
        reports = self.air.run(10, self.alpha, self.beta)
        self.assertEqual(self.air.take(), [Kind.TWO_MASTERS, Kind.SEAL])
        self.assertLess(reports[0].when, self.began + 3)
        group = self.air.group()
        self.assertEqual([host.source for host in group.masters], [packed(ALPHA), packed(BETA)])
        self.assertEqual(group.twoSince, self.began)
        lasted = max(host.heard for host in group.masters if host.source == packed(BETA))
        (report,) = self.air.run(20, self.alpha)
        self.assertIs(report.kind, Kind.ONE_MASTER)
        self.assertAlmostEqual(report.seconds or 0, lasted - self.began)
        self.assertIsNone(self.air.group().twoSince)

    def test_twoBetter(self) -> None:
        """
        A preferred host to which the master does not yield is a second master.
        """
        air = Air()
        air.run(5, air.talker(BETA, 100))
        air.take()
        air.run(10, air.talker(ALPHA), air.talker(BETA, 100))
        self.assertEqual(air.take(), [Kind.MASTER, Kind.TWO_MASTERS, Kind.SEAL])

    def test_bowOut(self) -> None:
        """
        When one of two masters bows out, the other one is left.
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
        When both masters fall silent, there is none.
        """
        self.air.run(10, self.alpha, self.beta)
        self.air.take()
        self.air.run(20)
        self.assertEqual(self.air.take()[-1], Kind.SILENT)
        self.assertEqual(self.air.group().masters, ())
        self.assertIsNone(self.air.group().twoSince)

    def test_three(self) -> None:
        """
        A third master is reported with the others, and the trouble ends when one is left.
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
        A single advertisement of a worse host does not make it master.
        """
        self.air.run(2, self.alpha)
        self.air.hear(self.air.carp(BETA, 100))
        self.assertEqual(len(self.air.group().masters), 1)
        self.air.run(20, self.alpha)
        self.assertEqual(self.air.take(), [Kind.STRAY])

    def test_forgedBest(self) -> None:
        """
        A single forged advertisement of a preferred host changes the master until the real one
        advertises again.
        """
        self.air.run(2, self.alpha)
        self.air.hear(self.air.carp(GAMMA, 1, 0))
        reports = self.air.run(20, self.alpha)
        self.assertIs(reports[-1].cause, Cause.SILENCE)
        self.assertGreaterEqual(reports[-1].seconds or 0, 0.5)
        self.assertEqual(self.air.take(), [Kind.MASTER, Kind.MASTER])
        self.assertEqual(self.air.group().masters[0].source, packed(ALPHA))

    def test_stranger(self) -> None:
        """
        A bow-out of a host that was not master is reported and changes nothing.
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
        A host that began beside the master is its successor when the master bows out.
        """
        self.air.run(0.5)
        self.air.hear(self.air.carp(BETA, 100))
        self.air.hear(self.air.bowOut())
        (_, report) = self.air.reports
        self.assertEqual((report.kind, report.cause), (Kind.MASTER, Cause.BOW_OUT))

    def test_tooManyHosts(self) -> None:
        """
        The number of hosts is limited; further ones are reported as too many.
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
        Hosts that no longer advertise make room for others.
        """
        for number in range(1, 5 * MAXIMUM_HOSTS):
            self.air.hear(self.air.carp(f"10.99.1.{number}", 250))
            self.air.run(10, self.alpha)
        self.assertNotIn(Kind.TOO_MANY_HOSTS, self.air.take())


class ListeningTests(SynchronousTestCase):
    """
    Times in which the observer could not hear anything.
    """

    def setUp(self) -> None:
        self.air = Air()
        self.alpha, self.beta = self.air.talker(ALPHA), self.air.talker(BETA, 100)

    def test_before(self) -> None:
        """
        A host that is heard soon after listening began may have advertised before.
        """
        for waited, witnessed in ((2.9, False), (3.1, True)):
            air = Air()
            air.watch.listens(air.now, "eth0")
            air.now += waited
            air.run(1, air.talker())
            self.assertIs(air.group().masters[0].witnessed, witnessed)

    def test_successor(self) -> None:
        """
        The successor of such a host began when it was heard first.
        """
        air = Air()
        air.watch.listens(air.now, "eth0")
        air.run(1.5, air.talker())
        air.hear(air.bowOut())
        air.hear(air.carp(BETA, 100))
        self.assertIs(air.group().masters[0].witnessed, True)

    def test_deaf(self) -> None:
        """
        While an interface is down, silence proves nothing.  The reason for a master that is
        heard afterwards is unknown.
        """
        self.air.run(5, self.alpha)
        self.air.take()
        self.air.watch.deafened(self.air.now, "eth0", Kind.DOWN)
        self.air.run(60)
        self.air.watch.listens(self.air.now, "eth0")
        self.air.run(2)
        self.assertEqual(self.air.take(), [])
        reports = self.air.run(10, self.beta)
        self.assertEqual(self.air.take(), [Kind.MASTER, Kind.SEAL])
        self.assertIs(reports[0].cause, Cause.UNKNOWN)

    def test_deafAlone(self) -> None:
        """
        If no host is heard after the interface is up again, that is reported after three
        intervals.
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
        reports = self.air.run(5, self.beta)
        self.assertEqual((reports[0].kind, reports[0].cause), (Kind.MASTER, Cause.UNKNOWN))

    def test_deafVacancy(self) -> None:
        """
        If the interface was down after a bow-out, the bow-out is not known to be the reason
        for the next master.
        """
        self.air.run(5, self.alpha)
        self.air.hear(self.air.bowOut())
        self.air.watch.deafened(self.air.now, "eth0", Kind.DOWN)
        self.air.run(60)
        self.air.watch.listens(self.air.now, "eth0")
        reports = self.air.run(1, self.beta)
        self.assertEqual((reports[0].kind, reports[0].cause), (Kind.MASTER, Cause.UNKNOWN))

    def test_paused(self) -> None:
        """
        After a pause of the observer no host is reported as silent, and packets that waited in
        the socket are dated by their arrival.
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
        A host that sends to several peers is measured at one of them, and at another one if it
        stops sending to the first.
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
        A master that has always advertised more slowly than it claims is not silent.
        """
        air = Air()
        air.run(60, Talker(2.0, air.carp))
        self.assertEqual(air.take(), _START)
        self.assertAlmostEqual(air.group().masters[0].seen or 0, 2.0)
        air.run(7)
        self.assertEqual(air.take(), [Kind.SILENT])

    def test_faster(self) -> None:
        """
        When a host claims another interval, the old average no longer counts.
        """
        air = Air()
        air.run(100, air.talker(ALPHA, base=20))
        air.run(5, air.talker(ALPHA, base=1))
        air.take()
        air.run(4)
        self.assertEqual(air.take(), [Kind.SILENT])

    def test_shortest(self) -> None:
        """
        With the shortest intervals a small delay of the observer is not a silence.
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
        A VRRP interval of zero is treated as one second.
        """
        air = Air()
        air.run(20, Talker(1.0, lambda: air.vrrp(interval=0)))
        self.assertEqual(air.take(), [Kind.GROUP])


@attrs.frozen
class Step:
    """
    One step of a random course of events.
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
    Random courses of events.
    """

    @settings(max_examples=60)
    @given(STEPS)
    def test_consistent(self, steps: list[Step]) -> None:
        """
        Views are consistent: there are masters, or a time since when there are none; several
        masters have a time since when.  Every report can be shown.
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
        for report in air.reports:
            self.assertIsNot(words.sentence(report, calendar), "")
            self.assertTrue(records.ofReport(report, calendar))
            if report.group and report.kind in (Kind.MASTER, Kind.GROUP, Kind.RETURNED):
                self.assertEqual(report.group.masters[:1], (report.host,))
        air.run(2000)
        for group in air.watch.groups():
            self.assertEqual(group.masters, ())
