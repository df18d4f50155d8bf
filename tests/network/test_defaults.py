"""
Tests for L{txcarp.network.defaults}, in the kernel.
"""

from __future__ import annotations

import errno
import os

from twisted.trial.unittest import SynchronousTestCase

from tests.testbed.fixture import makeTestbed
from txcarp.network import defaults
from txcarp.network.defaults import firstInterface


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
