"""
What the nodes of a test network are connected to.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress

from txcarp.netlink.blocking import BlockingNetlink
from txcarp.netlink.requests import delLink, setLink
from txcarp.testbed.namespaces import NetworkNamespace
from txcarp.testbed.requests import newBridge

_FIRST_PORT = 1000
"""
Index of the first port of a switch.  The kernel reports a carrier at once only when
both ends of a cable have different indexes (C{linkwatch_urgent_event}); nodes count
from 2.
"""


class Switch:
    """
    A bridge that forwards from the first moment: no spanning tree, no multicast
    snooping unless asked for.
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
        A netlink socket in the switch's namespace; close it.
        """
        with self.namespace.inside():
            return BlockingNetlink()

    def inside(self) -> AbstractContextManager[None]:
        """
        Run a C{with} block in the switch's namespace, for example to listen to all that
        passes.
        """
        return self.namespace.inside()

    def newPort(self) -> int:
        """
        An index for one more port.
        """
        self._ports += 1
        return self._ports

    def remove(self) -> None:
        """
        Take the switch and its cables away.
        """
        # What still runs in a node's namespace keeps that alive: its cable must not survive.
        with suppress(OSError), self.netlink() as netlink:
            for link in netlink.links():
                if link.master == self.bridge:
                    netlink.request(delLink(link.index))
        self.namespace.close()
