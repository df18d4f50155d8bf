"""
Telling the neighbours where an address is now.
"""

from __future__ import annotations

import errno
from typing import Protocol

from twisted.logger import Logger
from zope.interface import implementer

from txcarp.interfaces import IAnnouncer
from txcarp.network.frames import gratuitousARP, unsolicitedAdvertisement


class NoHardwareAddress(OSError):
    """
    An interface has no Ethernet address.
    """

    def __init__(self, interface: str) -> None:
        super().__init__(
            errno.EPFNOSUPPORT, f"{interface} has no Ethernet address", interface
        )


class FrameSender(Protocol):
    """
    What sends frames on one interface.
    """

    def hardwareAddress(self) -> bytes:
        """
        The Ethernet address of the interface.

        @raise NoHardwareAddress: If it cannot have one.
        @raise OSError: If the interface is gone.
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

    _log = Logger()

    def __init__(self, sender: FrameSender, hardware: bytes | None = None) -> None:
        self._sender = sender
        self._hardware = hardware
        self._saidNone = False

    def announce(self, address: bytes) -> None:
        try:
            hardware = self._hardware or self._sender.hardwareAddress()
        except NoHardwareAddress as error:
            # A tunnel: nobody on it keeps a table of such addresses.
            if not self._saidNone:
                self._saidNone = True
                self._log.info("{reason}: nothing is announced", reason=error.strerror)
            return
        frame = gratuitousARP if len(address) == 4 else unsolicitedAdvertisement
        self._sender.sendFrame(frame(hardware, address))
