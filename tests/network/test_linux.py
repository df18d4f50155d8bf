"""
Tests for L{txcarp.network.linux}: two hosts with one reactor, and the kernel between them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase
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
    packed,
    runTool,
)
from tests.testbed.fixture import makeTestbed, until
from txcarp.interfaces import IAdvertisementTransport, INetwork
from txcarp.network.frames import gratuitousARP
from txcarp.network.hostlock import AlreadyRunning, awaitPredecessor
from txcarp.network.interfaceport import InterfacePort
from txcarp.network.linux import LinuxNetwork
from txcarp.network.repeats import EACH, TURN
from txcarp.network.sample import SAMPLE
from txcarp.protocol.envelope import readPacket
from txcarp.testbed import Node

VIRTUAL = bytes.fromhex("00005e00010a")

_RULES = """
table inet filter {{
    chain {hook} {{
        type filter hook {hook} priority 0; policy accept;
        meta l4proto 112 drop
    }}
}}
"""


def linkLocalOf(node: Node) -> str:
    """
    The link-local address of a host.
    """
    (address,) = (one for one in node.addresses() if one.startswith("fe80"))
    return address.partition("/")[0]


def firewall(node: Node, hook: str) -> None:
    """
    Have a host drop protocol 112.
    """
    runTool(node, "nftables", "nft", _RULES.format(hook=hook))


class Host:
    """
    A node with its own L{LinuxNetwork}.
    """

    def __init__(self, case: SynchronousTestCase, node: Node) -> None:
        awaitIPv6(node)
        self.node = node
        self.links = FakeLinks()
        self.clock = Clock()
        self.receiver = FakeReceiver()
        installed: Any = reactor
        self.addresses = addressesOf(node)
        self.network = LinuxNetwork(installed, self.clock, self.links, self.addresses)
        self.vhids: set[int] = set()
        case.addCleanup(self.leave)

    def attach(
        self,
        group: bytes,
        *,
        vhid: int = crafted.VHID,
        broadcast: bool = False,
        hardware: bytes | None = None,
        receiver: FakeReceiver | None = None,
    ) -> IAdvertisementTransport:
        """
        Take part in a group.
        """
        with self.node.inside():
            transport = self.network.attach("eth0", vhid, group, broadcast, hardware)
            self.clock.advance(0)
        transport.deliverTo(receiver or self.receiver)
        self.vhids.add(vhid)
        return transport

    def leave(self) -> Any:
        """
        Leave all groups.

        @return: Fires when the reactor has closed its ports.
        """
        for vhid in self.vhids:
            self.network.detach("eth0", vhid)
        self.vhids.clear()
        installed: Any = reactor
        return deferLater(installed, 0)

    def tell(self) -> None:
        """
        Have the link monitor report the interface as it is.
        """
        with self.node.inside():
            self.links.tell("eth0", self.node.link())


class NetworkTests(TestCase):
    """
    Two hosts that take part in one group in both families.
    """

    timeout = 60

    def setUp(self) -> None:
        """
        Make them.
        """
        self.testbed = makeTestbed(self)
        self.a = Host(self, self.testbed.node("a", "10.99.0.1/24"))
        self.b = Host(self, self.testbed.node("b", "10.99.0.2/24"))

    async def passes(
        self, transport: IAdvertisementTransport, packet: bytes, receiver: FakeReceiver
    ) -> None:
        """
        Send a packet until it arrives, which takes a moment after an interface came up.
        """

        expected = readPacket(packet)

        def arrived() -> bool:
            if expected not in receiver.received:
                transport.send(packet)
            return expected in receiver.received

        await until(arrived)

    async def test_multicast(self) -> None:
        """
        Each host receives what the other sends, in both families and unchanged, and does not
        receive its own packets.
        """
        a = [self.a.attach(group) for group in (GROUP4, GROUP6)]
        b = [self.b.attach(group) for group in (GROUP4, GROUP6)]
        for source, transports, receiver in (
            (1, a, self.b.receiver),
            (2, b, self.a.receiver),
        ):
            packets = [
                crafted.packet(source=f"192.0.2.{source}"),
                ipv6Packet(source=f"fe80::{source}"),
            ]
            for transport, packet in zip(transports, packets, strict=True):
                transport.send(packet)
            await until(lambda receiver=receiver: len(receiver.received) == 2)
            self.assertEqual(set(receiver.received), set(map(readPacket, packets)))
        self.assertEqual(len(self.a.receiver.received), 2)
        self.assertEqual(self.a.receiver.filtered + self.b.receiver.filtered, [])

    async def test_hopLimit(self) -> None:
        """
        The hop limit of a packet is that with which it arrived, whatever it is.
        """
        a, _ = self.a.attach(GROUP6), self.b.attach(GROUP6)
        for hopLimit in 255, 254, 1, 64:
            a.send(ipv6Packet(hopLimit=hopLimit))
        await until(lambda: len(self.b.receiver.received) == 4)
        self.assertEqual({packet.hops for packet in self.b.receiver.received}, {255, 254, 1, 64})

    async def test_sample(self) -> None:
        """
        In a flood of packets with wrong headers, the kernel drops most.  Some in each second are
        received, and all good packets.  One line is logged.
        """
        received = self.b.receiver.received
        installed: Any = reactor
        for group, make, change in (
            (GROUP4, crafted.packet, {"ttl": 254}),
            (GROUP6, crafted.packet6, {"hops": 254}),
        ):
            a, _ = self.a.attach(group), self.b.attach(group)
            for wrong in make(version=3), make(crafted.payload()[:20]), make(**change):
                good = make(counter=len(received) + 7)
                with capturedLogs() as events:
                    for _ in range(2):
                        for _ in range(100):
                            a.send(wrong)
                        a.send(good)
                        await until(lambda good=good: readPacket(good) in received)
                        await until(lambda wrong=wrong: readPacket(wrong) in received)
                        await until(lambda: len(received) == SAMPLE + 1)
                        await deferLater(installed, 0)
                        self.assertEqual(len(received), SAMPLE + 1)
                        self.b.clock.advance(1)
                        await until(lambda: len(received) > SAMPLE + 1)
                        while received:  # some have waited
                            received.clear()
                            self.b.clock.advance(1)
                            for _ in range(2):
                                await deferLater(installed, 0)
                self.b.clock.advance(60)
                texts = [formatEvent(event) or "" for event in events]
                self.assertEqual(len(texts), 1, texts)
                self.assertIn(f"More than {SAMPLE} packets of protocol 112", texts[0])

    async def test_unicast(self) -> None:
        """
        One host is reached in both families.  The frame has the addresses of the cards,
        whatever was asked for the group.
        """
        sniffer = self.b.node.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        self.addCleanup(sniffer.close)
        sniffer.bind(("eth0", 0x0003))
        linkLocal = linkLocalOf(self.b.node)
        for group, packet in (
            (GROUP4, crafted.packet(destination="10.99.0.2")),
            (GROUP6, ipv6Packet(destination=linkLocal, source=linkLocalOf(self.a.node))),
        ):
            transport = self.a.attach(group, broadcast=True, hardware=VIRTUAL)
            self.b.attach(group)
            transport.send(packet)
            await until(lambda: self.b.receiver.received)
            self.assertEqual(self.b.receiver.received, [readPacket(packet)])
            self.b.receiver.received.clear()
            cards = self.b.node.link().address + self.a.node.link().address
            frames = []
            while packet not in [frame[14:] for frame in frames]:
                frames.append(sniffer.recv(2048))
            self.assertEqual(frames[-1][:12], cards)

    async def test_router(self) -> None:
        """
        A host behind a router is reached in both families, with the hop limit lowered by one.
        All packets arrive from a source that is admitted.
        """
        far = self.testbed.switch("far")
        sides = (self.testbed.lan, "10.99.0.254/24"), (far, "10.98.0.254/24")
        router = self.testbed.router("r", *sides)
        router.addAddress("fd99::254/64", "eth0")
        router.addAddress("fd98::254/64", "eth1")
        self.a.node.addAddress("fd99::1/64")
        self.a.node.route("10.98.0.0/24", "10.99.0.254")
        self.a.node.route("fd98::/64", "fd99::254")
        c = Host(self, self.testbed.node("c", "10.98.0.3/24", "fd98::3/64", switch=far))
        c.node.route("10.99.0.0/24", "10.98.0.254")
        c.node.route("fd99::/64", "fd98::254")
        for node, interface in ((router, "eth0"), (router, "eth1"), (self.a.node, "eth0")):
            awaitIPv6(node, interface)
        for group, packet in (
            (GROUP4, crafted.packet(source="10.99.0.1", destination="10.98.0.3")),
            (GROUP6, ipv6Packet(source="fd99::1", destination="fd98::3")),
        ):
            transport = self.a.attach(group)
            sent = readPacket(packet)
            c.attach(group).admitRouted([sent.source])
            c.clock.advance(0)
            for _ in range(2 * SAMPLE):
                transport.send(packet)
            await until(lambda: len(c.receiver.received) == 2 * SAMPLE)
            (arrived,) = set(c.receiver.received)
            c.receiver.received.clear()
            self.assertEqual(arrived.hops, 254)
            self.assertEqual(arrived.source, sent.source)
            self.assertEqual(arrived.destination, sent.destination)
            self.assertEqual(arrived.payload, sent.payload)

    async def test_virtualHosts(self) -> None:
        """
        Each virtual host receives its own packets, and packets with another vhid are dropped.
        """
        second = FakeReceiver()
        for group, make in (
            (GROUP4, lambda vhid: crafted.packet(vhid=vhid)),
            (GROUP6, lambda vhid: ipv6Packet(vhid)),
        ):
            transport = self.a.attach(group)
            self.b.attach(group)
            self.b.attach(group, vhid=20, receiver=second)
            for vhid in 99, 20, crafted.VHID:
                transport.send(make(vhid))
            await until(lambda: self.b.receiver.received)
            self.assertEqual(self.b.receiver.received, [readPacket(make(crafted.VHID))])
            self.assertEqual(second.received, [readPacket(make(20))])
            self.b.receiver.received.clear()
            second.received.clear()

    async def test_frames(self) -> None:
        """
        Packets that are sent in frames arrive as well.
        """
        for group, packet in (GROUP4, crafted.packet()), (GROUP6, ipv6Packet()):
            self.b.attach(group)
            for vhid, how in ((1, {"broadcast": True}), (2, {"hardware": VIRTUAL})):
                transport = self.a.attach(group, vhid=vhid, **how)  # type: ignore[arg-type]
                transport.send(packet)
                await until(lambda: self.b.receiver.received)
                self.assertEqual(self.b.receiver.received, [readPacket(packet)])
                self.b.receiver.received.clear()

    async def test_recreated(self) -> None:
        """
        A host whose interface is deleted and made again receives and sends again, in both
        families.
        """
        for group, packet, reply in (
            (GROUP4, crafted.packet(), crafted.packet(source="10.99.0.2")),
            (GROUP6, ipv6Packet(), ipv6Packet(source="fe80::78")),
        ):
            a, b = self.a.attach(group), self.b.attach(group)
            self.b.node.deleteInterface()
            self.assertRaises(OSError, b.send, packet)
            self.b.links.tell("eth0", None)
            self.assertRaises(OSError, b.send, packet)
            self.b.node.createInterface()
            self.b.tell()
            awaitIPv6(self.b.node)
            await self.passes(a, packet, self.b.receiver)
            await self.passes(b, reply, self.a.receiver)

    async def test_downAndUp(self) -> None:
        """
        A host whose interface was switched off and on receives and sends again, in both
        families.
        """
        for group, packet, reply in (
            (GROUP4, crafted.packet(), crafted.packet(source="10.99.0.2")),
            (GROUP6, ipv6Packet(), ipv6Packet(source="fe80::78")),
        ):
            a, b = self.a.attach(group), self.b.attach(group)
            b.watchFront(True)
            self.b.clock.advance(0)
            self.b.node.setInterface(False)
            self.b.tell()
            self.assertRaises(OSError, b.send, packet)
            await deferLater(reactor, 0.05)  # type: ignore[arg-type]
            self.b.node.setInterface(True)
            self.b.tell()
            awaitIPv6(self.b.node)
            await self.passes(a, packet, self.b.receiver)
            await until(lambda packet=packet: readPacket(packet) in self.b.receiver.filtered)
            await self.passes(b, reply, self.a.receiver)

    async def test_front(self) -> None:
        """
        Packets that the firewall of a host drops are seen in front of it, in the watched family
        only.
        """
        firewall(self.b.node, "input")
        packets = crafted.packet(), ipv6Packet()
        a = [self.a.attach(group) for group in (GROUP4, GROUP6)]
        b = [self.b.attach(group) for group in (GROUP4, GROUP6)]
        for own in 0, 1:
            b[own].watchFront(True)
            self.b.clock.advance(0)
            for transport, packet in zip(a, packets, strict=True):
                transport.send(packet)
            await until(lambda: self.b.receiver.filtered)
            self.assertEqual(self.b.receiver.filtered, [readPacket(packets[own])])
            self.b.receiver.filtered.clear()
            b[own].watchFront(False)
        self.assertEqual(self.b.receiver.received, [])

    async def test_repeats(self) -> None:
        """
        Packets that pass the firewall are not read in front of it, too, except some in each turn.
        Those of a sender that the firewall drops are, in both families and in any flood.
        """
        await self.repeat(GROUP4, crafted.packet, "ip", "10.99.0.")
        await self.repeat(GROUP6, crafted.packet6, "ip6", "fe80::")

    async def repeat(
        self, group: bytes, make: Callable[..., bytes], kind: str, prefix: str
    ) -> None:
        """
        Drop the packets of one sender, and flood the host with those of others.

        @param kind: The family, in the words of nft.
        """
        a, b = self.a.attach(group), self.b.attach(group)
        b.watchFront(True)
        self.b.clock.advance(0)
        rules = f"""
            add table inet selective
            add chain inet selective in {{ type filter hook input priority 0; }}
            add rule inet selective in {kind} saddr {prefix}8 drop
        """
        runTool(self.b.node, "nftables", "nft", rules)
        received, filtered = self.b.receiver.received, self.b.receiver.filtered
        passing = make(source=f"{prefix}7")
        dropped = readPacket(make(source=f"{prefix}8"))

        async def send(packets: Sequence[bytes]) -> None:
            received.clear()
            for packet in packets:
                a.send(packet)
            await until(lambda: len(received) == len(packets))

        async def sendDropped() -> None:
            a.send(make(source=f"{prefix}8"))
            await until(lambda: dropped in filtered)

        # One sender: 50 packets at a time fit into a receive buffer.
        await send([passing] * 50)
        await until(lambda: len(filtered) >= EACH)
        self.b.clock.advance(0)
        await sendDropped()  # after those that had waited
        filtered.clear()
        await send([passing] * 50)
        await sendDropped()
        self.assertEqual(filtered, [dropped])
        self.b.clock.advance(TURN)
        self.b.clock.advance(0)
        await send([passing])
        await until(lambda: readPacket(passing) in filtered)
        # Many senders; and one of which it is known that its packets are dropped.
        b.watchFront(True, [dropped.source])
        self.b.clock.advance(0)
        invented = [make(source=f"{prefix}{n}") for n in range(9, 250)]
        for _ in range(3):
            for some in range(0, len(invented), 50):
                await send(invented[some : some + 50])
        self.b.clock.advance(0)
        filtered.clear()
        await sendDropped()
        filtered.clear()
        for some in range(0, len(invented), 50):
            await send(invented[some : some + 50])
        await sendDropped()
        self.assertLess(len(filtered), 50)  # one is to be expected
        filtered.clear()
        self.b.clock.advance(TURN)

    async def test_outputFirewall(self) -> None:
        """
        If the firewall drops outgoing packets, those for the group are sent as frames, and that
        is logged once.  Those for one host are not sent.
        """
        firewall(self.a.node, "output")
        with capturedLogs() as events:
            for group, packet, unicast in (
                (GROUP4, crafted.packet(), crafted.packet(destination="10.99.0.2")),
                (GROUP6, ipv6Packet(), ipv6Packet(destination=linkLocalOf(self.b.node))),
            ):
                transport = self.a.attach(group)
                self.b.attach(group)
                self.assertRaises(PermissionError, transport.send, unicast)
                for _ in range(2):
                    transport.send(packet)
                await until(lambda: len(self.b.receiver.received) == 2)
                self.assertEqual(self.b.receiver.received, [readPacket(packet)] * 2)
                self.b.receiver.received.clear()
        said = [formatEvent(event) for event in events if event["log_level"] is LogLevel.error]
        self.assertEqual(len(said), 2)
        for text, rule in zip(said, ("ip protocol 112", "ip6 nexthdr 112"), strict=True):
            self.assertIn(f'oifname "eth0" {rule} accept', text)

    async def test_unread(self) -> None:
        """
        C{hasUnread} knows of a packet before the reactor reads it, in each family separately.
        """
        a = [self.a.attach(group) for group in (GROUP4, GROUP6)]
        b = [self.b.attach(group) for group in (GROUP4, GROUP6)]
        for own, packet in enumerate((crafted.packet(), ipv6Packet())):
            self.assertFalse(b[own].hasUnread())
            a[own].send(packet)
            while not b[own].hasUnread():
                pass
            self.assertFalse(b[1 - own].hasUnread())
            await until(lambda: self.b.receiver.received)
            self.b.receiver.received.clear()
            self.assertFalse(b[own].hasUnread())

    def test_readUnread(self) -> None:
        """
        C{readUnread} delivers all packets that have arrived, before the reactor reads them.
        """
        for group, packet in ((GROUP4, crafted.packet()), (GROUP6, ipv6Packet())):
            a, b = self.a.attach(group), self.b.attach(group)
            for _ in range(100):
                a.send(packet)
            while len(self.b.receiver.received) < 100:
                b.readUnread()
            self.assertFalse(b.hasUnread())
            b.readUnread()
            self.assertEqual(len(self.b.receiver.received), 100)
            self.b.receiver.received.clear()

    def test_linkLocal(self) -> None:
        """
        The transport of IPv6 returns the link-local address while there is one, and calls its
        receiver when that changes.
        """
        transport = self.a.attach(GROUP6)
        own = packed(linkLocalOf(self.a.node))
        self.assertEqual(transport.linkLocals(), [own])
        self.assertTrue(transport.isLocal(own))
        self.assertTrue(transport.isLocal(packed("10.99.0.1")))
        self.assertFalse(transport.isLocal(packed("10.99.0.2")))
        self.assertEqual(list(self.a.attach(GROUP4).linkLocals()), [])
        self.a.node.removeAddress(f"{linkLocalOf(self.a.node)}/64")
        before = self.a.receiver.changes
        self.a.addresses.addressesUncertain()
        self.assertEqual(self.a.receiver.changes, before + 2)  # one for each family
        self.assertEqual(transport.linkLocals(), [])
        self.a.links.tell("eth0", None)
        self.assertEqual(list(transport.linkLocals()), [])

    def test_whyDropped(self) -> None:
        """
        The transport knows why the kernel drops packets of an address of the host, and of one
        that is not reached through the interface.
        """
        ipv4, ipv6 = (self.a.attach(group) for group in (GROUP4, GROUP6))

        def why(transport: IAdvertisementTransport, source: str) -> str:
            with self.a.node.inside():
                return transport.whyDropped(packed(source))

        for setting in "0", "1":
            for name in "all", "eth0":
                self.a.node.sysctl(f"net/ipv4/conf/{name}/rp_filter", setting)
            self.assertEqual(why(ipv4, "10.99.0.2"), "")
            self.assertIn("this host has that address", why(ipv4, "10.99.0.1"))
            self.assertIs("rp_filter is 1" in why(ipv4, "10.98.0.1"), setting == "1")
            self.assertEqual(why(ipv6, "fe80::99"), "")
        self.assertIn("this host has that address", why(ipv6, linkLocalOf(self.a.node)))
        self.a.node.sysctl("net/ipv6/conf/eth0/disable_ipv6", "1")
        self.assertIn("IPv6 is switched off", why(ipv6, "fe80::99"))

    async def test_withoutIPv6(self) -> None:
        """
        Where IPv6 is disabled, IPv4 works, and IPv6 as soon as it is enabled.
        """
        setting = "net/ipv6/conf/eth0/disable_ipv6"
        self.b.node.sysctl(setting, "1")
        a = [self.a.attach(group) for group in (GROUP6, GROUP4)]
        b = [self.b.attach(group) for group in (GROUP6, GROUP4)]
        await self.passes(a[1], crafted.packet(), self.b.receiver)
        await self.passes(b[1], crafted.packet(source="10.99.0.2"), self.a.receiver)
        self.assertRaises(OSError, b[0].send, ipv6Packet())
        with self.b.node.inside():
            self.assertEqual([one.isSwitchedOff() for one in b], [True, False])
            self.b.node.sysctl(setting, "0")
            self.assertEqual([one.isSwitchedOff() for one in b], [False, False])
        awaitIPv6(self.b.node)
        await self.passes(a[0], ipv6Packet(), self.b.receiver)
        await self.passes(b[0], ipv6Packet(), self.a.receiver)

    async def test_detached(self) -> None:
        """
        A virtual host that was detached receives nothing in any family, while others do, and
        can be attached again.
        """
        second = FakeReceiver()
        for group, packet, other in (
            (GROUP4, crafted.packet(), crafted.packet(vhid=20)),
            (GROUP6, ipv6Packet(), ipv6Packet(20)),
        ):
            transport = self.a.attach(group)
            self.b.attach(group)
            self.b.attach(group, vhid=20, receiver=second)
            self.b.network.detach("eth0", crafted.VHID)
            transport.send(packet)
            transport.send(other)
            await until(lambda other=other: readPacket(other) in second.received)
            self.assertEqual(self.b.receiver.received, [])
            self.b.attach(group)
            await self.passes(transport, packet, self.b.receiver)
            self.b.receiver.received.clear()

    def test_locked(self) -> None:
        """
        A virtual host can be attached once on a host, in whatever network of this process, until
        it is detached.  On another host it can be attached as well.
        """
        other = Host(self, self.a.node)
        self.a.attach(GROUP4)
        self.assertRaises(ValueError, other.attach, GROUP4)
        other.attach(GROUP4, vhid=crafted.VHID + 1)
        self.b.attach(GROUP4)
        self.a.network.markLeaving("eth0", crafted.VHID, True)
        with self.a.node.inside():
            self.assertRaises(AlreadyRunning, awaitPredecessor, "eth0", crafted.VHID, 0.1)
        self.a.attach(GROUP6)
        self.a.network.detach("eth0", crafted.VHID)
        with self.a.node.inside():
            awaitPredecessor("eth0", crafted.VHID)
        other.attach(GROUP4)

    def test_notLocked(self) -> None:
        """
        A virtual host that cannot be attached is not locked.
        """

        def refuse(*arguments: object) -> None:
            raise OSError

        with self.a.node.inside():
            patched = self.patch(InterfacePort, "add", refuse)
            self.assertRaises(OSError, self.a.attach, GROUP4)
            patched.restore()
            Host(self, self.a.node).attach(GROUP4)

    def test_twice(self) -> None:
        """
        A virtual host can be attached once in each family.
        """
        verifyObject(INetwork, self.a.network)
        for group in GROUP4, GROUP6:
            self.a.attach(group)
            self.assertRaises(ValueError, self.a.attach, group)
        self.a.network.detach("eth0", crafted.VHID)
        self.a.network.detach("eth0", crafted.VHID)
        self.assertEqual(self.a.links.observers, [])
        for group in GROUP4, GROUP6:
            self.a.attach(group)

    def test_announcer(self) -> None:
        """
        An announcer sends on its interface.
        """
        sniffer = self.b.node.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.addCleanup(sniffer.close)
        sniffer.bind(("eth0", 0x0806))
        sniffer.settimeout(10)
        self.a.attach(GROUP6)
        address = packed("10.99.0.100")
        self.a.network.announcer("eth0", None).announce(address)
        self.assertEqual(
            sniffer.recv(2048)[:42], gratuitousARP(self.a.node.link().address, address)
        )

    def test_reactor(self) -> None:
        """
        A reactor that cannot adopt sockets is refused.
        """
        unable: Any = object()
        self.assertRaises(TypeError, LinuxNetwork, unable, Clock(), FakeLinks())
