"""
Interfaces with a hardware address that moves between hosts.
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

#: What a parent needs, at least.  C{arp_ignore}: it answers for its own addresses only.
#: C{arp_announce}: when it looks for a neighbour it says so in its own name.  It does that
#: for what leaves with a virtual address, too, which would tell the neighbour that this
#: address is at the hardware address of the parent.
_PARENT_SETTINGS = {"arp_ignore": 1, "arp_announce": 2}

#: What the alias of a macvlan of this program begins with.
_MARK = "txcarp"


@implementer(IVirtualInterfaces)
class Macvlans:
    """
    Virtual hardware addresses as macvlan interfaces.

    The host answers for a virtual address on the macvlan only, with its
    hardware address: both it and the parent are told to answer only for
    addresses of their own (C{arp_ignore}), or each would answer for the
    other's, and the parent to ask only in the name of its own
    (C{arp_announce}).  What the parent had before is put back when its last
    macvlan goes.  It is noted in the alias of each macvlan, which survives
    this process, and which other processes with virtual hosts on the same
    parent can read.
    """

    _log = Logger()

    def __init__(self, netlink: Netlink, settings: Path = _SETTINGS) -> None:
        """
        @param netlink: Started by its owner, before anything is made.
        @param settings: Where the kernel shows its network settings.
        """
        self._netlink = netlink
        self._settings = settings
        #: The index of the parent of each macvlan, and what the note on it says.
        self._made: dict[str, tuple[int | None, dict[str, str]]] = {}

    def create(self, name: str, parent: str, hardware: bytes, ipv6: bool) -> Deferred[None]:
        """
        See L{IVirtualInterfaces.create}.
        """
        return _insist(lambda: self._create(name, parent, hardware, ipv6))

    def remove(self, name: str, parent: str) -> Deferred[None]:
        """
        See L{IVirtualInterfaces.remove}.
        """
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
        before = self._beforeOn(parent, _notesOn(links, below))
        # In this order: whoever is killed in between has noted what it changes.
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
                return  # somebody else's
            # Its note goes with it, and the next answer may be lost.
            self._made[name] = link.parent, note or {}
            yield self._netlink.request(delLink(link.index))
            links = yield self._links()
        below, before = self._made.pop(name, (None, {}))
        # The parent may have been given another name meanwhile.
        for one in links.values():
            if one.index == below and not _notesOn(links, one.index):
                self._restore(one.name, before)

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

    def _beforeOn(self, parent: str, notes: list[dict[str, str]]) -> dict[str, str]:
        """
        What a parent has, or had before its macvlans were made, that is not
        enough for one.
        """
        before = self._lacking(parent)
        for note in notes:
            before.update(note)
        return before

    def _lacking(self, parent: str) -> dict[str, str]:
        """
        The settings of a parent that are not enough for a macvlan now.
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
                "{setting} could not be set to {value}: {reason}",
                setting=str(self._settings / setting),
                value=value,
                reason=error.strerror,
            )


@inlineCallbacks
def _insist(do: Callable[[], Deferred[None]]) -> Generator[Deferred[Any], Any, None]:
    """
    Do something that may be done twice, and once more if an answer was lost.
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
    The alias of a macvlan whose parent had these settings before.
    """
    return " ".join([_MARK, *(f"{setting}={value}" for setting, value in before.items())])


def _readNote(alias: str) -> dict[str, str] | None:
    """
    What L{_note} noted; C{None} if the alias is not of this program.
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
    What the macvlans of this program on one parent note.
    """
    notes = [
        _readNote(link.alias)
        for link in links.values()
        if link.kind == "macvlan" and link.parent == parent
    ]
    return [note for note in notes if note is not None]
