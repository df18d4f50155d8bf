"""
Tests for L{txcarp.network.rawsocket}, in the kernel.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.network.scenery import (
    GROUP4,
    GROUP6,
    awaitDelivery,
    awaitIPv6,
    egressRule,
    fullQueue,
    ipv6Packet,
    packed,
    sendUntilRead,
)
from tests.testbed.fixture import makeTestbed
from txcarp.network import socketfilter
from txcarp.network.rawsocket import RawSocket
from txcarp.protocol.family import Family
from txcarp.testbed import Node

OTHER4 = packed("224.0.0.81")
OTHER6 = packed("ff02::81")


def admit(raw: RawSocket, groups: Mapping[int, bytes]) -> None:
    """
    Have a socket receive all packets of some virtual hosts.  Unlike the filter of a daemon, this
    one looks at no destination: the memberships decide.
    """
    raw.admit(groups, socketfilter.program(groups, raw.beginning))


class RawSocketTests(SynchronousTestCase):
    """
    Two hosts, with a socket of each family on both.
    """

    def setUp(self) -> None:
        """
        Make them.
        """
        testbed = makeTestbed(self)
        self.a, self.b = testbed.node("a", "10.99.0.1/24"), testbed.node("b", "10.99.0.2/24")
        for node in self.a, self.b:
            awaitIPv6(node)

    def opened(self, node: Node, family: Family = Family.IPV4) -> RawSocket:
        """
        Open a socket on a host.
        """
        with node.inside():
            raw = RawSocket("eth0", node.link().index, family)
        self.addCleanup(raw.close)
        return raw

    def linkLocal(self, node: Node) -> str:
        """
        The link-local address of a host.
        """
        (address,) = (one for one in node.addresses() if one.startswith("fe80"))
        return address.partition("/")[0]

    def heard(self, raw: RawSocket) -> list[bytes]:
        """
        Return what a socket of the second host has received, when everything that the first
        host sent has arrived.
        """
        awaitDelivery(self.a, self.b)
        packets = []
        while raw.hasUnread():
            packets.append(raw.socket.recv(2048))
        return packets

    def memberships(self, node: Node, family: Family) -> set[str]:
        """
        The groups of C{eth0}, as hexadecimal digits in the kernel's order.
        """
        name = {Family.IPV4: "igmp", Family.IPV6: "igmp6"}[family]
        with node.inside():
            words = Path("/proc/thread-self/net", name).read_text().split()
        return set(words)

    def test_ipv4(self) -> None:
        """
        The other members receive a packet unchanged, even if no host has its source address.
        The sender does not receive it.
        """
        a, b = self.opened(self.a), self.opened(self.b)
        for raw in a, b:
            admit(raw, {crafted.VHID: GROUP4})
        packet = crafted.packet(source="192.0.2.1")
        a.send(packet, GROUP4)
        self.assertEqual(self.heard(b), [packet])
        self.assertFalse(a.hasUnread())

    def test_withoutAddress(self) -> None:
        """
        An interface without an IPv4 address sends and receives as well.
        """
        for node in self.a, self.b:
            for address in node.addresses():
                if "." in address:
                    node.removeAddress(address)
        self.test_ipv4()

    def test_ipv6(self) -> None:
        """
        The same works for IPv6, except that the kernel delivers no header.
        """
        a, b = self.opened(self.a, Family.IPV6), self.opened(self.b, Family.IPV6)
        for raw in a, b:
            admit(raw, {crafted.VHID: GROUP6})
        packet = ipv6Packet(source="2001:db8::1")
        a.send(packet, GROUP6)
        select.select([b.socket], [], [], 10)
        payload, _, _, sender = b.socket.recvmsg(2048)
        self.assertEqual((payload, sender[0]), (packet[40:], "2001:db8::1"))
        self.assertFalse(a.hasUnread())

    def test_unicast(self) -> None:
        """
        One host is reached by its address, and by its link-local address on this interface.
        """
        a, b = self.opened(self.a), self.opened(self.b)
        admit(b, {crafted.VHID: GROUP4})
        packet = crafted.packet(destination="10.99.0.2")
        a.send(packet, packed("10.99.0.2"))
        self.assertEqual(self.heard(b), [packet])
        a, b = self.opened(self.a, Family.IPV6), self.opened(self.b, Family.IPV6)
        admit(b, {crafted.VHID: GROUP6})
        packet = ipv6Packet(destination=self.linkLocal(self.b))
        a.send(packet, packed(self.linkLocal(self.b)))
        self.assertEqual(self.heard(b), [packet[40:]])

    def test_nobody(self) -> None:
        """
        A socket receives nothing at first, and then what is admitted: neither packets of other
        virtual hosts nor of groups that another socket joined.
        """
        a, b = self.opened(self.a), self.opened(self.b)
        other = self.opened(self.b)
        admit(b, {99: GROUP4})
        admit(other, {crafted.VHID: GROUP4, 1: OTHER4})
        first = crafted.packet(counter=1)
        a.send(first, GROUP4)
        self.assertEqual(self.heard(other), [first])
        self.assertFalse(b.hasUnread())
        admit(b, {crafted.VHID: GROUP4})
        last = crafted.packet(counter=3)
        a.send(crafted.packet(vhid=99), GROUP4)
        a.send(crafted.packet(destination="224.0.0.81", counter=2), OTHER4)
        a.send(last, GROUP4)
        self.assertEqual(self.heard(b), [last])

    def test_groups(self) -> None:
        """
        Groups are joined and left as requested, even if the kernel has already dropped the
        membership.  An address that is no group is not joined.
        """
        for family, groups, names in (
            (Family.IPV4, (GROUP4, OTHER4), ("120000E0", "510000E0")),
            (
                Family.IPV6,
                (GROUP6, OTHER6),
                ("ff020000000000000000000000000012", "ff020000000000000000000000000081"),
            ),
        ):
            raw = self.opened(self.a, family)
            both = dict(enumerate(groups, 1))
            admit(raw, both)
            self.assertLessEqual(set(names), self.memberships(self.a, family))
            admit(raw, {1: groups[0]})
            self.assertEqual(self.memberships(self.a, family) & set(names), {names[0]})
            admit(raw, {1: packed("10.99.0.255")})
            self.assertEqual(self.memberships(self.a, family) & set(names), set())
            admit(raw, both)
            self.a.deleteInterface()
            admit(raw, {})
            self.a.createInterface()

    def test_left(self) -> None:
        """
        A closed socket leaves its groups at once, although the reactor has a duplicate of it.
        Otherwise, on an interface that is made again with the same index, the kernel would
        later count its departure as that of a new member.
        """
        for family, group, name in (
            (Family.IPV4, GROUP4, "120000E0"),
            (Family.IPV6, GROUP6, "ff020000000000000000000000000012"),
        ):
            raw = self.opened(self.a, family)
            admit(raw, {1: group})
            self.assertIn(name, self.memberships(self.a, family))
            self.addCleanup(raw.socket.dup().close)
            raw.close()
            self.assertNotIn(name, self.memberships(self.a, family))

    def test_manyGroups(self) -> None:
        """
        A refused membership is raised, and requested again next time.
        """
        self.a.sysctl("net/ipv4/igmp_max_memberships", "1")
        raw = self.opened(self.a)
        refused = self.assertRaises(OSError, admit, raw, {1: GROUP4, 2: OTHER4})
        self.assertEqual(refused.errno, errno.ENOBUFS)
        self.a.sysctl("net/ipv4/igmp_max_memberships", "2")
        admit(raw, {1: GROUP4, 2: OTHER4})
        self.assertLessEqual({"120000E0", "510000E0"}, self.memberships(self.a, Family.IPV4))

    def test_missing(self) -> None:
        """
        A socket on a missing interface cannot be opened, and is not left open.
        """
        index = self.a.link().index
        self.a.deleteInterface()
        before = set(Path("/proc/self/fd").iterdir())
        for family in Family:
            with self.a.inside():
                refused = self.assertRaises(OSError, RawSocket, "eth0", index, family)
            self.assertEqual(refused.errno, errno.ENODEV)
        self.assertEqual(set(Path("/proc/self/fd").iterdir()), before)

    def test_disabled(self) -> None:
        """
        Where IPv6 is disabled, sending raises an error.  The group is heard as soon as IPv6 is
        enabled.
        """
        self.b.sysctl("net/ipv6/conf/eth0/disable_ipv6", "1")
        a, b = self.opened(self.a, Family.IPV6), self.opened(self.b, Family.IPV6)
        admit(b, {crafted.VHID: GROUP6})
        self.assertRaises(OSError, b.send, ipv6Packet(), GROUP6)
        self.b.sysctl("net/ipv6/conf/eth0/disable_ipv6", "0")
        awaitIPv6(self.b)
        b.send(ipv6Packet(), GROUP6)
        a.send(ipv6Packet(), GROUP6)
        self.assertEqual(len(self.heard(b)), 1)

    def test_downAndUp(self) -> None:
        """
        While the interface is down, sending raises an error.  The groups are still heard
        afterwards.
        """
        for family, group, packet in (
            (Family.IPV4, GROUP4, crafted.packet()),
            (Family.IPV6, GROUP6, ipv6Packet()),
        ):
            a, b = self.opened(self.a, family), self.opened(self.b, family)
            admit(b, {crafted.VHID: group})
            self.b.setInterface(False)
            self.assertRaises(OSError, b.send, packet, group)
            self.b.setInterface(True)
            awaitIPv6(self.b)
            sendUntilRead(partial(a.send, packet, group), b.socket.fileno())

    def test_dropped(self) -> None:
        """
        A packet that the kernel drops because the queue is full, or because a rule forbids it
        behind the routing, was not sent: to a group or to one host, in either family.
        """
        senders = [self.opened(self.a), self.opened(self.a, Family.IPV6)]
        link = self.linkLocal(self.b)
        packets = (
            (senders[0], crafted.packet(), GROUP4),
            (senders[0], crafted.packet(destination="10.99.0.2"), packed("10.99.0.2")),
            (senders[1], ipv6Packet(), GROUP6),
            (senders[1], ipv6Packet(destination=link), packed(link)),
        )

        def sendAll() -> None:
            for raw, packet, destination in packets:
                raw.send(packet, destination)

        # The neighbours must be known: a packet waits for the answer, and has left then.
        b, b6 = self.opened(self.b), self.opened(self.b, Family.IPV6)
        admit(b, {crafted.VHID: GROUP4})
        admit(b6, {crafted.VHID: GROUP6})
        sendAll()
        self.heard(b)
        self.heard(b6)
        for blocked in fullQueue, egressRule:
            with blocked(self.a):
                for raw, packet, destination in packets:
                    error = self.assertRaises(OSError, raw.send, packet, destination)
                    self.assertEqual(error.errno, errno.ENOBUFS)
                    self.assertIn("the queue of eth0 is full", error.strerror)
            sendAll()
            self.assertEqual((len(self.heard(b)), len(self.heard(b6))), (2, 2))

    def test_icmp(self) -> None:
        """
        ICMP errors, which any host may send, fail no packet, even on a kernel that delivers
        them to the socket that sends.
        """
        b = self.opened(self.b)
        admit(b, {crafted.VHID: GROUP4})
        quoted = crafted.packet(source="10.99.0.1")[:28]
        message = struct.pack("!BBHI", 3, 1, 0, 0) + quoted
        message = message[:2] + struct.pack("!H", crafted.checksum(message)) + message[4:]
        for protocol in socket.IPPROTO_RAW, 112:
            self.patch(socket, "IPPROTO_RAW", protocol)
            raw = self.opened(self.a)
            with self.b.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as forger:
                for _ in range(100):
                    forger.sendto(message, ("10.99.0.1", 0))
            awaitDelivery(self.b, self.a)
            for _ in range(2):
                raw.send(crafted.packet(), GROUP4)
            self.assertEqual(len(self.heard(b)), 2)
            with fullQueue(self.a):
                self.assertRaises(OSError, raw.send, crafted.packet(), GROUP4)

    def test_options(self) -> None:
        """
        ICMP errors are not reported, and the socket is not connected: either would let other
        hosts close it.
        """
        for family, level, option in (
            (Family.IPV4, socket.IPPROTO_IP, 11),  # IP_RECVERR
            (Family.IPV6, socket.IPPROTO_IPV6, 25),  # IPV6_RECVERR
        ):
            raw = self.opened(self.a, family)
            self.assertEqual(raw.socket.getsockopt(level, option), 0)
            self.assertRaises(OSError, raw.socket.getpeername)
            self.assertFalse(raw.socket.get_inheritable())
            self.assertFalse(raw.socket.getblocking())
