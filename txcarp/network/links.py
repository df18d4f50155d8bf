"""
Interfaces by name: up, carrier, gone, back.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txcarp.interfaces import ILinkMonitor, ILinkObserver
from txcarp.links import Link
from txcarp.netlink.client import ILinkEventObserver, Netlink

_RETRY = 1.0
"""Seconds until a list that the kernel could not give is asked for again."""


@attrs.define(eq=False)
class _Watch:
    """
    @ivar told: what the observer believes; C{None} until it was told anything.
    """

    name: str
    observer: ILinkObserver
    told: tuple[object, ...] | None = None


@implementer(ILinkMonitor, ILinkEventObserver)
class LinkMonitor:
    """
    Follows the kernel's events, and lists the links anew when events were lost.

    What counts as a change of a link: another index, C{up}, C{running} or MAC address, or
    that IPv6 ends or begins.
    """

    _log = Logger()

    def __init__(self, netlink: Netlink, clock: IReactorTime) -> None:
        """
        @param netlink: started by its owner, before L{start}.
        """
        self._netlink = netlink
        self._clock = clock
        self._started = False
        self._known = False
        self._listing = False
        self._uncertain = False
        self._answer: Deferred[list[Link]] | None = None
        self._retry: IDelayedCall | None = None
        self._links: dict[int, Link] = {}
        self._indexes: dict[str, int] = {}
        self._newer: set[int] = set()
        self._watches: list[_Watch] = []

    def start(self) -> None:
        """
        Begin to follow the links.  Observers are told the state of their links when the
        first list of them is complete.
        """
        if self._started:
            return
        self._started = True
        self._netlink.addLinkObserver(self)
        self._list()

    def stop(self) -> None:
        """
        Tell nobody anything more, until the next L{start}.
        """
        if not self._started:
            return
        self._started = self._known = self._listing = self._uncertain = False
        self._netlink.removeLinkObserver(self)
        if self._answer is not None:
            # Otherwise it would be taken for the first list of the next start.
            self._answer.cancel()
            self._answer = None
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._links.clear()
        self._indexes.clear()
        self._newer.clear()
        for watch in self._watches:
            watch.told = None

    def watch(self, name: str, observer: ILinkObserver) -> None:
        """
        See L{ILinkMonitor.watch}.  When the links are known already, the observer is
        told before this returns.
        """
        watch = _Watch(name, observer)
        self._watches.append(watch)
        if self._known:
            self._inform(watch)

    def unwatch(self, name: str, observer: ILinkObserver) -> None:
        """
        See L{ILinkMonitor.unwatch}.

        @raise ValueError: when C{observer} does not watch C{name}.
        """
        for watch in self._watches:
            if watch.name == name and watch.observer is observer:
                self._watches.remove(watch)
                return
        raise ValueError(f"{observer!r} does not watch interface {name}")

    def link(self, name: str) -> Link | None:
        """
        See L{ILinkMonitor.link}.  C{None} also before the first list is complete.
        """
        index = self._indexes.get(name) if self._known else None
        return None if index is None else self._links[index]

    def linkEvent(self, link: Link, present: bool) -> None:
        """
        See L{ILinkEventObserver.linkEvent}.
        """
        if self._listing:
            self._newer.add(link.index)
        before = self._links.get(link.index)
        names = {link.name} if before is None else {before.name, link.name}
        self._forget(link.index)
        if present:
            self._links[link.index] = link
            self._indexes[link.name] = link.index
        self._informAll(names)

    def linkEventsLost(self) -> None:
        """
        See L{ILinkEventObserver.linkEventsLost}.
        """
        if self._listing:
            # What was lost may be missing from this list, too.
            self._uncertain = True
        else:
            self._list()

    def _list(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._listing, self._uncertain = True, False
        self._newer.clear()
        self._answer = self._netlink.dumpLinks()
        self._answer.addCallbacks(self._listed, self._notListed)

    def _listed(self, links: Iterable[Link]) -> None:
        if not self._started:
            return
        self._listing = False
        if self._uncertain:
            self._list()
            return
        # An event is told after the change, in order: the last one about a link is at
        # least as new as what a list that was under way says.
        fresh = {link.index: link for link in links if link.index not in self._newer}
        for index in self._newer & self._links.keys():
            fresh[index] = self._links[index]
        names = self._indexes.keys() | {link.name for link in fresh.values()}
        if not self._known:
            names |= {watch.name for watch in self._watches}
        self._links = fresh
        self._indexes = {link.name: index for index, link in fresh.items()}
        self._newer.clear()
        self._known = True
        self._informAll(names)

    def _notListed(self, failure: Failure) -> None:
        if not self._started:
            return
        self._listing = False
        self._log.warn(
            "cannot list the interfaces: {error}; trying again in {seconds} s",
            error=failure.value,
            seconds=_RETRY,
        )
        self._retry = self._clock.callLater(_RETRY, self._again)

    def _again(self) -> None:
        self._retry = None
        self._list()

    def _forget(self, index: int) -> None:
        link = self._links.pop(index, None)
        # After a renaming the name may be another link's already.
        if link is not None and self._indexes.get(link.name) == index:
            del self._indexes[link.name]

    def _informAll(self, names: Iterable[str]) -> None:
        if not self._known:
            return
        for watch in [watch for watch in self._watches if watch.name in names]:
            # An observer may have stopped this one, or the monitor, in between.
            if self._known and watch in self._watches:
                self._inform(watch)

    def _inform(self, watch: _Watch) -> None:
        link = self.link(watch.name)
        looks: tuple[object, ...] = (
            ()
            if link is None
            else (link.index, link.up, link.running, link.address, link.carriesIPv6)
        )
        if looks == watch.told:
            return
        watch.told = looks
        try:
            watch.observer.linkChanged(watch.name, link)
        except Exception:
            self._log.failure("link observer {observer!r} failed", observer=watch.observer)
