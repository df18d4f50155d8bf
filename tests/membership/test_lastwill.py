"""
Tests for L{txcarp.membership.lastwill}, with both sides of the guard as in production.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import attrs
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.fakes import MemoryFile, configured
from tests.guard.local import GuardedStage
from txcarp.findings import Finding
from txcarp.protocol.advertisement import decode
from txcarp.protocol.effects import Role
from txcarp.protocol.freshness import Freshness
from txcarp.protocol.rejection import Rejected
from txcarp.protocol.seal import Seal, Verification, saidBy
from txcarp.protocol.timing import LEAVING, Timing
from txcarp.virtualhost import VirtualHost

_ADDRESS = "10.99.0.100"


def guarded(**settings: Any) -> GuardedStage:
    """
    Return a host with an address on lease, and a guard.
    """
    whole = {"assign": True, "upScript": None, "downScript": None, "neutral": True}
    return GuardedStage(**{**whole, **settings})


class DeadTests(SynchronousTestCase):
    """
    The daemon dies.
    """

    def test_master(self) -> None:
        """
        The guard removes the address, then it bows out.
        """
        stage = guarded()
        stage.becomeMaster()
        self.assertIn(_ADDRESS, stage.table.present)
        stage.sentry.died()
        self.assertEqual(stage.journal, [("guard removes", _ADDRESS), ("guard bows out", 1)])
        said = decode(stage.hands.packets[0].payload)
        self.assertEqual(Timing(said.advbase, said.advskew), LEAVING)

    def test_stuck(self) -> None:
        """
        If the address cannot be removed, the lease remains, and nothing is sent.
        """
        stage = guarded()
        stage.becomeMaster()
        stage.hands.stuck = "Operation not permitted"
        stage.sentry.died()
        self.assertEqual(stage.journal, [("guard removes", _ADDRESS)])

    def test_believed(self) -> None:
        """
        Peers believe the bow-out after the last advertisement, and the first advertisement after a
        restart.  They do not believe it twice, nor after the next advertisement.
        """
        disk = MemoryFile()
        stage = guarded(disk=disk)
        stage.becomeMaster()
        stage.run(20.0)
        last = stage.transport.packets[-1]
        stage.sentry.died()
        bowOut = stage.hands.packets[0]
        again = guarded(disk=disk)
        again.clock.advance(stage.clock.seconds() + 0.5)
        again.becomeMaster()

        def peer() -> tuple[Freshness, Any]:
            freshness = Freshness(Verification.REQUIRE, [Seal(crafted.PASSWORD, crafted.VHID)])

            def judge(packet: bytes, at: float) -> bool:
                said = decode(packet)
                return freshness.judge(said.counter, saidBy(said), bowOut.source, at)

            return freshness, judge

        _, judge = peer()
        self.assertTrue(judge(last[20:], 20.0))
        self.assertTrue(judge(bowOut.payload, 21.5))
        self.assertRaises(Rejected, judge, bowOut.payload, 21.6)
        self.assertTrue(judge(again.transport.packets[0][20:], 24.0))
        _, judge = peer()
        self.assertTrue(judge(again.transport.packets[0][20:], 24.0))
        self.assertRaises(Rejected, judge, bowOut.payload, 24.1)

    def test_diesWhileAdvertising(self) -> None:
        """
        If a daemon dies when it has sent an advertisement, but has not handed over the bow-out that
        follows it, peers believe the bow-out before it.
        """
        stage = guarded()
        stage.becomeMaster()
        stage.run(20.0)
        [kept] = [copy(will) for will in stage.sentry.wills.values()]
        heard = len(stage.transport.packets)
        stage.run(1.0)
        earlier, last = stage.transport.packets[heard - 1 : heard + 1]
        for slot in stage.sentry.wills:
            stage.sentry.wills[slot] = kept
        stage.sentry.died()
        bowOut = stage.hands.packets[0]
        freshness = Freshness(Verification.REQUIRE, [Seal(crafted.PASSWORD, crafted.VHID)])
        for payload, at in ((earlier[20:], 20.0), (last[20:], 21.0), (bowOut.payload, 21.01)):
            said = decode(payload)
            self.assertTrue(freshness.judge(said.counter, saidBy(said), bowOut.source, at))

    def test_takingOver(self) -> None:
        """
        An address is in the will before the kernel is asked to add it.
        """
        stage = guarded()
        named: list[int] = []
        hold = stage.table.hold

        def watched(*arguments: Any) -> Any:
            [will] = stage.sentry.wills.values()
            named.append(len(will.addresses))
            return hold(*arguments)

        stage.table.hold = watched  # type: ignore[method-assign]
        stage.becomeMaster()
        self.assertEqual(named, [1])

    def test_before(self) -> None:
        """
        A backup has no will.
        """
        stage = guarded()
        stage.start()
        stage.deliver()
        self.assertEqual(stage.sentry.wills, {})
        stage.sentry.died()
        self.assertEqual(stage.journal, [("drop", _ADDRESS)])

    def test_givingBack(self) -> None:
        """
        A master that gives way does not bow out any more from that moment on, and its addresses are
        in the will until they are removed.
        """
        stage = guarded(advskew=100)
        stage.becomeMaster()
        stage.table.slow = True
        stage.deliver(advskew=0)
        self.assertIs(stage.host.role, Role.BACKUP)
        [will] = stage.sentry.wills.values()
        self.assertEqual((len(will.addresses), will.parcels, will.due), (1, (), float("inf")))
        stage.table.answer()
        self.assertEqual(stage.sentry.wills, {})

    def test_handOver(self) -> None:
        """
        So it is for one that bows out itself, and still answers for its successor.
        """
        stage = guarded()
        stage.becomeMaster()
        stage.host.stopService()
        self.assertEqual(stage.journal, [("advertise", 255, 255)])
        stage.sentry.died()
        self.assertEqual(stage.journal[1:], [("guard removes", _ADDRESS)])

    def test_stopped(self) -> None:
        """
        After a planned stop nothing is left to do.
        """
        stage = guarded()
        stage.becomeMaster()
        stage.host.stopService()
        stage.run(1.0)
        self.assertEqual(stage.sentry.wills, {})
        self.assertEqual(stage.guard._wills, {})

    def test_families(self) -> None:
        """
        The bow-out is sent in each family.
        """
        stage = guarded(addresses=[crafted.ADDRESS, "2001:db8::7"])
        stage.becomeMaster()
        stage.sentry.died()
        self.assertEqual({len(each.source) for each in stage.hands.packets}, {4, 16})

    def test_scripts(self) -> None:
        """
        Where scripts add the address, the down script runs first: with -z.
        """
        stage = guarded(assign=False, downScript="down", shutdown=True, parameter="x")
        stage.becomeMaster()
        stage.sentry.died()
        self.assertEqual(stage.journal, [("guard runs", "down", "eth7", _ADDRESS, "x")])
        stage.sentry.look(stage.clock.seconds())
        self.assertEqual(stage.journal[1:], [("guard removes",), ("guard bows out", 1)])

    def test_scriptRuns(self) -> None:
        """
        A down script that the daemon has started is not run again.
        """
        stage = guarded(assign=False, downScript="down", shutdown=True)
        stage.becomeMaster()
        stage.scripts.hold = True
        stage.host.stopService()
        stage.run(1.0)
        stage.sentry.died()
        self.assertNotIn("guard runs", [each[0] for each in stage.journal])

    def test_besides(self) -> None:
        """
        With addresses on lease as well, it runs after the bow-out.
        """
        stage = guarded(downScript="down", shutdown=True)
        stage.becomeMaster()
        stage.sentry.died()
        kinds = [each[0] for each in stage.journal]
        self.assertEqual(kinds, ["guard removes", "guard bows out", "guard runs"])

    def test_unwanted(self) -> None:
        """
        There is no will if it is switched off, or nothing could be given back.
        """
        for settings in (
            {"guard": False},
            {"assign": False, "downScript": "down"},
            {"assign": False, "shutdown": True},
        ):
            stage = guarded(**settings)
            stage.becomeMaster()
            self.assertEqual((stage.sentry.wills, stage.guard._wills), ({}, {}), settings)

    def test_switched(self) -> None:
        """
        A running master can be guarded from now on, or no longer.
        """
        stage = guarded(guard=False)
        stage.becomeMaster()
        for guard in (True, False, True):
            stage.host.reconfigure(attrs.evolve(stage.host.configuration, guard=guard))
            stage.run(1.0)
            self.assertEqual(bool(stage.sentry.wills), guard)

    def test_ended(self) -> None:
        """
        That a guard ended is a finding.
        """
        stage = guarded()
        stage.becomeMaster()
        [will] = stage.guard._wills.values()
        with capturedLogs():
            will.lost()
        self.assertEqual(stage.host.status().findings, {Finding.GUARD_ENDED: 1})

    def test_crowded(self) -> None:
        """
        A virtual host for which the guard has no place does without.
        """
        stage = guarded()
        stage.guard._free.clear()
        with capturedLogs() as logs:
            stage.becomeMaster()
        self.assertTrue(any("has no guard" in str(each.get("log_format")) for each in logs))
        self.assertIs(stage.host.role, Role.MASTER)


class HangTests(SynchronousTestCase):
    """
    The daemon hangs.
    """

    def test_short(self) -> None:
        """
        A hang of less than one and a half intervals changes nothing.
        """
        stage = guarded()
        stage.becomeMaster()
        stage.hang(1.45)
        stage.goOn()
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertEqual(
            stage.journal[:2], [("announce", "10.99.0.100"), ("advertise", 1, 0)]
        )
        self.assertNotIn("guard removes", [each[0] for each in stage.journal])
        for _ in range(5):
            stage.run(0.5)
            stage.hang(0.9)
            stage.goOn()
        self.assertIs(stage.host.role, Role.MASTER)

    def test_long(self) -> None:
        """
        After a longer one, the daemon is deposed.  It notices before it sends or holds anything,
        and is a backup.
        """
        stage = guarded()
        stage.becomeMaster()
        stage.hang(1.55)
        acted = [("guard removes", _ADDRESS), ("guard bows out", 1)]
        self.assertEqual(stage.journal, acted)
        with capturedLogs() as logs:
            stage.goOn()
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual(stage.journal[2:], [("drop", _ADDRESS)])
        self.assertTrue(any("the guard gave up" in str(each.get("log_format")) for each in logs))

    def test_asked(self) -> None:
        """
        Whatever wakes it first, also the loss of the address: it does not put it back.
        """
        stage = guarded()
        stage.becomeMaster()
        stage.hang(1.55)
        for interface, observer in list(stage.table.observers):
            self.assertEqual(interface, "eth7")
            with capturedLogs():
                observer.addressesGone([stage.host.configuration.addresses[0].packed])
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertNotIn("hold", [each[0] for each in stage.journal])

    def test_later(self) -> None:
        """
        When it is master again, it has another will, and its advertisements have later ticks than
        the bow-out.
        """
        stage = guarded()
        stage.becomeMaster()
        stage.hang(1.55)
        bowOut = decode(stage.hands.packets[0].payload).counter
        stage.journal.clear()
        with capturedLogs():
            stage.goOn()
        stage.run(3.0)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertGreater(stage.transport.advertisements[-1].counter >> 24, bowOut >> 24)
        stage.run(5.0)
        self.assertIs(stage.host.role, Role.MASTER)
        stage.sentry.died()
        self.assertEqual(stage.journal[-1], ("guard bows out", 1))

    def test_whileItSends(self) -> None:
        """
        A daemon that is stopped between its look at the mark and the sending, and goes on after the
        guard has acted, bows out at once: its peers may have believed its advertisement.
        """
        stage = guarded()
        stage.becomeMaster()
        send, hung = stage.transport.send, []

        def slowly(packet: bytes) -> None:
            if not hung:
                hung.append(True)
                stage.hang(1.6)
            send(packet)

        stage.transport.send = slowly  # type: ignore[method-assign]
        with capturedLogs():
            stage.run(1.0)
        sent = [each for each in stage.journal if each[0] == "advertise"]
        self.assertEqual(sent, [("advertise", 1, 0), ("advertise", 255, 255)])
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual(stage.table.present, {})

    def test_sameTick(self) -> None:
        """
        Where ticks run ahead of the clock, the next one of the daemon is not that of the bow-out.
        """
        stage = guarded()
        stage.becomeMaster()
        run: Any = stage.host._run
        run.parts.sealing._memory.ticks.last += 10**6
        run.parts.sealing._running = run.parts.sealing._wall = lambda: 0.0
        stage.run(1.0)
        stage.hang(1.55)
        bowOut = decode(stage.hands.packets[0].payload).counter
        with capturedLogs():
            stage.goOn()
        stage.run(3.0)
        counters = [each.counter >> 24 for each in stage.transport.advertisements]
        self.assertNotIn(bowOut >> 24, counters)
        self.assertGreater(counters[-1], bowOut >> 24)

    def test_beforeTheLease(self) -> None:
        """
        The guard acts before the lease ends, and a daemon that does not hang is left alone,
        whatever the timing is.
        """
        for advbase, advskew, ratio in (
            *((1, 0, 3), (1, 255, 3), (1, 255, 2), (1, 0, 1), (2, 240, 1), (0, 1, 3)),
            *((0, 200, 3), (5, 0, 3), (3, 255, 2), (255, 255, 3)),
        ):
            stage = guarded(advbase=advbase, advskew=advskew, deadRatio=ratio)
            stage.becomeMaster()
            which = f"{advbase} {advskew} {ratio}"
            for _ in range(40):
                before = stage.clock.seconds()
                stage.run(stage.host.configuration.timing.interval / 7)
                [will] = stage.sentry.wills.values()
                self.assertGreater(will.due, stage.clock.seconds() - 1e-9, which)
                [lease] = stage.table.present.values()
                assert lease is not None
                self.assertLess(will.due, lease - 0.05, which)
                self.assertGreater(stage.clock.seconds(), before)
            stage.sentry.look(stage.clock.seconds())
            self.assertNotIn("guard removes", [each[0] for each in stage.journal], which)

    def test_scripts(self) -> None:
        """
        Without a lease, the patience is one and a half intervals.
        """
        stage = guarded(assign=False, downScript="down", shutdown=True, advbase=4)
        stage.becomeMaster()
        stage.hang(5.9)
        self.assertEqual(stage.journal, [])
        stage.hang(0.2)
        self.assertEqual(stage.journal[0][0], "guard runs")


class SlotTests(SynchronousTestCase):
    """
    Several virtual hosts.
    """

    def test_each(self) -> None:
        """
        Each has a will of its own, and a place that is free again later.
        """
        stage = guarded()
        stage.becomeMaster()
        other = VirtualHost(configured(vhid=9, assign=True, neutral=True), stage.platform)
        other.startService()
        self.assertEqual(set(stage.guard._wills), {0, 1})
        stage.host.stopService()
        stage.run(1.0)
        self.assertEqual(set(stage.guard._wills), {1})
