"""
Hosts of a test network, and their cables.
"""

from __future__ import annotations

import ipaddress
import socket
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.interfaces import IProcessProtocol, IProcessTransport, IReactorProcess

from txcarp.links import Link
from txcarp.netlink.blocking import BlockingNetlink
from txcarp.netlink.format import Request
from txcarp.netlink.requests import IFA_F_NODAD, delAddress, delLink, newAddress, setLink
from txcarp.testbed.namespaces import NetworkNamespace
from txcarp.testbed.requests import newRoute, newVeth
from txcarp.testbed.switch import Switch

_LOOPBACK = 1

#: Seconds to wait for a carrier, which usually takes milliseconds.
_CARRIER_WAIT = 15.0

#: Whether a node forwards packets.  A new namespace has the setting of the machine, which is 1
#: where Docker runs, for example.  A host that forwards keeps the questions to an address that it
#: has given up, and passes them to the next master: a client would miss no answer.
_FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")

#: Whether a node looks for duplicates of its IPv6 addresses, for which they would have to wait.
_DUPLICATES = (
    "net/ipv6/conf/default/accept_dad",
    "net/ipv6/conf/default/dad_transmits",
)


@attrs.define
class _Cable:
    """
    A cable from an interface of a node to a port of a switch.

    @ivar interface: The name of the interface.
    @ivar address: The hardware address of the interface.
    @ivar port: The index of the port; the same when the interface is created again.
    @ivar addresses: The addresses of the interface, with prefix length.
    """

    switch: Switch
    interface: str
    address: bytes
    port: int
    addresses: list[str]


class Node:
    """
    A host of the network: a namespace with C{lo} and C{eth0}, and with C{eth1} and so on
    for more switches.

    @ivar name: The name of the host.
    @ivar namespace: Its network namespace.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.namespace = NetworkNamespace.create()
        self._cables: dict[str, _Cable] = {}
        self._routes: list[tuple[str, str]] = []
        for setting in (*_FORWARDING, *_DUPLICATES):
            # In a container /proc/sys can be read-only; addresses are added without DAD anyway.
            with suppress(OSError):
                self.sysctl(setting, "0")
        self._request(setLink(_LOOPBACK, up=True))

    def inside(self) -> AbstractContextManager[None]:
        """
        Run a C{with} block on the node.  Sockets and processes that are created in it
        belong to the node.  No reactor may run in it.
        """
        return self.namespace.inside()

    def socket(self, family: int, type: int, protocol: int = 0) -> socket.socket:
        """
        A new socket of the node.
        """
        with self.inside():
            return socket.socket(family, type, protocol)

    def netlink(self) -> BlockingNetlink:
        """
        A new netlink socket of the node.
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
        Start a process on the node, as C{IReactorProcess.spawnProcess} does.  The caller
        has to end it: L{Testbed.remove} only removes its network.
        """
        with self.inside():
            return reactor.spawnProcess(processProtocol, executable, args, env=env, **kwargs)

    def sysctl(self, name: str, value: str) -> None:
        """
        Change one of the node's kernel settings below C{net/}.
        """
        with self.inside():
            Path("/proc/sys", name).write_text(value)

    def connect(self, switch: Switch, *addresses: str, hardwareAddress: bytes | None = None) -> str:
        """
        Add an interface with a cable to a switch, and wait for its carrier.

        @param addresses: The addresses of the interface with prefix length, such as
            C{"10.99.0.1/24"}.
        @param hardwareAddress: The six bytes of its hardware address; derived from the
            names of node and interface if not given.
        @return: The name of the interface.
        @raise ValueError: If an address is none.
        @raise TimeoutError: If there is no carrier.
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

        @raise LookupError: If there is no such interface.
        """
        with self.netlink() as netlink:
            return netlink.link(interface)

    def addresses(self, interface: str = "eth0") -> list[str]:
        """
        The addresses of an interface, with prefix length.
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
        Add an address with prefix length.  The interface gets it again whenever it is
        created again.
        """
        self._request(_addition(self.link(interface).index, address))
        self._cables[interface].addresses.append(address)

    def removeAddress(self, address: str, interface: str = "eth0") -> None:
        """
        Remove an address with prefix length.
        """
        parsed = ipaddress.ip_interface(address)
        index = self.link(interface).index
        self._request(delAddress(index, parsed.packed, parsed.network.prefixlen))
        with suppress(ValueError):
            self._cables[interface].addresses.remove(address)

    def route(self, destination: str, gateway: str) -> None:
        """
        Add a route to a network.

        @param destination: The network with its prefix length, or C{"default"}.
        @param gateway: The address of the next hop.
        """
        self._request(newRoute(destination, gateway))
        self._routes.append((destination, gateway))

    def forward(self) -> None:
        """
        Forward packets between the interfaces.
        """
        for setting in _FORWARDING:
            self.sysctl(setting, "1")

    def unplug(self, interface: str = "eth0") -> None:
        """
        Pull the cable: the node's interface loses its carrier.
        """
        cable = self._cables[interface]
        with cable.switch.netlink() as netlink:
            netlink.request(setLink(cable.port, up=False))

    def plugIn(self, interface: str = "eth0") -> None:
        """
        Put the cable back.  The carrier returns milliseconds later.
        """
        cable = self._cables[interface]
        with cable.switch.netlink() as netlink:
            netlink.request(setLink(cable.port, up=True))

    def cut(self, interface: str = "eth0") -> None:
        """
        Let the cable lose all packets in both directions.  The carrier stays, so that
        neither end notices.
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
        Set an interface up or down, as an administrator would.  IPv6 addresses and routes,
        which the kernel removes from an interface that is down, are restored.
        """
        self._request(setLink(self.link(interface).index, up=up))
        if up:
            self._configure(self._cables[interface])

    def deleteInterface(self, interface: str = "eth0") -> None:
        """
        Delete an interface, and with it the port of the switch.
        """
        self._request(delLink(self.link(interface).index))

    def createInterface(self, interface: str = "eth0") -> None:
        """
        Create a deleted interface again, with the same name, MAC address and addresses,
        and a new index.
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
            # Some routes still exist, and the gateway of others may be out of reach for now.
            with suppress(OSError):
                self._request(newRoute(destination, gateway))

    def _awaitCarrier(self, cable: _Cable) -> None:
        end = time.monotonic() + _CARRIER_WAIT
        with cable.switch.netlink() as port, self.netlink() as own:
            while time.monotonic() < end:
                ends = port.link(f"port{cable.port}"), own.link(cable.interface)
                if all(link.operational for link in ends):
                    # The kernel reports the carrier a moment before it lets packets through
                    # (both in linkwatch_do_dev).  This request waits for its lock.
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
        Close the node's namespace.  The kernel removes it with the last process and socket
        in it.
        """
        self.namespace.close()


def _addition(index: int, address: str) -> Request:
    parsed = ipaddress.ip_interface(address)
    flags = IFA_F_NODAD if parsed.version == 6 else 0
    prefixLength = parsed.network.prefixlen
    return newAddress(index, parsed.packed, prefixLength, flags=flags, replace=True)
