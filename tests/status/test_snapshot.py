"""
Tests for L{txcarp.status} and L{VirtualHost.status<txcarp.virtualhost.VirtualHost.status>}.
"""

from __future__ import annotations

import socket
from typing import Any

import attrs
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests import crafted
from tests.fakes import INTERFACE, FakePlatform, FakeTransport, Journal, Stage, configured
from tests.mastership.table import LeaseStage
from txcarp.change import Readiness, StepState
from txcarp.findings import Finding
from txcarp.interfaces import IPlatform, ITrace
from txcarp.protocol.actor import Actor
from txcarp.protocol.effects import ArmMasterDown, ChangeRole, Effect, Reason, Role
from txcarp.protocol.events import (
    DeadlinePassed,
    Demoted,
    Event,
    Heard,
    HoldReason,
    Refused,
    Slept,
    Started,
    StopAsked,
)
from txcarp.protocol.family import Family
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.timing import Timing
from txcarp.status.parts import (
    AddressStatus,
    FamilyStatus,
    HoldStatus,
    Note,
    PeerStatus,
    ProbeStatus,
    StepStatus,
    SyncStatus,
)


class StatusTests(SynchronousTestCase):
    """
    The status is one frozen value with the state of a virtual host.
    """

    def test_stopped(self) -> None:
        """
        A virtual host that is not running has a status, too.
        """
        status = Stage(advskew=7).host.status()
        self.assertEqual((status.name, status.role), (f"{INTERFACE}:{crafted.VHID}", Role.INIT))
        self.assertEqual((status.running, status.since, status.deadline), (False, None, None))
        self.assertEqual((status.configured, status.advertised), (Timing(1, 7), Timing(1, 7)))
        self.assertEqual((status.peers, status.holds, status.changes), ([], [], []))
        self.assertEqual(status.dialect, "ucarp")

    def test_backup(self) -> None:
        """
        The status of a backup tells which host is master, when it was heard, and when this host
        takes over.
        """
        stage = Stage(neutral=True)
        stage.start()
        stage.deliver(badDigest=True, source="10.99.0.77")
        stage.run(0.25)
        stage.deliver(advskew=9)
        stage.run(0.25)
        stage.deliver(badDigest=True, source="10.99.0.77")
        status = stage.host.status()
        self.assertEqual((status.role, status.running), (Role.BACKUP, True))
        self.assertEqual(status.master, crafted.PEER)
        [peer] = status.peers
        self.assertEqual((peer.source, peer.timing, peer.age), (crafted.PEER, Timing(1, 9), 0.25))
        self.assertEqual((peer.sealed, peer.forms, peer.demotion), (False, (), 0))
        self.assertEqual((peer.number, status.families), (1, {"IPv4": FamilyStatus(1, 0, 0)}))
        stage.deliver(advskew=9)
        self.assertEqual(stage.host.status().peers[0].number, 2)
        self.assertEqual(status.deadline, 2.75)
        self.assertEqual((status.since, status.received, status.sent), (0.5, 1, 0))
        self.assertEqual(status.rejected, {Rejection.DIGEST: 2})
        self.assertEqual(status.findings, {Finding.FOREIGN_GROUP: 1})
        self.assertEqual(status.time, 1.8e9 + 0.5)
        [change] = status.changes
        self.assertEqual((change.age, change.change.reason), (0.5, Reason.STARTED))

    def test_master(self) -> None:
        """
        The status of a master has no deadline and no other master; its addresses have a lease.
        """
        stage = LeaseStage()
        stage.becomeMaster()
        status = stage.host.status()
        self.assertEqual((status.role, status.master, status.deadline), (Role.MASTER, "", None))
        self.assertTrue(status.complete)
        self.assertEqual(status.addresses, [AddressStatus("10.99.0.100/32", True, 2.0)])
        self.assertEqual(status.sent, 1)
        stage.run(0.75)
        self.assertEqual(stage.host.status().addresses[0].lease, 1.25)
        stage.deliver(advbase=0, advskew=1)
        self.assertEqual(stage.host.status().addresses[0], AddressStatus("10.99.0.100/32", False))

    def test_contested(self) -> None:
        """
        The time counts in which this master hears another one: from one advertisement of the other
        to the next, and not while that one is silent.
        """
        stage = Stage(neutral=True)
        stage.start()
        stage.deliver(advskew=9)
        stage.run(4)
        self.assertIs(stage.host.role, Role.MASTER)
        for _ in range(3):
            stage.deliver(advskew=9)
            stage.run(1)
        self.assertEqual(stage.host.status().contested, 2.0)
        stage.run(60)
        stage.deliver(advskew=9)
        self.assertEqual(stage.host.status().contested, 2.0)

    def test_families(self) -> None:
        """
        What was sent counts by its family, and so does what could not be sent.
        """
        stage = Stage(addresses=["10.99.0.100", "2001:db8::100"], neutral=True)
        second = stage.network.transports[Family.IPV6] = FakeTransport(stage.journal, stage.clock)
        stage.becomeMaster()
        sent = stage.host.status().families
        self.assertEqual(sent, {"IPv4": FamilyStatus(0, 1, 0), "IPv6": FamilyStatus(0, 1, 0)})
        second.error = OSError("down")
        stage.run(1)
        status = stage.host.status()
        self.assertEqual(status.families["IPv4"], FamilyStatus(0, 2, 0))
        self.assertEqual(status.families["IPv6"], FamilyStatus(0, 1, 1))
        self.assertEqual((status.sent, status.sendErrors), (2, 0))

    def test_title(self) -> None:
        """
        The name that a group has in a file is in its status, and in the lines of the log.
        """
        stage = Stage(title="web")
        with capturedLogs() as events:
            stage.start()
            stage.host.logStatus()
        said = [str(formatEvent(event)) for event in events]
        self.assertEqual(stage.host.status().title, "web")
        self.assertIn(f"BACKUP on {INTERFACE} id {crafted.VHID} (web)", said)
        self.assertIn(
            f"Switching to state: BACKUP (started; web, vhid {crafted.VHID} on {INTERFACE})", said
        )

    def test_scripts(self) -> None:
        """
        It is unknown whether addresses are held that scripts add.
        """
        stage = Stage()
        stage.becomeMaster()
        self.assertEqual(stage.host.status().addresses, [AddressStatus("10.99.0.100/32")])

    def test_holds(self) -> None:
        """
        The status lists each hold with its end.
        """
        stage = Stage(startDelay=5.0, neutral=True)
        stage.links.change(running=False)
        stage.start()
        stage.run(2)
        self.assertEqual(
            stage.host.status().holds,
            [HoldStatus(HoldReason.NO_LINK, None), HoldStatus(HoldReason.STARTING, 3.0)],
        )
        stage.run(3)
        stage.links.change(running=True)
        self.assertEqual(stage.host.status().holds, [])

    def test_notes(self) -> None:
        """
        The notes say in few words why this host is held back, what failed, and how much it is
        demoted; a drain by whom and until when.
        """
        stage = Stage(neutral=True)
        self.assertEqual(stage.host.status().notes, [Note("not running")])
        stage.becomeMaster()
        self.assertEqual(stage.host.status().notes, [])
        stage.host.demote("upgrade", 50)
        stage.host.drain(60.0, True, Actor(1000, "eve", 1))
        stage.run(2.0)
        notes = stage.host.status().notes
        self.assertEqual(notes, [Note("demoted 50"), Note("drained by eve", 58.0)])

    def test_rivals(self) -> None:
        """
        The notes name another host with another password as long as it is heard, and a minute
        longer.
        """
        stage = Stage(neutral=True)
        stage.becomeMaster()
        for _ in range(100):
            stage.deliver(badDigest=True, source="10.99.0.77")
            stage.run(1)
        other = Note("10.99.0.77 has another password or other addresses")
        self.assertEqual(stage.host.status().notes, [other])
        stage.run(76)
        self.assertEqual(stage.host.status().notes, [])

    def test_probe(self) -> None:
        """
        The notes say why a probe cannot act, and the lines of the log and the explanation say so in
        a sentence.
        """
        armed = ProbeStatus("10.0.0.1", "armed", 0.005, ["10.0.0.254"], 9, 8, 1, delay=0.02)

        def said(**facts: Any) -> tuple[list[Note], str]:
            probe = attrs.evolve(armed, **facts)
            status = attrs.evolve(Stage().host.status(), running=True, probes=[probe])
            lines = [one for one in status.lines() if "probe" in one]
            self.assertEqual(lines, [] if probe.canAct else [probe.explain()])
            return status.notes, probe.explain()

        self.assertEqual(
            said(),
            (
                [],
                "10.0.0.1 answers the probe every 5 ms. If it no longer does and 10.0.0.254 still "
                "answers, this host takes over within 20 ms.",
            ),
        )
        self.assertEqual(
            said(witnesses=[]),
            (
                [Note("no witness answers the probe")],
                "10.0.0.1 answers the probe every 5 ms, but no witness does, so that the probe "
                "cannot act.",
            ),
        )
        self.assertEqual(
            said(state="searching"),
            (
                [Note("10.0.0.1 does not answer the probe")],
                "10.0.0.1 does not answer the probe, so that only its advertisements count.",
            ),
        )
        self.assertEqual(
            said(state="suspended", suspended=60.0),
            (
                [Note("probe suspended", 60.0)],
                "The probe does not ask 10.0.0.1 for 60 s more, because it did not answer while it "
                "was alive.",
            ),
        )
        self.assertEqual(
            said(state="unable", problem="eth0 is down"),
            (
                [Note("no probe: eth0 is down")],
                "The probe cannot ask 10.0.0.1: eth0 is down.",
            ),
        )
        self.assertEqual(
            said(state="arming"), ([], "10.0.0.1 has begun to answer the probe every 5 ms.")
        )
        self.assertEqual(
            said(state="lost"), ([], "10.0.0.1 does not answer the probe, and a witness does.")
        )

    def test_formNotes(self) -> None:
        """
        While the group changes its password, the notes say what this host still sends, and which
        host needs that; and what this host is busy with.
        """
        status = Stage().host.status()

        def peer(source: str, *forms: str) -> PeerStatus:
            return PeerStatus(source, Timing(1, 0), 0, False, forms, 1.0)

        def step(name: str, state: StepState) -> StepStatus:
            return StepStatus(name, state, 0.0, "", True, None)

        status = attrs.evolve(
            status,
            running=True,
            forms=["current", "the other password"],
            peers=[peer("a", "current", "x"), peer("b", "the other password"), peer("c")],
            readiness=Readiness.ACQUIRING,
            steps=[
                step("address", StepState.ACQUIRED),
                step("step rules", StepState.FAILED),
                step("step haproxy", StepState.ACQUIRING),
            ],
            sync=SyncStatus("s", ["x", "y"], silent=["y"], insists=True),
        )
        self.assertEqual(
            [one.text for one in status.notes],
            [
                "acquiring step haproxy",
                "step rules failed",
                "master silent on y",
                "took over because of a silent side",
                "also the other password",
                "b not changed",
            ],
        )

    def test_demoted(self) -> None:
        """
        The status lists each reason for a demotion, and the resulting timing, whether the virtual
        host is running or not.
        """
        stage = Stage(advskew=10)
        stage.host.demote("slow disk", 20)
        for _ in range(2):
            status = stage.host.status()
            self.assertEqual((status.demotions, status.demotion), ({"slow disk": 20}, 20))
            self.assertEqual(status.advertised, Timing(1, 30))
            stage.start()
        stage.host.promote("slow disk")
        self.assertEqual(stage.host.status().demotions, {})
        self.assertEqual(stage.host.status().advertised, Timing(1, 10))

    def test_silentFamily(self) -> None:
        """
        The deadline is that of all families together.
        """
        stage = Stage(
            neutral=True, addresses=[crafted.ADDRESS, crafted.ADDRESS6], advbase=2
        )
        stage.start()
        stage.run(1)
        stage.deliver(advbase=2, addresses=[crafted.ADDRESS, crafted.ADDRESS6])
        stage.run(1)
        self.assertEqual(stage.host.status().deadline, 5.0)

    def test_frozen(self) -> None:
        """
        Later events do not change a status.
        """
        stage = Stage()
        stage.start()
        status = stage.host.status()
        before = attrs.asdict(status, recurse=False)
        stage.run(10)
        stage.host.demote("late")
        stage.deliver(badDigest=True)
        self.assertEqual(attrs.asdict(status, recurse=False), before)
        self.assertRaises(attrs.exceptions.FrozenInstanceError, setattr, status, "vhid", 9)

    def test_secrets(self) -> None:
        """
        A status does not show the password.
        """
        stage = Stage(password=b"hunter2")
        stage.becomeMaster()
        self.assertNotIn("hunter2", repr(stage.host.status()))


@implementer(ITrace)
class Recorder:
    """
    Records events and effects.
    """

    def __init__(self) -> None:
        self.record: list[Event | Effect] = []

    def happened(self, event: Event) -> None:
        self.record.append(event)

    def decided(self, effect: Effect) -> None:
        self.record.append(effect)

    def kinds(self) -> list[type[Any]]:
        """
        Return the classes of the events and effects in order.
        """
        return list(map(type, self.record))


class TraceTests(SynchronousTestCase):
    """
    A trace sees events and effects in order.
    """

    def setUp(self) -> None:
        self.stage = Stage(neutral=True)
        self.recorder = Recorder()
        self.stage.host.follow(self.recorder)

    def test_provided(self) -> None:
        """
        The fakes provide their interfaces.
        """
        verifyObject(ITrace, self.recorder)
        verifyObject(IPlatform, FakePlatform(self.stage.clock, Journal()))

    def test_order(self) -> None:
        """
        Each event is followed by its effects.
        """
        self.stage.start()
        self.recorder.record.clear()
        self.stage.deliver(advskew=3)
        self.stage.deliver(badDigest=True)
        source = socket.inet_aton(crafted.PEER)
        heard, effect, refused = self.recorder.record
        assert isinstance(heard, Heard)
        self.assertEqual((heard.peer.timing, heard.peer.source), (Timing(1, 3), source))
        self.assertEqual(effect, ArmMasterDown(3.0, Family.IPV4))
        self.assertEqual(refused, Refused(Rejection.DIGEST, source))

    def test_start(self) -> None:
        """
        A run is traced from its first event to its last, and so is the next run.
        """
        self.stage.start()
        self.assertIn(Started(), self.recorder.record)
        self.stage.run(3)
        self.assertIn(DeadlinePassed, self.recorder.kinds())
        self.stage.host.stopService()
        self.stage.run(1)
        self.assertIn(StopAsked(), self.recorder.record)
        self.stage.host.startService()
        self.assertEqual(self.recorder.record.count(Started()), 2)

    def test_pause(self) -> None:
        """
        If an event reveals a pause, the effects of the pause come before the event.
        """
        self.stage.becomeMaster()
        self.recorder.record.clear()
        self.stage.asleep = 50
        self.stage.host.demote("late", 20)
        kinds = self.recorder.kinds()
        self.assertIn(ChangeRole, kinds[: kinds.index(Demoted)])
        self.assertNotIn(Slept, kinds)  # it did not enter through tell()

    def test_ended(self) -> None:
        """
        A trace can be removed.
        """
        self.stage.start()
        self.recorder.record.clear()
        self.stage.host.follow(None)
        self.stage.deliver()
        self.assertEqual(self.recorder.record, [])


class ReconfigureTests(SynchronousTestCase):
    """
    A virtual host gets another configuration.
    """

    def setUp(self) -> None:
        self.stage = Stage(neutral=True)

    def test_stopped(self) -> None:
        """
        A virtual host that is not running uses the new configuration when it starts.
        """
        self.successResultOf(self.stage.host.reconfigure(configured(advskew=50)))
        self.stage.becomeMaster()
        self.assertEqual(self.stage.transport.advertisements[-1].advskew, 50)

    def test_same(self) -> None:
        """
        An equal configuration changes nothing.
        """
        self.stage.becomeMaster()
        self.successResultOf(self.stage.host.reconfigure(configured(neutral=True)))
        self.assertEqual(self.stage.journal, [])

    def test_backup(self) -> None:
        """
        A backup uses the new configuration at once, and still knows its peers.
        """
        self.stage.start()
        self.stage.deliver(advskew=1)
        self.successResultOf(self.stage.host.reconfigure(configured(advskew=50, advbase=2)))
        status = self.stage.host.status()
        self.assertEqual((status.role, status.configured), (Role.BACKUP, Timing(2, 50)))
        self.assertEqual([peer.source for peer in status.peers], [crafted.PEER])
        self.assertEqual(status.received, 1)

    def test_master(self) -> None:
        """
        A master hands over first.
        """
        self.stage.becomeMaster()
        done = self.stage.host.reconfigure(configured(broadcast=True, password=b"other"))
        self.assertNoResult(done)
        self.assertEqual(self.stage.journal[0], ("advertise", 255, 255))
        self.stage.run(0.5)
        self.successResultOf(done)
        self.stage.deliver(advskew=1, password=b"other")
        self.assertEqual(self.stage.host.status().received, 1)

    def test_sockets(self) -> None:
        """
        Sockets stay open where possible, because the privileges to open them may be gone. They
        are reopened if one of their settings changes.
        """
        self.stage.start()
        attached = self.stage.network.attached
        self.assertEqual(len(attached), 1)
        self.stage.host.reconfigure(configured(neutral=True, advskew=3))
        self.assertEqual((len(attached), self.stage.network.receiver), (1, self.stage.host._run))
        self.stage.host.reconfigure(configured(neutral=True, broadcast=True))
        self.assertEqual([one[3] for one in attached], [False, True])
        self.assertIs(self.stage.network.receiver, self.stage.host._run)

    def test_another(self) -> None:
        """
        The interface and the vhid cannot change.
        """
        for settings in ({"vhid": 11}, {"interface": "eth8"}):
            self.assertRaises(
                ValueError, self.stage.host.reconfigure, configured(**settings)  # type: ignore
            )

    def test_again(self) -> None:
        """
        The last of several configurations takes effect, and all Deferreds fire.
        """
        self.stage.becomeMaster()
        done = [self.stage.host.reconfigure(configured(advskew=skew)) for skew in (10, 20, 30)]
        self.stage.run(0.5)
        for each in done:
            self.successResultOf(each)
        self.assertEqual(self.stage.host.status().configured, Timing(1, 30))
