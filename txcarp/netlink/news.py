"""
What the kernel says about links and addresses without being asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from twisted.logger import Logger
from zope.interface import Interface

from txcarp.interfaces import IAddressObserver
from txcarp.links import Link
from txcarp.netlink.format import Message
from txcarp.netlink.messages import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    parseAddress,
    parseLink,
)

_T = TypeVar("_T")


class ILinkNews(Interface):
    """
    Who is told what the kernel says about every link.
    """

    def linkSeen(link: Link, present: bool) -> None:
        """
        A link is as C{link} says, or (not C{present}) was deleted.  Also called when
        nothing of interest is different.
        """

    def linksUncertain() -> None:
        """
        Messages were lost; only a fresh list of the links tells what is true.
        """


class News:
    """
    Tells observers, in the order in which the kernel said things; one that raises is
    logged and does not disturb the others.

    @ivar linkObservers: who is told about links.
    @ivar addressObservers: who is told about addresses.
    """

    _log = Logger()

    def __init__(self, open: Callable[[], bool]) -> None:
        """
        @param open: whether anybody is to be told anything; observers may end that.
        """
        self.linkObservers: list[ILinkNews] = []
        self.addressObservers: list[IAddressObserver] = []
        self._open = open

    def received(self, message: Message) -> None:
        """
        Tell what a message says, if it is about a link or an address.

        @raise txcarp.netlink.format.NetlinkError: when it is malformed.
        """
        if message.type in (RTM_NEWLINK, RTM_DELLINK):
            link = parseLink(message)
            if link is not None:
                self._tell(
                    self.linkObservers,
                    lambda observer: observer.linkSeen(link, message.type == RTM_NEWLINK),
                )
        elif message.type in (RTM_NEWADDR, RTM_DELADDR):
            address = parseAddress(message)
            present = message.type == RTM_NEWADDR
            self._tell(
                self.addressObservers,
                lambda observer: observer.addressChanged(address, present),
            )

    def uncertain(self) -> None:
        """
        Tell that something was not heard.
        """
        self._tell(self.linkObservers, lambda observer: observer.linksUncertain())
        self._tell(self.addressObservers, lambda observer: observer.addressesUncertain())

    def _tell(self, observers: Sequence[_T], call: Callable[[_T], None]) -> None:
        for observer in list(observers):
            if not self._open() or observer not in observers:
                continue
            try:
                call(observer)
            except Exception:
                self._log.failure("{observer!r} failed", observer=observer)
