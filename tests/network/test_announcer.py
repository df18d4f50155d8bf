"""
Tests for L{txcarp.network.linux.Announcer}.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txcarp.interfaces import IAnnouncer
from txcarp.network.frames import gratuitousARP, unsolicitedAdvertisement
from txcarp.network.interfaceport import NoHardwareAddress
from txcarp.network.linux import Announcer

CARD = bytes.fromhex("020000000007")
VIRTUAL = bytes.fromhex("00005e000107")


class FakeSender:
    """
    Keeps frames.
    """

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.gone = False
        self.isTunnel = False

    def hardwareAddress(self) -> bytes:
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")
        if self.isTunnel:
            raise NoHardwareAddress("tun0")
        return CARD

    def sendFrame(self, frame: bytes) -> None:
        self.frames.append(frame)


class AnnouncerTests(SynchronousTestCase):
    """
    Tests for L{Announcer}.
    """

    def setUp(self) -> None:
        """
        Make one.
        """
        self.sender: Any = FakeSender()
        self.announcer = Announcer(self.sender)

    def test_provided(self) -> None:
        """
        It provides its interface.
        """
        verifyObject(IAnnouncer, self.announcer)

    def test_ipv4(self) -> None:
        """
        An IPv4 address is announced by one gratuitous ARP packet with the card's address.
        """
        address = socket.inet_aton("10.0.0.9")
        self.announcer.announce(address)
        self.assertEqual(self.sender.frames, [gratuitousARP(CARD, address)])

    def test_ipv6(self) -> None:
        """
        An IPv6 address is announced by one neighbour advertisement.
        """
        address = socket.inet_pton(socket.AF_INET6, "2001:db8::9")
        self.announcer.announce(address)
        self.assertEqual(self.sender.frames, [unsolicitedAdvertisement(CARD, address)])

    def test_virtual(self) -> None:
        """
        If there is a virtual hardware address, it is the one to be announced.
        """
        address = socket.inet_aton("10.0.0.9")
        Announcer(self.sender, VIRTUAL).announce(address)
        self.assertEqual(self.sender.frames, [gratuitousARP(VIRTUAL, address)])

    def test_gone(self) -> None:
        """
        Without an interface an L{OSError} is raised.
        """
        self.sender.gone = True
        self.assertRaises(OSError, self.announcer.announce, b"\n\0\0\1")

    def test_tunnel(self) -> None:
        """
        On an interface without Ethernet addresses nothing is announced, and that is logged
        once.
        """
        self.sender.isTunnel = True
        with capturedLogs() as events:
            for address in bytes(4), bytes(16):
                self.announcer.announce(address)
        self.assertEqual(self.sender.frames, [])
        (said,) = events
        self.assertEqual(formatEvent(said), "tun0 has no Ethernet address: nothing is announced")
