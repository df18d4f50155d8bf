"""
Tests for L{txcarp.network.defaults}, in the kernel.
"""

from __future__ import annotations

import errno
import os

from twisted.trial.unittest import SynchronousTestCase

from tests.testbed.fixture import makeTestbed
from txcarp.addresses import parseIPv4, parseVirtualAddress, textOf
from txcarp.netlink.blocking import BlockingNetlink
from txcarp.network import defaults
from txcarp.network.defaults import Listing, firstInterface, sourceOn


class FirstInterfaceTests(SynchronousTestCase):
    """
    Tests for L{firstInterface}.
    """

    def test_first(self) -> None:
        """
        The first interface that is up and not the loopback is returned, if there is one.
        """
        testbed = makeTestbed(self)
        node = testbed.node("a")
        node.connect(testbed.lan)

        def first() -> str | None:
            with node.inside():
                return firstInterface()

        self.assertEqual(first(), "eth0")
        node.unplug()
        self.assertEqual(first(), "eth0", "it is waited for, without a carrier")
        node.setInterface(False)
        self.assertEqual(first(), "eth1")
        node.deleteInterface("eth1")
        self.assertIsNone(first())
        node.setInterface(True)
        self.assertEqual(first(), "eth0")

    def test_goneMeanwhile(self) -> None:
        """
        An interface that is deleted meanwhile is skipped.
        """

        def gone(*arguments: object) -> bytes:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

        self.patch(defaults.fcntl, "ioctl", gone)
        self.assertIsNone(firstInterface())


class SourceTests(SynchronousTestCase):
    """
    Tests for L{sourceOn}.
    """

    def test_choice(self) -> None:
        """
        It is the host's own address in the network of the virtual addresses, or else its first.
        Virtual addresses are never chosen.
        """
        testbed = makeTestbed(self)
        node = testbed.node("a", "10.0.0.5/24", "10.0.0.6/24", "10.1.0.5/16", "10.0.0.9/32")

        def source(*addresses: str, virtual: tuple[str, ...] = ()) -> str:
            parsed = [parseVirtualAddress(one) for one in addresses]
            with node.inside():
                return textOf(sourceOn("eth0", parsed, {parseIPv4(one) for one in virtual}))

        self.assertEqual(source("10.0.0.100/24"), "10.0.0.5")
        self.assertEqual(source("10.1.200.1/16"), "10.1.0.5")
        self.assertEqual(source("192.0.2.1/32"), "10.0.0.5")
        self.assertEqual(source("192.0.2.1/32", "10.1.3.4"), "10.1.0.5")
        self.assertEqual(source("10.0.0.100", virtual=("10.0.0.5", "10.0.0.9")), "10.0.0.6")

    def test_listedOnce(self) -> None:
        """
        For many groups, the addresses of the host are listed once.
        """
        testbed = makeTestbed(self)
        node = testbed.node("a", "10.0.0.5/24")
        made: list[BlockingNetlink] = []

        def make() -> BlockingNetlink:
            made.append(BlockingNetlink())
            return made[-1]

        self.patch(defaults, "BlockingNetlink", make)
        listing = Listing()
        with node.inside():
            for _ in range(3):
                self.assertEqual(textOf(sourceOn("eth0", [], (), listing)), "10.0.0.5")
                self.assertRaises(ValueError, sourceOn, "eth9", [], (), listing)
        self.assertEqual(len(made), 1)

    def test_none(self) -> None:
        """
        Without an interface or an address there is no source, and the error says which.
        """
        testbed = makeTestbed(self)
        node = testbed.node("a", "10.0.0.5/24")
        for interface, words in (("eth9", "no interface eth9"), ("eth0", "eth0 has no IPv4")):
            with node.inside():
                error = self.assertRaises(
                    ValueError, sourceOn, interface, [], {parseIPv4("10.0.0.5")}
                )
            self.assertIn(words, str(error))
