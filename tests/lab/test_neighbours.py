"""
Other groups, other protocols, other ways to send, and what firewalls do.
"""

from __future__ import annotations

import contextlib
import socket
import struct

from twisted.internet.task import LoopingCall

from tests import crafted
from tests.lab.daemons import Daemon
from tests.lab.wire import STRANGER
from tests.lab.world import VHID, Host, LabTestCase
from txcarp.network.frames import BROADCAST, groupAddress, ipv4Frame
from txcarp.protocol.checksum import internetChecksum
from txcarp.testbed import Node

_GROUP = bytes((224, 0, 0, 18))
_MAC = STRANGER + b"\0\0\0\1"

_ONE_SENDER = """
table inet filter {{
    chain input {{
        type filter hook input priority 0;
        ip saddr {source} ip protocol 112 drop
    }}
}}
"""

_RULES = """
table inet filter {{
    chain {hook} {{
        type filter hook {hook} priority 0; policy drop;
        ip protocol icmp accept
    }}
}}
"""


def vrrp(version: int, identity: int, source: str) -> bytes:
    """
    A frame with a VRRP advertisement (RFC 3768, RFC 9568) of five addresses, so long
    that it could be one of CARP.
    """
    addresses = b"".join(bytes((10, 99, 0, 200 + i)) for i in range(5))
    fields = struct.pack("!BBBBBBH", version << 4 | 1, identity, 100, 5, 0, 1, 0)
    payload = fields + addresses + (bytes(8) if version == 2 else b"")
    payload = payload[:6] + internetChecksum(payload).to_bytes(2, "big") + payload[8:]
    return ipv4Frame(groupAddress(_GROUP), _MAC, ipv4(payload, source))


def ipv4(payload: bytes, source: str, ttl: int = 255) -> bytes:
    """
    A packet of protocol 112 to the group.
    """
    header = struct.pack(
        "!BBHHHBBH4s4s",
        0x45,
        0,
        20 + len(payload),
        0,
        0,
        ttl,
        112,
        0,
        socket.inet_aton(source),
        _GROUP,
    )
    return header[:10] + internetChecksum(header).to_bytes(2, "big") + header[12:] + payload


def flooding(payload: bytes, source: str) -> bytes:
    """
    A frame to the group.
    """
    return ipv4Frame(groupAddress(_GROUP), _MAC, ipv4(payload, source))


def frameSocket(node: Node) -> socket.socket:
    """
    What a stranger sends with.
    """
    sock = node.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind(("eth0", 0))
    return sock


class GroupTests(LabTestCase):
    """
    Several groups, and several ways to reach one.
    """

    async def pair(self, *options: str) -> None:
        """
        A txcarp master, then a ucarp backup that hears it, then the reverse.
        """
        a, b = self.host("a"), self.host("b")
        master = a.txcarp("-r", "2", "-z", *options)
        await self.advertises(a)
        backup = b.ucarp("-r", "2", *options)
        await self.becomes(backup, "BACKUP")
        await self.during(4.5)
        self.assertEqual((master.state, backup.state), ("MASTER", "BACKUP"))
        self.assertEqual(self.wire.of(b.address), [])
        await self.stopped(master)
        await self.advertises(b)
        again = a.txcarp("-r", "2", *options)
        await self.becomes(again, "BACKUP")
        stopped = len(self.wire.of(a.address))
        await self.during(3.5)
        self.assertEqual((again.state, backup.state), ("BACKUP", "MASTER"))
        self.assertEqual(len(self.wire.of(a.address)), stopped)

    async def test_broadcast(self) -> None:
        """
        With C{-M} both programs send to the Ethernet broadcast address.
        """
        await self.pair("-M")
        self.assertEqual({advert.frame[:6] for advert in self.wire.adverts}, {BROADCAST})
        self.assertEqual({advert.destination for advert in self.wire.adverts}, {"224.0.0.18"})

    async def test_otherGroup(self) -> None:
        """
        C{--mcast} names another group, on both programs.
        """
        await self.pair("--mcast=224.0.0.99")
        self.assertEqual({advert.destination for advert in self.wire.adverts}, {"224.0.0.99"})
        hardware = {advert.frame[:6] for advert in self.wire.adverts}
        self.assertEqual(hardware, {b"\x01\0\x5e\0\0\x63"})

    async def test_otherHosts(self) -> None:
        """
        Virtual hosts with other numbers on the same network do not meet: each has its
        master, and nobody has anything to say about it.
        """
        a, b, c = self.host("a"), self.host("b"), self.host("c")
        first = a.txcarp("-r", "2", "-v", "1")
        second = b.ucarp("-r", "2", "-v", "2")
        third = c.txcarp("-r", "2", "-v", "3")
        for daemon in (first, second, third):
            await self.becomes(daemon, "MASTER")
        await self.during(2.5)
        for daemon in (first, second, third):
            self.assertEqual(daemon.state, "MASTER")
            self.assertEqual(len(daemon.said("Switching to state")), 2)
            self.assertEqual(daemon.said("Bad "), [])


class RouterTests(LabTestCase):
    """
    Routers that speak VRRP.
    """

    needsUcarp = False

    async def test_vrrp(self) -> None:
        """
        VRRP routers that use the same group and the same number change nothing and
        fill no log, where ucarp writes a line for each packet.
        """
        a, b = self.host("a"), self.host("b")
        stranger = self.host("s")
        sock = frameSocket(stranger.node)
        self.addCleanup(sock.close)

        def speak() -> None:
            for version in (2, 3):
                sock.send(vrrp(version, VHID, stranger.address))

        loop = LoopingCall(speak)
        loop.start(0.1)
        self.addCleanup(loop.stop)
        master = a.txcarp("-r", "2")
        await self.advertises(a)
        backup = b.txcarp()
        await self.becomes(backup, "BACKUP")
        lines = [len(daemon.lines) for daemon in (master, backup)]
        await self.during(4.0)
        self.assertEqual((master.state, backup.state), ("MASTER", "BACKUP"))
        self.assertEqual(self.wire.of(b.address), [])
        more = [
            len(daemon.lines) - before
            for daemon, before in zip((master, backup), lines, strict=True)
        ]
        self.assertLess(max(more), 6, "few lines")


class FirewallTests(LabTestCase):
    """
    A host whose firewall drops protocol 112, where ucarp works.
    """

    async def firewall(self, host: Host, hook: str) -> None:
        """
        Let only pings through.
        """
        nft = self.program("nft", "nftables")
        rules = _RULES.format(hook=hook)
        setting = host.run(f"{host.name} nft", (nft,), (rules,))
        await setting.exit
        if setting.status:
            self._cannot(f"nft does not work here: {setting.lines}")

    async def test_input(self) -> None:
        """
        A backup whose firewall drops what comes in still sees its ucarp master, and
        says which rule is missing.
        """
        a, b = self.host("a"), self.host("b")
        await self.firewall(b, "input")
        master = a.ucarp("-r", "1")
        await self.advertises(a)
        backup = b.txcarp("-r", "3")
        await self.becomes(backup, "BACKUP")
        await self.during(5.0)
        self.assertEqual((master.state, backup.state), ("MASTER", "BACKUP"))
        self.assertEqual(self.wire.of(b.address), [])
        said = backup.said("firewall of this host drops protocol 112")
        self.assertEqual(len(said), 1)
        self.assertTrue(backup.said('iifname "eth0" ip protocol 112 accept'))

    async def test_inputOfMaster(self) -> None:
        """
        A master whose firewall drops what comes in sees a preferred ucarp and gives way
        to it.
        """
        a, b = self.host("a"), self.host("b")
        await self.firewall(a, "input")
        slow = a.txcarp("-r", "2", "-k", "50")
        await self.advertises(a)
        fast = b.ucarp("-P")
        taken = await self.advertises(b)
        given = await self.becomes(slow, "BACKUP", 5)
        self.assertLess(given - taken, self.slack)
        await self.becomes(fast, "MASTER", 3)

    async def test_oneSender(self) -> None:
        """
        A master whose firewall drops the packets of a preferred host alone gives way to it, while
        others flood the master with what passes, and stays backup in a flood with invented senders.
        """
        a, b, stranger = self.host("a"), self.host("b"), self.host("s")
        nft = self.program("nft", "nftables")
        setting = a.run("a nft", (nft,), (_ONE_SENDER.format(source=b.address),))
        await setting.exit
        if setting.status:
            self._cannot(f"nft does not work here: {setting.lines}")
        slow = a.txcarp("-r", "2", "-k", "50")
        await self.advertises(a)
        sock = frameSocket(stranger.node)
        self.addCleanup(sock.close)
        body = crafted.payload(vhid=VHID, advbase=1, badDigest=True)
        frames = [flooding(body, "10.99.0.77")]

        def burst() -> None:
            for number in range(40):
                with contextlib.suppress(BlockingIOError):
                    sock.send(frames[(sent[0] + number) % len(frames)])
            sent[0] += 40

        sent = [0]
        loop = LoopingCall(burst)
        ended = loop.start(0.01)
        await self.during(1.5)
        fast = b.txcarp("-P")
        taken = await self.advertises(b)
        given = await self.becomes(slow, "BACKUP", 5)
        self.assertLess(given - taken, self.slack)
        last = self.wire.of(a.address)[-1].time
        frames[:] = [flooding(body, f"10.99.{n >> 8}.{n & 255}") for n in range(512, 5000)]
        await self.advertises(b, given + 9, 20)  # two dead times or more
        loop.stop()
        await ended
        self.assertEqual((slow.state, fast.state), ("BACKUP", "MASTER"))
        self.assertEqual(self.wire.of(a.address)[-1].time, last)

    async def test_output(self) -> None:
        """
        A master whose firewall drops what leaves is heard by its ucarp backup, and says
        which rule is missing.
        """
        a, b = self.host("a"), self.host("b")
        await self.firewall(a, "output")
        master = a.txcarp("-r", "2")
        await self.advertises(a)
        backup = b.ucarp()
        await self.becomes(backup, "BACKUP")
        await self.during(5.0)
        self.assertEqual((master.state, backup.state), ("MASTER", "BACKUP"))
        self.assertEqual(self.wire.of(b.address), [])
        self.assertLess(max(self.wire.gaps(a.address)), 1.0 + self.slack)
        self.assertEqual(len(master.said("drops outgoing protocol 112")), 1)
        self.assertTrue(master.said('oifname "eth0" ip protocol 112 accept'))
        self.assertEqual(
            {advert.said.advskew for advert in self.wire.adverts}, {0}, "nothing failed"
        )


class FloodTests(LabTestCase):
    """
    A stranger on the network who sends as fast as it can.
    """

    needsUcarp = False

    async def test_flood(self) -> None:
        """
        20000 mutated and forged packets change no state and no rhythm, and leave a few
        lines in the log.
        """
        a, b, stranger = self.host("a"), self.host("b"), self.host("s")
        master = a.txcarp()
        await self.advertises(a)
        backup = b.txcarp("-k", "100")
        started = await self.becomes(backup, "BACKUP")
        await self.advertises(a, started, 6)
        genuine = self.wire.of(a.address)[-1].frame
        lines = self.loud(master), self.loud(backup)
        begun = self.wire.of(a.address)[-1].time
        sent = await self.flood(stranger, genuine)
        over = self.wire.of(a.address)[-1].time
        await self.advertises(a, over + 1.5, 6)
        self.assertEqual(sent, 20000)
        self.assertEqual((master.state, backup.state), ("MASTER", "BACKUP"))
        for daemon, before in zip((master, backup), lines, strict=True):
            self.assertEqual(len(daemon.said("Switching to state: BACKUP")), 1)
            self.assertLess(self.loud(daemon) - before, 12)
        worst = max(self.wire.gaps(a.address, begun - 0.01))
        self.report(f"longest time between two advertisements in a flood: {worst:.3f} s")
        self.assertLess(worst, 1.0 + self.slack)
        self.assertEqual(self.wire.of(b.address), [])

    @staticmethod
    def loud(daemon: Daemon) -> int:
        """
        How many lines a process wrote that are not C{-D}'s.
        """
        return sum("[DEBUG]" not in line for _, line in daemon.lines)

    async def flood(self, stranger: Host, genuine: bytes) -> int:
        """
        Send what looks almost like a genuine frame.

        @return: how many frames left.
        """
        sock = frameSocket(stranger.node)
        self.addCleanup(sock.close)
        frames = [forged(genuine, number) for number in range(2000)]
        sent = 0

        def burst() -> None:
            nonlocal sent
            for _ in range(100):
                if sent == 20000:
                    loop.stop()
                    return
                try:
                    sock.send(frames[sent % len(frames)])
                except BlockingIOError:
                    return
                sent += 1

        loop = LoopingCall(burst)
        await loop.start(0.02)
        return sent


def forged(genuine: bytes, number: int) -> bytes:
    """
    One of many frames that no receiver may accept.
    """
    packet = bytearray(genuine[14:])
    kind, detail = number % 5, number // 5
    source = f"10.99.{detail % 250}.{1 + detail % 200}"
    if kind == 0:  # one bit is another
        packet[detail % len(packet)] ^= 1 << (detail // len(packet)) % 8
    elif kind == 1:  # a digest that is wrong, and checksums that are right
        packet[36 + detail % 20] ^= 1 + detail % 255
        packet = bytearray(ipv4(_summed(packet[20:56]), source))
    elif kind == 2:  # wants to be preferred, without the password
        packet[22], packet[25], packet[40] = 0, 0, packet[40] ^ 1
        packet = bytearray(ipv4(_summed(packet[20:56]), source))
    elif kind == 3:  # cut off
        packet = packet[: 20 + detail % 36]
    else:  # came through a router
        packet = bytearray(ipv4(bytes(packet[20:56]), source, ttl=detail % 255))
    return ipv4Frame(groupAddress(_GROUP), _MAC, bytes(packet))


def _summed(payload: bytes | bytearray) -> bytes:
    """
    With a checksum that is right.
    """
    zeroed = bytes(payload[:6]) + b"\0\0" + bytes(payload[8:])
    return zeroed[:6] + internetChecksum(zeroed).to_bytes(2, "big") + zeroed[8:]
