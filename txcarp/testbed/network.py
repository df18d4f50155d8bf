"""
A test network and everything in it.
"""

from __future__ import annotations

import errno
from contextlib import AbstractContextManager

from txcarp.testbed.namespaces import TestbedUnavailable, enable
from txcarp.testbed.node import Node
from txcarp.testbed.switch import Switch


class Testbed(AbstractContextManager["Testbed"]):
    """
    A test network.  L{create} makes one; L{remove}, or the end of a C{with} block, takes
    it away.

    @ivar lan: The switch that nodes are connected to by default.
    """

    __test__ = False  # for pytest, which would collect the class by its name

    def __init__(self, multicastSnooping: bool = False) -> None:
        self._switches: list[Switch] = []
        self._nodes: list[Node] = []
        self.lan = self.switch("lan", multicastSnooping)

    @classmethod
    def create(cls, multicastSnooping: bool = False) -> Testbed:
        """
        Make an empty network with one switch.

        The process of a user other than root first moves to a user namespace, where it is
        root over its test networks only.  It stays there, and it must not have a second
        thread yet.

        @raise TestbedUnavailable: If that is not possible.  Its message is one sentence
            that says why, and what to do.
        """
        enable()
        try:
            return cls(multicastSnooping)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EPERM, errno.EACCES):
                raise TestbedUnavailable(
                    f"a bridge cannot be made here ({error}): a Linux kernel with bridge and veth "
                    "is needed ('modprobe -a bridge veth' as root)"
                ) from error
            raise

    def __exit__(self, *raised: object) -> None:
        self.remove()

    def switch(self, name: str, multicastSnooping: bool = False) -> Switch:
        """
        Add a switch without connections.
        """
        switch = Switch(name, multicastSnooping)
        self._switches.append(switch)
        return switch

    def node(
        self,
        name: str,
        *addresses: str,
        switch: Switch | None = None,
        hardwareAddress: bytes | None = None,
    ) -> Node:
        """
        Add a node whose C{eth0} is connected to a switch.

        @param addresses: The addresses of C{eth0} with prefix length, such as
            C{"10.99.0.1/24"}.
        @param switch: The switch; L{lan} if it is not given.
        @param hardwareAddress: The six bytes of C{eth0}'s hardware address; derived from
            the name if not given.
        """
        node = Node(name)
        self._nodes.append(node)
        node.connect(switch or self.lan, *addresses, hardwareAddress=hardwareAddress)
        return node

    def router(self, name: str, *sides: tuple[Switch, str]) -> Node:
        """
        Add a node that forwards between switches.

        @param sides: The switch of each interface, and its address with prefix length.
        """
        node = Node(name)
        self._nodes.append(node)
        node.forward()
        for switch, address in sides:
            node.connect(switch, address)
        return node

    def remove(self) -> None:
        """
        Remove the network.  Processes and sockets on its nodes remain, without
        interfaces, until they end.
        """
        for switch in self._switches:
            switch.remove()
        for node in self._nodes:
            node.close()
        self._switches.clear()
        self._nodes.clear()
