"""
Tests of L{txcarp.demo.witness}.
"""

from __future__ import annotations

import select
import socket
import time
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.testbed.fixture import makeTestbed, until
from txcarp.demo.witness import Advert, Witness, openCapture
from txcarp.protocol.advertisement import Advertisement, encode
from txcarp.protocol.authentication import Authenticator
from txcarp.protocol.envelope import wrap
from txcarp.protocol.ipv4 import GROUP
from txcarp.protocol.timing import LEAVING, Timing

VIRTUAL = bytes((10, 99, 0, 100))
CARD = b"\x02\0\0\0\0\x01"


class FakeReactor:
    """
    A reactor that reads nothing by itself.
    """

    def addReader(self, reader: object) -> None: ...

    def removeReader(self, reader: object) -> None: ...


class FakeSocket:
    """
    A socket with packets in it.
    """

    def __init__(self) -> None:
        self.packets: list[tuple[bytes, bytes]] = []

    def recvmsg(self, size: int, ancillary: int) -> tuple[bytes, list[Any], int, tuple[Any, ...]]:
        if not self.packets:
            raise BlockingIOError
        packet, card = self.packets.pop(0)
        return packet, [], 0, ("eth0", 0x0800, 0, 1, card)


def advert(timing: Timing, password: bytes = b"secret") -> bytes:
    """
    An advertisement as a master sends it.
    """
    digest = Authenticator(password, 1, [VIRTUAL]).sign(7)
    payload = encode(
        Advertisement(
            vhid=1, advbase=timing.advbase, advskew=timing.advskew, counter=7, digest=digest
        )
    )
    return wrap(payload, bytes((10, 99, 0, 1)), GROUP, 1)


class WitnessTests(SynchronousTestCase):
    """
    Tests of L{Witness} with packets from a list.
    """

    def setUp(self) -> None:
        self.socket = FakeSocket()
        self.witness = Witness(
            cast(Any, FakeReactor()),
            cast(Any, self.socket),
            Authenticator(b"secret", 1, [VIRTUAL]),
            1,
            "10.99.0.100",
            {CARD: "alpha"},
        )
        self.told: list[Advert] = []
        self.witness.advertised = self.told.append

    def see(self, packet: bytes, card: bytes = CARD) -> None:
        self.socket.packets.append((packet, card))
        self.witness.doRead()

    def test_advert(self) -> None:
        """
        A genuine advertisement is reported with its sender, and the newest one is found.
        """
        self.see(advert(Timing(1, 50)))
        self.see(advert(LEAVING))
        self.assertEqual([one.leaving for one in self.told], [False, True])
        self.assertEqual([one.host for one in self.told], ["alpha", "alpha"])
        self.assertIs(self.witness.latest("alpha"), self.told[1])
        self.assertIsNone(self.witness.latest("beta"))

    def test_notGenuine(self) -> None:
        """
        Other packets, wrong signatures, unknown senders and truncated packets are ignored.
        """
        good = advert(Timing(1, 0))
        self.see(advert(Timing(1, 0), b"another"))
        self.see(good, card=b"\x02strng")
        for end in range(len(good)):
            self.see(good[:end])
        self.assertEqual((self.told, self.witness.answering), ([], ""))

    def test_answer(self) -> None:
        """
        The source of a packet from the virtual address is the host that answers.
        """
        packet = bytearray(advert(Timing(1, 0)))
        packet[9], packet[12:16] = socket.IPPROTO_ICMP, VIRTUAL
        self.see(bytes(packet))
        self.assertEqual(self.witness.answering, "alpha")

    def test_flood(self) -> None:
        """
        The number of packets that are read in one turn of the reactor is limited.
        """
        self.socket.packets = [(advert(Timing(1, 0)), CARD)] * 500
        self.witness.doRead()
        self.assertGreater(len(self.socket.packets), 300)


class SocketTests(TestCase):
    """
    Tests of L{openCapture} with a network.
    """

    async def test_multicast(self) -> None:
        """
        Advertisements reach a node that is no member of their group, and are dated by their
        arrival at the network card.
        """
        from twisted.internet import reactor

        testbed = makeTestbed(self)
        host, client = testbed.node("host", "10.99.0.1/24"), testbed.node("client")
        with client.inside():
            sock = openCapture("eth0")
        witness = Witness(
            cast(Any, reactor),
            sock,
            Authenticator(b"secret", 1, [VIRTUAL]),
            1,
            "10.99.0.100",
            {host.link().address: "host"},
        )
        witness.startReading()
        self.addCleanup(witness.stop)
        sending = host.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.addCleanup(sending.close)
        sending.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        before = time.monotonic()
        sending.sendto(advert(Timing(1, 0)), ("224.0.0.18", 0))
        select.select([sock], [], [], 10)
        arrived = time.monotonic()
        time.sleep(0.3)  # the reader is busy, the card is not
        await until(lambda: witness.adverts)
        self.assertTrue(before - 0.01 < witness.adverts[0].at < arrived + 0.25)
