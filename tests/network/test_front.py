"""
Tests for L{txcarp.network.front}, in the kernel.
"""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests import crafted
from tests.network.scenery import (
    GROUP4,
    GROUP6,
    awaitDelivery,
    awaitIPv6,
    ipv6Packet,
    sendUntilRead,
)
from tests.network.test_readers import FakeReactor
from tests.testbed.fixture import makeTestbed
from txcarp.network.admission import Admission
from txcarp.network.frames import groupAddress, ipv4Frame, ipv6Frame
from txcarp.network.front import FrontDoor
from txcarp.network.interfaceport import openFrameSocket
from txcarp.protocol.envelope import Packet, readPacket
from txcarp.protocol.family import Family
from txcarp.testbed import Node

STRANGER = bytes.fromhex("02f100000001")
SOMEBODY = bytes.fromhex("02f100000002")


def framed(packet: bytes, hardware: bytes | None = None) -> bytes:
    """
    Put an advertisement into a frame to its group, or to one card.
    """
    if packet[0] >> 4 == 4:
        return ipv4Frame(hardware or groupAddress(GROUP4), STRANGER, packet)
    return ipv6Frame(hardware or groupAddress(GROUP6), STRANGER, packet)


def wanted(*vhids: int, group: bytes = GROUP4) -> Admission:
    """
    Some virtual hosts of one group.
    """
    return Admission(dict.fromkeys(vhids or (crafted.VHID,), group))


class FrontDoorTests(SynchronousTestCase):
    """
    A host with a front door, and one that sends frames.
    """

    def setUp(self) -> None:
        """
        Make them.
        """
        testbed = makeTestbed(self)
        self.a, self.b = testbed.node("a"), testbed.node("b")
        for node in self.a, self.b:
            awaitIPv6(node)
        self.frames = self.frameSocket(self.a)
        self.reactor: Any = FakeReactor()
        self.received: list[Packet] = []
        self.clock = Clock()
        self.closed = self.changes = 0

    def frameSocket(self, node: Node) -> socket.socket:
        """
        Open the socket by which a host sends frames.
        """
        with node.inside():
            frames = openFrameSocket("eth0")
        self.addCleanup(frames.close)
        return frames

    def door(self, family: Family = Family.IPV4) -> FrontDoor:
        """
        Open a front door on the second host.
        """
        with self.b.inside():
            door = FrontDoor(
                self.reactor,
                self.clock,
                "eth0",
                family,
                self.received.append,
                self.changed,
                self.lost,
            )
        self.addCleanup(door.stop)
        return door

    def changed(self) -> None:
        """
        Count.
        """
        self.changes += 1

    def lost(self) -> None:
        """
        Count.
        """
        self.closed += 1

    def read(self, door: FrontDoor) -> list[Packet]:
        """
        Return what one turn reads from a door.
        """
        if self.b.link().up:
            awaitDelivery(self.a, self.b)
        door.doRead()
        received, self.received[:] = list(self.received), []
        return received

    def test_interface(self) -> None:
        """
        It is a descriptor that the reactor reads until it is stopped.
        """
        door = self.door()
        verifyObject(IReadDescriptor, door)
        self.assertEqual(self.reactor.readers, [door])
        self.assertGreaterEqual(door.fileno(), 0)
        self.assertEqual(door.logPrefix(), "txcarp front IPv4")
        for _ in range(2):
            door.stop()
        door.watch(wanted(1))
        door.doRead()
        self.assertEqual((self.reactor.readers, door.fileno()), ([], -1))

    def test_wanted(self) -> None:
        """
        Good packets of the watched virtual host and family are reported whole.  Others are not: of
        other virtual hosts, with a wrong header, to other hosts, from this host, or from before the
        watch.
        """
        own = self.frameSocket(self.b)
        for family, packet in (
            (Family.IPV4, crafted.packet()),
            (Family.IPV6, ipv6Packet()),
        ):
            door = self.door(family)
            self.frames.send(framed(packet))
            group = GROUP4 if family is Family.IPV4 else GROUP6
            door.watch(wanted(group=group))
            for other in (
                *(crafted.packet(vhid=99), ipv6Packet(99)),
                *(crafted.packet(ttl=64), ipv6Packet(hopLimit=64)),
            ):
                self.frames.send(framed(other))
            wrong = ipv6Packet() if family is Family.IPV4 else crafted.packet()
            self.frames.send(framed(wrong))
            self.frames.send(framed(packet, SOMEBODY))
            own.send(framed(packet))
            self.frames.send(framed(packet))
            self.frames.send(framed(packet, self.b.link().address))
            self.assertEqual(self.read(door), [readPacket(packet)] * 2)

    def test_padded(self) -> None:
        """
        What follows a packet in its frame does not belong to it.
        """
        door = self.door()
        door.watch(wanted())
        packet = crafted.packet()
        self.frames.send(framed(packet) + b"\0" * 6)
        self.assertEqual(self.read(door), [readPacket(packet)])

    def test_watchedNoMore(self) -> None:
        """
        Packets of a virtual host that is no longer watched are not reported.
        """
        door = self.door()
        door.watch(wanted(crafted.VHID, 99))
        door.watch(wanted(99))
        self.frames.send(framed(crafted.packet()))
        self.frames.send(framed(crafted.packet(vhid=99)))
        self.assertEqual(self.read(door), [readPacket(crafted.packet(vhid=99))])

    def test_turn(self) -> None:
        """
        A turn of the reactor reads a limited number of packets.
        """
        door = self.door()
        door.watch(wanted())
        for _ in range(FrontDoor.messagesPerTurn + 1):
            self.frames.send(framed(crafted.packet()))
        self.assertEqual(len(self.read(door)), FrontDoor.messagesPerTurn)
        self.assertEqual(len(self.read(door)), 1)

    def test_closedMeanwhile(self) -> None:
        """
        If it is stopped while a packet is handled, no further packet is reported.
        """
        with self.b.inside():
            door = FrontDoor(
                self.reactor,
                self.clock,
                "eth0",
                Family.IPV4,
                lambda packet: door.stop(),
                self.changed,
                self.lost,
            )
        door.watch(wanted())
        for _ in range(2):
            self.frames.send(framed(crafted.packet()))
        self.read(door)
        self.assertEqual(door.fileno(), -1)

    def test_number(self) -> None:
        """
        The descriptor stays open until the next turn: the reactor may still have an error to
        report for its number.
        """
        door = self.door()
        number = door.fileno()
        door.stop()
        self.assertTrue(Path(f"/proc/self/fd/{number}").exists())
        self.reactor.turn()
        self.assertFalse(Path(f"/proc/self/fd/{number}").exists())

    def test_down(self) -> None:
        """
        It works again after the interface was down.
        """
        door = self.door()
        door.watch(wanted())
        self.b.setInterface(False)
        self.assertEqual(self.read(door), [])
        self.b.setInterface(True)
        sendUntilRead(lambda: self.frames.send(framed(crafted.packet())), door.fileno())
        self.assertEqual(set(self.read(door)), {readPacket(crafted.packet())})
        self.assertEqual(self.closed, 0)

    def test_lost(self) -> None:
        """
        It is reported when the reactor gives the socket up, but not after a stop.
        """
        door = self.door()
        for _ in range(2):
            door.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.closed, door.fileno()), (1, -1))

    def test_missing(self) -> None:
        """
        Without an interface no socket can be opened, and none is left open.
        """
        self.b.deleteInterface()
        before = set(Path("/proc/self/fd").iterdir())
        arguments = self.received.append, self.changed, self.lost
        with self.b.inside():
            for family in Family:
                refused = self.assertRaises(
                    OSError, FrontDoor, self.reactor, self.clock, "eth0", family, *arguments
                )
                self.assertEqual(refused.errno, errno.ENODEV)
            self.assertRaises(OSError, openFrameSocket, "eth0")
        self.assertEqual(set(Path("/proc/self/fd").iterdir()), before)
