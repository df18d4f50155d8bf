"""
Tests of the probe on a simulated segment: who takes over when, and who does not.
"""

from __future__ import annotations

from random import Random
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.segment import LATENCY, Computer, Segment
from txcarp.addresses import parseIPv4
from txcarp.change import NotDrained
from txcarp.findings import Finding
from txcarp.membership.probing import SUSPENSION
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.family import Family

#: Seconds between two questions, exact in binary.
EVERY = 1 / 128

GATEWAY = "10.99.0.254"

PROBED = {"probe": EVERY, "witnesses": (parseIPv4(GATEWAY),)}

#: Seconds after which a backup with an advskew of 20 has taken over: three questions, a part of an
#: interval before the first of them, and the stagger.
SOON = 4.5 * EVERY


class ProbeTestCase(SynchronousTestCase):
    """
    A master, backups and a gateway.
    """

    def setUp(self) -> None:
        self.segment = Segment()
        self.gateway = self.segment.add(GATEWAY)

    def group(self, *skews: int, **settings: Any) -> list[Computer]:
        """
        Hosts with these skews, of which the first is master, and all others probe it.
        """
        hosts = [
            self.segment.add(f"10.99.0.{1 + place}", **{**PROBED, "advskew": skew, **settings})
            for place, skew in enumerate(skews)
        ]
        hosts[0].start()
        self.segment.run(5)
        for host in hosts[1:]:
            host.start()
        self.segment.run(5.3)
        self.assertEqual(self.segment.masters(), hosts[:1])
        return hosts

    def states(self, host: Computer) -> list[str]:
        """
        The states of the pulses that a host follows.
        """
        assert host.virtualHost is not None
        return [one.state for one in host.virtualHost.status().probes]

    def findings(self, host: Computer) -> dict[Finding, int]:
        """
        What a host has found.
        """
        assert host.virtualHost is not None
        return {**host.virtualHost.status().findings}

    def reason(self, host: Computer) -> Reason:
        """
        Why a host has its role.
        """
        return host.changes[-1].change.reason


class PairTests(ProbeTestCase):
    """
    A master and a backup.
    """

    def test_powerOff(self) -> None:
        """
        A backup takes over within a few intervals of the end of the master's host, and says why.
        """
        a, b = self.group(0, 20)
        self.assertEqual((self.states(a), self.states(b)), ([], ["armed"]))
        a.powerOff()
        self.segment.run(SOON)
        self.assertEqual(self.segment.masters(), [b])
        change = b.changes[-1].change
        self.assertIs(change.reason, Reason.VANISHED)
        self.assertEqual(
            change.detail,
            "10.99.0.1 left 3 questions in 23 ms unanswered, and 10.99.0.254 answers",
        )
        self.assertEqual(self.states(b), [])

    def test_every(self) -> None:
        """
        So it is at whatever moment the power fails.
        """
        for delay in range(20):
            self.segment = Segment()
            self.gateway = self.segment.add(GATEWAY)
            a, b = self.group(0, 20)
            self.segment.run(delay * 1.3 / 20)
            a.powerOff()
            self.segment.run(SOON)
            self.assertEqual(self.segment.masters(), [b], delay)

    def test_withoutWitness(self) -> None:
        """
        Without a witness, the dead time counts.  The log says so before.
        """
        self.gateway.powered = False
        a, b = self.group(0, 20)
        self.segment.run(12)
        self.assertEqual(self.findings(b).get(Finding.NO_WITNESS), 1)
        a.powerOff()
        self.segment.run(1.9)
        self.assertEqual(self.segment.masters(), [])
        self.segment.run(1.3)
        self.assertEqual((self.segment.masters(), self.reason(b)), ([b], Reason.SILENCE))

    def test_cutOff(self) -> None:
        """
        A backup that is cut off does not take over sooner than without a probe.  Nor does it when
        it is back, and its gateway answers before the master does.
        """
        a, b = self.group(0, 20)
        for other in (a, self.gateway):
            self.segment.cut(b, other)
        self.segment.run(1.0)
        self.segment.cuts = {(a.source, b.source), (b.source, a.source)}
        self.segment.run(0.9)
        self.assertEqual(self.segment.masters(), [a])
        self.assertEqual(self.states(b), ["searching"])
        self.segment.heal()
        self.segment.run(3.0)
        self.assertEqual((self.segment.masters(), self.states(b)), ([a], ["armed"]))

    def test_spoofed(self) -> None:
        """
        Whoever answers for a host that is gone, an attacker or a gateway that answers for
        everybody: the dead time counts.
        """
        for hardware in (b"\2\0\0\0\0\x66", b"\2\0" + parseIPv4(GATEWAY)):
            self.segment = Segment()
            self.gateway = self.segment.add(GATEWAY)
            a, b = self.group(0, 20)
            self.assertEqual(self.states(b), ["armed"])
            host: Any = b.virtualHost
            host._platform.neighbours.answering[parseIPv4(a.source)] = hardware
            gone = a.source
            a.powerOff()
            a.source = "10.99.0.9"  # so that the answer is that of the other one
            self.segment.run(1.9)
            self.assertEqual(self.segment.masters(), [], gone)
            self.segment.run(1.3)
            self.assertEqual((self.segment.masters(), self.reason(b)), ([b], Reason.SILENCE))

    def test_killed(self) -> None:
        """
        The kernel of a daemon that is dead answers.  The probe has no say then.
        """
        a, b = self.group(0, 20)
        a.crash()
        self.segment.run(1.9)
        self.assertEqual((self.segment.masters(), self.states(b)), ([], ["armed"]))

    def test_neverAnswered(self) -> None:
        """
        A master that does not answer is asked rarely, and the dead time counts.
        """
        a, _ = self.group(0, 20)
        a.powered = False  # only its kernel does not answer any more
        self.segment.run(600)
        a.crash()
        self.segment.run(1.9)
        self.assertEqual(self.segment.masters(), [])

    def test_advertises(self) -> None:
        """
        If the host does not answer but advertises, the first take-over is the last: it was alive.
        """
        a, b = self.group(0, 20)
        a.powered = False
        self.segment.run(SOON)
        self.assertEqual(self.reason(b), Reason.VANISHED)
        self.segment.run(2.0)
        self.assertEqual(self.segment.masters(), [a])
        self.assertEqual(self.findings(b).get(Finding.PROBE_MISLED), 1)
        a.powered = True
        self.segment.run(5)
        self.assertEqual(self.states(b), ["suspended"])
        a.powered = False
        self.segment.run(SUSPENSION / 2)
        self.assertEqual(self.segment.masters(), [a])
        a.powered = True
        self.segment.run(SUSPENSION / 2 + 5)
        self.assertEqual(self.states(b), ["armed"])

    def test_comesBackLater(self) -> None:
        """
        A host that comes back after the dead time was dead.
        """
        a, b = self.group(0, 20)
        a.powerOff()
        self.segment.run(4)
        a.powered = True
        a.settings["preempt"] = True
        a.start()
        self.segment.run(6)
        self.assertEqual(self.segment.masters(), [a])
        self.assertEqual((self.findings(b), self.states(b)), ({}, ["armed"]))

    def test_pausedMachine(self) -> None:
        """
        A virtual machine that is paused for longer than the dead time is gone.  When it goes on, it
        knows that it slept, and the backup that has replaced it was not misled.
        """
        a, b = self.group(0, 20)
        a.freeze()
        a.powered = False
        self.segment.run(SOON)
        self.assertEqual([one.source for one in self.segment.masters()], [a.source, b.source])
        self.segment.run(6)
        a.powered = True
        a.thaw()
        self.segment.run(3)
        self.assertEqual((self.segment.masters(), self.findings(b)), ([b], {}))

    def test_frozenBackup(self) -> None:
        """
        A backup that does not run for a while learns nothing from that.
        """
        a, b = self.group(0, 20)
        for seconds in (0.01, 0.1, 0.7, 5.0):
            b.freeze()
            self.segment.run(seconds)
            b.thaw()
            self.segment.run(1.5)
            self.assertEqual(self.segment.masters(), [a])
        self.assertEqual(self.states(b), ["armed"])

    def test_frozenMeanwhile(self) -> None:
        """
        A backup that was stopped meanwhile decides nothing at the moment when it goes on: it asks
        again before.
        """
        a, b = self.group(0, 20)
        a.powerOff()
        self.segment.run(2 * EVERY)
        b.freeze()
        self.segment.run(0.5)
        b.thaw()
        self.segment.run(EVERY / 2)
        self.assertEqual(self.segment.masters(), [])
        self.segment.run(3 * EVERY)
        self.assertEqual(self.segment.masters(), [b])

    def test_slept(self) -> None:
        """
        A backup that finds, at the very moment of taking over, that it slept for longer than a
        living master needs to advertise, waits for the dead time.
        """
        a, b = self.group(0, 20)
        platform: Any = b.virtualHost
        a.powerOff()
        while b.virtualHost is not None and not b.virtualHost._run.parts.probing.losses:  # type: ignore[union-attr]
            self.segment.run(EVERY / 8)
        platform._platform.asleep += 2.0
        self.segment.run(1.9)
        self.assertEqual(self.segment.masters(), [])
        self.segment.run(1.5)
        self.assertEqual(self.reason(b), Reason.SILENCE)

    def test_plannedStop(self) -> None:
        """
        A master that leaves bows out, and the probe has no say.
        """
        a, b = self.group(0, 20)
        a.stop()
        self.segment.run(0.1)
        self.assertEqual((self.segment.masters(), self.reason(b)), ([b], Reason.BOW_OUT))

    def test_preemptOff(self) -> None:
        """
        A backup that never preempts takes over from a host that is gone.
        """
        a, b = self.group(0, 20, preempt=False)
        a.powerOff()
        self.segment.run(SOON)
        self.assertEqual(self.segment.masters(), [b])

    def test_held(self) -> None:
        """
        A host that is drained, or has no link, asks nobody.
        """
        a, b = self.group(0, 20)
        assert b.virtualHost is not None
        b.virtualHost.drain().addErrback(lambda failure: failure.trap(NotDrained))
        self.segment.run(1)
        self.assertEqual(self.states(b), [])
        a.powerOff()
        self.segment.run(20)
        self.assertEqual(self.segment.masters(), [])
        b.virtualHost.resume()
        self.segment.run(4)
        self.assertEqual(self.segment.masters(), [b])

    def test_live(self) -> None:
        """
        The probe changes on a running host, from the next advertisement on.
        """
        a, b = self.group(0, 20, probe=None)
        host = b.virtualHost
        assert host is not None
        self.assertEqual(self.states(b), [])
        host.reconfigure(attrs.evolve(host.configuration, probe=EVERY))
        self.segment.run(1.5)
        self.assertEqual(self.states(b), ["armed"])
        host.reconfigure(attrs.evolve(host.configuration, probe=4 * EVERY))
        [status] = host.status().probes
        self.assertEqual((status.interval, status.state), (4 * EVERY, "armed"))
        host.reconfigure(attrs.evolve(host.configuration, probe=None))
        self.assertEqual(self.states(b), [])
        a.powerOff()
        self.segment.run(1.9)
        self.assertEqual(self.segment.masters(), [])

    def test_peersVouch(self) -> None:
        """
        Hosts of the group that were heard as master before are witnesses.  Another host, which has
        heard none, preempts afterwards.
        """
        a, b, c = self.group(0, 20, 250, witnesses=(), preempt=True)
        a.powerOff()
        self.segment.run(5)
        self.assertEqual(self.segment.masters(), [b])
        a.powered = True
        a.start()
        self.segment.run(6)
        self.assertEqual(self.segment.masters(), [a])
        self.assertEqual(self.states(c), ["armed"])
        a.powerOff()
        self.segment.run(SOON)
        self.assertEqual(self.segment.masters(), [])
        self.segment.run(4 * EVERY)
        self.assertEqual(self.segment.masters(), [b])
        reasons = [one.change.reason for one in c.changes[-2:]]
        self.assertEqual(reasons, [Reason.VANISHED, Reason.PREFERRED_MASTER])

    def test_status(self) -> None:
        """
        The status and the explanation say what the probe knows.
        """
        _, b = self.group(0, 20)
        host = b.virtualHost
        assert host is not None
        [status] = host.status().probes
        self.assertEqual((status.master, status.witnesses), ("10.99.0.1", ["10.99.0.254"]))
        self.assertEqual((status.asked - status.answered, status.missed), (1, 0))
        said = "\n".join(host.explain().lines())
        self.assertIn(
            "10.99.0.1 answers the probe every 7.8125 ms. If it no longer does and 10.99.0.254 "
            "still answers, this host takes over within 33 ms.",
            said,
        )
        self.assertNotIn("probe", "\n".join(host.status().lines()))
        self.gateway.powered = False
        self.segment.run(15)
        self.assertIn("no witness does", "\n".join(host.status().lines()))


class SeveralTests(ProbeTestCase):
    """
    More than two hosts.
    """

    def test_staggered(self) -> None:
        """
        Whenever the power fails: the better one of two backups takes over, and the other one
        hears it.
        """
        for delay in range(16):
            self.segment = Segment()
            self.gateway = self.segment.add(GATEWAY)
            a, b, c = self.group(0, 10, 110)
            self.segment.run(delay / 13)
            a.powerOff()
            self.segment.run(1.0)
            self.assertEqual((self.segment.masters(), len(c.changes)), ([b], 1), delay)

    def test_equal(self) -> None:
        """
        Two backups with one skew may both take over.  They agree as soon as they hear each other.
        """
        for delay in range(16):
            self.segment = Segment()
            self.gateway = self.segment.add(GATEWAY)
            a, *_ = self.group(0, 10, 10)
            self.segment.run(delay / 13)
            failed = self.segment.clock.seconds()
            a.powerOff()
            self.segment.run(1.0)
            self.assertEqual(len(self.segment.masters()), 1)
            self.assertLessEqual(self.segment.longestOverlap(failed), 2 * LATENCY)

    def test_demoted(self) -> None:
        """
        A demoted backup goes last.
        """
        a, b, c = self.group(0, 10, 110)
        assert b.virtualHost is not None
        b.virtualHost.demote("tired", 200)
        self.segment.run(1)
        a.powerOff()
        self.segment.run(1)
        self.assertEqual(self.segment.masters(), [c])

    def test_demotedInOpenBSD(self) -> None:
        """
        So does one whose demotion is a field of its own, and one with a longer advbase.
        """
        a, b, c = self.group(0, 10, 110, dialect="openbsd")
        assert b.virtualHost is not None
        b.virtualHost.demote("tired", 1)
        self.segment.run(1)
        a.powerOff()
        self.segment.run(0.5)
        self.assertEqual(self.segment.masters(), [c])
        self.segment = Segment()
        self.gateway = self.segment.add(GATEWAY)
        a, b, c = self.group(0, 10, 110)
        assert b.virtualHost is not None
        b.virtualHost.reconfigure(attrs.evolve(b.virtualHost.configuration, advbase=2))
        a.powerOff()
        self.segment.run(0.5)
        self.assertEqual(self.segment.masters(), [c])

    def test_unread(self) -> None:
        """
        A backup reads what has arrived before it takes over: another one may have been faster.
        """
        a, b, c = self.group(0, 10, 110)
        a.powerOff()
        c.arrived = c._unread.append  # type: ignore[method-assign]
        self.segment.run(1.0)
        self.assertEqual((self.segment.masters(), len(c.changes)), ([b], 1))

    def test_twoMasters(self) -> None:
        """
        While several masters are heard, nobody is asked.
        """
        a, b, c = self.group(0, 10, 110)
        self.segment.cut(a, b)
        self.segment.run(6)
        self.assertEqual(self.segment.masters(), [a, b])
        self.assertEqual(self.states(c), [])
        a.powerOff()
        self.segment.run(2.5)
        self.assertEqual(self.segment.masters(), [b])
        self.segment.run(2.5)
        self.assertEqual(self.states(c), ["armed"])

    def test_successor(self) -> None:
        """
        After a take-over, the next backup probes the new master, as soon as it hears it.
        """
        a, b, c = self.group(0, 10, 110)
        a.powerOff()
        self.segment.run(1)
        self.assertEqual((self.segment.masters(), self.states(c)), ([b], ["armed"]))
        b.powerOff()
        self.segment.run(SOON + 2 * EVERY)
        self.assertEqual((self.segment.masters(), self.reason(c)), ([c], Reason.VANISHED))


class FamilyTests(ProbeTestCase):
    """
    A group with addresses of both families.
    """

    BOTH = ("10.0.0.1", "fd00::1")

    def test_both(self) -> None:
        """
        The master is asked in both families, and must be gone in both.
        """
        a, b = self.group(0, 20, addresses=self.BOTH, assign=True)
        self.assertEqual(self.states(b), ["armed", "armed"])
        hidden = self.patch(a, "linkLocal", lambda: b"\0" * 16)
        self.segment.run(SOON)
        self.assertEqual(sorted(self.states(b)), ["armed", "lost"])
        self.segment.run(1.0)
        self.assertEqual(self.segment.masters(), [a])
        hidden.restore()
        self.segment.run(5.0)
        self.assertEqual(self.states(b), ["armed", "armed"])
        a.powerOff()
        self.segment.run(SOON)
        self.assertEqual((self.segment.masters(), self.reason(b)), ([b], Reason.VANISHED))

    def test_anyFamily(self) -> None:
        """
        One family is enough where its silence is.
        """
        a, b = self.group(0, 20, addresses=self.BOTH, assign=True, anyFamily=True)
        self.patch(a, "linkLocal", lambda: b"\0" * 16)
        self.segment.run(SOON)
        self.assertEqual(self.reason(b), Reason.VANISHED)

    def test_oneHeard(self) -> None:
        """
        A family in which the master is not heard any more does not count.
        """
        a, b = self.group(0, 20, addresses=self.BOTH, assign=True)
        self.segment.lost.add(Family.IPV6)
        self.segment.run(5)
        self.assertEqual(self.states(b), ["armed"])
        a.powerOff()
        self.segment.run(SOON)
        self.assertEqual((self.segment.masters(), b.role), ([b], Role.MASTER))


class AnythingTests(SynchronousTestCase):
    """
    Faults at random moments.
    """

    def play(self, seed: int) -> int:
        """
        Play a story of three hosts that probe, and check that none of them takes a host for gone
        that it could reach.

        @return: How often a probe led to a take-over.
        """
        random = Random(seed)
        segment = Segment(seed)
        gateway = segment.add(GATEWAY)
        hosts = [
            segment.add(
                f"10.99.0.{1 + place}", **PROBED, advskew=60 * place, preempt=bool(seed % 2)
            )
            for place in range(3)
        ]
        for host in hosts:
            host.start()
        everybody = [*hosts, gateway]
        seen = {(one, other): 0.0 for one in hosts for other in hosts}
        counted = dict.fromkeys(hosts, 0)
        takeOvers = 0
        for _ in range(40):
            self.strike(random, segment, hosts, random.choice(everybody))
            for _ in range(round(random.choice((0.1, 0.5, 4.0)) / EVERY)):
                segment.run(EVERY)
                now = segment.clock.seconds()
                for one, other in seen:
                    reaches = segment.hears(one, other) and segment.hears(other, one)
                    if other.powered and reaches:
                        seen[one, other] = now
                for one in hosts:
                    new, counted[one] = one.changes[counted[one] :], len(one.changes)
                    for change in (moment.change for moment in new):
                        if change.reason is not Reason.VANISHED:
                            continue
                        takeOvers += 1
                        gone = change.detail.partition(" ")[0]
                        [master] = [other for other in hosts if other.source == gone]
                        self.assertGreaterEqual(now - seen[one, master], 2 * EVERY, seed)
        segment.heal()
        for host in everybody:
            host.powered = True
        for host in hosts:
            host.thaw()
            host.start()
        segment.run(15)
        self.assertEqual(len(segment.masters()), 1, seed)
        return takeOvers

    def strike(
        self, random: Random, segment: Segment, hosts: list[Computer], who: Computer
    ) -> None:
        """
        Let something happen to a host, or end it.
        """
        match random.choice(("power", "cut", "freeze", "heal", "heal", "master")):
            case "power":
                if who.powered:
                    who.powerOff()
                else:
                    who.powered = True
                    if who in hosts:
                        who.start()
            case "cut":
                segment.cut(who, random.choice(hosts))
            case "freeze" if who in hosts:
                who.thaw() if who.frozen else who.freeze()
            case "heal":
                segment.heal()
                who.powered = True
                for host in hosts:
                    host.thaw()
                if who in hosts:
                    who.start()
            case "master":
                for host in segment.masters()[:1]:
                    host.powerOff()

    def test_anything(self) -> None:
        """
        No host takes another one for gone that it could reach, and in the end there is one master.
        """
        self.assertGreater(sum(self.play(seed) for seed in range(8)), 10)
