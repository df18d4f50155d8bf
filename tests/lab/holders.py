"""
Which hosts have an address, and for how long.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable

import attrs
from twisted.internet.interfaces import IReactorFDSet
from zope.interface import implementer

from txcarp.interfaces import IAddressObserver
from txcarp.links import InterfaceAddress
from txcarp.netlink.client import Netlink
from txcarp.testbed import Node


@attrs.frozen
class Span:
    """
    A span of time.

    @ivar seconds: Its length.
    @ivar open: Whether it had not ended at the end of the observation.
    """

    seconds: float = 0.0
    open: bool = False


class Holders:
    """
    Watches on which nodes an address is, by the netlink messages of their kernels.

    @ivar now: The names of the nodes that have it.
    @ivar uncertain: Whether a message was lost.
    """

    def __init__(self, reactor: IReactorFDSet, address: str) -> None:
        self.now: frozenset[str] = frozenset()
        self.uncertain = False
        self._reactor = reactor
        self._packed = self.packed(address)
        self._history: list[tuple[float, frozenset[str]]] = []
        self._netlinks: list[Netlink] = []

    @staticmethod
    def packed(address: str) -> bytes:
        """
        The packed form of an address without prefix length.
        """
        return ipaddress.ip_address(address).packed

    def watch(self, node: Node) -> None:
        """
        Watch a node that does not have the address yet.
        """
        netlink = Netlink(self._reactor)
        netlink.addAddressObserver(_Watch(self, node.name, self._packed))
        with node.inside():
            netlink.start()
        self._netlinks.append(netlink)

    def stop(self) -> None:
        """
        Stop watching.
        """
        for netlink in self._netlinks:
            netlink.stop()

    def changed(self, name: str, present: bool) -> None:
        """
        Note that a node got the address, or lost it.
        """
        now = self.now | {name} if present else self.now - {name}
        if now != self.now:
            self.now = now
            self._history.append((time.monotonic(), now))

    def first(self, name: str, since: float) -> float | None:
        """
        Seconds from a time on the monotonic clock until a node had the address; C{None} if it did
        not get it.
        """
        later = (when for when, names in self._history if when > since and name in names)
        return next((when - since for when in later), None)

    def longest(
        self, what: Callable[[frozenset[str]], bool], since: float, until: float
    ) -> Span:
        """
        The longest time in which a condition held.

        @param what: The condition, from the names of the nodes that have the address.
        @param since: The beginning of the observation, on the monotonic clock.
        @param until: Its end.
        """
        longest, began = Span(), None
        before = [names for when, names in self._history if when <= since]
        inside = [(when, names) for when, names in self._history if since < when < until]
        steps = [(since, before[-1] if before else frozenset[str]()), *inside]
        for when, names in steps:
            if what(names):
                began = when if began is None else began
            elif began is not None:
                longest = max(longest, Span(when - began), key=_seconds)
                began = None
        if began is not None:
            longest = max(longest, Span(until - began, open=True), key=_seconds)
        return longest


def _seconds(span: Span) -> float:
    return span.seconds


@implementer(IAddressObserver)
class _Watch:
    """
    Reports the changes on one node.
    """

    def __init__(self, holders: Holders, name: str, packed: bytes) -> None:
        self._holders = holders
        self._name = name
        self._packed = packed

    def addressChanged(self, address: InterfaceAddress, present: bool) -> None:
        """
        See L{IAddressObserver.addressChanged}.
        """
        if address.local == self._packed:
            self._holders.changed(self._name, present)

    def addressesUncertain(self) -> None:
        """
        See L{IAddressObserver.addressesUncertain}.
        """
        self._holders.uncertain = True
