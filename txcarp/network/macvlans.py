"""
Interfaces with a virtual hardware address, which moves between hosts.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger
from zope.interface import implementer

from txcarp.interfaces import IVirtualInterfaces
from txcarp.links import Link
from txcarp.netlink.client import Netlink
from txcarp.netlink.conversation import ATTEMPTS, AnswerLost
from txcarp.netlink.requests import delLink, newMacvlan, setLink

_SETTINGS = Path("/proc/sys/net")

#: The least values that a parent needs.  C{arp_ignore}: it answers for its own addresses
#: only.  C{arp_announce}: its ARP requests come from its own address.  Otherwise a request
#: for a packet from a virtual address would tell the neighbour that the virtual address is
#: at the hardware address of the parent.
_PARENT_SETTINGS = {"arp_ignore": 1, "arp_announce": 2}

#: The first word in the alias of a macvlan of this program.
_MARK = "txcarp"


@implementer(IVirtualInterfaces)
class Macvlans:
    """
    Makes macvlan interfaces, one for each virtual hardware address.

    The host must answer for a virtual address on its macvlan only.  So the macvlan and its
    parent are set to answer only for their own addresses (C{arp_ignore}), and the parent to
    ask only from its own (C{arp_announce}).

    The settings that the parent had are restored when its last macvlan is removed.  They are
    noted in the alias of each macvlan.  The note outlives this process, and other processes
    with virtual hosts on the same parent can read it.
    """

    _log = Logger()

    def __init__(self, netlink: Netlink, settings: Path = _SETTINGS) -> None:
        """
        @param netlink: The owner starts it before L{create}.
        @param settings: The directory of the kernel's network settings.
        """
        self._netlink = netlink
        self._settings = settings
        #: The index of the parent, and the note, of each macvlan by name.
        self._made: dict[str, tuple[int | None, dict[str, str]]] = {}

    def create(self, name: str, parent: str, hardware: bytes, ipv6: bool) -> Deferred[None]:
        return _insist(lambda: self._create(name, parent, hardware, ipv6))

    def remove(self, name: str, parent: str) -> Deferred[None]:
        return _insist(lambda: self._remove(name, parent))

    @inlineCallbacks
    def _create(
        self, name: str, parent: str, hardware: bytes, ipv6: bool
    ) -> Generator[Deferred[Any], Any, None]:
        links: dict[str, Link] = yield self._links()
        if parent not in links:
            raise OSError(errno.ENODEV, f"there is no interface [{parent}]")
        below = links[parent].index
        existing = links.get(name)
        if existing is None:
            yield self._netlink.request(newMacvlan(name, below, address=hardware))
        elif existing.kind != "macvlan" or existing.parent != below:
            raise OSError(
                errno.EEXIST, f"there is another interface [{name}], not a macvlan on [{parent}]"
            )
        links = yield self._links()
        index = links[name].index
        before = self._lacking(parent)
        for note in _notesOn(links, below):
            before.update(note)
        # The note comes before the changes, in case this process is killed in between.
        yield self._netlink.request(setLink(index, alias=_note(before)))
        self._configure(name, ipv6)
        self._made[name] = below, before
        for setting in self._lacking(parent):
            self._write(f"ipv4/conf/{parent}/{setting}", str(_PARENT_SETTINGS[setting]))
        yield self._netlink.request(setLink(index, up=True, address=hardware))

    @inlineCallbacks
    def _remove(self, name: str, parent: str) -> Generator[Deferred[Any], Any, None]:
        links: dict[str, Link] = yield self._links()
        link = links.get(name)
        if link is not None and link.kind == "macvlan":
            note = _readNote(link.alias)
            if note is None and (parent not in links or link.parent != links[parent].index):
                self._made.pop(name, None)
                return  # it is not ours
            # The note is deleted with the macvlan, and the next answer may be lost.
            self._made[name] = link.parent, note or {}
            yield self._netlink.request(delLink(link.index))
            links = yield self._links()
        below, before = self._made.pop(name, (None, {}))
        # The parent may have been renamed meanwhile.
        for one in links.values():
            if one.index == below and not _notesOn(links, one.index):
                self._restore(one.name, before)

    def _links(self) -> Deferred[dict[str, Link]]:
        return self._netlink.dumpLinks().addCallback(
            lambda links: {link.name: link for link in links}
        )

    def _configure(self, name: str, ipv6: bool) -> None:
        """
        Have a macvlan answer for its own addresses, and do nothing else.
        """
        self._write(f"ipv4/conf/{name}/arp_ignore", "1")
        # Loose: the answers to what arrives here leave by the parent, which has the route.
        self._write(f"ipv4/conf/{name}/rp_filter", "2")
        # No IPv6 address may be made of this hardware address: two hosts have it.
        self._write(f"ipv6/conf/{name}/addr_gen_mode", "1")
        self._write(f"ipv6/conf/{name}/accept_ra", "0")
        self._write(f"ipv6/conf/{name}/disable_ipv6", "0" if ipv6 else "1")

    def _lacking(self, parent: str) -> dict[str, str]:
        """
        Return the settings of a parent that are not enough for a macvlan, as they are now.
        """
        found = {
            setting: self._read(f"ipv4/conf/{parent}/{setting}") for setting in _PARENT_SETTINGS
        }
        return {
            setting: value
            for setting, value in found.items()
            if value.isdecimal() and int(value) < _PARENT_SETTINGS[setting]
        }

    def _restore(self, parent: str, before: dict[str, str]) -> None:
        for setting, value in before.items():
            path = f"ipv4/conf/{parent}/{setting}"
            if self._read(path) == str(_PARENT_SETTINGS[setting]):
                self._write(path, value)

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
                "Unable to set {setting} to {value}: {reason}",
                setting=str(self._settings / setting),
                value=value,
                reason=error.strerror,
            )


@inlineCallbacks
def _insist(do: Callable[[], Deferred[None]]) -> Generator[Deferred[Any], Any, None]:
    """
    Do something that may be done twice; do it again if an answer was lost.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            yield do()
        except AnswerLost:
            continue
        return
    yield do()


def _note(before: dict[str, str]) -> str:
    """
    Make the alias of a macvlan whose parent had these settings before.
    """
    return " ".join([_MARK, *(f"{setting}={value}" for setting, value in before.items())])


def _readNote(alias: str) -> dict[str, str] | None:
    """
    Read the settings from an alias; C{None} if L{_note} did not make it.
    """
    mark, *words = alias.split(" ")
    if mark != _MARK:
        return None
    pairs = [word.partition("=") for word in words]
    return {
        setting: value
        for setting, _, value in pairs
        if setting in _PARENT_SETTINGS and value.isdecimal()
    }


def _notesOn(links: dict[str, Link], parent: int) -> list[dict[str, str]]:
    """
    Read the notes on all macvlans of a parent.
    """
    notes = [
        _readNote(link.alias)
        for link in links.values()
        if link.kind == "macvlan" and link.parent == parent
    ]
    return [note for note in notes if note is not None]
