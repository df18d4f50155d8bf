"""
All that is open on one interface.
"""

from __future__ import annotations

import errno
import os
import socket

from twisted.internet.interfaces import IDelayedCall, IReactorSocket, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.interfaces import ILinkMonitor, ILinkObserver
from txcarp.links import MINIMUM_MTU_IPV6, Link
from txcarp.network.familyport import FamilyPort
from txcarp.network.neighbours import NoHardwareAddress
from txcarp.network.sockets import MissingCapability, openSocket
from txcarp.protocol.family import Family, familyOf

#: Seconds until a socket that was lost is opened again, when no event of the
#: link says so earlier.
_REOPEN = 1.0


def openFrameSocket(interface: str) -> socket.socket:
    """
    Open a packet socket that sends Ethernet frames on an interface, and receives nothing.

    @raise OSError: If the interface is gone or the kernel refuses.
    """
    sock = openSocket(socket.AF_PACKET, socket.SOCK_RAW, 0, "a packet socket")
    try:
        sock.bind((interface, 0))
    except BaseException:
        sock.close()
        raise
    return sock


@implementer(ILinkObserver)
class InterfacePort:
    """
    The sockets of one interface, as long as it exists; opened anew when it is
    made anew.  A socket that is bound to an interface that was deleted hears
    nothing for ever, without any error.

    What cannot be opened is tried again, and keeps nothing else from working:
    an interface may be unable to do IPv6.
    """

    _log = Logger()

    def __init__(
        self, reactor: IReactorSocket, clock: IReactorTime, links: ILinkMonitor, interface: str
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._links = links
        self._interface = interface
        self._index: int | None = None
        self._link: Link | None = None
        self._families: dict[Family, FamilyPort] = {}
        self._frames: socket.socket | None = None
        self._started = self._linkKnown = False
        self._retry: IDelayedCall | None = None
        self._troubles: dict[str, str] = {}

    def add(self, vhid: int, group: bytes) -> FamilyPort:
        """
        Admit the packets of a virtual host in the family of its packed group, and be
        a member of that.

        @return: What its packets are sent by.
        """
        family = familyOf(group)
        port = self._families.get(family)
        if port is None:
            port = self._families[family] = FamilyPort(
                self._reactor, self._interface, family, self._reopenLater, self._gone
            )
        port.add(vhid, group)
        self._reopen()
        return port

    def remove(self, vhid: int) -> bool:
        """
        Deliver nothing more for a virtual host, in any family.

        @return: Whether nobody is left.
        """
        for port in list(self._families.values()):
            port.remove(vhid)
            if port.isIdle:
                port.close()
                del self._families[port.family]
        return not self._families

    def start(self) -> None:
        """
        Open the sockets now if the interface exists, and whenever it does.

        @raise txcarp.network.sockets.MissingCapability: If this process may
            not open them.
        """
        try:
            errors = self._open()
            for error in errors.values():
                if isinstance(error, MissingCapability):
                    raise error
        except BaseException:
            self._close()
            raise
        self._started = True
        self._report(errors)
        self._links.watch(self._interface, self)

    def stop(self) -> None:
        """
        Close everything.
        """
        self._started = False
        self._links.unwatch(self._interface, self)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._close()

    def linkChanged(self, name: str, link: Link | None) -> None:
        self._linkKnown, self._link = True, link
        if link is None or link.index != self._index:
            self._close()
        elif not link.carriesIPv6 and Family.IPV6 in self._families:
            # The kernel forgot who was a member of a group, while the sockets believe
            # that they still are; what does not leave now cannot join again later.
            self._families[Family.IPV6].close()
        self._reopen()

    def sendFrame(self, frame: bytes) -> None:
        """
        Send an Ethernet frame.

        @raise OSError: If it did not leave.
        """
        if self._frames is None:
            raise self._gone()
        self._frames.send(frame)

    def hardwareAddress(self) -> bytes:
        """
        The Ethernet address of the interface.

        @raise NoHardwareAddress: If it cannot have one.
        @raise OSError: If the interface is gone.
        """
        if self._frames is None:
            raise self._gone()
        address = bytes(self._frames.getsockname()[4])
        if len(address) != 6:
            raise NoHardwareAddress(self._interface)
        return address

    def _gone(self) -> OSError:
        number = errno.ENODEV if self._link is None else errno.ENETDOWN
        return OSError(number, os.strerror(number), self._interface)

    def _reopenLater(self) -> None:
        if self._started and self._retry is None:
            self._retry = self._clock.callLater(_REOPEN, self._retried)

    def _retried(self) -> None:
        self._retry = None
        if self._isDeaf():
            self._close()
        self._reopen()

    def _reopen(self) -> None:
        if self._started:
            errors = self._open()
            if errors and self._isBehind():
                self._close()
                self._reopenLater()  # unless the news that are still to come do so earlier
                return
            self._report(errors)
            for port in list(self._families.values()):
                port.tellHearing()

    def _report(self, errors: dict[str, OSError]) -> None:
        """
        Say what could not be opened, unless that was said, and try again later.
        """
        troubles = {what: error.strerror or str(error) for what, error in errors.items()}
        for what, reason in troubles.items():
            if self._troubles.get(what) != reason:
                self._log.error(
                    "Unable to open interface [{interface}] for {what}: {reason}",
                    interface=self._interface,
                    what=what,
                    reason=reason,
                )
        self._troubles = troubles
        if troubles:
            self._reopenLater()

    def _open(self) -> dict[str, OSError]:
        """
        Open what is not open yet, if the interface exists.

        @return: What could not be opened, and why.
        """
        index = self._currentIndex()
        if index is None:
            return {}  # waited for
        if self._index != index:
            self._close()
        self._index = index
        errors: dict[str, OSError] = {}
        for port in self._families.values():
            try:
                if port.family is Family.IPV6:
                    self._checkIPv6()
                port.open(index)
            except OSError as error:
                errors[port.family.value] = error
        if self._frames is None:
            try:
                self._frames = openFrameSocket(self._interface)
            except OSError as error:
                errors["frames"] = error
        return errors

    def _isDeaf(self) -> bool:
        """
        Whether the interface that the sockets were opened on is gone, whatever has its
        index now: the kernel takes the interface away from a packet socket.
        """
        return self._frames is not None and not self._frames.getsockname()[0]

    def _isBehind(self) -> bool:
        """
        Whether the interface is another one by now than the one that was told of.
        """
        try:
            return socket.if_nametoindex(self._interface) != self._index
        except OSError:
            return True

    def _checkIPv6(self) -> None:
        if self._link is not None and not self._link.carriesIPv6:
            raise OSError(
                errno.EMSGSIZE,
                f"its MTU is {self._link.mtu}, and IPv6 needs {MINIMUM_MTU_IPV6}",
                self._interface,
            )

    def _currentIndex(self) -> int | None:
        if self._linkKnown:
            return None if self._link is None else self._link.index
        try:
            return socket.if_nametoindex(self._interface)
        except OSError:
            return None

    def _close(self) -> None:
        self._index = None
        for port in self._families.values():
            port.close()
        if self._frames is not None:
            self._frames.close()
            self._frames = None
