"""
Interfaces with a hardware address that moves between hosts.
"""

from __future__ import annotations

import errno
from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.interfaces import IVirtualInterfaces
from txcarp.network.netlink import Netlink
from txcarp.network.requests import delLink, newMacvlan, setLink
from txcarp.network.rtnetlink import Link

_SETTINGS = Path("/proc/sys/net")

#: What a parent needs, at least.  C{arp_ignore}: it answers for its own addresses only.
#: C{arp_announce}: when it looks for a neighbour it says so in its own name.  It does that
#: for what leaves with a virtual address, too, which would tell the neighbour that this
#: address is at the hardware address of the parent.
_PARENT_SETTINGS = {"arp_ignore": 1, "arp_announce": 2}


@implementer(IVirtualInterfaces)
class Macvlans:
    """
    Virtual hardware addresses as macvlan interfaces.

    The host answers for a virtual address on the macvlan only, with its
    hardware address: both it and the parent are told to answer only for
    addresses of their own (C{arp_ignore}), or each would answer for the
    other's, and the parent to ask only in the name of its own
    (C{arp_announce}).  What the parent had before is put back when its last
    macvlan goes.
    """

    _log = Logger()

    def __init__(self, netlink: Netlink, settings: Path = _SETTINGS) -> None:
        """
        @param netlink: Started by its owner, before anything is made.
        @param settings: Where the kernel shows its network settings.
        """
        self._netlink = netlink
        self._settings = settings
        self._parents: dict[str, set[str]] = {}
        self._before: dict[str, dict[str, str]] = {}

    @inlineCallbacks
    def create(
        self, name: str, parent: str, hardware: bytes, ipv6: bool
    ) -> Generator[Deferred[Any], Any, None]:
        """
        See L{IVirtualInterfaces.create}.
        """
        links: dict[str, Link] = yield self._links()
        if parent not in links:
            raise OSError(errno.ENODEV, f"there is no interface [{parent}]")
        below = links[parent].index
        existing = links.get(name)
        if existing is None:
            yield self._netlink.request(newMacvlan(name, below, address=hardware))
            links = yield self._links()
        elif existing.kind != "macvlan" or existing.parent != below:
            raise OSError(
                errno.EEXIST, f"there is another interface [{name}], not a macvlan on [{parent}]"
            )
        index = links[name].index
        self._configure(name, ipv6)
        self._ignoreForeign(parent, name)
        yield self._netlink.request(setLink(index, up=True, address=hardware))

    @inlineCallbacks
    def remove(self, name: str, parent: str) -> Generator[Deferred[Any], Any, None]:
        """
        See L{IVirtualInterfaces.remove}.
        """
        links: dict[str, Link] = yield self._links()
        link = links.get(name)
        if link is not None and link.kind == "macvlan":
            yield self._netlink.request(delLink(link.index))
        self._restore(parent, name)

    def _links(self) -> Deferred[dict[str, Link]]:
        return self._netlink.dumpLinks().addCallback(
            lambda links: {link.name: link for link in links}
        )

    def _configure(self, name: str, ipv6: bool) -> None:
        """
        Make a macvlan quiet, and let it answer for what it has.
        """
        self._write(f"ipv4/conf/{name}/arp_ignore", "1")
        # Answers to what arrives here leave by the parent, which has the route.
        self._write(f"ipv4/conf/{name}/rp_filter", "2")
        # Two hosts have this hardware address, and must not get an address from it.
        self._write(f"ipv6/conf/{name}/addr_gen_mode", "1")
        self._write(f"ipv6/conf/{name}/accept_ra", "0")
        self._write(f"ipv6/conf/{name}/disable_ipv6", "0" if ipv6 else "1")

    def _ignoreForeign(self, parent: str, name: str) -> None:
        if parent not in self._before:
            self._before[parent] = before = {}
            for setting, least in _PARENT_SETTINGS.items():
                path = f"ipv4/conf/{parent}/{setting}"
                found = self._read(path)
                if found.isdecimal() and int(found) < least:
                    before[path] = found
                    self._write(path, str(least))
        self._parents.setdefault(parent, set()).add(name)

    def _restore(self, parent: str, name: str) -> None:
        names = self._parents.get(parent, set())
        names.discard(name)
        if names or parent not in self._before:
            return
        self._parents.pop(parent, None)
        for path, found in self._before.pop(parent).items():
            self._write(path, found)

    def _read(self, setting: str) -> str:
        try:
            return (self._settings / setting).read_text().strip()
        except OSError:
            return ""

    def _write(self, setting: str, value: str) -> None:
        try:
            (self._settings / setting).write_text(value)
        except OSError as error:
            self._log.warn(
                "{setting} could not be set to {value}: {reason}",
                setting=str(self._settings / setting),
                value=value,
                reason=error.strerror,
            )
