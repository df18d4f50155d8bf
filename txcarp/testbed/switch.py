"""
Switches of a test network.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress

from txcarp.netlink.blocking import BlockingNetlink
from txcarp.netlink.requests import delLink, setLink
from txcarp.testbed.namespaces import NetworkNamespace
from txcarp.testbed.requests import newBridge

_FIRST_PORT = 1000
"""
The index before that of a switch's first port.  The kernel reports a carrier at once only
if the two ends of a cable have different indexes (C{linkwatch_urgent_event}); the indexes
on a node begin at 2.
"""


class Switch:
    """
    A bridge that forwards at once: it has no spanning tree, and multicast snooping only
    on request.

    @ivar namespace: The network namespace of the bridge.
    @ivar bridge: The index of the bridge.
    """

    def __init__(self, name: str, multicastSnooping: bool) -> None:
        self.name = name
        self._ports = _FIRST_PORT
        self.namespace = NetworkNamespace.create()
        try:
            with self.netlink() as netlink:
                netlink.request(newBridge("br0", multicastSnooping=multicastSnooping))
                self.bridge = netlink.link("br0").index
                netlink.request(setLink(self.bridge, up=True))
        except BaseException:
            self.namespace.close()
            raise

    def netlink(self) -> BlockingNetlink:
        """
        A new netlink socket in the switch's namespace.
        """
        with self.namespace.inside():
            return BlockingNetlink()

    def inside(self) -> AbstractContextManager[None]:
        """
        Run a C{with} block in the switch's namespace, for example to open a socket that
        receives all traffic.
        """
        return self.namespace.inside()

    def newPort(self) -> int:
        """
        The index of a new port.
        """
        self._ports += 1
        return self._ports

    def remove(self) -> None:
        """
        Remove the switch and its cables.
        """
        # A process on a node keeps the node's namespace: the cable must be removed here.
        with suppress(OSError), self.netlink() as netlink:
            for link in netlink.links():
                if link.master == self.bridge:
                    netlink.request(delLink(link.index))
        self.namespace.close()
