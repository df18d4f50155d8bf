"""
A throw-away network: what L{txcarp.testbed} is about.
"""

from __future__ import annotations

import errno
from types import TracebackType

from txcarp.testbed.namespaces import TestbedUnavailable, enable
from txcarp.testbed.node import Node
from txcarp.testbed.switch import Switch


class Testbed:
    """
    A network.  Use L{create}; end it with L{remove} or as a context manager.

    @ivar lan: the switch that nodes are connected to unless another is named.
    """

    __test__ = False  # pytest takes the name for a test's.

    def __init__(self, multicastSnooping: bool = False) -> None:
        self._switches: list[Switch] = []
        self._nodes: list[Node] = []
        self.lan = self.switch("lan", multicastSnooping)

    @classmethod
    def create(cls, multicastSnooping: bool = False) -> Testbed:
        """
        An empty network with one switch.

        Root only makes network namespaces.  The process of any other user moves, once
        and for good, to a user namespace, where it is root over its test networks; that
        must happen before the process has a second thread.

        @raise TestbedUnavailable: with one sentence that says why not, and what to do.
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

    def __enter__(self) -> Testbed:
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()

    def switch(self, name: str, multicastSnooping: bool = False) -> Switch:
        """
        One more switch, connected to nothing.
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
        One more node, with C{eth0} connected to a switch (default: L{lan}).

        @param addresses: of C{eth0}, with prefix length: C{"10.99.0.1/24"},
            C{"fd00::1/64"}.
        @param hardwareAddress: of C{eth0}, six bytes; the default follows from the
            name.
        """
        node = Node(name)
        self._nodes.append(node)
        node.connect(switch or self.lan, *addresses, hardwareAddress=hardwareAddress)
        return node

    def router(self, name: str, *sides: tuple[Switch, str]) -> Node:
        """
        A node that forwards between switches.

        @param sides: per interface the switch and the address with prefix length.
        """
        node = Node(name)
        self._nodes.append(node)
        node.forward()
        for switch, address in sides:
            node.connect(switch, address)
        return node

    def remove(self) -> None:
        """
        Take the network away.  Processes and sockets in it stay, without any interface,
        until their owners end them.
        """
        for switch in self._switches:
            switch.remove()
        for node in self._nodes:
            node.close()
        self._switches.clear()
        self._nodes.clear()
