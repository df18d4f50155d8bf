"""
Tests for L{txcarp.network.interfaceport} and L{txcarp.network.familyport}: sockets of the
kernel, with a reactor and a clock that a test drives.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import select
import socket
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests import crafted
from tests.network.scenery import (
    GROUP4,
    GROUP6,
    FakeLinks,
    FakeReceiver,
    addressesOf,
    awaitIPv6,
    ipv6Packet,
    sendUntilRead,
)
from tests.network.test_readers import FakeReactor
from tests.testbed.fixture import makeTestbed
from txcarp.addresses import parseAddress
from txcarp.interfaces import ILinkObserver
from txcarp.links import InterfaceAddress
from txcarp.netlink.blocking import BlockingNetlink
from txcarp.netlink.requests import setLink
from txcarp.network import familyport, interfaceport, socketfilter
from txcarp.network.familyport import FamilyPort
from txcarp.network.frames import groupAddress, ipv4Frame, ipv6Frame
from txcarp.network.front import FrontDoor
from txcarp.network.interfaceport import InterfacePort
from txcarp.network.rawsocket import RawSocket
from txcarp.network.readers import IPv6Reader
from txcarp.network.sample import Sample
from txcarp.network.sockets import MissingCapability
from txcarp.protocol.envelope import Packet, readPacket
from txcarp.testbed import Node
from txcarp.testbed.namespaces import NetworkNamespace

_SIOCSIFMTU = 0x8922


def setMTU(node: Node, size: int) -> None:
    """
    Set the size of the largest packet on C{eth0}; below 1280 bytes there is no IPv6.
    """
    with node.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFMTU, struct.pack("16si12x", b"eth0", size))


def texts(events: list[LogEvent]) -> list[str]:
    """
    Return what was logged as a warning or worse.
    """
    return [formatEvent(event) for event in events if event["log_level"] >= LogLevel.warn]


class InterfacePortTests(SynchronousTestCase):
    """
    An interface of one host, on which a virtual host takes part in both families, and a second
    host that sends.
    """

    def setUp(self) -> None:
        """
        Make them.
        """
        testbed = makeTestbed(self)
        self.node, self.other = testbed.node("a"), testbed.node("b")
        for node in self.node, self.other:
            awaitIPv6(node)
        self.reactor: Any = FakeReactor()
        self.clock = Clock()
        self.links = FakeLinks()
        self.receiver = FakeReceiver()
        self.addresses = addressesOf(self.node)
        self.port = InterfacePort(self.reactor, self.clock, self.links, self.addresses, "eth0")

    def add(self, vhid: int, group: bytes, receiver: FakeReceiver | None = None) -> FamilyPort:
        """
        Take part in a group.
        """
        family = self.port.add(vhid, group)
        family.deliverTo(vhid, receiver or self.receiver)
        return family

    def started(self, *groups: bytes) -> list[FamilyPort]:
        """
        Take part in groups, and start the port.
        """
        families = [self.add(crafted.VHID, group) for group in groups]
        with self.node.inside():
            self.port.start()
        self.addCleanup(self.port.stop)
        return families

    def tell(self) -> None:
        """
        Have the link monitor report the interface as it is.
        """
        with self.node.inside():
            self.links.tell("eth0", self.node.link())

    def passTime(self, seconds: float) -> None:
        """
        Let time pass.
        """
        with self.node.inside():
            self.clock.advance(seconds)

    def readers(self, kind: type) -> list[Any]:
        """
        The readers of one kind that the reactor has.
        """
        return [reader for reader in self.reactor.readers if isinstance(reader, kind)]

    def hears(self) -> bool:
        """
        Whether an IPv6 advertisement of the other host arrives.
        """
        (reader,) = self.readers(IPv6Reader)
        awaitIPv6(self.node)
        frame = ipv6Frame(groupAddress(GROUP6), self.other.link().address, ipv6Packet())
        with self.other.socket(socket.AF_PACKET, socket.SOCK_RAW) as frames:
            frames.bind(("eth0", 0))
            sendUntilRead(lambda: frames.send(frame), reader.fileno())
        before = len(self.receiver.received)
        reader.doRead()
        return set(self.receiver.received[before:]) == {readPacket(ipv6Packet())}

    def assertErrno(self, number: int, call: Any, *arguments: Any) -> None:
        """
        Check that a call raises an L{OSError} for this reason.
        """
        self.assertEqual(self.assertRaises(OSError, call, *arguments).errno, number)

    def test_interface(self) -> None:
        """
        It observes its link while it is started.
        """
        verifyObject(ILinkObserver, self.port)
        self.add(crafted.VHID, GROUP4)
        with self.node.inside():
            self.port.start()
        self.assertEqual(self.links.observers, [("eth0", self.port)])
        self.assertEqual(len(self.readers(Sample)), 1)
        self.assertEqual(len(self.reactor.readers), 2)
        self.port.stop()
        self.assertEqual(self.links.observers, [])
        self.assertEqual(self.reactor.readers, [])
        self.assertTrue(self.reactor.port.stopped)

    def test_shared(self) -> None:
        """
        There is one socket and one front door for each family, however many virtual hosts share
        them, until the last one leaves.
        """
        ipv4, _ = self.started(GROUP4, GROUP6)
        self.assertEqual(len(self.reactor.adopted), 1)
        self.assertEqual(len(self.readers(IPv6Reader)), 1)
        self.assertEqual(len(self.readers(FrontDoor)), 2)
        with self.node.inside():
            self.assertIs(self.add(99, GROUP4), ipv4)
        self.assertEqual(len(self.reactor.adopted), 1)
        self.assertFalse(self.port.remove(crafted.VHID))
        self.assertEqual(self.readers(IPv6Reader), [])
        self.assertEqual(len(self.readers(FrontDoor)), 1)
        self.assertFalse(self.port.remove(crafted.VHID))
        self.assertTrue(self.port.remove(99))
        self.assertEqual(self.reactor.readers, [])

    def test_oneExchange(self) -> None:
        """
        However many virtual hosts come and go in one turn, the filter of each socket is exchanged
        once.  Those that came hear at once, as far as they are told.
        """
        ipv4, ipv6 = self.started(GROUP4, GROUP6)
        attach = socketfilter.attach
        exchanged = Counter[int]()

        def count(sock: socket.socket, code: bytes) -> None:
            exchanged[sock.fileno()] += 1
            attach(sock, code)

        self.patch(socketfilter, "attach", count)
        receiver = FakeReceiver()
        others = [vhid for vhid in range(1, 251) if vhid != crafted.VHID]
        with self.node.inside():
            for vhid in others:
                self.add(vhid, GROUP4, receiver)
                self.add(vhid, GROUP6, receiver)
                ipv4.watchFront(vhid, True)
                self.assertTrue(ipv4.hears(vhid))
        self.assertEqual(exchanged, {})
        self.passTime(0)
        self.assertEqual(sorted(exchanged.values()), [1] * 5)  # the front of IPv6 is not watched
        exchanged.clear()
        for vhid in others[:-1]:
            self.port.remove(vhid)
        self.passTime(0)
        self.assertEqual(sorted(exchanged.values()), [1] * 5)
        self.assertEqual(receiver.changes, 0)
        self.assertTrue(ipv6.hears(others[-1]))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_secondFamily(self) -> None:
        """
        A family that is added later is open at once.
        """
        self.started(GROUP4)
        with self.node.inside():
            self.add(crafted.VHID, GROUP6)
        self.assertTrue(self.hears())

    def test_awaited(self) -> None:
        """
        An interface that does not exist yet is awaited, and nothing is logged.
        """
        self.node.deleteInterface()
        with capturedLogs() as events:
            ipv4, ipv6 = self.started(GROUP4, GROUP6)
            with self.node.inside():
                self.links.tell("eth0", None)
        self.assertEqual(texts(events), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for call in (
            lambda: ipv4.send(crafted.packet(), GROUP4),
            lambda: ipv6.send(ipv6Packet(), GROUP6),
            self.port.hardwareAddress,
            lambda: self.port.sendFrame(b""),
        ):
            self.assertErrno(errno.ENODEV, call)
        self.assertFalse(ipv6.hasUnread())
        self.node.createInterface()
        self.tell()
        self.assertTrue(self.hears())
        self.assertEqual(self.port.hardwareAddress(), self.node.link().address)

    def test_recreated(self) -> None:
        """
        When the interface was deleted and made again, new sockets are opened, whether both
        events arrive or only the last.
        """
        self.started(GROUP4, GROUP6)
        self.tell()
        self.assertTrue(self.hears())
        for told in True, False:
            before = self.readers(IPv6Reader)
            self.node.deleteInterface()
            if told:
                self.links.tell("eth0", None)
                self.assertEqual(self.reactor.readers, [])
            self.node.createInterface()
            self.tell()
            self.assertNotEqual(self.readers(IPv6Reader), before)
            self.assertEqual(len(self.readers(FrontDoor)), 2)
            self.assertTrue(self.hears())
        self.assertEqual(len(self.reactor.adopted), 3)

    def test_sameIndex(self) -> None:
        """
        New sockets are also opened if no event reported that the interface was away, and it has
        its old index.
        """
        self.started(GROUP4, GROUP6)
        self.tell()
        away = NetworkNamespace.create()
        self.addCleanup(away.close)
        index = self.node.link().index
        with self.node.netlink() as netlink:
            netlink.request(setLink(index, namespace=away.fileno()))
        with away.inside(), BlockingNetlink() as netlink:
            netlink.request(setLink(index, namespace=self.node.namespace.fileno()))
        self.node.setInterface(True)
        self.assertEqual(self.node.link().index, index)
        for front in self.readers(FrontDoor):
            self.reactor.readers.remove(front)
            front.connectionLost(Failure(ConnectionDone()))
        self.passTime(1.0)
        self.assertTrue(self.hears())
        self.assertEqual(self.port.hardwareAddress(), self.node.link().address)

    def test_shortPackets(self) -> None:
        """
        Below the least MTU of IPv6 the socket leaves its group, as the kernel does, and that is
        logged.  It joins again as soon as IPv6 is back.
        """
        _, ipv6 = self.started(GROUP4, GROUP6)
        self.tell()
        setMTU(self.node, 1000)
        with capturedLogs() as events:
            self.tell()
            self.passTime(1.0)
        self.assertEqual(
            texts(events),
            ["Unable to open interface [eth0] for IPv6: its MTU is 1000, and IPv6 needs 1280"],
        )
        self.assertEqual(self.readers(IPv6Reader), [])
        self.assertErrno(errno.ENETDOWN, ipv6.send, ipv6Packet(), GROUP6)
        setMTU(self.node, 1500)
        self.tell()
        self.assertTrue(self.hears())

    def test_staleEvent(self) -> None:
        """
        An event of an interface that has been replaced since does no harm.
        """
        self.started(GROUP4, GROUP6)
        self.tell()
        self.receiver.changes = 0
        stale = attrs.evolve(self.node.link(), index=self.node.link().index + 1)
        with capturedLogs() as events:
            with self.node.inside():
                self.links.tell("eth0", stale)
            self.tell()
        self.assertEqual(texts(events), [])
        self.assertEqual(self.receiver.changes, 0)
        self.assertTrue(self.hears())

    def test_addresses(self) -> None:
        """
        The virtual hosts are told of addresses from which one of them sends, on any interface,
        and of the link-local addresses of their own.
        """
        ipv4, _ipv6 = self.started(GROUP4, GROUP6)
        self.tell()
        index = self.node.link().index

        def changes(local: str, index: int) -> int:
            packed = parseAddress(local)
            length = 24 if len(packed) == 4 else 64
            family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
            self.receiver.changes = 0
            self.port.addressNoted(
                InterfaceAddress(
                    index=index, family=family, prefixLength=length, local=packed, flags=0
                ),
                None,
                True,
            )
            return self.receiver.changes

        self.assertEqual(changes("10.0.0.1", index + 1), 0)
        ipv4.isLocal(parseAddress("10.0.0.1"))
        self.assertEqual(changes("10.0.0.1", index + 1), 1)
        # They did not ask again.
        self.assertEqual(changes("10.0.0.1", index + 1), 0)
        self.assertEqual(changes("fe80::1", index), 1)
        self.assertEqual(changes("fe80::1", index + 1), 0)
        self.assertEqual(changes("fd00::1", index), 0)

    def test_unchanged(self) -> None:
        """
        Other events of the link change nothing.
        """
        self.started(GROUP4, GROUP6)
        before = list(self.reactor.readers)
        self.tell()
        self.assertEqual(self.reactor.readers, before)

    def test_lost(self) -> None:
        """
        Sockets that the reactor gives up are opened again after a second, once, and the other
        family works meanwhile.
        """
        _, ipv6 = self.started(GROUP4, GROUP6)
        self.tell()
        (reader,) = self.readers(IPv6Reader)
        front, sample = (
            next(one for one in self.readers(kind) if "IPv4" in one.logPrefix())
            for kind in (FrontDoor, Sample)
        )
        with capturedLogs() as events:
            for one in reader, front, sample:
                self.reactor.readers.remove(one)
                one.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(
            texts(events),
            [
                "The IPv6 socket on eth0 was closed by the reactor after an error; "
                "it will be opened again"
            ],
        )
        self.assertEqual(self.reactor.readers, [])
        self.assertErrno(errno.ENETDOWN, ipv6.send, ipv6Packet(), GROUP6)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.passTime(1.0)
        self.assertEqual(len(self.readers(FrontDoor)), 2)
        self.assertEqual(len(self.readers(Sample)), 2)
        self.assertEqual(len(self.reactor.adopted), 1)
        self.assertTrue(self.hears())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lostAtTheEnd(self) -> None:
        """
        Nothing is opened again after a stop.
        """
        self.add(crafted.VHID, GROUP4)
        with self.node.inside():
            self.port.start()
        (front,) = self.readers(FrontDoor)
        self.reactor.readers.remove(front)
        front.connectionLost(Failure(ConnectionDone()))
        self.port.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        with self.node.inside():
            self.port.linkChanged("eth0", self.node.link())
        self.assertEqual(self.reactor.readers, [])

    def test_noIPv6(self) -> None:
        """
        That an interface cannot do IPv6 is logged once.  IPv4 works meanwhile, and IPv6 is
        tried again.
        """
        setMTU(self.node, 1000)
        with capturedLogs() as events:
            ipv4, ipv6 = self.started(GROUP4, GROUP6)
            for _ in range(3):
                self.passTime(1.0)
        (said,) = texts(events)
        self.assertTrue(said.startswith("Unable to open interface [eth0] for IPv6: "), said)
        ipv4.send(crafted.packet(), GROUP4)
        self.assertRaises(OSError, ipv6.send, ipv6Packet(), GROUP6)
        setMTU(self.node, 1500)
        self.passTime(1.0)
        self.assertTrue(self.hears())
        ipv6.send(ipv6Packet(), GROUP6)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def refuse(self, *arguments: object) -> None:
        """
        Refuse to open a raw socket.
        """
        raise MissingCapability("open a raw socket", "CAP_NET_RAW")

    def test_mayNot(self) -> None:
        """
        The start of a process that may not open sockets fails, and leaves nothing behind.
        """
        self.patch(familyport, "RawSocket", self.refuse)
        self.add(crafted.VHID, GROUP4)
        with self.node.inside():
            self.assertRaises(MissingCapability, self.port.start)
            self.assertEqual((self.links.observers, self.reactor.readers), ([], []))
            self.assertErrno(errno.ENODEV, self.port.sendFrame, b"")
            self.port.linkChanged("eth0", self.node.link())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unable(self) -> None:
        """
        If the reactor cannot read a socket, none stays open.
        """

        def refuse(*details: object) -> None:
            raise NotImplementedError("no such sockets")

        self.reactor.adoptDatagramPort = refuse
        gc.collect()  # the ports of other tests, whose reactor never ran
        before = set(Path("/proc/self/fd").iterdir())
        self.add(crafted.VHID, GROUP4)
        with self.node.inside():
            self.assertRaises(NotImplementedError, self.port.start)
        self.assertEqual(set(Path("/proc/self/fd").iterdir()), before)
        self.assertEqual(self.links.observers, [])

    def test_mayNoLonger(self) -> None:
        """
        If the process has lost the capability when the interface is made again, that is logged.
        """
        self.started(GROUP4)
        self.node.deleteInterface()
        self.node.createInterface()
        self.patch(familyport, "RawSocket", self.refuse)
        with capturedLogs() as events:
            self.tell()
        (said,) = texts(events)
        self.assertIn("CAP_NET_RAW", said)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_hearing(self) -> None:
        """
        A receiver is told once when its group cannot be heard any more, and once when it can
        again; not while sockets are only exchanged.
        """
        (ipv4,) = self.started(GROUP4)
        self.assertTrue(ipv4.hears(crafted.VHID))
        self.tell()
        self.receiver.changes = 0
        self.node.deleteInterface()
        self.node.createInterface()
        self.tell()
        self.assertEqual((self.receiver.changes, ipv4.hears(crafted.VHID)), (0, True))
        self.node.deleteInterface()
        self.links.tell("eth0", None)
        self.assertEqual((self.receiver.changes, ipv4.hears(crafted.VHID)), (1, False))
        self.node.createInterface()
        opening = familyport.RawSocket
        self.patch(familyport, "RawSocket", self.refuse)
        self.tell()
        self.passTime(1.0)
        self.assertEqual((self.receiver.changes, ipv4.hears(crafted.VHID)), (1, False))
        self.patch(familyport, "RawSocket", opening)
        self.passTime(1.0)
        self.assertEqual((self.receiver.changes, ipv4.hears(crafted.VHID)), (2, True))

    def test_oneGroupRefused(self) -> None:
        """
        If the kernel refuses one membership, only the virtual hosts of that group hear nothing.
        The membership is requested again.
        """
        ipv4, _ = self.started(GROUP4, GROUP6)
        other, receiver = b"\xe0\0\0\x11", FakeReceiver()
        join = RawSocket._changeMembership
        refuses = True

        def change(raw: RawSocket, group: bytes, member: bool) -> None:
            if refuses and group == other:
                raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
            join(raw, group, member)

        self.patch(RawSocket, "_changeMembership", change)
        self.tell()
        self.receiver.changes = 0
        with self.node.inside(), capturedLogs() as events:
            self.add(99, other, receiver)
            self.add(100, GROUP4, FakeReceiver())
            self.assertTrue(ipv4.hears(99))
            self.clock.advance(0)
            self.assertEqual(
                [ipv4.hears(one) for one in (crafted.VHID, 99, 100)], [True, False, True]
            )
            self.assertEqual((self.receiver.changes, receiver.changes), (0, 1))
            self.clock.advance(1)
        self.assertEqual(
            texts(events),
            ["Unable to open interface [eth0] for IPv4: No buffer space available"],
        )
        self.assertEqual([ipv4.hears(one) for one in (crafted.VHID, 99, 100)], [True, False, True])
        # What it leaves and what is opened anew is the same for the others.
        self.node.deleteInterface()
        self.node.createInterface()
        with capturedLogs():
            self.tell()
        self.assertEqual(len(self.readers(FrontDoor)), 2)
        self.assertEqual([ipv4.hears(one) for one in (crafted.VHID, 99, 100)], [True, False, True])
        refuses = False
        self.passTime(1.0)
        self.assertTrue(ipv4.hears(99))
        self.assertEqual((self.receiver.changes, receiver.changes), (0, 2))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_hearingWhileExchanged(self) -> None:
        """
        While a lost socket is exchanged, the answer is that the group can be heard: no receiver
        would be told when it can again.
        """
        (ipv6,) = self.started(GROUP6)
        self.tell()
        self.receiver.changes = 0
        for refused in (False, True):
            with self.subTest(refused=refused):
                (reader,) = self.readers(IPv6Reader)
                self.reactor.readers.remove(reader)
                reader.connectionLost(Failure(ConnectionDone()))
                self.assertTrue(ipv6.hears(crafted.VHID))
                if refused:
                    self.patch(familyport, "RawSocket", self.refuse)
                self.passTime(1.0)
                hears = ipv6.hears(crafted.VHID)
                self.assertEqual((self.receiver.changes, hears), (refused, not refused))

    def test_noMoreMemory(self) -> None:
        """
        When the kernel has no memory for a filter, the caller gets no error, and it is tried
        again.
        """
        ipv4, _ = self.started(GROUP4, GROUP6)
        with self.node.inside():
            self.add(99, GROUP4)
        self.passTime(0)
        refused = 0

        def refuse(sock: object, code: bytes) -> None:
            nonlocal refused
            refused += 1
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

        attach = socketfilter.attach
        self.patch(socketfilter, "attach", refuse)
        ipv4.watchFront(99, True)
        self.port.remove(crafted.VHID)
        self.assertEqual(refused, 0)
        self.passTime(0)
        self.assertEqual(refused, 3)  # each filter once; the IPv6 has ended
        with capturedLogs() as events:
            self.passTime(1.0)
        self.assertEqual(
            texts(events), ["Unable to open interface [eth0] for IPv4: Cannot allocate memory"]
        )
        self.assertTrue(ipv4.hears(99))
        self.assertFalse(ipv4.hears(crafted.VHID))
        self.patch(socketfilter, "attach", attach)
        self.passTime(1.0)
        self.assertTrue(ipv4.hears(99))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_receiverFails(self) -> None:
        """
        An exception of a receiver is logged, and the next packet is delivered.
        """
        _, ipv6 = self.started(GROUP4, GROUP6)
        ipv6.watchFront(crafted.VHID, True)
        self.passTime(0)
        before = list(self.reactor.readers)

        def fail(packet: Packet) -> None:
            raise ValueError("too much")

        self.receiver.packetReceived = fail  # type: ignore[method-assign]
        self.receiver.packetFiltered = fail  # type: ignore[method-assign]
        self.assertFalse(self.hears())
        self.assertTrue(self.flushLoggedErrors(ValueError))
        (front,) = (one for one in self.readers(FrontDoor) if "IPv6" in one.logPrefix())
        select.select([front], [], [], 10)
        self.assertIsNone(front.doRead())
        self.assertTrue(self.flushLoggedErrors(ValueError))
        self.assertEqual(self.reactor.readers, before)
        del self.receiver.packetReceived
        self.assertTrue(self.hears())

    def test_strays(self) -> None:
        """
        A packet without a vhid, or with that of no virtual host here, is dropped.
        """
        self.started(GROUP4)
        (_, _, reader, _) = self.reactor.adopted[0]
        for packet in (b"", crafted.packet(b""), crafted.packet(b"!"), crafted.packet(vhid=9)):
            reader.datagramReceived(packet, ("10.99.0.2", 0))
        (front,) = self.readers(FrontDoor)
        front._received(readPacket(crafted.packet(vhid=9)))
        self.assertEqual((self.receiver.received, self.receiver.filtered), ([], []))

    def test_noEthernet(self) -> None:
        """
        The error for an interface without Ethernet addresses says so.
        """

        class TunnelSocket:
            def getsockname(self) -> tuple[str, int, int, int, bytes]:
                return "tun0", 0, 0, 65534, b""

            def close(self) -> None:
                pass

        self.patch(interfaceport, "openFrameSocket", lambda interface: TunnelSocket())
        self.started(GROUP4)
        self.assertErrno(errno.EPFNOSUPPORT, self.port.hardwareAddress)

    def test_noFrames(self) -> None:
        """
        If no frame socket can be opened, everything else works, and it is tried again.
        """

        def refuse(interface: str) -> socket.socket:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

        with self.node.inside():
            frames = interfaceport.openFrameSocket("eth0")
        self.patch(interfaceport, "openFrameSocket", refuse)
        with capturedLogs() as events:
            self.started(GROUP6)
        (said,) = texts(events)
        self.assertIn("for frames: No buffer space", said)
        self.assertTrue(self.hears())
        self.assertErrno(errno.ENODEV, self.port.sendFrame, b"")
        self.patch(interfaceport, "openFrameSocket", lambda interface: frames)
        self.passTime(1.0)
        self.assertEqual(self.port.hardwareAddress(), self.node.link().address)

    def test_frames(self) -> None:
        """
        Frames are sent unchanged.
        """
        self.started(GROUP4)
        frame = ipv4Frame(groupAddress(GROUP4), b"\2\0\0\0\0\7", crafted.packet())
        with self.other.socket(socket.AF_PACKET, socket.SOCK_RAW) as sniffer:
            sniffer.bind(("eth0", 0x0800))
            sniffer.settimeout(10)
            self.port.sendFrame(frame)
            while sniffer.recv(2048) != frame:
                pass  # reports of group members
