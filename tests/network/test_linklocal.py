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
    A host with an IPv6 address that is good everywhere, and one that it gave itself.
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
        What the host has, with prefix length.
        """
        return [one for one in self.node.addresses() if one.startswith("fe80")]

    def add(self, address: str, flags: int = 0) -> None:
        """
        Give it one more.
        """
        with self.node.netlink() as netlink:
            index = self.node.link().index
            netlink.request(newAddress(index, packed(address), 64, flags=flags))

    def unavailable(self) -> int | None:
        """
        Why there is no address.
        """
        return self.assertRaises(OSError, self.question.find).errno

    def test_found(self) -> None:
        """
        The address is found wherever this process is, as often as it is asked for, and
        nothing stays open to others in between.
        """
        (own,) = self.linkLocal()
        for _ in range(3):
            self.assertEqual(self.question.find(), packed(own.partition("/")[0]))
        with self.node.inside():
            lines = Path("/proc/thread-self/net/udp6").read_text().splitlines()
        self.assertEqual(lines[1:], [])

    def test_changed(self) -> None:
        """
        Each answer is new.
        """
        (own,) = self.linkLocal()
        self.question.find()
        self.node.removeAddress(own)
        self.add("fe80::5", IFA_F_NODAD)
        awaitIPv6(self.node)
        self.assertEqual(self.question.find(), packed("fe80::5"))

    def test_none(self) -> None:
        """
        An address of another scope is none.
        """
        (own,) = self.linkLocal()
        self.node.removeAddress(own)
        self.assertEqual(self.unavailable(), errno.EADDRNOTAVAIL)

    def test_tentative(self) -> None:
        """
        Nor is one while the kernel is still looking for a duplicate.
        """
        for address in self.node.addresses():
            self.node.removeAddress(address)
        for setting in "accept_dad", "dad_transmits":
            self.node.sysctl(f"net/ipv6/conf/eth0/{setting}", "1")
        self.add("fe80::6")
        self.assertEqual(self.unavailable(), errno.EADDRNOTAVAIL)

    def test_down(self) -> None:
        """
        Nor has an interface one that is down, without IPv6, or gone.
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
        Where there is no interface there is nothing to ask.
        """
        index = self.node.link().index
        self.node.deleteInterface()
        before = set(Path("/proc/self/fd").iterdir())
        with self.node.inside():
            self.assertRaises(OSError, LinkLocalAddress, "eth0", index)
        self.assertEqual(set(Path("/proc/self/fd").iterdir()), before)
