"""
Tests for L{txcarp.network.linklocal}, in the kernel.
"""

from __future__ import annotations

import errno
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.network.scenery import awaitIPv6, packed
from tests.testbed.fixture import makeTestbed
from txcarp.netlink.requests import IFA_F_NODAD, newAddress
from txcarp.network.linklocal import LinkLocalAddress


class LinkLocalAddressTests(SynchronousTestCase):
    """
    A host with a global IPv6 address and a link-local one.
    """

    def setUp(self) -> None:
        """
        Make it.
        """
        self.node = makeTestbed(self).node("a", "fd00::1/64")
        awaitIPv6(self.node)
        with self.node.inside():
            self.question = LinkLocalAddress("eth0", self.node.link().index)
        self.addCleanup(self.question.close)

    def linkLocal(self) -> list[str]:
        """
        The link-local addresses of the host, with prefix length.
        """
        return [one for one in self.node.addresses() if one.startswith("fe80")]

    def add(self, address: str, flags: int = 0) -> None:
        """
        Add an address.
        """
        with self.node.netlink() as netlink:
            index = self.node.link().index
            netlink.request(newAddress(index, packed(address), 64, flags=flags))

    def unavailable(self) -> int | None:
        """
        Return why there is no address.
        """
        return self.assertRaises(OSError, self.question.find).errno

    def test_found(self) -> None:
        """
        The address is found from any network namespace, repeatedly, and no port stays occupied
        in between.
        """
        (own,) = self.linkLocal()
        for _ in range(3):
            self.assertEqual(self.question.find(), packed(own.partition("/")[0]))
        with self.node.inside():
            lines = Path("/proc/thread-self/net/udp6").read_text().splitlines()
        self.assertEqual(lines[1:], [])

    def test_changed(self) -> None:
        """
        Each answer is a new one.
        """
        (own,) = self.linkLocal()
        self.question.find()
        self.node.removeAddress(own)
        self.add("fe80::5", IFA_F_NODAD)
        awaitIPv6(self.node)
        self.assertEqual(self.question.find(), packed("fe80::5"))

    def test_none(self) -> None:
        """
        A global address is not returned.
        """
        (own,) = self.linkLocal()
        self.node.removeAddress(own)
        self.assertEqual(self.unavailable(), errno.EADDRNOTAVAIL)

    def test_tentative(self) -> None:
        """
        An address is not returned while the kernel is still looking for a duplicate.
        """
        for address in self.node.addresses():
            self.node.removeAddress(address)
        for setting in "accept_dad", "dad_transmits":
            self.node.sysctl(f"net/ipv6/conf/eth0/{setting}", "1")
        self.add("fe80::6")
        self.assertEqual(self.unavailable(), errno.EADDRNOTAVAIL)

    def test_down(self) -> None:
        """
        An interface that is down, without IPv6 or gone has no address.
        """
        self.node.setInterface(False)
        self.assertEqual(self.unavailable(), errno.ENETUNREACH)
        self.node.setInterface(True)
        awaitIPv6(self.node)
        self.question.find()
        self.node.sysctl("net/ipv6/conf/eth0/disable_ipv6", "1")
        self.unavailable()
        self.node.deleteInterface()
        self.unavailable()

    def test_missing(self) -> None:
        """
        Without the interface the constructor fails, and leaves no socket open.
        """
        index = self.node.link().index
        self.node.deleteInterface()
        before = set(Path("/proc/self/fd").iterdir())
        with self.node.inside():
            self.assertRaises(OSError, LinkLocalAddress, "eth0", index)
        self.assertEqual(set(Path("/proc/self/fd").iterdir()), before)
