"""
Tests of L{txcarp.virtualhost} when all is well.

L{tests.test_virtualhost_trouble} has the tests with failures.
"""

from __future__ import annotations

import socket

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests import crafted
from tests.fakes import (
    INTERFACE,
    FakeLinks,
    FakeNetwork,
    FakeObserver,
    FakeScripts,
    FakeTransport,
    Journal,
    Stage,
    configured,
)
from tests.vectors import load
from txcarp.addresses import parseIPv4
from txcarp.interfaces import (
    IAdvertisementTransport,
    IAnnouncer,
    ILinkMonitor,
    ILinkObserver,
    IMastershipObserver,
    INetwork,
    IScriptRunner,
)
from txcarp.mastership.handover import FOLLOW
from txcarp.protocol.authentication import Authenticator
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.envelope import readPacket
from txcarp.protocol.family import Family
from txcarp.protocol.ipv4 import GROUP
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.seal import Verification

UP = ("script", "up", INTERFACE, crafted.ADDRESS)
DOWN = ("script", "down", INTERFACE, crafted.ADDRESS)
ADVERTISE = ("advertise", 1, 0)
BOW_OUT = ("advertise", 255, 255)
ANNOUNCE = ("announce", crafted.ADDRESS)
DETACH = ("detach", INTERFACE, crafted.VHID)


class InterfaceTests(SynchronousTestCase):
    """
    The fakes.
    """

    def test_provided(self) -> None:
        """
        Each fake has all methods of its interface.
        """
        journal, clock = Journal(), Clock()
        network = FakeNetwork(journal, clock)
        verifyObject(INetwork, network)
        verifyObject(IAdvertisementTransport, network.transport)
        verifyObject(IAnnouncer, network.announcing)
        verifyObject(ILinkMonitor, FakeLinks())
        verifyObject(IScriptRunner, FakeScripts(journal))
        verifyObject(IMastershipObserver, FakeObserver())
        stage = Stage()
        stage.start()
        for _, observer in stage.links.observers:
            verifyObject(ILinkObserver, observer)


class StartTests(SynchronousTestCase):
    """
    The first seconds after the start.
    """

    def test_downScript(self) -> None:
        """
        A host starts as backup and runs its down script, because an earlier run may have
        left the address.
        """
        stage = Stage()
        stage.start()
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual(stage.journal, [DOWN])
        self.assertEqual(
            [(change.previous, change.role, change.reason) for change in stage.observer.changes],
            [(Role.INIT, Role.BACKUP, Reason.STARTED)],
        )

    def test_neutral(self) -> None:
        """
        With C{neutral}, the down script does not run at the start.
        """
        stage = Stage(neutral=True)
        stage.start()
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual(stage.journal, [])

    def test_attach(self) -> None:
        """
        The host attaches to its group once, with its settings.
        """
        stage = Stage(group=parseIPv4("224.0.0.19"), broadcast=True)
        stage.start()
        self.assertEqual(
            stage.network.attached,
            [(INTERFACE, crafted.VHID, parseIPv4("224.0.0.19"), True, None)],
        )

    def test_withoutPrivilegedStart(self) -> None:
        """
        A host that is added to a running application is started without
        C{privilegedStartService}.
        """
        stage = Stage()
        stage.host.startService()
        self.assertEqual(len(stage.network.attached), 1)
        stage.run(3)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_deadTime(self) -> None:
        """
        The host becomes master exactly C{ratio * base + skew / 256} seconds after the
        start.
        """
        for advbase, advskew, ratio in (
            (1, 0, 3),
            (1, 64, 3),
            (1, 255, 3),
            (2, 1, 5),
            (0, 50, 3),
            (3, 128, 1),
        ):
            stage = Stage(advbase=advbase, advskew=advskew, deadRatio=ratio)
            stage.start()
            deadTime = ratio * advbase + advskew / 256
            stage.run(deadTime - 1 / 1024)
            self.assertIs(stage.host.role, Role.BACKUP)
            stage.run(1 / 1024)
            self.assertIs(stage.host.role, Role.MASTER)
            self.assertEqual(stage.transport.times, [deadTime])

    def test_hearsMaster(self) -> None:
        """
        Each advertisement restarts the dead time.
        """
        stage = Stage(advskew=64)
        stage.start()
        for _ in range(10):
            stage.run(3)
            stage.deliver()
        stage.run(3.25 - 1 / 1024)
        self.assertIs(stage.host.role, Role.BACKUP)
        stage.run(1 / 1024)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertEqual(stage.host.status().received, 10)

    def test_warnings(self) -> None:
        """
        Missing scripts are logged in ucarp's words.
        """
        with capturedLogs() as events:
            Stage(upScript=None, downScript=None).start()
        texts = [formatEvent(event) for event in events]
        self.assertIn("Warning: no script called when going up", texts)
        self.assertIn("Warning: no script called when going down", texts)
        with capturedLogs() as events:
            Stage().start()
        self.assertFalse([1 for event in events if "no script" in formatEvent(event)])

    def test_log(self) -> None:
        """
        The hardware address and the state are logged in ucarp's words; the reason is added
        to the state.
        """
        with capturedLogs() as events:
            Stage().start()
        texts = [formatEvent(event) for event in events]
        self.assertIn("Local advertised ethernet address is [02:00:00:00:00:07]", texts)
        self.assertIn(f"Switching to state: BACKUP (started; vhid 10 on {INTERFACE})", texts)


class MasterTests(SynchronousTestCase):
    """
    Hosts that are master.
    """

    def test_rhythm(self) -> None:
        """
        Advertisements leave at exact multiples of the interval, without drift.
        """
        for advbase, advskew in ((1, 0), (1, 100), (0, 50), (2, 255)):
            stage = Stage(advbase=advbase, advskew=advskew)
            stage.becomeMaster()
            start = stage.clock.seconds()
            interval = advbase + advskew / 256
            stage.run(interval * 50)
            self.assertEqual(
                stage.transport.times, [start + n * interval for n in range(51)], interval
            )

    def test_advertisement(self) -> None:
        """
        An advertisement is signed, has the settings of this host, and equals the packet
        that a second implementation makes of them.
        """
        stage = Stage(advskew=17, verification=Verification.OFF)
        stage.becomeMaster()
        [packet] = stage.transport.packets
        expected = crafted.packet(
            source=crafted.OWN,
            advbase=1,
            advskew=17,
            counter=0x5A,
            identification=int.from_bytes(packet[-2:]),
        )
        self.assertEqual(packet, expected)
        self.assertEqual(stage.host.status().sent, 1)

    def test_takeOver(self) -> None:
        """
        The first advertisement leaves before the up script starts.  The address is
        announced once the script has ended, and again with the second advertisement after
        that.
        """
        stage = Stage()
        stage.scripts.hold = True
        stage.start()
        stage.scripts.end()
        stage.journal.clear()
        stage.run(3)
        self.assertEqual(stage.journal.take(), [ADVERTISE, UP])
        stage.run(1.5)
        self.assertEqual(stage.journal.take(), [ADVERTISE])
        stage.scripts.end()
        self.assertEqual(stage.journal.take(), [("script ended", 0), ANNOUNCE])
        stage.run(0.5)
        self.assertEqual(stage.journal.take(), [ADVERTISE])
        stage.run(1)
        self.assertEqual(stage.journal.take(), [ADVERTISE, ANNOUNCE])
        stage.run(5)
        self.assertEqual(stage.journal.take(), [ADVERTISE] * 5)

    def test_failedScript(self) -> None:
        """
        A script that fails is logged.  The host is master all the same, as with ucarp.
        """
        stage = Stage()
        stage.scripts.hold = True
        stage.start()
        stage.scripts.end()
        stage.run(3)
        with capturedLogs() as events:
            stage.scripts.end(status=3)
        self.assertIn("exit status 3", formatEvent(events[0]))
        self.assertEqual(stage.journal[-1], ANNOUNCE)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_withoutScripts(self) -> None:
        """
        A host without scripts advertises and announces.
        """
        stage = Stage(upScript=None, downScript=None)
        stage.becomeMaster()
        stage.run(2)
        self.assertEqual(stage.journal, [ADVERTISE, ADVERTISE, ANNOUNCE])

    def test_environment(self) -> None:
        """
        The scripts get ucarp's arguments, the time limit, and the facts of the change in
        the environment.
        """
        stage = Stage(parameter="extra", scriptTimeout=7.5)
        stage.start()
        stage.deliver(advbase=9, source="10.99.0.9")
        self.assertEqual(
            stage.journal,
            [(*DOWN, "extra"), ADVERTISE, (*UP, "extra"), ANNOUNCE],
        )
        self.assertEqual(stage.scripts.limits, [7.5, 7.5])
        self.assertEqual(
            stage.scripts.environments[1],
            {
                "TXCARP_STATE": "MASTER",
                "TXCARP_PREVIOUS_STATE": "BACKUP",
                "TXCARP_VHID": "10",
                "TXCARP_INTERFACE": INTERFACE,
                "TXCARP_ADDRESSES": crafted.ADDRESS,
                "TXCARP_REASON": "slow_master",
                "TXCARP_PEER": "10.99.0.9",
            },
        )

    def test_label(self) -> None:
        """
        The scripts get a label in place of the name of the interface; their environment has the
        name.
        """
        label = f"{INTERFACE}:254"
        stage = Stage(label=label)
        stage.start()
        stage.run(3)
        scripts = [one for one in stage.journal if one[0] == "script"]
        self.assertEqual([one[2] for one in scripts], [label, label])
        self.assertEqual(stage.scripts.environments[1]["TXCARP_INTERFACE"], INTERFACE)

    def test_announcementFails(self) -> None:
        """
        An announcement that fails is logged, and has no other effect.
        """
        stage = Stage()
        stage.network.announcing.error = OSError(100, "Network is down")
        with capturedLogs() as events:
            stage.becomeMaster()
        self.assertIn("write() in garp: Network is down", [formatEvent(e) for e in events])
        self.assertIs(stage.host.role, Role.MASTER)


class MeetingTests(SynchronousTestCase):
    """
    The rules B1, B2, B3, M1 and M2, from the packet to the script.
    """

    def logged(self, stage: Stage, **fields: object) -> list[str]:
        """
        Deliver an advertisement, and return the log lines that it causes.
        """
        with capturedLogs() as events:
            stage.deliver(**fields)
        return [formatEvent(event) for event in events]

    def test_B1(self) -> None:
        """
        A backup that preempts takes over from a less preferred master at once.
        """
        stage = Stage(preempt=True, neutral=True)
        stage.start()
        self.assertEqual(self.logged(stage, advskew=0), [])
        self.assertEqual(stage.journal, [])
        texts = self.logged(stage, advskew=1)
        self.assertEqual(stage.journal, [ADVERTISE, UP, ANNOUNCE])
        self.assertIn("Putting MASTER down - preemption", texts)
        self.assertEqual(
            texts[0],
            "Switching to state: MASTER (preempting a less preferred master "
            f"(advbase 1 advskew 1), peer 10.99.0.1; vhid 10 on {INTERFACE})",
        )

    def test_B2(self) -> None:
        """
        A backup takes over from a master whose interval is longer than the backup would
        wait.  The exact limit is one 256th of a second.
        """
        stage = Stage(advskew=10, neutral=True)
        stage.start()
        stage.deliver(advbase=3, advskew=10)
        self.assertIs(stage.host.role, Role.BACKUP)
        texts = self.logged(stage, advbase=3, advskew=11)
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertIn("Putting MASTER DOWN (going to time out)", texts)

    def test_bowOut(self) -> None:
        """
        A backup that hears a bow-out becomes master at once, whether it preempts or not, and
        logs that the master bowed out.
        """
        for preempt in (False, True):
            stage = Stage(neutral=True, preempt=preempt)
            stage.start()
            texts = self.logged(stage, advbase=255, advskew=255)
            self.assertEqual(stage.journal, [ADVERTISE, UP, ANNOUNCE])
            self.assertEqual(
                texts[0],
                "Switching to state: MASTER (the master bowed out "
                f"(advbase 255 advskew 255), peer 10.99.0.1; vhid 10 on {INTERFACE})",
            )
            self.assertNotIn("Putting MASTER", "".join(texts))
            self.assertEqual(stage.scripts.environments[-1]["TXCARP_REASON"], "bow_out")

    def test_B3(self) -> None:
        """
        Any other advertisement restarts the dead time, even that of a less preferred
        master.
        """
        stage = Stage(neutral=True)
        stage.start()
        for advskew in (0, 200):
            stage.run(2.5)
            stage.deliver(advskew=advskew)
        stage.run(2.5)
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual(stage.journal, [])

    def test_M1(self) -> None:
        """
        A master that hears a preferred master sends one more advertisement, releases
        everything, and waits like any other backup.
        """
        stage = Stage(advskew=5)
        stage.becomeMaster()
        stage.run(0.5)
        texts = self.logged(stage, advskew=4)
        self.assertEqual(stage.journal.take(), [("advertise", 1, 5), DOWN])
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertIn("Preferred master advertised: going back to BACKUP state", texts)
        stage.run(3 + 5 / 256 - 1 / 1024)
        self.assertEqual(stage.journal, [])
        stage.run(1 / 1024)
        self.assertEqual(stage.journal, [("advertise", 1, 5), UP, ANNOUNCE])

    def test_M1once(self) -> None:
        """
        Further advertisements of the preferred master find a backup.
        """
        stage = Stage(advskew=5)
        stage.becomeMaster()
        for _ in range(3):
            stage.deliver(advskew=4)
        self.assertEqual(stage.journal, [("advertise", 1, 5), DOWN])

    def test_M2(self) -> None:
        """
        A master that hears a less preferred master announces the address at once, again after a
        moment, and again with its second advertisement.  Its rhythm does not change.
        """
        stage = Stage()
        stage.becomeMaster()
        stage.run(10.5)
        stage.journal.clear()
        texts = self.logged(stage, advskew=1)
        self.assertEqual(stage.journal.take(), [ANNOUNCE])
        self.assertTrue(
            texts[0].startswith(
                "Non-preferred master advertising: reasserting control of VIP with another "
                "gratuitous arp"
            )
        )
        stage.run(0.5)
        self.assertEqual(stage.journal.take(), [ANNOUNCE, ADVERTISE])
        stage.run(1)
        self.assertEqual(stage.journal.take(), [ADVERTISE, ANNOUNCE])
        stage.run(3)
        self.assertEqual(stage.journal.take(), [ADVERTISE] * 3)

    def test_tie(self) -> None:
        """
        Equal timings are decided by the addresses, from the last octet to the first.
        """
        for source, expected in (
            ("10.99.0.1", Role.BACKUP),
            ("10.99.0.3", Role.MASTER),
            ("10.99.1.1", Role.BACKUP),
            ("10.98.0.2", Role.BACKUP),
            ("10.100.0.2", Role.MASTER),
        ):
            stage = Stage()
            stage.becomeMaster()
            stage.deliver(source=source)
            self.assertIs(stage.host.role, expected, source)

    def test_reassertedQuietly(self) -> None:
        """
        Each advertisement of a rival leads to an announcement, and to at most one log line
        a minute.
        """
        stage = Stage()
        stage.becomeMaster()
        texts = []
        for _ in range(10):
            texts += self.logged(stage, advskew=1)
        self.assertEqual(stage.journal, [ANNOUNCE] * 10)
        self.assertEqual(len(texts), 1)


class AcceptanceTests(SynchronousTestCase):
    """
    Which packets are accepted, and what is logged about the others, compared with ucarp.
    """

    def test_verdicts(self) -> None:
        """
        A crafted frame is accepted exactly if ucarp accepted it.  A refused frame has no
        effect, and is logged in ucarp's words, except for packets of a VRRP neighbour.
        """
        from tests.protocol.test_envelope import CASES, DELIBERATE

        for case in load("receive-acceptance")["cases"]:
            name = case["case"]
            stage = Stage(advbase=5, neutral=True)
            stage.start()
            stage.run(14)
            data = CASES[name]()
            refused = int(not case["accepted"])
            if name == "bad hmac":
                # It is logged with the second advertisement of the same host.
                stage.deliver(data)
                stage.run(0.5)
                refused += 1
            with capturedLogs() as events:
                try:
                    stage.deliver(data)
                except Rejected as rejected:
                    # A packet without a valid header never reaches a virtual host.
                    self.assertIs(rejected.reason, Rejection.SIZE)
                    refused = 0
            # Findings that ucarp does not log.
            quiet = ("(vrrp, ", "(own-echo, ", "(same-source, ")
            texts = [formatEvent(event) or "" for event in events]
            texts = [text for text in texts if not any(name in text for name in quiet)]
            self.assertEqual(stage.host.status().received, int(case["accepted"]), name)
            self.assertEqual(stage.host.status().rejected.total(), refused, name)
            # An accepted advertisement restarts the dead time of 15 seconds.
            stage.run(15 - stage.clock.seconds())
            self.assertIs(
                stage.host.role, Role.BACKUP if case["accepted"] else Role.MASTER, name
            )
            warned = refused and "".join(case["log"]).startswith("[WARNING] ")
            warned = warned and name not in DELIBERATE
            if not warned:
                self.assertEqual(texts, [], name)
                continue
            words = case["log"][0].removeprefix("[WARNING] ").split(" - md2")[0]
            self.assertEqual(len(texts), 1, name)
            self.assertTrue(texts[0].startswith(words), (name, texts))

    def test_debug(self) -> None:
        """
        With C{debug}, each packet is logged, also those that are otherwise ignored without
        a word.
        """
        stage = Stage(debug=True, neutral=True)
        stage.start()
        with capturedLogs() as events:
            stage.deliver()
            stage.deliver(vhid=11)
            stage.run(3)
        texts = [formatEvent(event) or "" for event in events]
        self.assertTrue(texts[0].startswith("Received from 10.99.0.1: Advertisement("))
        self.assertEqual(texts[1], "Dropped from 10.99.0.1: another virtual host: 11")
        self.assertTrue([text for text in texts if text.startswith("Sent: Advertisement(")])


class CounterTests(SynchronousTestCase):
    """
    The counters of advertisements without seals.
    """

    def counters(self, stage: Stage) -> list[int]:
        return [advertisement.counter for advertisement in stage.transport.advertisements]

    def test_random(self) -> None:
        """
        A master that has heard no other host draws a random counter for each advertisement.  The
        rehearsal of its take-over has drawn one before.
        """
        stage = Stage(verification=Verification.OFF)
        numbers = iter(range(100, 200))
        stage.platform.draw = lambda bits: next(numbers) if bits == 64 else 0
        stage.becomeMaster()
        stage.run(2)
        self.assertEqual(self.counters(stage), [101, 102, 103])

    def test_adopted(self) -> None:
        """
        A host continues from the counter that it heard last, modulo 2 to the power of 64,
        and signs each counter.
        """
        stage = Stage(verification=Verification.OFF, neutral=True)
        stage.start()
        stage.deliver(counter=2**64 - 2)
        stage.run(5)
        self.assertEqual(self.counters(stage), [2**64 - 1, 0, 1])
        authenticator = Authenticator(
            crafted.PASSWORD, crafted.VHID, [parseIPv4(crafted.ADDRESS)]
        )
        for advertisement in stage.transport.advertisements:
            self.assertTrue(authenticator.verify(advertisement.counter, advertisement.digest))

    def test_notFromBadOnes(self) -> None:
        """
        A host does not continue from the counter of a packet with a bad digest.
        """
        stage = Stage(verification=Verification.OFF, neutral=True)
        stage.start()
        stage.deliver(counter=77)
        stage.deliver(counter=1000, badDigest=True)
        stage.run(3)
        self.assertEqual(self.counters(stage), [78])

    def test_farewell(self) -> None:
        """
        The last advertisement of a master that yields has the counter after that of the
        winner.
        """
        stage = Stage(verification=Verification.OFF, advskew=9)
        stage.becomeMaster()
        stage.deliver(counter=500)
        self.assertEqual(self.counters(stage)[-1], 501)


class HandOverTests(SynchronousTestCase):
    """
    Handing over on request (USR2).
    """

    def test_resign(self) -> None:
        """
        The master bows out, releases everything when it hears its successor, takes no part
        for three seconds, and then waits like any other backup.
        """
        stage = Stage()
        stage.becomeMaster()
        stage.run(0.25)
        with capturedLogs() as events:
            stage.host.resign()
        self.assertEqual(stage.journal.take(), [BOW_OUT])
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertIn("asked to hand over", formatEvent(events[0]) or "")
        stage.deliver(advbase=9)
        stage.run(FOLLOW)
        self.assertEqual(stage.journal.take(), [DOWN])
        stage.run(3 + 3 - FOLLOW - 1 / 1024)
        self.assertEqual(stage.journal, [])
        stage.run(2 / 1024)
        self.assertEqual(stage.journal, [ADVERTISE, UP, ANNOUNCE])

    def test_noSuccessor(self) -> None:
        """
        Without a successor, the host answers for half a second and then releases the
        address.
        """
        stage = Stage()
        stage.becomeMaster()
        stage.host.resign()
        stage.run(0.5 - 1 / 1024)
        self.assertEqual(stage.journal, [BOW_OUT])
        stage.run(1 / 1024)
        self.assertEqual(stage.journal, [BOW_OUT, DOWN])

    def test_releaseFirst(self) -> None:
        """
        With C{releaseFirst}, the host releases everything before the bow-out.
        """
        stage = Stage(releaseFirst=True)
        stage.becomeMaster()
        stage.host.resign()
        self.assertEqual(stage.journal, [DOWN, BOW_OUT])

    def test_thenStopped(self) -> None:
        """
        A host that is stopped while it waits for its successor still runs its down script.
        C{shutdown} applies only to a host that is stopped as master.
        """
        stage = Stage()
        stage.becomeMaster()
        stage.host.resign()
        stopped = stage.host.stopService()
        stage.run(1)
        self.successResultOf(stopped)
        self.assertEqual(stage.journal, [BOW_OUT, DOWN, DETACH])

    def test_preempting(self) -> None:
        """
        A host that preempts does not take over again within the three seconds.
        """
        stage = Stage(preempt=True)
        stage.becomeMaster()
        stage.host.resign()
        stage.journal.clear()
        for _ in range(2):
            stage.run(1)
            stage.deliver(advskew=50)
        self.assertIs(stage.host.role, Role.BACKUP)
        stage.run(1)
        stage.deliver(advskew=50)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_backup(self) -> None:
        """
        A backup has nothing to hand over.
        """
        stage = Stage(neutral=True)
        stage.start()
        stage.host.resign()
        self.assertEqual(stage.journal, [])
        stage.run(3)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_twice(self) -> None:
        """
        A second request within the three seconds has no effect.
        """
        stage = Stage()
        stage.becomeMaster()
        stage.host.resign()
        stage.run(2)
        stage.host.resign()
        stage.run(3.5)
        self.assertIs(stage.host.role, Role.BACKUP)
        stage.run(0.5)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_linkMeanwhile(self) -> None:
        """
        A link that returns does not end the three seconds.  The end of the three seconds
        does not end the hold for a lost link.
        """
        stage = Stage()
        stage.becomeMaster()
        stage.host.resign()
        stage.run(1)
        stage.links.change(running=False)
        stage.links.change(running=True)
        stage.run(4.5)
        self.assertIs(stage.host.role, Role.BACKUP)
        stage.run(0.5)
        self.assertIs(stage.host.role, Role.MASTER)
        stage.host.resign()
        stage.links.change(running=False)
        stage.run(100)
        self.assertIs(stage.host.role, Role.BACKUP)

    def test_status(self) -> None:
        """
        The status that USR1 logs begins with ucarp's line.
        """
        stage = Stage()
        stage.start()
        with capturedLogs() as events:
            stage.host.logStatus()
            stage.run(3)
            stage.host.logStatus()
        texts = [formatEvent(event) for event in events]
        self.assertEqual(texts[0], f"BACKUP on {INTERFACE} id 10")
        self.assertEqual(texts[-1], f"MASTER on {INTERFACE} id 10")

    def test_statusHeldBack(self) -> None:
        """
        The status also says why this host is held back from the election.
        """
        held = "Held back from the election"
        stage = Stage(startDelay=5.0)
        stage.start()
        stage.links.change(running=False)
        said = []
        with capturedLogs() as events:
            for seconds, running in ((0, False), (0, True), (5, True)):
                stage.run(seconds)
                stage.links.change(running=running)
                events.clear()
                stage.host.logStatus()
                said.append([formatEvent(event) for event in events[1:]])
        self.assertEqual(
            said,
            [[f"{held}: no link, start delay"], [f"{held}: start delay"], []],
        )

    def test_statusOfMore(self) -> None:
        """
        The logged status says why the host is demoted, and which hosts it has heard.
        """
        stage = Stage(neutral=True)
        stage.start()
        stage.deliver(advskew=9)
        stage.run(0.25)
        with capturedLogs() as events:
            stage.host.demote("slow disk", 20)
            stage.host.demote("backup runs", 5)
            events.clear()
            stage.host.logStatus()
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                f"BACKUP on {INTERFACE} id 10",
                "Demoted by 25: 20 for slow disk, 5 for backup runs",
                f"Peer {crafted.PEER}: advbase 1 advskew 9, heard 0.2 s ago",
            ],
        )


class LinkTests(SynchronousTestCase):
    """
    Lost carriers, and interfaces that appear and disappear.
    """

    def test_masterLosesCarrier(self) -> None:
        """
        A master without a carrier releases everything at once and sends nothing.  When the
        carrier returns, it waits like any other backup.
        """
        stage = Stage()
        stage.becomeMaster()
        stage.run(0.5)
        with capturedLogs() as events:
            stage.links.change(running=False)
        self.assertEqual(stage.journal.take(), [DOWN])
        self.assertIn(
            f"Interface [{INTERFACE}] is without carrier", [formatEvent(e) for e in events]
        )
        self.assertIs(stage.observer.changes[-1].reason, Reason.LINK_LOST)
        stage.run(60)
        self.assertEqual(stage.journal, [])
        stage.links.change(running=True)
        stage.run(3 - 1 / 1024)
        self.assertEqual(stage.journal, [])
        stage.run(1 / 1024)
        self.assertEqual(stage.journal, [ADVERTISE, UP, ANNOUNCE])

    def test_backupLosesCarrier(self) -> None:
        """
        A backup without a carrier never becomes master.
        """
        stage = Stage(neutral=True)
        stage.start()
        stage.run(2)
        stage.links.change(running=False)
        stage.run(60)
        self.assertIs(stage.host.role, Role.BACKUP)
        stage.links.change(running=True)
        stage.run(3)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_otherChanges(self) -> None:
        """
        A change of the link that leaves the carrier alone makes a master announce its
        address again.
        """
        stage = Stage()
        stage.becomeMaster()
        stage.links.change(mtu=9000)
        self.assertEqual(stage.journal, [ANNOUNCE])
        self.assertIs(stage.host.role, Role.MASTER)

    def test_ignored(self) -> None:
        """
        With C{ignoreLink}, neither the carrier nor the state of the interface matters.
        """
        stage = Stage(ignoreLink=True)
        stage.links.change(up=False, running=False)
        stage.becomeMaster()
        stage.links.change(up=False, running=False)
        self.assertIs(stage.host.role, Role.MASTER)
        stage.run(2)
        self.assertEqual(stage.journal, [ANNOUNCE, ANNOUNCE, ADVERTISE, ADVERTISE, ANNOUNCE])

    def test_deaf(self) -> None:
        """
        A master without sockets that hear becomes backup at once, and logs the reason once.
        When it can hear again, it waits for the dead time.
        """
        stage = Stage(ignoreLink=True)
        stage.becomeMaster()
        stage.transport.hearing = False
        assert stage.network.receiver is not None
        with capturedLogs() as events:
            for _ in range(2):
                stage.network.receiver.transportChanged()
        self.assertIs(stage.host.role, Role.BACKUP)
        said = [formatEvent(event) for event in events]
        self.assertEqual(len([one for one in said if "No packet can be" in one]), 1, said)
        stage.run(60)
        self.assertIs(stage.host.role, Role.BACKUP)
        stage.transport.hearing = True
        stage.network.receiver.transportChanged()
        stage.run(2.9)
        self.assertIs(stage.host.role, Role.BACKUP)
        stage.run(0.2)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_deafInOneFamily(self) -> None:
        """
        A host that can hear in one family takes part, also where the silence of one family
        is enough to take over.
        """
        for anyFamily in (False, True):
            stage = Stage(
                addresses=[crafted.ADDRESS, "fd00::100"], anyFamily=anyFamily, neutral=True
            )
            deaf = FakeTransport(stage.journal, stage.clock)
            deaf.hearing = False
            stage.network.transports[Family.IPV6] = deaf
            with capturedLogs() as events:
                stage.start()
                stage.run(60)
            self.assertIs(stage.host.role, Role.MASTER)
            said = [formatEvent(event) or "" for event in events]
            self.assertEqual([one for one in said if "No packet can be" in one], [])

    def test_deafAtStart(self) -> None:
        """
        A host that cannot hear does not become master.  A stopped host ignores changes of
        its hearing.
        """
        stage = Stage()
        stage.transport.hearing = False
        stage.start()
        stage.run(60)
        self.assertIs(stage.host.role, Role.BACKUP)
        receiver = stage.network.receiver
        assert receiver is not None
        stage.host.stopService()
        receiver.transportChanged()
        self.assertIs(stage.host.role, Role.INIT)

    def test_goneInSpiteOfThat(self) -> None:
        """
        C{ignoreLink} does not ignore an interface that is gone.
        """
        stage = Stage(ignoreLink=True)
        stage.becomeMaster()
        with capturedLogs() as events:
            stage.links.set(INTERFACE, None)
        self.assertIs(stage.host.role, Role.BACKUP)
        texts = [formatEvent(event) for event in events]
        self.assertIn(f"Interface [{INTERFACE}] is gone", texts)
        self.assertIn(f"Interface [{INTERFACE}] does not exist: waiting for it", texts)

    def test_down(self) -> None:
        """
        An interface that is switched off is a lost link.  ucarp would exit.
        """
        stage = Stage()
        stage.becomeMaster()
        with capturedLogs() as events:
            stage.links.change(up=False, running=False)
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertIn(f"Interface [{INTERFACE}] is down", [formatEvent(e) for e in events])

    def test_unusableAtStart(self) -> None:
        """
        A host waits for an interface that is down or without a carrier at the start, and
        logs that once.
        """
        for facts, what in (({"running": False}, "without carrier"), ({"up": False}, "down")):
            stage = Stage(neutral=True)
            stage.links.change(**facts)
            with capturedLogs() as events:
                stage.start()
                stage.run(60)
                stage.links.change(mtu=9000, **facts)
            texts = [formatEvent(event) for event in events]
            self.assertEqual(texts.count(f"Interface [{INTERFACE}] is {what}"), 1)
            self.assertIs(stage.host.role, Role.BACKUP)
            self.assertEqual(stage.journal, [])
            stage.links.change(up=True, running=True)
            stage.run(3)
            self.assertIs(stage.host.role, Role.MASTER)

    def test_missingAtStart(self) -> None:
        """
        A host waits for an interface that does not exist yet, and logs that once.
        """
        stage = Stage(neutral=True)
        stage.links.links.clear()
        with capturedLogs() as events:
            stage.start()
            stage.run(60)
        texts = [formatEvent(event) for event in events]
        self.assertEqual(
            [text for text in texts if "waiting" in (text or "")],
            [f"Interface [{INTERFACE}] does not exist: waiting for it"],
        )
        self.assertIs(stage.host.role, Role.BACKUP)
        with capturedLogs() as events:
            stage.links.change()
        self.assertIn(
            "Local advertised ethernet address is [02:00:00:00:00:07]",
            [formatEvent(event) for event in events],
        )
        stage.run(3)
        self.assertIs(stage.host.role, Role.MASTER)


class StopTests(SynchronousTestCase):
    """
    Stopping a virtual host.
    """

    def test_shutdown(self) -> None:
        """
        A master bows out, answers until it hears its successor, runs its down script if
        C{shutdown} is set, and detaches when the script has ended.
        """
        stage = Stage(shutdown=True)
        stage.becomeMaster()
        stage.scripts.hold = True
        stopped = stage.host.stopService()
        self.assertEqual(stage.journal.take(), [BOW_OUT])
        self.assertIs(stage.host.role, Role.INIT)
        stage.run(0.125)
        stage.deliver(advskew=100)
        stage.run(FOLLOW)
        self.assertEqual(stage.journal.take(), [DOWN])
        self.assertNoResult(stopped)
        stage.scripts.end()
        self.successResultOf(stopped)
        self.assertEqual(stage.journal[-1], DETACH)
        self.assertEqual(stage.scripts.environments[-1]["TXCARP_REASON"], "stopped")

    def test_marked(self) -> None:
        """
        Other processes can see that it leaves, but not if it is to take part again.
        """
        stage = Stage(shutdown=True)
        stage.becomeMaster()
        self.assertFalse(stage.network.leaving)
        done = stage.host.stopService()
        self.assertTrue(stage.network.leaving)
        stage.run(0.5)
        self.successResultOf(done)
        stage.becomeMaster()
        stage.host.stopService()
        stage.host.startService()
        stage.run(0.5)
        self.assertFalse(stage.network.leaving)
        self.assertNotIn(DETACH, stage.journal)
        stage.host.reconfigure(configured(advskew=9))
        self.assertFalse(stage.network.leaving)

    def test_noSuccessor(self) -> None:
        """
        Without a successor, the master answers for half a second.  The bow-out of another
        host is no successor.
        """
        stage = Stage(shutdown=True)
        stage.becomeMaster()
        stopped = stage.host.stopService()
        stage.deliver(advbase=255, advskew=255)
        stage.run(0.5 - 1 / 1024)
        self.assertEqual(stage.journal, [BOW_OUT])
        stage.run(1 / 1024)
        self.successResultOf(stopped)
        self.assertEqual(stage.journal, [BOW_OUT, DOWN, DETACH])

    def test_withoutShutdown(self) -> None:
        """
        Without C{shutdown}, the down script does not run, as with ucarp.  The master still
        bows out.
        """
        stage = Stage()
        stage.becomeMaster()
        stopped = stage.host.stopService()
        stage.run(0.5)
        self.successResultOf(stopped)
        self.assertEqual(stage.journal, [BOW_OUT, DETACH])

    def test_releaseFirst(self) -> None:
        """
        With C{releaseFirst}, the master releases everything before the bow-out, and
        advertises until then.
        """
        stage = Stage(shutdown=True, releaseFirst=True)
        stage.becomeMaster()
        stage.scripts.hold = True
        stopped = stage.host.stopService()
        stage.run(1)
        self.assertEqual(stage.journal.take(), [DOWN, ADVERTISE])
        stage.scripts.end()
        self.successResultOf(stopped)
        self.assertEqual(stage.journal, [("script ended", 0), BOW_OUT, DETACH])

    def test_backup(self) -> None:
        """
        A backup leaves without an advertisement and without a script.
        """
        stage = Stage(shutdown=True)
        stage.start()
        stage.journal.clear()
        self.successResultOf(stage.host.stopService())
        self.assertEqual(stage.journal, [DETACH])

    def test_runningScript(self) -> None:
        """
        The down script waits for the end of a running script.
        """
        stage = Stage(shutdown=True, neutral=True)
        stage.scripts.hold = True
        stage.start()
        stage.run(3)
        stage.journal.clear()
        stopped = stage.host.stopService()
        stage.run(1)
        self.assertEqual(stage.journal, [BOW_OUT])
        stage.scripts.end()
        self.assertEqual(stage.journal[1:], [("script ended", 0), DOWN])
        self.assertNoResult(stopped)
        stage.scripts.end()
        self.successResultOf(stopped)
        self.assertNotIn(ANNOUNCE, stage.journal)

    def test_nothingLeft(self) -> None:
        """
        A stop in any state leaves no timer and no observer.
        """
        for settings in ({}, {"releaseFirst": True}):
            for prepare in (
                lambda stage: stage.start(),
                lambda stage: stage.becomeMaster(),
                lambda stage: (stage.becomeMaster(), stage.host.resign()),
                lambda stage: (stage.start(), stage.links.change(running=False)),
                lambda stage: (stage.start(), stage.deliver()),
                lambda stage: (stage.becomeMaster(), stage.deliver(advskew=7)),
            ):
                stage = Stage(**settings)
                prepare(stage)
                stopped = stage.host.stopService()
                stage.run(0.5)
                self.successResultOf(stopped)
                self.assertEqual(stage.clock.getDelayedCalls(), [])
                self.assertEqual(stage.links.observers, [])
                self.assertFalse(stage.transport.front)

    def test_meanwhile(self) -> None:
        """
        Events while the last script runs have no effect, and leave no timer.
        """
        for releaseFirst in (False, True):
            stage = Stage(shutdown=True, releaseFirst=releaseFirst)
            stage.becomeMaster()
            stage.scripts.hold = True
            stopped = stage.host.stopService()
            stage.run(0.5)
            stage.journal.clear()
            stage.deliver(advbase=9)
            stage.network.receiver.packetFiltered(readPacket(crafted.packet(advbase=9)))
            stage.host.resign()
            self.assertEqual(stage.journal.take(), [])
            stage.scripts.end()
            self.successResultOf(stopped)
            self.assertEqual(stage.clock.getDelayedCalls(), [])
            self.assertFalse(stage.transport.front)

    def test_again(self) -> None:
        """
        A stopped host can be started again, and continues from no earlier counter.
        """
        stage = Stage(verification=Verification.OFF)
        stage.becomeMaster()
        stage.deliver(advskew=1, counter=5)
        stopped = stage.host.stopService()
        stage.run(0.5)
        self.successResultOf(stopped)
        stage.journal.clear()
        stage.becomeMaster()
        self.assertIs(stage.host.role, Role.MASTER)
        self.assertEqual(stage.transport.advertisements[-1].counter, 0x5A)
        self.assertEqual(len(stage.network.attached), 2)

    def test_failedStart(self) -> None:
        """
        After a failed start there is nothing to stop, and the start can be repeated.
        """
        stage = Stage()
        attach = stage.network.attach

        def refuse(*arguments: object) -> None:
            raise PermissionError

        self.patch(stage.network, "attach", refuse)
        self.assertRaises(PermissionError, stage.host.privilegedStartService)
        self.assertRaises(PermissionError, stage.host.startService)
        self.successResultOf(stage.host.stopService())
        self.assertEqual(stage.journal, [])
        self.patch(stage.network, "attach", attach)
        stage.becomeMaster()
        self.assertIs(stage.host.role, Role.MASTER)

    def test_onlyPrivileged(self) -> None:
        """
        A stop closes what C{privilegedStartService} opened, also if C{startService} was
        never called.
        """
        stage = Stage()
        stage.host.privilegedStartService()
        self.successResultOf(stage.host.stopService())
        self.assertEqual(stage.journal, [DETACH])

    def test_twice(self) -> None:
        """
        A second stop waits for the end of the first.
        """
        stage = Stage(shutdown=True)
        stage.becomeMaster()
        stopped = stage.host.stopService()
        again = stage.host.stopService()
        self.assertNoResult(again)
        self.assertEqual(stage.journal, [BOW_OUT])
        stage.run(0.5)
        self.successResultOf(stopped)
        self.successResultOf(again)
        self.assertEqual(stage.journal, [BOW_OUT, DOWN, DETACH])

    def test_notRunning(self) -> None:
        """
        Stopping a host that does not run has no effect.
        """
        stage = Stage()
        self.successResultOf(stage.host.stopService())
        self.assertEqual(stage.journal, [])

    def test_log(self) -> None:
        """
        A master logs that it leaves before it does.
        """
        stage = Stage()
        stage.becomeMaster()
        with capturedLogs() as events:
            stage.host.stopService()
        self.assertEqual(
            formatEvent(events[0]), f"Stopping: bowing out as master (vhid 10 on {INTERFACE})"
        )

    def test_observed(self) -> None:
        """
        Observers are told that the host stopped.
        """
        stage = Stage()
        stage.becomeMaster()
        stage.host.stopService()
        change = stage.observer.changes[-1]
        self.assertEqual(
            (change.previous, change.role, change.reason),
            (Role.MASTER, Role.INIT, Reason.STOPPED),
        )


class GroupTests(SynchronousTestCase):
    """
    Multicast groups.
    """

    def test_otherGroup(self) -> None:
        """
        A host in another multicast group sends to that group, and accepts packets to that
        group only.
        """
        group = "224.0.0.99"
        stage = Stage(group=socket.inet_aton(group), neutral=True)
        stage.start()
        stage.deliver()
        stage.deliver(destination=group)
        self.assertEqual(stage.host.status().received, 1)
        stage.run(3)
        self.assertEqual(stage.transport.packets[0][16:20], socket.inet_aton(group))
        self.assertNotEqual(socket.inet_aton(group), GROUP)
