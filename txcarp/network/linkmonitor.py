"""
The state of the network interfaces, by name.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.interfaces import ILinkMonitor, ILinkObserver
from txcarp.links import Link
from txcarp.netlink.client import ILinkEventObserver, Netlink
from txcarp.network.listing import Listing


@attrs.define(eq=False)
class _Watch:
    """
    @ivar reported: What the observer knows of the link; C{None} until it was called.
    """

    name: str
    observer: ILinkObserver
    reported: tuple[object, ...] | None = None


@implementer(ILinkMonitor, ILinkEventObserver)
class LinkMonitor:
    """
    Follows the kernel's events, and lists the links again when events were lost.

    A link has changed for its observers if its index, C{up}, C{running} or MAC address is
    another one, or if it begins or ceases to carry IPv6 or to be enslaved.
    """

    _log = Logger()

    def __init__(self, netlink: Netlink, clock: IReactorTime) -> None:
        """
        @param netlink: The owner starts it before L{start}.
        """
        self._netlink = netlink
        self._listing = Listing(
            clock, "interfaces", netlink.dumpLinks, lambda link: link.index, self._listed
        )
        self._started = False
        self._known = False
        self._untilKnown: list[Deferred[None]] = []
        self._links: dict[int, Link] = {}
        self._byName: dict[str, Link] = {}
        self._watches: dict[str, list[_Watch]] = {}

    def start(self) -> None:
        """
        Begin to follow the links.  Observers are first called when the list of the links is
        complete.
        """
        if not self._started:
            self._started = True
            self._netlink.addLinkObserver(self)
            self._listing.read()

    def stop(self) -> None:
        """
        Call no observer until the next L{start}.
        """
        if self._started:
            self._started = self._known = False
            self._netlink.removeLinkObserver(self)
            self._listing.stop()
            self._setLinks({})
            for watches in self._watches.values():
                for watch in watches:
                    watch.reported = None

    def watch(self, name: str, observer: ILinkObserver) -> None:
        """
        See L{ILinkMonitor.watch}.  If the links are known, the observer is called before
        this returns.
        """
        watch = _Watch(name, observer)
        self._watches.setdefault(name, []).append(watch)
        if self._known:
            self._notify(watch)

    def unwatch(self, name: str, observer: ILinkObserver) -> None:
        """
        See L{ILinkMonitor.unwatch}.

        @raise ValueError: If the observer does not watch this name.
        """
        watches = self._watches.get(name, [])
        for watch in watches:
            if watch.observer is observer:
                watches.remove(watch)
                if not watches:
                    del self._watches[name]
                return
        raise ValueError(f"{observer!r} does not watch interface {name}")

    def known(self) -> Deferred[None]:
        """
        See L{ILinkMonitor.known}.
        """
        if self._known:
            return succeed(None)
        known: Deferred[None] = Deferred()
        self._untilKnown.append(known)
        return known

    def link(self, name: str) -> Link | None:
        """
        See L{ILinkMonitor.link}.  C{None} also before the first list is complete.
        """
        link = self._byName.get(name) if self._known else None
        if link is None or link.master is None:
            return link
        master = self._links.get(link.master)
        return link if master is None else attrs.evolve(link, masterName=master.name)

    def linkEvent(self, link: Link, present: bool) -> None:
        self._listing.noteEvent(link, present)
        before = self._links.pop(link.index, None)
        if present and before == link and self._byName.get(link.name) is before:
            # The kernel reports many changes of settings.
            self._links[link.index] = self._byName[link.name] = link
            return
        if present:
            self._links[link.index] = link
        self._setLinks(self._links)
        self._notifyAll({link.name} if before is None else {before.name, link.name})

    def linkEventsLost(self) -> None:
        self._listing.read()

    def _listed(self, links: Iterable[Link]) -> None:
        self._known = True
        self._setLinks({link.index: link for link in links})
        self._notifyAll(set(self._watches))
        waiting, self._untilKnown = self._untilKnown, []
        for known in waiting:
            known.callback(None)

    def _setLinks(self, links: dict[int, Link]) -> None:
        self._links = links
        # When the event of a renaming was lost, two links have one name for a moment: the
        # one with the newer event, which comes later, has it really.
        self._byName = {link.name: link for link in links.values()}

    def _notifyAll(self, names: set[str]) -> None:
        for watch in [watch for name in names for watch in self._watches.get(name, ())]:
            # An observer may remove another one, or stop this monitor.
            if self._known and watch in self._watches.get(watch.name, ()):
                self._notify(watch)

    def _notify(self, watch: _Watch) -> None:
        link = self.link(watch.name)
        state: tuple[object, ...] = (
            ()
            if link is None
            else (
                *(link.index, link.up, link.running, link.address),
                *(link.carriesIPv6, link.isEnslaved),
            )
        )
        if state != watch.reported:
            watch.reported = state
            try:
                watch.observer.linkChanged(watch.name, link)
            except Exception:
                self._log.failure("The observer {observer!r} failed", observer=watch.observer)
