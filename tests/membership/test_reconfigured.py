"""
Settings that change while a virtual host runs, without an interruption.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.checks.scripted import Scripted
from tests.fakes import GOOD_LINK, Stage, configured
from tests.mastership.table import LeaseStage, refused
from txcarp.addresses import parseIPv4, parseIPv6, parseVirtualAddress, textOf
from txcarp.checks.health import HealthCheck
from txcarp.configuration.difference import ADVERTISED, LIVE
from txcarp.configuration.model import FlapLimit, SyncSettings, TrackedInterface
from txcarp.configuration.steps import ConfiguredStep
from txcarp.membership.reception import keyringOf
from txcarp.protocol.authentication import CURRENT
from txcarp.protocol.effects import Role
from txcarp.protocol.envelope import readPacket
from txcarp.protocol.events import HoldReason
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.seal import Fields

#: Another value for each setting that can change.
OTHERS: dict[str, Any] = {
    "advbase": 2,
    "advskew": 9,
    "deadRatio": 5,
    "preempt": True,
    "preemptDelay": 5.0,
    "startDelay": 5.0,
    "flapLimit": FlapLimit(5, 30.0),
    "anyFamily": True,
    "probe": 0.01,
    "witnesses": (parseIPv4("10.99.0.254"),),
    "trackedInterfaces": (TrackedInterface("eth1"),),
    "checks": (HealthCheck("always", Scripted()),),
    "steps": (ConfiguredStep(name="nothing", command=("/bin/true",)),),
    "ignoreLink": True,
    "guard": False,
    "releaseFirst": True,
    "announceEvery": 10.0,
    "upScript": "other-up",
    "downScript": "other-down",
    "label": "eth7:1",
    "parameter": "x",
    "scriptTimeout": 5.0,
    "neutral": False,
    "shutdown": True,
    "password": b"Geheimnis",
    "otherPasswords": (b"Geheimnis",),
    "otherAddresses": ((parseVirtualAddress("10.0.0.7"),),),
    "signedHardware": b"\2\0\0\0\0\1",
    "source": parseIPv4("10.99.0.77"),
    "source6": parseIPv6("fe80::77"),
    "peers": (parseIPv4(crafted.PEER),),
    "followPeers": True,
    "sync": SyncSettings("firewall"),
    "title": "web",
    "debug": True,
}


def change(stage: Stage, **settings: Any) -> None:
    """
    Change settings of a virtual host.
    """
    stage.host.reconfigure(attrs.evolve(stage.host.configuration, **settings))


class EachTests(SynchronousTestCase):
    """
    What all of these settings have in common.
    """

    def test_master(self) -> None:
        """
        A master remains master in the same run.  It sends one advertisement if the setting is in
        it, acquires a new step, and does nothing otherwise.
        """
        self.assertEqual({*OTHERS}, LIVE - {"resetConnections"})  # which needs assign
        for setting, value in OTHERS.items():
            stage = Stage(neutral=True)
            stage.links.set("eth1", GOOD_LINK)
            stage.becomeMaster()
            run = stage.host._run
            change(stage, **{setting: value})
            timing = stage.host.configuration.timing
            done: list[object] = []
            if setting in ADVERTISED:
                forms = 2 if setting in ("otherPasswords", "otherAddresses") else 1
                done += [("advertise", timing.advbase, timing.advskew)] * forms
            if setting == "steps":
                done.append(("script", "/bin/true"))
            self.assertEqual(stage.journal, done, setting)
            self.assertIs(stage.host._run, run)
            self.assertIs(stage.host.role, Role.MASTER)
            self.assertEqual(getattr(stage.host.configuration, setting), value)

    def test_traced(self) -> None:
        """
        The change is an event with the settings in it, like everything that happens.
        """
        happened: list[Any] = []

        class Trace:
            def happened(self, event: object) -> None:
                happened.append(event)

            def decided(self, effect: object) -> None:
                pass

        stage = Stage()
        stage.start()
        stage.host.follow(Trace())  # type: ignore[arg-type]
        change(stage, advskew=9, password=b"Geheimnis")
        self.assertEqual(happened[0].settings, (("password", b"Geheimnis"), ("advskew", 9)))
        self.assertEqual(repr(happened[0]), "Reconfigured(settings=password, advskew)")

    def test_backup(self) -> None:
        """
        A backup says nothing.
        """
        stage = Stage(neutral=True)
        stage.start()
        stage.deliver()
        change(stage, **OTHERS)
        self.assertEqual(stage.journal, [])
        self.assertIs(stage.host.role, Role.BACKUP)


class TimingTests(SynchronousTestCase):
    """
    advbase, advskew, the dead ratio and preemption.
    """

    def test_rhythm(self) -> None:
        """
        A master keeps the new rhythm from its next advertisement on.
        """
        stage = Stage(neutral=True)
        stage.becomeMaster()
        stage.run(0.25)
        change(stage, advbase=2, advskew=128)
        start = stage.clock.seconds()
        stage.run(5)
        times = [when - start for when in stage.transport.times if when >= start]
        self.assertEqual(times, [0.0, 2.5, 5.0])

    def test_demoted(self) -> None:
        """
        Demotions are added to the new skew.
        """
        stage = Stage(neutral=True)
        stage.becomeMaster()
        stage.host.demote("slow disk", 20)
        stage.journal.clear()
        change(stage, advskew=50)
        self.assertEqual(stage.journal[0], ("advertise", 1, 70))

    def test_deadTime(self) -> None:
        """
        The next advertisement sets the deadline by the new dead ratio.
        """
        stage = Stage(neutral=True)
        stage.start()
        stage.deliver()
        change(stage, deadRatio=5)
        stage.deliver(counter=7)
        self.assertEqual(stage.host.status().deadline, 5.0)

    def test_preempt(self) -> None:
        """
        A backup that may preempt from now on, and was healthy for long enough, does so.
        """
        for settings, role in (
            ({"preempt": True}, Role.MASTER),
            ({"preempt": True, "preemptDelay": 5.0}, Role.MASTER),
            ({"preempt": True, "preemptDelay": 7.0}, Role.BACKUP),
            ({"preempt": False}, Role.BACKUP),
        ):
            stage = Stage(neutral=True)
            stage.start()
            for counter in range(6):
                stage.deliver(advskew=100, counter=counter)
                stage.run(1)
            change(stage, **settings)
            stage.deliver(advskew=100, counter=9)
            self.assertIs(stage.host.role, role, settings)

    def test_betterPeer(self) -> None:
        """
        A master that is less preferred from now on gives way to the next better advertisement.
        """
        stage = Stage(neutral=True)
        stage.becomeMaster()
        change(stage, advskew=100)
        stage.deliver(advskew=50)
        self.assertIs(stage.host.role, Role.BACKUP)

    def test_anyFamily(self) -> None:
        """
        A family that is silent already is enough as soon as one is to be enough.
        """
        for limit, role in ((True, Role.MASTER), (False, Role.BACKUP)):
            stage = Stage(neutral=True, addresses=[crafted.ADDRESS, "fd00::7"])
            stage.start()
            for counter in range(1, 6):
                stage.deliver(addresses=(crafted.ADDRESS, "fd00::7"), counter=counter)
                stage.run(1)
            self.assertIs(stage.host.role, Role.BACKUP)
            change(stage, anyFamily=limit, title="x")
            self.assertIs(stage.host.role, role)

    def test_flapLimit(self) -> None:
        """
        The new limit counts for the changes of role from then on.
        """
        stage = Stage(neutral=True, flapLimit=None)
        stage.becomeMaster()
        change(stage, flapLimit=FlapLimit(2, 100.0))
        stage.deliver(advskew=0, advbase=0, counter=5)
        stage.run(4)
        stage.deliver(advskew=0, advbase=0, counter=6)
        reasons = [hold.reason for hold in stage.host.status().holds]
        self.assertEqual(reasons, [HoldReason.FLAPPING])


class KeyTests(SynchronousTestCase):
    """
    Passwords and sets of addresses.
    """

    def test_password(self) -> None:
        """
        A master signs and seals with each of its passwords at once, with the new one first, and
        accepts what is signed with any of them.
        """
        stage = Stage(neutral=True)
        stage.becomeMaster()
        change(stage, password=b"new", otherPasswords=(crafted.PASSWORD,))
        stage.run(1)
        passwords = (b"new", crafted.PASSWORD) * 2
        sent = stage.transport.advertisements[-4:]
        for said, password in zip(sent, passwords, strict=True):
            keyring = keyringOf(configured(password=password))
            self.assertEqual(keyring.recognise(said.counter, said.digest), CURRENT)
            says = Fields(said.advbase, said.advskew, said.demotion)
            self.assertTrue(keyring.forms[0].seal.opens(said.counter, says, parseIPv4(crafted.OWN)))
        for counter, password in enumerate((b"new", crafted.PASSWORD)):
            stage.deliver(advskew=200, password=password, counter=counter)
        self.assertEqual(stage.host.status().received, 2)
        change(stage, otherPasswords=())
        stage.deliver(advskew=200, password=crafted.PASSWORD, counter=9)
        self.assertEqual(stage.host.status().received, 2)
        stage.transport.packets.clear()
        stage.run(1)
        [said] = stage.transport.advertisements
        self.assertIsNone(keyring.recognise(said.counter, said.digest))

    def test_otherAddresses(self) -> None:
        """
        Another set of addresses is accepted from now on.
        """
        stage = Stage(neutral=True)
        stage.start()
        for counter, more in enumerate(((), (("10.0.0.7",),))):
            change(stage, otherAddresses=more)
            stage.deliver(addresses=("10.0.0.7",), counter=counter)
            self.assertEqual(stage.host.status().received, counter)

    def test_verification(self) -> None:
        """
        Seals are demanded from now on.
        """
        stage = Stage(neutral=True)
        stage.start()
        for counter, mode in enumerate(("learn", "require")):
            change(stage, verification=mode)
            stage.deliver(counter=counter)
        self.assertEqual(stage.host.status().received, 1)
        self.assertEqual(stage.host.status().rejected, {Rejection.UNSEALED: 1})


class WayTests(SynchronousTestCase):
    """
    Where advertisements come from and go to.
    """

    def ends(self, packet: bytes) -> tuple[str, str]:
        """
        The source and the destination of a packet.
        """
        read = readPacket(packet)
        return textOf(read.source), textOf(read.destination)

    def test_source(self) -> None:
        """
        They come from another source at once, and what comes from it counts as this host's own.
        """
        stage = Stage(neutral=True)
        stage.becomeMaster()
        change(stage, source="10.99.0.77")
        last = stage.transport.packets[-1]
        self.assertEqual(self.ends(last), ("10.99.0.77", "224.0.0.18"))
        stage.deliver(last)
        self.assertEqual(stage.host.status().rejected, {Rejection.OWN_ECHO: 1})

    def test_peers(self) -> None:
        """
        They go to other peers at once.  Peers that were found remain while they may.
        """
        stage = Stage(neutral=True, followPeers=True, verification="off")
        stage.start()
        stage.deliver(advskew=250)
        stage.run(4)
        self.assertIs(stage.host.role, Role.MASTER)
        group, found = "224.0.0.18", crafted.PEER
        for settings, expected in (
            ({}, [group, found]),
            ({"peers": ("10.99.0.9",)}, [group, "10.99.0.9", found]),
            ({"peers": (found,)}, [group, found]),
            ({"followPeers": False}, [found]),
            ({"peers": ()}, [group]),
        ):
            change(stage, **settings, title=str(settings))
            stage.transport.packets.clear()
            stage.run(1)
            sent = [self.ends(packet)[1] for packet in stage.transport.packets]
            self.assertEqual(sent, expected)

    def test_linkLocal(self) -> None:
        """
        The source that was found on the interface remains known if something else changes.
        """
        settings = {"addresses": ["fd00::7"], "source": None, "verification": "off"}
        stage = Stage(neutral=True, **settings)
        stage.becomeMaster()
        change(stage, preempt=True)
        stage.deliver(stage.transport.packets[-1])
        self.assertEqual(stage.host.status().rejected, {Rejection.OWN_ECHO: 1})


class LinkTests(SynchronousTestCase):
    """
    Interfaces.
    """

    def test_tracked(self) -> None:
        """
        An interface is tracked from now on, by another amount, or no longer.
        """
        stage = Stage(neutral=True)
        stage.becomeMaster()
        for tracked, demotion in (
            (("eth1:50",), 50),
            (("eth1:20", "eth2:7"), 27),
            (("eth2:7",), 7),
            ((), 0),
        ):
            stage.journal.clear()
            change(stage, trackedInterfaces=tracked)
            self.assertEqual(stage.host.status().demotion, demotion)
            self.assertIn(("advertise", 1, demotion), stage.journal)
            watched = sorted(name for name, _ in stage.links.observers)
            self.assertEqual(watched, [*(one.partition(":")[0] for one in tracked), "eth7"])
        stage.host.stopService()
        self.assertEqual(stage.links.observers, [])

    def test_trackedOwn(self) -> None:
        """
        The interface of the group, which is watched already, can be tracked, too.
        """
        stage = Stage(neutral=True, ignoreLink=True)
        stage.becomeMaster()
        stage.links.change(running=False)
        change(stage, trackedInterfaces=("eth7:30",))
        self.assertEqual(stage.host.status().demotion, 30)
        change(stage, trackedInterfaces=())
        self.assertEqual(stage.host.status().demotion, 0)

    def test_ignoreLink(self) -> None:
        """
        A lost carrier is ignored from now on, or no longer.
        """
        stage = Stage(neutral=True)
        stage.links.change(running=False)
        stage.start()
        for ignore in (True, False, True):
            change(stage, ignoreLink=ignore)
            held = [hold.reason for hold in stage.host.status().holds]
            self.assertEqual(held, [] if ignore else [HoldReason.NO_LINK])


class MastershipTests(SynchronousTestCase):
    """
    What a master does.
    """

    def test_scripts(self) -> None:
        """
        Other scripts run from the next change of role on.
        """
        stage = Stage(neutral=True)
        stage.becomeMaster()
        change(stage, upScript="new-up", downScript="new-down", parameter="x", scriptTimeout=5.0)
        self.assertEqual(stage.journal, [])
        stage.host.resign()
        stage.run(0.5)
        self.assertIn(("script", "new-down", "eth7", crafted.ADDRESS, "x"), stage.journal)
        self.assertEqual(stage.scripts.limits[-1], 5.0)

    def test_shutdown(self) -> None:
        """
        Whether the down script runs at the end can change.
        """
        stage = Stage(neutral=True)
        stage.becomeMaster()
        change(stage, shutdown=True)
        stage.host.stopService()
        stage.run(0.5)
        self.assertIn(("script", "down", "eth7", crafted.ADDRESS), stage.journal)

    def test_releaseFirst(self) -> None:
        """
        So can the order of release and bow-out.
        """
        stage = Stage(neutral=True, shutdown=True)
        stage.becomeMaster()
        change(stage, releaseFirst=True)
        stage.host.stopService()
        self.assertEqual([one[0] for one in stage.journal[:2]], ["script", "advertise"])

    def test_announcements(self) -> None:
        """
        Announcements are repeated at the new interval, and not at the old one.
        """
        stage = Stage(neutral=True, announceEvery=60.0)
        stage.becomeMaster()
        stage.run(5)
        for every, expected in ((10.0, 3), (None, 0), (20.0, 1)):
            change(stage, announceEvery=every)
            stage.journal.clear()
            stage.run(35)
            announced = [one for one in stage.journal if one[0] == "announce"]
            self.assertEqual(len(announced), expected, every)

    def test_lease(self) -> None:
        """
        A master takes the lease for the new timing at once, because its successor waits no longer
        than that from now on.
        """
        stage = LeaseStage(deadRatio=6)
        stage.becomeMaster()
        stage.run(0.5)
        stage.journal.clear()
        change(stage, deadRatio=3)
        self.assertEqual(stage.journal, [("hold", 2, crafted.ADDRESS)])
        [address] = stage.host.status().addresses
        self.assertEqual((address.held, address.lease), (True, 2.0))
        stage.run(10)
        self.assertIn(crafted.ADDRESS, stage.table.present)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_addresses(self) -> None:
        """
        A master has other addresses at once.  It drops those that are gone, leaves the others
        alone, announces all, and advertises for both sets.
        """
        one, other, third = "10.0.0.7/24", "10.0.0.8/24", "10.0.0.9/24"
        stage = LeaseStage(addresses=[one, other])
        stage.becomeMaster()
        run = stage.host._run
        change(stage, addresses=[other, third], otherAddresses=[[one, other]])
        advertised = [("advertise", 1, 0)] * 2
        self.assertEqual(
            stage.events("hold", "drop", "advertise"), [("hold", 2, "10.0.0.9"), *advertised]
        )
        stage.run(0)  # until then, another group may have got the address
        self.assertEqual(stage.events("drop"), [("drop", "10.0.0.7")])
        announced = {event[1] for event in stage.events("announce")}
        self.assertEqual(announced, {"10.0.0.8", "10.0.0.9"})
        self.assertEqual(
            [(address.text, address.held) for address in stage.host.status().addresses],
            [(other, True), (third, True)],
        )
        self.assertIs(stage.host._run, run)
        self.assertIs(stage.host.role, Role.MASTER)
        stage.run(10)
        self.assertEqual(set(stage.table.present), {"10.0.0.8", "10.0.0.9"})
        stage.journal.clear()
        stage.host.stopService()
        stage.run(1)
        self.assertEqual(stage.events("drop"), [("drop", "10.0.0.8", "10.0.0.9")])

    def test_addressesOfBackup(self) -> None:
        """
        A backup has none, and gets the new ones when it becomes master.
        """
        stage = LeaseStage(addresses=["10.0.0.7/24"])
        stage.start()
        stage.deliver(addresses=("10.0.0.7",))
        stage.journal.clear()
        change(stage, addresses=["10.0.0.8/24"])
        self.assertEqual(stage.journal, [])
        stage.run(4)
        self.assertEqual(set(stage.table.present), {"10.0.0.8"})

    def test_addressRefused(self) -> None:
        """
        A master that cannot have a new address hands over.
        """
        stage = LeaseStage(addresses=["10.0.0.7/24"])
        stage.becomeMaster()
        stage.table.error = refused()
        with capturedLogs():
            change(stage, addresses=["10.0.0.7/24", "10.0.0.8/24"])
            stage.run(1)
        self.assertIn(("advertise", 255, 255), stage.journal)
        self.assertIs(stage.host.role, Role.BACKUP)

    def test_addressForeign(self) -> None:
        """
        A new address that another program has added stays as it is.
        """
        stage = LeaseStage(addresses=["10.0.0.7/24"])
        stage.becomeMaster()
        stage.table.foreign.add("10.0.0.8")
        with capturedLogs() as logs:
            change(stage, addresses=["10.0.0.8/24"])
            stage.run(0)
        self.assertEqual(stage.events("hold", "drop"), [("drop", "10.0.0.7")])
        self.assertIn("added by another program", str(formatEvent(logs[-1])))

    def test_leaseOfBackup(self) -> None:
        """
        A backup takes none.
        """
        stage = LeaseStage(deadRatio=6)
        stage.start()
        stage.deliver()
        stage.journal.clear()
        change(stage, deadRatio=3)
        self.assertEqual(stage.journal, [])


class LogTests(SynchronousTestCase):
    """
    What is logged.
    """

    def test_debug(self) -> None:
        """
        Packets are logged from now on.
        """
        stage = Stage(neutral=True)
        stage.start()
        change(stage, debug=True)
        with capturedLogs() as events:
            stage.deliver()
            stage.deliver(badDigest=True)
        said = [str(formatEvent(event)) for event in events]
        self.assertTrue(any(one.startswith("Received from ") for one in said), said)
        self.assertTrue(any(one.startswith("Dropped from ") for one in said), said)

    def test_seals(self) -> None:
        """
        The time by which sealed advertisements may be late is that of the new timing.
        """
        stage = Stage(neutral=True)
        stage.start()
        change(stage, advbase=200)
        seals = stage.host._memory.seals
        assert seals is not None
        self.assertEqual(seals.freshness._lag, 600.0)
