"""
The hosts of a test network, and their cables.
"""

from __future__ import annotations

import ipaddress
import socket
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from txcarp.links import Link
from txcarp.netlink.blocking import BlockingNetlink
from txcarp.netlink.format import Request
from txcarp.netlink.requests import (
    IFA_F_NODAD,
    delAddress,
    delLink,
    newAddress,
    setLink,
)
from txcarp.testbed.namespaces import NetworkNamespace
from txcarp.testbed.requests import newRoute, newVeth
from txcarp.testbed.switch import Switch

if TYPE_CHECKING:
    from twisted.internet.interfaces import (
        IProcessProtocol,
        IProcessTransport,
        IReactorProcess,
    )

_LOOPBACK = 1
_CARRIER_WAIT = 15.0
"""Seconds; it comes in milliseconds unless the machine is very busy."""


@attrs.define
class _Cable:
    """
    An interface of a node and the port of a switch at its other end.

    @ivar port: index of the port in the switch's namespace; stays when the interface is
        made again.
    """

    switch: Switch
    interface: str
    address: bytes
    port: int
    addresses: list[str]


class Node:
    """
    A host of the network: a namespace with C{lo} and C{eth0} (and C{eth1}... on further
    switches).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.namespace = NetworkNamespace.create()
        self._cables: dict[str, _Cable] = {}
        self._routes: list[tuple[str, str]] = []
        for setting in ("accept_dad", "dad_transmits"):
            # /proc/sys can be read-only in a container; addresses are added without DAD anyway.
            with suppress(OSError):
                self.sysctl(f"net/ipv6/conf/default/{setting}", "0")
        self._request(setLink(_LOOPBACK, up=True))

    def inside(self) -> AbstractContextManager[None]:
        """
        Run a C{with} block in the node: sockets that it opens and processes that it
        starts are the node's. No reactor may run in it.
        """
        return self.namespace.inside()

    def socket(self, family: int, type: int, protocol: int = 0) -> socket.socket:
        """
        A socket of the node.
        """
        with self.inside():
            return socket.socket(family, type, protocol)

    def netlink(self) -> BlockingNetlink:
        """
        A netlink socket of the node; close it.
        """
        with self.inside():
            return BlockingNetlink()

    def spawn(
        self,
        reactor: IReactorProcess,
        processProtocol: IProcessProtocol,
        executable: str,
        args: Sequence[str],
        env: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> IProcessTransport:
        """
        Start a process in the node, as C{IReactorProcess.spawnProcess} does.  It is the
        caller's to end: L{Testbed.remove} takes its network away and no more.
        """
        with self.inside():
            return reactor.spawnProcess(processProtocol, executable, args, env=env, **kwargs)

    def sysctl(self, name: str, value: str) -> None:
        """
        Set one of the node's C{net/...} settings.
        """
        with self.inside():
            Path("/proc/sys", name).write_text(value)

    def connect(self, switch: Switch, *addresses: str, hardwareAddress: bytes | None = None) -> str:
        """
        Lay a cable to a switch and wait until it carries.

        @param addresses: with prefix length, C{"10.99.0.1/24"}, C{"fd00::1/64"}.
        @param hardwareAddress: six bytes; the default follows from the names of node
            and interface.
        @return: the name of the new interface.
        """
        interface = f"eth{len(self._cables)}"
        digest = zlib.crc32(f"{self.name}/{interface}".encode())
        cable = _Cable(
            switch=switch,
            interface=interface,
            address=hardwareAddress or b"\x02\xca" + digest.to_bytes(4, "big"),
            port=switch.newPort(),
            addresses=[],
        )
        for address in addresses:
            ipaddress.ip_interface(address)
            cable.addresses.append(address)
        self._cables[interface] = cable
        self.createInterface(interface)
        self._awaitCarrier(cable)
        return interface

    def link(self, interface: str = "eth0") -> Link:
        """
        The state of an interface.

        @raise LookupError: when it is deleted.
        """
        with self.netlink() as netlink:
            return netlink.link(interface)

    def addresses(self, interface: str = "eth0") -> list[str]:
        """
        The addresses that an interface has now, with prefix length.
        """
        with self.netlink() as netlink:
            index = netlink.link(interface).index
            return [
                f"{socket.inet_ntop(address.family, address.local)}/{address.prefixLength}"
                for address in netlink.addresses()
                if address.index == index
            ]

    def addAddress(self, address: str, interface: str = "eth0") -> None:
        """
        Add an address, with prefix length, that the interface keeps when it is made
        again.
        """
        self._request(_addition(self.link(interface).index, address))
        self._cables[interface].addresses.append(address)

    def removeAddress(self, address: str, interface: str = "eth0") -> None:
        """
        Remove an address, with prefix length.
        """
        parsed = ipaddress.ip_interface(address)
        index = self.link(interface).index
        self._request(delAddress(index, parsed.packed, parsed.network.prefixlen))
        with suppress(ValueError):
            self._cables[interface].addresses.remove(address)

    def route(self, destination: str, gateway: str) -> None:
        """
        Send what is for a network (C{"default"}, C{"0.0.0.0/0"}, C{"10.98.0.0/24"}) to
        a gateway.
        """
        self._request(newRoute(destination, gateway))
        self._routes.append((destination, gateway))

    def forward(self) -> None:
        """
        Be a router between the node's interfaces.
        """
        self.sysctl("net/ipv4/ip_forward", "1")
        self.sysctl("net/ipv6/conf/all/forwarding", "1")

    def unplug(self, interface: str = "eth0") -> None:
        """
        Pull the cable: the node's interface loses its carrier.
        """
        cable = self._cables[interface]
        with cable.switch.netlink() as netlink:
            netlink.request(setLink(cable.port, up=False))

    def plugIn(self, interface: str = "eth0") -> None:
        """
        Put the cable in again; the carrier comes milliseconds later.
        """
        cable = self._cables[interface]
        with cable.switch.netlink() as netlink:
            netlink.request(setLink(cable.port, up=True))

    def cut(self, interface: str = "eth0") -> None:
        """
        Lose everything in both directions while the carrier stays: no end notices.
        """
        cable = self._cables[interface]
        with cable.switch.netlink() as netlink:
            netlink.request(setLink(cable.port, master=0))

    def heal(self, interface: str = "eth0") -> None:
        """
        End a L{cut}.
        """
        cable = self._cables[interface]
        with cable.switch.netlink() as netlink:
            netlink.request(setLink(cable.port, master=cable.switch.bridge))

    def setInterface(self, up: bool, interface: str = "eth0") -> None:
        """
        Switch an interface of the node on or off, as an administrator would.  What the
        kernel forgets meanwhile, IPv6 addresses and routes, is there again afterwards.
        """
        self._request(setLink(self.link(interface).index, up=up))
        if up:
            self._configure(self._cables[interface])

    def deleteInterface(self, interface: str = "eth0") -> None:
        """
        Delete an interface of the node, and with it the port of the switch.
        """
        self._request(delLink(self.link(interface).index))

    def createInterface(self, interface: str = "eth0") -> None:
        """
        Make an interface that was deleted again: same name, MAC address and addresses,
        new index.
        """
        cable = self._cables[interface]
        with cable.switch.netlink() as netlink:
            netlink.request(
                newVeth(
                    f"port{cable.port}",
                    interface,
                    peerNamespace=self.namespace.fileno(),
                    peerAddress=cable.address,
                    index=cable.port,
                ),
                setLink(cable.port, master=cable.switch.bridge),
                setLink(cable.port, up=True),
            )
        self._request(setLink(self.link(interface).index, up=True))
        self._configure(cable)

    def _configure(self, cable: _Cable) -> None:
        index = self.link(cable.interface).index
        for address in cable.addresses:
            self._request(_addition(index, address))
        for destination, gateway in self._routes:
            # Some are still there, and the way to others may lead over an interface that is down.
            with suppress(OSError):
                self._request(newRoute(destination, gateway))

    def _awaitCarrier(self, cable: _Cable) -> None:
        end = time.monotonic() + _CARRIER_WAIT
        with cable.switch.netlink() as port, self.netlink() as own:
            while time.monotonic() < end:
                ends = port.link(f"port{cable.port}"), own.link(cable.interface)
                if all(link.operational for link in ends):
                    # The kernel says so a moment before it lets packets through (both in
                    # linkwatch_do_dev), under a lock that this waits for.
                    port.request(setLink(cable.port, up=True))
                    return
                time.sleep(0.001)
        raise TimeoutError(
            f"{cable.interface} of {self.name} has no carrier after {_CARRIER_WAIT} s"
        )

    def _request(self, *requests: Request) -> None:
        with self.netlink() as netlink:
            netlink.request(*requests)

    def close(self) -> None:
        """
        Let go of the node's namespace, which ends with the last process and socket in
        it.
        """
        self.namespace.close()


def _addition(index: int, address: str) -> Request:
    parsed = ipaddress.ip_interface(address)
    flags = IFA_F_NODAD if parsed.version == 6 else 0
    prefixLength = parsed.network.prefixlen
    return newAddress(index, parsed.packed, prefixLength, flags=flags, replace=True)
