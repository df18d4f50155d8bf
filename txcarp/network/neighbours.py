"""
Telling the neighbours where an address is now.
"""

from __future__ import annotations

from typing import Protocol

from zope.interface import implementer

from txcarp.interfaces import IAnnouncer
from txcarp.network.frames import gratuitousARP, unsolicitedAdvertisement


class FrameSender(Protocol):
    """
    What sends frames on one interface.
    """

    def hardwareAddress(self) -> bytes:
        """
        The Ethernet address of the interface.
        """

    def sendFrame(self, frame: bytes) -> None:
        """
        Send one frame.
        """


@implementer(IAnnouncer)
class Announcer:
    """
    Gratuitous ARP and unsolicited neighbour advertisements on one interface,
    with the card's own hardware address unless another is given: virtual
    addresses move to another card, and their neighbours have to know.
    """

    def __init__(self, sender: FrameSender, hardware: bytes | None = None) -> None:
        self._sender = sender
        self._hardware = hardware

    def announce(self, address: bytes) -> None:
        hardware = self._hardware or self._sender.hardwareAddress()
        frame = gratuitousARP if len(address) == 4 else unsolicitedAdvertisement
        self._sender.sendFrame(frame(hardware, address))
