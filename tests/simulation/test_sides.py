"""
Sets of virtual hosts on several network segments: what happens when a host is heard on some of them
only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.sides import SET, Sides, Site
from tests.simulation.trials import FAULTS, draw, play
from txcarp.change import NotDrained
from txcarp.findings import Finding
from txcarp.protocol.effects import Reason
from txcarp.status.snapshot import Status

#: Every host with every side, where there are two of each.
_WAYS = ((0, 0), (0, 1), (1, 0), (1, 1))


class SidesTestCase(SynchronousTestCase):
    """
    Two hosts with two sides each.  The first is preferred, and is master.
    """

    def build(self, number: int = 2, hosts: int = 2, **settings: Any) -> list[Site]:
        """
        Start the hosts, and wait until one of them is master.
        """
        self.sides = Sides(number)
        for one in range(hosts):
            self.sides.add(**{"advskew": 50 * one, **settings}).start()
            self.sides.run(1.0)
        self.sides.run(9.0)
        self.assertMaster(0)
        self.sides.measureAgain()
        return self.sides.sites

    def assertMaster(self, *expected: int) -> None:
        """
        Check that these hosts are master of each side, and have its address, and no others are.
        """
        for side in range(self.sides.number):
            self.assertEqual(self.sides.masters(side), list(expected))
            self.assertEqual(self.sides.holders(side), list(expected))

    def assertQuiet(self, changes: int = 0) -> None:
        """
        Check that there were so many changes of role, and none in half a minute from now.
        """
        self.assertEqual(len(self.sides.changes), changes)
        self.sides.run(30.0)
        self.assertEqual(len(self.sides.changes), changes)

    def status(self, site: Site, side: int) -> Status:
        """
        The status of a virtual host.
        """
        assert site.service is not None
        return site.service.virtualHosts[side].status()


    def explain(self, site: Site, side: int) -> str:
        """
        What a virtual host says about itself.
        """
        assert site.service is not None
        return "\n".join(site.service.virtualHosts[side].explain().lines())


class MuteTests(SidesTestCase):
    """
    A port that loses what a host sends, or what it should hear, while the carrier is there.
    """

    def test_mute(self) -> None:
        """
        When one port of the master becomes mute, nothing changes, and nothing goes to and fro: the
        master lives, as the other side shows.
        """
        for preempt in (False, True):
            self.build(preempt=preempt)
            self.sides.mute.add((0, 1))
            self.sides.run(60.0)
            self.assertMaster(0)
            self.assertQuiet()
            self.assertEqual(self.sides.torn.seconds, 0.0)
            self.assertEqual(self.sides.doubled.seconds, 0.0)

    def test_mutePlain(self) -> None:
        """
        Without a set, the other host takes that side over.
        """
        self.build(sync=None)
        self.sides.mute.add((0, 1))
        self.sides.run(10.0)
        self.assertEqual(self.sides.masters(0), [0])
        self.assertEqual(self.sides.masters(1), [0, 1])
        self.assertGreater(self.sides.torn.seconds, 1.0)

    def test_evidence(self) -> None:
        """
        Where a gateway is asked on each side, the mute or deaf host finds that out.  Its set moves
        as a whole, at once and once.
        """
        for fault in ("mute", "deaf"):
            for preempt in (False, True):
                self.build(gateways=True, preempt=preempt)
                getattr(self.sides, fault).add((0, 1))
                self.sides.run(5.0)
                self.assertMaster(1)
                self.assertQuiet(4)
                self.assertLess(self.sides.torn.seconds, 0.01)
                self.assertLess(self.sides.nobody.seconds, 0.01)

    def test_deafBackup(self) -> None:
        """
        A host that is deaf on one side does not take over, and does when the master is silent on
        the other side, too.
        """
        _, backup = self.build()
        self.sides.deaf.add((1, 1))
        self.sides.run(10.0)
        self.assertQuiet()
        self.sides.sites[0].crash()
        self.sides.run(5.0)
        self.assertMaster(1)
        self.assertIs(self.status(backup, 1).changes[-1].change.reason, Reason.SILENCE)

    def test_found(self) -> None:
        """
        The side on which the master is silent is a finding, with what a gateway says about it.  It
        is reported when a master that died would have been replaced, and once a minute.
        """
        for gateways, evidence in ((False, "No gateway check says"), (True, "the master is mute")):
            _, backup = self.build(gateways=gateways)
            self.sides.cuts.add((0, 1, 1))
            said: list[str] = []
            assert backup.service is not None
            backup.service.virtualHosts[1].addDiagnosisObserver(_Findings(said))
            self.sides.run(6.0)
            self.assertEqual(said, [])
            self.sides.run(10.0)
            for side, where in ((0, "on side1"), (1, "here")):
                words = f"The master is silent {where}, and heard on another side."
                self.assertIn(words, self.explain(backup, side))
                self.assertIn("set firewall", self.explain(backup, side))
            self.assertIn("is silent on side1, this host takes over", self.explain(backup, 0))
            [text] = said
            self.assertIn("heard on side0", text)
            self.assertIn(evidence, text)
            self.sides.run(60.0)
            self.assertEqual(len(said), 2)
            self.assertEqual(self.status(backup, 1).findings[Finding.SIDE_SILENT], 2)
            self.assertEqual(self.status(backup, 0).findings[Finding.SIDE_SILENT], 0)
            self.assertQuiet()

    def test_takeover(self) -> None:
        """
        Where that was asked for, and a gateway answers, the host that does not hear the preferred
        master on one side takes over for good.
        """
        sync = attrs.evolve(SET, takeover=20.0)
        for preempt in (False, True):
            master, backup = self.build(gateways=True, preempt=preempt, sync=sync)
            self.sides.cuts.add((0, 1, 1))
            self.sides.run(22.0)
            self.assertMaster(0)
            self.sides.run(5.0)
            self.assertMaster(1)
            change = self.status(backup, 1).changes[-1].change
            self.assertIs(change.reason, Reason.SIDE_SILENT)
            self.assertEqual(change.detail, "firewall; side1")
            self.assertIn("the most preferred host", self.explain(backup, 0))
            self.assertIn("insists on that", self.explain(master, 0))
            self.assertQuiet(4)
            # The advertisements are no more frequent than before.
            sent = self.status(backup, 0).sent
            self.sides.run(10.0)
            self.assertLess(self.status(backup, 0).sent - sent, 11)
            # The fault is healed: nothing changes, until the host hands over.
            self.sides.cuts.clear()
            self.assertQuiet(4)
            assert backup.service is not None
            backup.service.virtualHosts[0].resign()
            self.sides.run(5.0)
            self.assertMaster(0)
            self.assertEqual(self.status(backup, 0).advertised.advbase, 1)
            self.assertQuiet(8)

    def test_noTakeover(self) -> None:
        """
        Without a gateway that answers, or while another host does the same, it does not.
        """
        sync = attrs.evolve(SET, takeover=5.0)
        self.build(sync=sync)
        self.sides.cuts.add((0, 1, 1))
        self.sides.run(30.0)
        self.assertQuiet()
        third = self.build(hosts=3, gateways=True, sync=sync)[2]
        self.sides.cuts.add((0, 1, 1))
        self.sides.run(20.0)
        self.assertMaster(1)
        self.sides.cuts.add((1, 2, 1))
        self.sides.run(30.0)
        self.assertMaster(1)
        self.assertEqual(self.status(third, 1).findings[Finding.SIDE_SILENT], 1)


class TogetherTests(SidesTestCase):
    """
    One decision for all sides.
    """

    def test_moves(self) -> None:
        """
        Whatever keeps one side of the master from being master moves all sides at once, and a
        backup that is told so takes them at once.
        """
        events: dict[str, Callable[[Site], object]] = {
            "link": lambda site: site.plug(1, False),
            "check": lambda site: site.broken.add(1),
            "resigned": lambda site: _host(site).resign(),
            "stopped": lambda site: _host(site).stopService(),
            "drained": lambda site: _host(site).drain(),
            "all stopped": lambda site: site.stop(),
            "demoted": lambda site: _host(site).demote("test", 200),
        }
        for name, happens in events.items():
            for releaseFirst in (False, True):
                for hosts in (2, 3):
                    self.build(hosts=hosts, preempt=name == "demoted", releaseFirst=releaseFirst)
                    happens(self.sides.sites[0])
                    self.sides.run(2.5)
                    self.assertMaster(1)
                    for longest in (self.sides.half, self.sides.torn, self.sides.nobody):
                        self.assertLess(longest.seconds, 0.01, (name, releaseFirst))

    def test_slept(self) -> None:
        """
        A master that did not run leaves all sides to its successor without a bow-out.
        """
        master, _ = self.build()
        master.freeze()
        self.sides.run(8.0)
        for side in (0, 1):
            self.assertEqual(self.sides.masters(side), [0, 1])
        sent = [self.status(master, side).sent for side in (0, 1)]
        master.thaw()
        self.assertMaster(1)
        reasons = [self.status(master, side).changes[-1].change.reason for side in (0, 1)]
        self.assertEqual(reasons, [Reason.PAUSED, Reason.PAUSED])
        self.assertEqual([self.status(master, side).sent for side in (0, 1)], sent)
        self.assertQuiet(4)

    def test_notDrained(self) -> None:
        """
        A drained master takes all sides back if nobody takes over from it, and has answered on all
        of them meanwhile.
        """
        self.build(hosts=1)
        drained = _host(self.sides.sites[0]).drain()
        self.sides.run(1.0)
        for side in (0, 1):
            self.assertEqual((self.sides.masters(side), self.sides.holders(side)), ([], [0]))
        self.sides.run(2.0)
        self.assertMaster(0)
        self.assertEqual(self.sides.nobody.seconds, 0.0)
        self.failureResultOf(drained, NotDrained)
        reasons = [
            self.status(self.sides.sites[0], side).changes[-1].change.reason for side in (0, 1)
        ]
        self.assertEqual(reasons, [Reason.SYNC, Reason.NO_SUCCESSOR])

    def test_sleptApart(self) -> None:
        """
        A pause that only the group with the shorter interval finds is one for the whole set.
        """
        self.sides = Sides(2)
        master = self.sides.add(advbase=[1, 4])
        master.start()
        self.sides.run(15.0)
        self.assertMaster(0)
        sent = self.status(master, 1).sent
        master.freeze()
        self.sides.run(3.5)
        master.thaw()
        reasons = [self.status(master, side).changes[-1].change.reason for side in (0, 1)]
        self.assertEqual(reasons, [Reason.PAUSED, Reason.PAUSED])
        self.assertEqual(self.status(master, 1).sent, sent)

    def test_claim(self) -> None:
        """
        Who claims one side claims all of them.
        """
        _, backup = self.build(advskew=0)
        _host(backup).claim()
        self.assertEqual(self.sides.masters(0), [0, 1])
        self.assertEqual(self.sides.masters(1), [0, 1])
        changes = [self.status(backup, side).changes[-1].change for side in (0, 1)]
        self.assertEqual([one.reason for one in changes], [Reason.SYNC, Reason.CLAIMED])
        self.assertEqual(changes[0].detail, "firewall; side1: asked to take over")
        self.sides.run(2.0)
        self.assertMaster(0)  # it wins the tie

    def test_held(self) -> None:
        """
        A backup says by which other member it is held back, and takes part again afterwards.
        """
        _, backup = self.build()
        backup.plug(1, False)
        self.sides.run(1.0)
        [hold] = self.status(backup, 0).holds
        self.assertEqual(hold.explain(), "together with its set (firewall; side1: no link)")
        self.sides.sites[0].crash()
        self.sides.run(10.0)
        self.assertMaster()
        backup.plug(1, True)
        self.assertEqual(self.status(backup, 0).holds, [])
        self.sides.run(5.0)
        self.assertMaster(1)

    def test_preempts(self) -> None:
        """
        A host that is preferred on one side only does not preempt, and one that is preferred on
        all does.
        """
        for skews, expected in (([10, 100], 1), ([10, 10], 0)):
            self.sides = Sides(2)
            first = self.sides.add(advskew=skews, preempt=True)
            second = self.sides.add(advskew=50, preempt=True)
            second.start()
            self.sides.run(10.0)
            first.start()
            self.sides.run(10.0)
            self.assertMaster(expected)
            isSaid = "is preferred here, but not on side1" in self.explain(first, 0)
            self.assertIs(isSaid, expected == 1)
            self.assertQuiet(len(self.sides.changes))

    def test_crossed(self) -> None:
        """
        Where two masters meet that are preferred on one side each, the first side decides.
        """
        self.sides = Sides(2)
        for skews in ([50, 0], [0, 50]):
            self.sides.add(advskew=skews)
        cuts = {(one, 1 - one, side) for one in (0, 1) for side in (0, 1)}
        self.sides.cuts |= cuts
        for site in self.sides.sites:
            site.start()
        self.sides.run(10.0)
        self.assertMaster(0, 1)
        self.sides.changes.clear()
        # The second host meets the first one on the side that decides, and on the other side after
        # that.  The first one hears it so late that it has not yielded meanwhile.
        self.sides.slow = {(0, side): 2.5 for side in (0, 1)}
        for side in (0, 1):
            self.sides.cuts -= {one for one in cuts if one[2] == side}
            self.sides.run(1.2)
        self.assertMaster(0, 1)
        self.sides.run(2.0)
        self.assertMaster(1)
        self.assertQuiet(2)

    def test_crossing(self) -> None:
        """
        Two masters that yield to each other at the same moment, on one side each, do not believe
        each other's bow-outs, although each has heard the other after that as a master that lives.
        One of them takes over after its dead time.
        """
        self.sides = Sides(2)
        for skews in ([0, 50], [100, 0]):
            self.sides.add(advskew=skews)
        self.sides.cuts |= {(one, 1 - one, side) for one in (0, 1) for side in (0, 1)}
        for site in self.sides.sites:
            site.start()
        self.sides.run(10.0)
        self.assertMaster(0, 1)
        self.sides.measureAgain()
        # Each hears the other first on the side on which it has to yield.
        self.sides.cuts.clear()
        self.sides.slow = {(site, side): 0.01 if site != side else 0.04 for site, side in _WAYS}
        for amount in (1, 2):
            for site in self.sides.sites:
                _host(site).demote("test", amount)  # each advertises at once
            self.sides.run(0.004)
        self.sides.run(1.0)
        self.assertEqual(len(self.sides.changes), 4)
        self.assertMaster()
        self.sides.run(3.0)
        self.assertEqual(len(self.sides.changes), 6)
        self.assertEqual(self.sides.masters(0), self.sides.masters(1))
        self.assertQuiet(6)

    def test_three(self) -> None:
        """
        Two hosts that take over from a demoted one at the same moment, and are preferred on one
        side each, agree at once.  They would leave the set without a master, and take over from the
        demoted host again, over and over.
        """
        for seed in (161, 2285):
            problems, sides = play(draw(seed))
            self.assertEqual(problems, [])
            self.assertLess(sides.doubled.seconds, 0.01)

    def test_oneSideHeard(self) -> None:
        """
        Two hosts that take over at the same moment, and hear each other on the last side only, are
        not both master for longer than the first side has to decide.
        """
        self.sides = Sides(2)
        for skew in (0, 1):
            self.sides.add(advskew=skew).start()
        self.sides.cuts |= {(0, 1, 0), (1, 0, 0)}
        self.sides.run(0.5)
        self.assertMaster()
        for site in self.sides.sites:
            _host(site).claim()
        self.sides.run(1.0)
        self.assertMaster(0)
        self.assertLess(self.sides.doubled.seconds, 0.06)
        self.assertQuiet(10)

    def test_atOnce(self) -> None:
        """
        Two hosts that take over at the same moment settle that.
        """
        for dialect, slow in itertools.product(("ucarp", "openbsd"), (None, (2, 0), (1, 1))):
            self.sides = Sides(2)
            if slow is not None:
                self.sides.slow[slow] = 0.001
            for skews in ([0, 0], [110, 11], [10, 100]):
                self.sides.add(advskew=skews, dialect=dialect).start()
                self.sides.run(1.0)
            self.sides.run(9.0)
            self.assertMaster(0)
            self.sides.measureAgain()
            self.sides.sites[0].broken.add(0)
            self.sides.run(6.0)
            self.assertLess(len(self.sides.changes), 15)
            self.assertEqual(len(self.sides.masters(0)), 1)
            self.assertEqual(self.sides.masters(0), self.sides.masters(1))
            self.assertQuiet(len(self.sides.changes))

    def test_demotions(self) -> None:
        """
        A set has one demotion.  The members say for whom they are demoted, and forget it.
        """
        master, _ = self.build(number=3)
        for side, amount in ((0, 10), (1, 5)):
            master.service.virtualHosts[side].demote(f"test{side}", amount)  # type: ignore
        skews = [self.status(master, side).advertised.advskew for side in range(3)]
        self.assertEqual(skews, [15, 15, 15])
        self.assertEqual(self.status(master, 2).demotions, {"set firewall": 15})
        self.assertEqual(self.status(master, 0).demotions, {"test0": 10, "set firewall": 5})
        master.service.virtualHosts[0].promote("test0")  # type: ignore
        master.service.virtualHosts[1].promote("test1")  # type: ignore
        self.assertEqual([self.status(master, side).demotions for side in range(3)], [{}] * 3)

    def test_offers(self) -> None:
        """
        A demoted master leaves all sides to a host that does not preempt.
        """
        master, _ = self.build()
        _host(master).demote("test", 240)
        self.sides.run(1.0)
        self.assertMaster(1)
        self.assertQuiet(4)


class PlainTests(SidesTestCase):
    """
    A set beside a host that knows no sets.
    """

    def test_plain(self) -> None:
        """
        Nothing goes to and fro, whatever is mute, deaf, unplugged or dead.
        """
        faults: list[Callable[[Site], object]] = [
            lambda site: self.sides.mute.add((site.number, 1)),
            lambda site: self.sides.deaf.add((site.number, 1)),
            lambda site: site.plug(1, False),
            lambda site: site.crash(),
        ]
        for skews in ([0, 0], [200, 200], [0, 200], [200, 0]):
            for fault in faults:
                for which in (0, 1):
                    self.sides = Sides(2)
                    self.sides.add(advskew=100, preempt=True).start()
                    self.sides.add(advskew=skews, preempt=True, sync=None).start()
                    self.sides.run(15.0)
                    self.sides.measureAgain()
                    fault(self.sides.sites[which])
                    self.sides.run(15.0)
                    self.assertLess(len(self.sides.changes), 5)
                    self.sides.changes.clear()
                    self.assertQuiet()


class ReloadTests(SidesTestCase):
    """
    Sets that change while they are master.
    """

    def test_joins(self) -> None:
        """
        A new member joins a set that is master, without any other change.
        """
        master, backup = self.build(number=3, sync=[SET, SET, None])
        for site in (master, backup):
            site.settings["sync"] = SET
            site.reconfigure(site.configurations())
            self.sides.run(5.0)
        self.assertMaster(0)
        self.assertQuiet()
        master.plug(2, False)
        self.sides.run(1.0)
        self.assertMaster(1)

    def test_added(self) -> None:
        """
        So does a new virtual host, which has to wait for its dead time first.
        """
        master, backup = self.build(number=3)
        every = {site: site.configurations() for site in (master, backup)}
        for site, configurations in reversed(every.items()):
            site.reconfigure(configurations[:2])
            self.sides.run(5.0)
        self.sides.changes.clear()
        for site, configurations in every.items():
            site.reconfigure(configurations)
            self.sides.run(10.0)
        self.assertMaster(0)
        self.assertEqual({side for _, _, side, _ in self.sides.changes}, {2})

    def test_neverReady(self) -> None:
        """
        A new member that cannot be master gets time; then the set gives up.
        """
        master, _ = self.build(number=3, sync=[SET, SET, None])
        master.plug(2, False)
        self.sides.run(5.0)
        for site in self.sides.sites:
            site.settings["sync"] = SET
            site.reconfigure(site.configurations())
        self.sides.run(1.0)
        self.assertEqual([self.sides.masters(side) for side in range(3)], [[0], [0], []])
        self.sides.run(10.0)
        self.assertMaster(1)

    def test_leaves(self) -> None:
        """
        A member that leaves the set keeps what it has, and goes its own way from then on.
        """
        master, _ = self.build(number=3)
        master.settings["sync"] = [SET, SET, None]
        master.reconfigure(master.configurations())
        self.assertQuiet()
        master.plug(2, False)
        self.sides.run(10.0)
        self.assertEqual([self.sides.masters(side) for side in range(3)], [[0], [0], []])

    def test_removed(self) -> None:
        """
        A virtual host that is removed leaves its group, and the others of its set stay.  The
        backup has to be changed first: it takes a bow-out of one member for that of all.
        """
        master, backup = self.build(number=3)
        backup.reconfigure(backup.configurations()[:2])
        self.sides.run(1.0)
        master.reconfigure(master.configurations()[:2])
        self.sides.run(5.0)
        self.assertEqual([self.sides.masters(side) for side in range(2)], [[0], [0]])
        self.assertEqual({side for _, _, side, _ in self.sides.changes}, {2})

    def test_dissolved(self) -> None:
        """
        A member that was held back by its set takes part again when there is no set any more.
        """
        _, backup = self.build()
        backup.plug(1, False)
        backup.settings["sync"] = None
        backup.reconfigure(backup.configurations())
        self.assertEqual(self.status(backup, 0).holds, [])
        self.sides.sites[0].crash()
        self.sides.run(5.0)
        self.assertEqual(self.sides.masters(0), [1])

    def test_contradiction(self) -> None:
        """
        All members say the same about their set.
        """
        master, _ = self.build()
        master.settings["sync"] = [SET, attrs.evolve(SET, takeover=1.0)]
        assert master.service is not None
        error = self.assertRaises(
            ValueError, master.service.reconfigure, master.configurations()
        )
        self.assertIn("members of set firewall", str(error))
        self.assertQuiet()


class TrialTests(SynchronousTestCase):
    """
    Random faults.  C{python -m tests.simulation.trials} plays more of them.
    """

    def test_trials(self) -> None:
        """
        After a single fault, and after it has healed, a set comes to rest, on one host.
        """
        trials = [draw(seed) for seed in range(24)]
        for trial in trials:
            problems, _ = play(trial)
            self.assertEqual(problems, [], trial)
        self.assertGreater(len({trial.fault for trial in trials}), len(FAULTS) / 2)

    def test_notVacuous(self) -> None:
        """
        The same checks fail for virtual hosts that are in no set.
        """
        trial = next(one for one in map(draw, range(1000)) if one.fault == "mute" and not one.lasts)
        alone = [{**host, "sync": None, "gateways": False} for host in trial.hosts]
        problems, _ = play(attrs.evolve(trial, hosts=tuple(alone), host=0, at=20.0))
        self.assertNotEqual(problems, [])


def _host(site: Site) -> Any:
    """
    The virtual host on the second side.
    """
    assert site.service is not None
    return site.service.virtualHosts[1]


@attrs.define
class _Findings:
    """
    Notes what is found.
    """

    said: list[str]

    def found(self, diagnosis: Any) -> None:
        self.said.append(diagnosis.explanation)


