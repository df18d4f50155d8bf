"""
Fakes and helpers of the tests of the sockets.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import SkipTest

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from tests import crafted
from txcarp.interfaces import IAddressObserver, ILinkMonitor, ILinkObserver, IPacketReceiver
from txcarp.links import InterfaceAddress, Link
from txcarp.network.addresslist import AddressList
from txcarp.protocol.envelope import Packet
from txcarp.testbed import Node

GROUP4 = socket.inet_aton("224.0.0.18")
GROUP6 = socket.inet_pton(socket.AF_INET6, "ff02::12")

_EXPERIMENTAL = 0x88B5


def packed(address: str) -> bytes:
    """
    The bytes of an address of either family.
    """
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def ipv6Packet(
    vhid: int = crafted.VHID,
    *,
    source: str = "fe80::77",
    destination: bytes | str = GROUP6,
    hopLimit: int = 255,
    protocol: int = 112,
    body: bytes | None = None,
) -> bytes:
    """
    An advertisement with an IPv6 header.
    """
    if body is None:
        body = crafted.payload(vhid=vhid)
    if isinstance(destination, str):
        destination = packed(destination)
    header = struct.pack("!IHBB", 6 << 28, len(body), protocol, hopLimit)
    return header + packed(source) + destination + body


def awaitIPv6(node: Node, interface: str = "eth0") -> None:
    """
    Wait until an interface has its link-local address, and all its IPv6 addresses work.  They
    begin to work some time after the kernel answered that they were added.
    """
    end = time.monotonic() + 10
    while time.monotonic() < end:
        addresses = [one.partition("/")[0] for one in node.addresses(interface) if ":" in one]
        if any(one.startswith("fe80") for one in addresses) and all(
            _works(node, one, node.link(interface).index) for one in addresses
        ):
            return
    raise TimeoutError(f"{interface} of {node.name} has no IPv6")


def sendUntilRead(send: Callable[[], object], descriptor: int) -> None:
    """
    Send until there is something to read.  For some time after the interface of a node came up,
    a switch forwards nothing to it.
    """
    end = time.monotonic() + 30
    while time.monotonic() < end:
        send()
        if select.select([descriptor], [], [], 0.01)[0]:
            return
    raise TimeoutError("nothing arrived")


def awaitDelivery(sender: Node, receiver: Node) -> None:
    """
    Wait until everything that one host has sent arrived at another: send something more, and
    wait for that.  On a busy machine the kernel delivers after C{send} has returned.

    Each processor has a queue of its own, which keeps the order, for what was sent while this
    thread ran there, and for the answers to that.  So something more is sent on each of them.
    """
    processors = os.sched_getaffinity(0)
    with (
        receiver.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as ear,
        sender.socket(socket.AF_PACKET, socket.SOCK_RAW) as mouth,
    ):
        ear.bind(("eth0", _EXPERIMENTAL))
        mouth.bind(("eth0", 0))
        addresses = receiver.link().address + sender.link().address
        start = addresses + _EXPERIMENTAL.to_bytes(2, "big")
        try:
            for processor in processors:
                os.sched_setaffinity(0, {processor})
                marker = os.urandom(46)  # an earlier call may have sent more than it read
                received = b""
                while received != marker:
                    sendUntilRead(partial(mouth.send, start + marker), ear.fileno())
                    received = ear.recv(2048)
        finally:
            os.sched_setaffinity(0, processors)


def runTool(node: Node, package: str, tool: str, *arguments: str) -> None:
    """
    Run a tool of the administrator on a node, and wait for its end.

    @param package: The Debian package that has it.
    @raise SkipTest: If it is missing or does not work here.
    """
    path = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise SkipTest(f"{tool} is not installed: 'apt-get install {package}'")
    with node.inside():
        done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SkipTest(f"{tool} does not work here: {done.stderr}")


@contextlib.contextmanager
def fullQueue(node: Node) -> Iterator[None]:
    """
    Have the transmit queue of C{eth0} be full all the time, while the carrier stays.
    """
    tbf = "tbf", "rate", "8bit", "burst", "10", "limit", "1"
    runTool(node, "iproute2", "tc", "qdisc", "add", "dev", "eth0", "root", *tbf)
    yield
    runTool(node, "iproute2", "tc", "qdisc", "del", "dev", "eth0", "root")


@contextlib.contextmanager
def egressRule(node: Node) -> Iterator[None]:
    """
    Have the firewall drop everything that leaves C{eth0}.
    """
    chain = "{ type filter hook egress device eth0 priority 0; policy drop; };"
    runTool(node, "nftables", "nft", f"table netdev mute {{ chain out {chain} }};")
    yield
    runTool(node, "nftables", "nft", "delete table netdev mute")


def _works(node: Node, address: str, index: int) -> bool:
    with node.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.01)
        try:
            sock.bind((address, 0, 0, index))
            sock.sendto(b"", sock.getsockname())
            sock.recv(1)
        except OSError:
            return False
        return True


class NodeNetlink:
    """
    Lists the addresses of a node at once, and reports no events.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    def dumpAddresses(self) -> Deferred[list[InterfaceAddress]]:
        """
        See C{Netlink.dumpAddresses}.
        """
        with self._node.netlink() as netlink:
            return succeed(netlink.addresses())

    def addAddressObserver(self, observer: IAddressObserver) -> None:
        """
        See C{Netlink.addAddressObserver}.
        """


def addressesOf(node: Node) -> AddressList:
    """
    List the addresses of a node, and again when C{addressesUncertain} is called.
    """
    netlink: Any = NodeNetlink(node)
    addresses = AddressList(netlink, Clock())
    addresses.start()
    return addresses


@implementer(ILinkMonitor)
class FakeLinks:
    """
    Reports the links that a test sets.
    """

    def __init__(self) -> None:
        self.observers: list[tuple[str, ILinkObserver]] = []

    def watch(self, name: str, observer: ILinkObserver) -> None:
        """
        See L{ILinkMonitor.watch}; the state is unknown at first.
        """
        self.observers.append((name, observer))

    def unwatch(self, name: str, observer: ILinkObserver) -> None:
        """
        See L{ILinkMonitor.unwatch}.
        """
        self.observers.remove((name, observer))

    def known(self) -> Deferred[None]:
        """
        See L{ILinkMonitor.known}.
        """
        return succeed(None)

    def link(self, name: str) -> Link | None:
        """
        See L{ILinkMonitor.link}.
        """
        return None

    def tell(self, name: str, link: Link | None) -> None:
        """
        Report a change.
        """
        for watched, observer in list(self.observers):
            if watched == name:
                observer.linkChanged(name, link)


@implementer(IPacketReceiver)
class FakeReceiver:
    """
    Keeps the packets that it receives.

    @ivar received: The packets that passed the firewall.
    @ivar filtered: The packets that were seen in front of the firewall.
    @ivar changes: How often C{transportChanged} was called.
    """

    def __init__(self) -> None:
        self.changes = 0
        self.received: list[Packet] = []
        self.filtered: list[Packet] = []

    def packetReceived(self, packet: Packet) -> None:
        """
        See L{IPacketReceiver.packetReceived}.
        """
        self.received.append(packet)

    def transportChanged(self) -> None:
        """
        See L{IPacketReceiver.transportChanged}.
        """
        self.changes += 1

    def packetFiltered(self, packet: Packet) -> None:
        """
        See L{IPacketReceiver.packetFiltered}.
        """
        self.filtered.append(packet)
