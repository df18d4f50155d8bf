"""
The engine of C{txcarp init}: a first group, in a configuration file and a file with its password.

It listens on the network and sends nothing.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import shlex
import socket
import string
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import attrs

from txcarp.addresses import VirtualAddress, parseVirtualAddress, textOf
from txcarp.configuration.file import besideFile, readFile
from txcarp.links import InterfaceAddress
from txcarp.membership.reception import keyringOf
from txcarp.netlink.blocking import BlockingNetlink
from txcarp.observer import vrrp, wire
from txcarp.operate.client import PORT
from txcarp.protocol.advertisement import decode
from txcarp.protocol.envelope import Packet
from txcarp.protocol.family import isLinkLocal
from txcarp.protocol.rejection import Rejected

#: The names of the two files.
FILE, PASSWORD = "txcarp.toml", "password"

#: The name of the group and the directory of the files, unless others are given.
NAME, DIRECTORY = "web", "/etc/txcarp"

#: The most packets that are kept of what is heard.
_MOST_PACKETS = 20_000

#: The unit for systemd, and the directories where systemd looks for units.
_UNIT = "txcarp.service"
_UNITS = ("etc", "run", "usr/local/lib", "usr/lib", "lib")

#: Characters of a password: as many as txcarp takes.  CARP's key has 20 bytes, and ucarp needs one
#: of them for the end of the text.
LENGTH = 19

# linux/if_arp.h
_ARPHRD_LOOPBACK = 772

#: The characters of a password: without those that people take for one another.
_ALPHABET = "".join(set(string.ascii_letters + string.digits) - set("0OoIl1"))


class Refused(Exception):
    """
    There will be no group, for a reason that people can read.
    """


@attrs.frozen
class Plan:
    """
    A group as this host is to have it.

    @ivar name: Its name in the file.
    @ivar directory: Where the files are.
    @ivar isCredential: Whether systemd passes the password to the daemon, so that the file names a
        credential.
    @ivar hasPage: Whether anybody may read the state of the group on a TCP port, with a page for
        browsers.
    """

    name: str
    interface: str
    addresses: Sequence[VirtualAddress]
    vhid: int
    advskew: int
    directory: str
    isCredential: bool = False
    hasPage: bool = False

    @property
    def file(self) -> str:
        """
        The path of the configuration file.
        """
        return os.path.join(self.directory, FILE)

    @property
    def passwordFile(self) -> str:
        """
        The path of the file with the password.
        """
        return os.path.join(self.directory, PASSWORD)

    def text(self) -> str:
        """
        The configuration file.
        """
        source = "credential" if self.isCredential else "passfile"
        addresses = ", ".join(_quoted(str(one)) for one in self.addresses)
        return (
            "# Written by txcarp init.  'txcarp check FILE' finds mistakes in it.\n"
            "\n"
            f"{self._daemon()}"
            "[defaults]\n"
            f"interface = {_quoted(self.interface)}\n"
            f"{source} = {_quoted(PASSWORD)}\n"
            "\n"
            f"[group.{_quoted(self.name)}]\n"
            f"vhid = {self.vhid}\n"
            f"addresses = [{addresses}]\n"
            f"advskew = {self.advskew}            # the host with the lowest is preferred\n"
        )

    def _daemon(self) -> str:
        """
        The settings of the daemon.
        """
        if not self.hasPage:
            return ""
        return (
            "[daemon]\n"
            f'http = "tcp:{PORT}"          # anybody who reaches this port may read\n'
            "page = true\n"
            "\n"
        )

    def command(self, advskew: int) -> str:
        """
        The command line that makes the same group on another host, without the password.
        """
        words = ["txcarp", "init", "--join", "--interface", self.interface]
        for one in self.addresses:
            words += ["--address", str(one)]
        words += ["--vhid", str(self.vhid), "--advskew", str(advskew)]
        if self.name != NAME:
            words += ["--group", self.name]
        if self.directory != DIRECTORY:
            words += ["--directory", self.directory]
        if self.isCredential:
            words.append("--systemd")
        if self.hasPage:
            words.append("--page")
        return shlex.join(words)


def unit(prefix: str = sys.prefix, root: str = "/") -> str:
    """
    What C{systemctl enable} takes: the name of the unit or, if systemd does not find the one that
    is installed with this program, its path.

    @param prefix: The directory that this program is installed in.
    @param root: The directory where the paths of systemd begin.
    """
    own = os.path.join(prefix, "lib/systemd/system", _UNIT)
    known = [os.path.join(root, f"{one}/systemd/system", _UNIT) for one in _UNITS]
    if os.path.exists(own) and not any(map(os.path.lexists, known)):
        return own
    return _UNIT.partition(".")[0]


def interfaces() -> dict[str, list[InterfaceAddress]]:
    """
    The interfaces of this host on which it has an address that others can use, with those
    addresses.
    """
    with BlockingNetlink() as netlink:
        links, addresses = netlink.links(), netlink.addresses()
    names = {link.index: link.name for link in links if link.hardwareType != _ARPHRD_LOOPBACK}
    found: dict[str, list[InterfaceAddress]] = {}
    for one in addresses:
        if one.index in names and not isLinkLocal(one.local):
            found.setdefault(names[one.index], []).append(one)
    return found


def sharedAddress(
    text: str, interface: str, present: Mapping[str, Sequence[InterfaceAddress]]
) -> VirtualAddress:
    """
    An address for the group.  Without a prefix length, it gets that of its network on the
    interface.

    @param present: The interfaces of this host with their addresses.
    @raise ValueError: If it is no address, is in no network of the interface, or belongs to this
        host; and if the interface does not exist or has no address.
    """
    address = parseVirtualAddress(text)
    for name, near in present.items():
        if any(one.local == address.packed for one in near):
            raise ValueError(
                f"{address.text} is the address of this host on {name}: the hosts share one that "
                "none of them has of its own"
            )
    networks = present.get(interface, ())
    for one in networks:
        if one.covers(address.packed):
            if "/" not in text:
                return attrs.evolve(address, prefixLength=one.prefixLength)
            return address
    if not networks:
        problem = f"{interface} has no address that other hosts can reach"
        try:
            socket.if_nametoindex(interface)
        except OSError:
            problem = f"there is no interface {interface}"
        others = ", ".join(sorted(present)) or "none"
        raise ValueError(f"{problem}; the interfaces with addresses are: {others}")
    said = ", ".join(f"{textOf(one.local)}/{one.prefixLength}" for one in networks)
    raise ValueError(
        f"{address.text} is in no network of {interface}, whose addresses are: {said}"
    )


def listen(interface: str, seconds: float) -> list[Packet]:
    """
    The packets of CARP and VRRP on an interface, also those of other programs on this host.
    Blocks.

    @param seconds: How long to listen.
    @raise OSError: If that is not possible.
    """
    found: list[Packet] = []
    with wire.openListener(interface) as sock:
        end = time.monotonic() + seconds
        while len(found) < _MOST_PACKETS and (left := end - time.monotonic()) > 0:
            if not select.select([sock], (), (), left)[0]:
                break
            with suppress(BlockingIOError):
                arrival = wire.receive(sock)
                if arrival is not None:
                    found.append(arrival.packet)
    return found


def taken(packets: Sequence[Packet]) -> dict[int, str]:
    """
    The numbers that groups have, each with the address of a host that uses it.

    VRRP's numbers count, too: both protocols use the same Ethernet address for the same number.
    """
    found: dict[int, str] = {}
    for packet in packets:
        with suppress(Rejected):
            found.setdefault(_number(packet), textOf(packet.source))
    return found


def freeNumber(numbers: Mapping[int, str]) -> int:
    """
    The lowest vhid that is free.

    @raise Refused: If there is none.
    """
    for number in range(1, 256):
        if number not in numbers:
            return number
    raise Refused("all 255 numbers of groups are taken on this network")


def newPassword() -> str:
    """
    A password that nobody can guess: more than 100 bits.
    """
    return "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))


def numbered(plan: Plan, vhid: int) -> Plan:
    """
    The same group with a number.
    """
    return attrs.evolve(plan, vhid=vhid)


def refuseExisting(plan: Plan) -> None:
    """
    @raise Refused: If one of the files exists.
    """
    for path in (plan.file, plan.passwordFile):
        if os.path.lexists(path):
            raise Refused(
                f"{path} exists, and is not overwritten: give another --directory, or add the "
                "group to the file yourself"
            )


def write(plan: Plan, password: str) -> None:
    """
    Write the file with the password, which only its owner can read, and the configuration file.

    @raise Refused: If one of them exists, or cannot be written.  Nothing has changed then.
    """
    refuseExisting(plan)
    try:
        os.makedirs(plan.directory, exist_ok=True)
    except OSError as error:
        raise Refused(f"{plan.directory}: {error.strerror}") from None
    _create(plan.passwordFile, f"{password}\n", 0o600)
    try:
        _create(plan.file, plan.text(), 0o644)
    except Refused:
        os.unlink(plan.passwordFile)
        raise


def remove(plan: Plan) -> None:
    """
    Remove both files.
    """
    for path in (plan.file, plan.passwordFile):
        with suppress(OSError):
            os.unlink(path)


def members(plan: Plan, packets: Sequence[Packet]) -> list[str]:
    """
    The hosts that were heard in the group of the file.

    @raise Refused: If a host uses the number with another password or other addresses, and none
        is a member.
    @raise txcarp.configuration.problems.FileError: If the file cannot be read.
    """
    [group] = readFile(plan.file, besideFile(plan.file)).groups
    keyring = keyringOf(group)
    good: dict[str, None] = {}
    strange = ""
    for packet in packets:
        with suppress(Rejected):
            advertisement = decode(packet.payload)
            if advertisement.vhid == plan.vhid:
                source = textOf(packet.source)
                if keyring.recognise(advertisement.counter, advertisement.digest) is None:
                    strange = source
                else:
                    good[source] = None
    if strange and not good:
        raise Refused(
            f"{strange} advertises vhid {plan.vhid} on {plan.interface} with another password or "
            "other addresses than the ones given here"
        )
    return list(good)


def _number(packet: Packet) -> int:
    """
    @raise Rejected: If it is neither CARP nor VRRP.
    """
    try:
        return decode(packet.payload).vhid
    except Rejected:
        return vrrp.decode(packet.payload, len(packet.source))[0]


def _create(path: str, text: str, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, mode)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    try:
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        os.unlink(path)
        raise Refused(f"{path}: {error.strerror}") from None


def _quoted(text: str) -> str:
    """
    A basic string of TOML.
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
