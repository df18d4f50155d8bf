"""
Tests for L{txcarp.network.sockets}.
"""

from __future__ import annotations

import errno
import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from tests.testbed.fixture import makeTestbed
from txcarp.network import sockets
from txcarp.network.sockets import MissingCapability, checkCapabilities, openRawSocket


class OpenTests(SynchronousTestCase):
    """
    Tests for L{openRawSocket}.
    """

    def test_opened(self) -> None:
        """
        The socket never blocks, and no child process inherits it.
        """
        with openRawSocket(socket.AF_INET, socket.SOCK_DGRAM, 0, "a datagram socket") as sock:
            self.assertFalse(sock.getblocking())
            self.assertFalse(sock.get_inheritable())

    def test_otherErrors(self) -> None:
        """
        An error that has nothing to do with capabilities is not replaced.
        """
        error = self.assertRaises(OSError, openRawSocket, socket.AF_INET, 99, 0, "nonsense")
        self.assertNotIsInstance(error, MissingCapability)


class CapabilityTests(SynchronousTestCase):
    """
    Tests for L{checkCapabilities}.
    """

    def test_present(self) -> None:
        """
        In its own network namespace a process has all capabilities.
        """
        with makeTestbed(self).node("a").inside():
            checkCapabilities()
            checkCapabilities(assign=True)

    def test_noSockets(self) -> None:
        """
        The error of a process that may not open raw sockets says what to do.
        """

        def refuse(*arguments: object) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        self.patch(sockets.socket, "socket", refuse)
        error = self.assertRaises(MissingCapability, checkCapabilities)
        self.assertEqual(error.errno, errno.EPERM)
        self.assertIn("cannot open a raw socket", str(error))
        self.assertIn("CAP_NET_RAW", str(error))
        self.assertIn("root", str(error))
        # Without a group of its own setpriv would leave it the one of root.
        self.assertIn("--regid GROUP", str(error))

    def test_noAdministration(self) -> None:
        """
        The right to add addresses is checked if it will be needed.
        """

        class Refusing(sockets.BlockingNetlink):
            def request(self, *requests: object) -> None:
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        self.patch(sockets, "BlockingNetlink", Refusing)
        with makeTestbed(self).node("a").inside():
            checkCapabilities()
            error = self.assertRaises(MissingCapability, checkCapabilities, assign=True)
        self.assertIn("CAP_NET_ADMIN", str(error))
