"""
A place on a network where nothing goes wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from zope.interface import implementer

from txcarp.interfaces import IAdvertisementTransport, IPacketReceiver


@implementer(IAdvertisementTransport)
class FakeTransport:
    """
    A virtual host's place on a network in one family.  What it sends arrives nowhere.

    @ivar receiver: Gets the packets; C{None} if nobody does.
    """

    def __init__(self) -> None:
        self.receiver: IPacketReceiver | None = None

    def deliverTo(self, receiver: IPacketReceiver | None) -> None:
        self.receiver = receiver

    def send(self, packet: bytes) -> None:
        pass

    def parcel(self, packet: bytes) -> tuple[int, bytes, bytes] | None:
        return 7, b"", packet

    def admitRouted(self, peers: Collection[bytes]) -> None:
        pass

    def linkLocals(self) -> Sequence[bytes]:
        return []

    def isLocal(self, address: bytes) -> bool:
        return True

    def isSwitchedOff(self) -> bool:
        return False

    def hears(self) -> bool:
        return True

    def hasUnread(self) -> bool:
        return False

    def readUnread(self) -> None:
        pass

    def whyDropped(self, source: bytes) -> str:
        return ""

    def watchFront(self, wanted: bool, missing: Collection[bytes] = ()) -> None:
        pass
