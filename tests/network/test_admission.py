"""
Tests for L{txcarp.network.admission}.  L{tests.network.test_socketfilter} has some in the kernel.
"""

from __future__ import annotations

import random
import socket
from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.crafted import packed
from tests.network.scenery import ipv6Packet
from tests.network.test_socketfilter import seen, verdict
from tests.testbed.fixture import makeTestbed
from txcarp.network.admission import MOST_GROUPS, MOST_PASSING, MOST_ROUTED, Admission, Omitted
from txcarp.network.socketfilter import Beginning, attach
from txcarp.protocol.envelope import Audience, readPacket, unwrap
from txcarp.protocol.rejection import Rejected, Rejection


class AdmissionTests(SynchronousTestCase):
    """
    Tests for L{Admission}.
    """

    def assertVerdict(
        self, wanted: Admission, beginning: Beginning, packet: bytes, good: bool | None
    ) -> None:
        """
        Check what becomes of a packet.

        @param good: Whether it is good or wrong; C{None} if it is for nobody.
        """
        header = 40 if beginning is Beginning.PAYLOAD else 0
        kept = [
            verdict(code, packet, header) > 0
            for code in (wanted.good(beginning), wanted.wrong(beginning))
        ]
        self.assertEqual(kept, [good is True, good is False], (beginning, packet.hex()))

    def test_fields(self) -> None:
        """
        Each wrong field is found.  What the other implementations ignore is ignored: the type,
        authlen, and more bytes.
        """
        body = crafted.payload()
        for beginning, make, group, own, other in (
            (Beginning.IPV4_HEADER, crafted.packet, "224.0.0.18", "10.99.0.2", "224.0.0.81"),
            (Beginning.IPV6_HEADER, crafted.packet6, "ff02::12", "fe80::2", "ff02::81"),
            (Beginning.PAYLOAD, crafted.packet6, "ff02::12", "fe80::2", "ff02::81"),
        ):
            wanted = Admission({crafted.VHID: packed(group), 200: packed(group)})
            hops = "ttl" if make is crafted.packet else "hops"
            for good, packet in (
                (True, make()),
                (True, make(vhid=200)),
                (True, make(kind=2, authlen=0)),
                (True, make(body + b"more")),
                (True, make(destination=own)),
                (None, make(vhid=11)),
                (None, make(body[:1])),
                (False, make(body[:2])),
                (False, make(body[:35])),
                (False, make(version=3)),
                (False, make(version=1)),
                (False, make(**{hops: 254})),
                (False, make(destination=other)),
            ):
                self.assertVerdict(wanted, beginning, packet, good)
            if beginning is not Beginning.PAYLOAD:
                self.assertVerdict(wanted, beginning, make(protocol=17), None)
        wanted = Admission({crafted.VHID: packed(crafted.GROUP)})
        options = crafted.packet(options=b"\1" * 40)
        self.assertVerdict(wanted, Beginning.IPV4_HEADER, options, True)
        self.assertVerdict(wanted, Beginning.IPV4_HEADER, options[:-1], False)

    def test_routed(self) -> None:
        """
        Another hop limit is good from a host behind routers; from every host, if there are more of
        those than the filter compares.
        """
        for beginning, prefix in (
            (Beginning.IPV4_HEADER, "10.98.0."),
            (Beginning.IPV6_HEADER, "2001:db8::"),
            (Beginning.PAYLOAD, "2001:db8::"),
        ):
            isIPv4 = beginning is Beginning.IPV4_HEADER
            group = packed("224.0.0.18" if isIPv4 else "ff02::12")
            for count in (1, 2, MOST_ROUTED, MOST_ROUTED + 1):
                routed = frozenset(packed(f"{prefix}{n}") for n in range(1, count + 1))
                wanted = Admission({crafted.VHID: group}, routed)
                for number in (1, count, count + 1):
                    source = f"{prefix}{number}"
                    packet = (
                        crafted.packet(source=source, ttl=63)
                        if isIPv4
                        else crafted.packet6(source=source, hops=63)
                    )
                    isGood = number <= count or count > MOST_ROUTED
                    self.assertVerdict(wanted, beginning, packet, isGood)

    def test_groups(self) -> None:
        """
        The groups of all virtual hosts are good destinations, and no other group; with too many
        groups the filter does not compare them.
        """
        for count in (1, 2, MOST_GROUPS, MOST_GROUPS + 1):
            for beginning in Beginning:
                isIPv4 = beginning is Beginning.IPV4_HEADER
                make = crafted.packet if isIPv4 else crafted.packet6
                prefix = "239.0.0." if isIPv4 else "ff02::"
                groups = {
                    vhid: packed(f"{prefix}{(vhid - 1) % count + 1}") for vhid in range(1, 256)
                }
                wanted = Admission(groups)
                for vhid in (1, 2, 128, 255):
                    for number in (1, count, count + 1):
                        packet = make(vhid=vhid, destination=f"{prefix}{number}")
                        isGood = number <= count or count > MOST_GROUPS
                        self.assertVerdict(wanted, beginning, packet, isGood)

    def test_asReceivers(self) -> None:
        """
        A packet that a filter drops would have been refused: the filter decides as L{unwrap}.
        """
        generator = random.Random(11)
        audience = Audience(crafted.VHID, b"", packed(crafted.GROUP), (packed("10.99.0.7"),))
        wanted = Admission({crafted.VHID: audience.group}, frozenset(audience.peers))
        good, wrong = wanted.good(Beginning.IPV4_HEADER), wanted.wrong(Beginning.IPV4_HEADER)
        outcomes = Counter[bool]()
        for _ in range(5000):
            data = bytearray(crafted.packet(source=generator.choice(("10.99.0.7", "10.99.0.8"))))
            for _ in range(generator.randrange(3)):
                data[generator.choice((8, 16, 19, 20, 21))] = generator.randrange(256)
            packet = crafted.mended(bytes(data[: generator.choice((56, 56, 55, 30))]))
            if len(packet) <= 21 or packet[21] != crafted.VHID:
                continue
            try:
                unwrap(readPacket(packet), audience)
                isGood = True
            except Rejected as rejected:
                isGood = rejected.reason is Rejection.CHECKSUM
            outcomes[isGood] += 1
            self.assertEqual(verdict(good, packet) > 0, isGood, packet.hex())
            self.assertEqual(verdict(wrong, packet) > 0, not isGood, packet.hex())
        self.assertGreater(min(outcomes[True], outcomes[False]), 500)

    def test_nobody(self) -> None:
        """
        Without virtual hosts, every packet is dropped.
        """
        for beginning in Beginning:
            packet = seen(beginning) if beginning is not Beginning.PAYLOAD else ipv6Packet()
            self.assertVerdict(Admission(), beginning, packet, None)

    def test_omitted(self) -> None:
        """
        Packets of senders that pass are omitted, for one virtual host; in a sample, most packets
        are.  What is known to be missing is kept.  Packets that are not good are dropped as ever.
        """
        for beginning, make, prefix in (
            (Beginning.IPV4_HEADER, crafted.packet, "10.99.0."),
            (Beginning.IPV6_HEADER, crafted.packet6, "fe80::"),
        ):
            group = packed(crafted.GROUP if make is crafted.packet else crafted.GROUP6)
            wanted = Admission({crafted.VHID: group, 20: group})
            names = [f"{prefix}{n}" for n in range(1, 2 * MOST_PASSING + 3)]
            passing, missing = names[:MOST_PASSING], names[MOST_PASSING : 2 * MOST_PASSING]
            pairs = frozenset((packed(one), crafted.VHID) for one in (*passing, missing[0]))
            for isSampled in (False, True):
                omitted = Omitted(pairs, frozenset(map(packed, missing)), isSampled)
                code = wanted.good(beginning, omitted)
                for luck in (0, 2**24 - 1, 2**24, 2**32 - 1):
                    isLucky = not isSampled or luck < 2**24
                    for source, vhid, isKept in (
                        *((one, crafted.VHID, False) for one in passing),
                        *((one, 20, isLucky) for one in passing),
                        *((one, crafted.VHID, True) for one in missing),
                        (names[-1], crafted.VHID, isLucky),
                        (missing[0], 21, False),
                    ):
                        packet = make(source=source, vhid=vhid)
                        kept = verdict(code, packet, luck=luck)
                        self.assertEqual(kept > 0, isKept, (source, vhid, luck, isSampled))
                    wrong = make(source=missing[0], version=3)
                    self.assertEqual(verdict(code, wrong, luck=luck), 0)

    def test_size(self) -> None:
        """
        The kernel accepts the largest filter in place of another one that is as large, with the
        limit of older kernels, too.
        """
        node = makeTestbed(self).node("a")
        with node.inside():
            # Older kernels have one limit for all namespaces, and no file in this one.
            limit = Path("/proc/sys/net/core/optmem_max")
            if limit.exists():
                limit.write_text("20480")
        for beginning in Beginning:
            size = 4 if beginning is Beginning.IPV4_HEADER else 16
            addresses = [n.to_bytes(size) for n in range(1, 300)]
            start = b"\xff" + bytes(size - 2)
            groups = {vhid: start + bytes([vhid % MOST_GROUPS]) for vhid in range(256)}
            wanted = Admission(groups, frozenset(addresses[:MOST_ROUTED]))
            omitted = Omitted(
                frozenset((one, 200) for one in addresses[:MOST_PASSING]),
                frozenset(addresses[100 : 100 + MOST_PASSING]),
                True,
            )
            with node.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for _ in range(3):
                    attach(sock, wanted.good(beginning, omitted))
                    attach(sock, wanted.wrong(beginning))
