"""
The sockets of one interface.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorFDSet,
    IReactorSocket,
    IReactorTime,
)
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.interfaces import ILinkMonitor, ILinkObserver
from txcarp.links import MINIMUM_MTU_IPV6, InterfaceAddress, Link
from txcarp.network.addresslist import AddressList, IAddressListObserver
from txcarp.network.familyport import FamilyPort
from txcarp.network.questions import Questions
from txcarp.network.sockets import MissingCapability, dropped, openRawSocket
from txcarp.protocol.family import Family, familyOf

#: Seconds until a socket that was lost is opened again, if no event of the link comes first.
_REOPEN = 1.0


class NoHardwareAddress(OSError):
    """
    An interface has no Ethernet address.
    """

    def __init__(self, interface: str) -> None:
        super().__init__(
            errno.EPFNOSUPPORT, f"{interface} has no Ethernet address", interface
        )


def openFrameSocket(interface: str) -> socket.socket:
    """
    Open a packet socket that sends Ethernet frames on an interface, and receives nothing.

    @raise OSError: If the interface is gone or the kernel refuses.
    """
    sock = openRawSocket(socket.AF_PACKET, socket.SOCK_RAW, 0, "a packet socket")
    try:
        sock.bind((interface, 0))
    except BaseException:
        sock.close()
        raise
    return sock


@implementer(ILinkObserver, IAddressListObserver)
class InterfacePort:
    """
    Opens the sockets of one interface when it appears, and again when it is deleted and made
    again: a socket that is bound to a deleted interface hears nothing for ever, without an
    error.

    What cannot be opened is tried again, and the rest works meanwhile: an interface may be
    unable to do IPv6.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorSocket,
        clock: IReactorTime,
        links: ILinkMonitor,
        addresses: AddressList,
        interface: str,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._links = links
        self._addresses = addresses
        self._interface = interface
        self._index: int | None = None
        self._link: Link | None = None
        self._families: dict[Family, FamilyPort] = {}
        self._frames: socket.socket | None = None
        self._questions: dict[Family, Questions] = {}
        self._started = self._linkKnown = False
        self._retry: IDelayedCall | None = None
        self._reported: dict[str, str] = {}

    @property
    def index(self) -> int | None:
        """
        The index of the interface whose sockets are open; C{None} if there is none.
        """
        return self._index

    def add(self, vhid: int, group: bytes) -> FamilyPort:
        """
        Admit the packets of a virtual host, and join its packed group.

        @return: The port of the family of the group.
        """
        family = familyOf(group)
        port = self._families.get(family)
        if port is None:
            port = self._families[family] = FamilyPort(
                self._reactor,
                self._clock,
                self._interface,
                family,
                self._addresses,
                self._reopenLater,
                self._gone,
            )
        port.add(vhid, group)
        if not port.isOpen:
            self._reopen()
        return port

    def remove(self, vhid: int) -> bool:
        """
        Undo L{add} for a virtual host, in all families.

        @return: Whether no virtual host is left.
        """
        for port in list(self._families.values()):
            port.remove(vhid)
            if port.isIdle:
                port.close()
                del self._families[port.family]
        return not self._families

    def start(self) -> None:
        """
        Open the sockets if the interface exists, and whenever it appears.

        @raise txcarp.network.sockets.MissingCapability: If this process may not open them.
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
        self._addresses.watch(self)
        self._links.watch(self._interface, self)

    def stop(self) -> None:
        """
        Close all sockets.
        """
        self._started = False
        self._links.unwatch(self._interface, self)
        self._addresses.unwatch(self)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._close()

    def linkChanged(self, name: str, link: Link | None) -> None:
        self._linkKnown, self._link = True, link
        if link is None or link.index != self._index:
            self._close()
        elif not link.carriesIPv6 and Family.IPV6 in self._families:
            # The kernel has dropped all memberships, while the sockets believe that they
            # are members.  They must leave now, or they could not join again later.
            self._families[Family.IPV6].close()
        self._reopen()

    def addressNoted(
        self, address: InterfaceAddress, before: InterfaceAddress | None, present: bool
    ) -> None:
        # Addresses of other interfaces count, too: they may be the source of a virtual host.
        if (before is not None and before.isUsable) != (present and address.isUsable):
            for port in list(self._families.values()):
                if port.dependsOn(address):
                    port.reportChange()

    def addressesListed(self, again: bool) -> None:
        self._reportChange()

    def ipv6Changed(self, index: int) -> None:
        if index == self._index:
            self._reportChange()

    def sendFrame(self, frame: bytes) -> None:
        """
        Send an Ethernet frame.

        @raise OSError: If it was not sent.
        """
        frames = self._frameSocket()
        try:
            try:
                frames.send(frame)
            except OSError as error:
                # A socket that receives reports once that the interface went down, and this may
                # be long ago.  This one receives after the first question by ARP.
                if error.errno != errno.ENETDOWN or Family.IPV4 not in self._questions:
                    raise
                frames.send(frame)
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                raise dropped(self._interface) from None
            raise

    def ask(self, source: bytes, address: bytes) -> Deferred[bytes]:
        """
        Ask a neighbour once for its hardware address.

        @param source: The packed address to ask from; see L{Questions.ask}.
        @param address: The packed address of the neighbour.
        @return: Fires with the hardware address; fails with C{OSError} if the interface goes.
            Nothing limits the time: cancel it.
        @raise OSError: If the question was not sent.
        """
        hardware = self.hardwareAddress()
        family = familyOf(address)
        questions = self._questions.get(family)
        if questions is None or questions.isOver:
            # One socket receives one kind of frames.
            isARP = family is Family.IPV4
            frames = self._frameSocket().dup() if isARP else openFrameSocket(self._interface)
            reactor = cast(IReactorFDSet, self._reactor)
            questions = Questions(reactor, self._interface, frames, family)
            self._questions[family] = questions
        return questions.ask(hardware, source, address)

    def hardwareAddress(self) -> bytes:
        """
        Return the Ethernet address of the interface.

        @raise NoHardwareAddress: If it cannot have one.
        @raise OSError: If the interface is gone.
        """
        address = bytes(self._frameSocket().getsockname()[4])
        if len(address) != 6:
            raise NoHardwareAddress(self._interface)
        return address

    def _frameSocket(self) -> socket.socket:
        if self._frames is None:
            raise self._gone()
        return self._frames

    def _gone(self) -> OSError:
        number = errno.ENODEV if self._link is None else errno.ENETDOWN
        return OSError(number, os.strerror(number), self._interface)

    def _reopenLater(self) -> None:
        if self._started and self._retry is None:
            self._retry = self._clock.callLater(_REOPEN, self._reopenNow)

    def _reopenNow(self) -> None:
        self._retry = None
        # When its interface goes, the kernel unbinds a packet socket.  An interface that was
        # made anew since may have the same index, and no event may have told of it.
        if self._frames is not None and not self._frames.getsockname()[0]:
            self._close()
        self._reopen()

    def _reopen(self) -> None:
        if self._started:
            errors = self._open()
            if errors and self._isStale():
                self._close()
                self._reopenLater()  # unless an event that is still to come does so first
                return
            self._report(errors)
            for port in list(self._families.values()):
                port.reportHearing()

    def _reportChange(self) -> None:
        for port in list(self._families.values()):
            port.reportChange()

    def _report(self, errors: dict[str, OSError]) -> None:
        """
        Log what could not be opened, unless that was logged before, and try again later.
        """
        reasons = {what: error.strerror or str(error) for what, error in errors.items()}
        for what, reason in reasons.items():
            if self._reported.get(what) != reason:
                self._log.error(
                    "Unable to open interface [{interface}] for {what}: {reason}",
                    interface=self._interface,
                    what=what,
                    reason=reason,
                )
        self._reported = reasons
        if reasons:
            self._reopenLater()

    def _open(self) -> dict[str, OSError]:
        """
        Open the sockets that are closed, if the interface exists.

        @return: The errors, by what could not be opened.
        """
        index = self._currentIndex()
        if index is None:
            return {}
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
        return self._indexOfName()

    def _isStale(self) -> bool:
        """
        Whether the interface of this name is already another one than in the last event.
        """
        return self._indexOfName() != self._index

    def _indexOfName(self) -> int | None:
        try:
            return socket.if_nametoindex(self._interface)
        except OSError:
            return None

    def _close(self) -> None:
        self._index = None
        for port in self._families.values():
            port.close()
        asked, self._questions = self._questions, {}
        for questions in asked.values():
            questions.stop()
        if self._frames is not None:
            self._frames.close()
            self._frames = None
