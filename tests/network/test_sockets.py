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
        A socket never blocks, and no child process gets it.
        """
        with openRawSocket(socket.AF_INET, socket.SOCK_DGRAM, 0, "a datagram socket") as sock:
            self.assertFalse(sock.getblocking())
            self.assertFalse(sock.get_inheritable())

    def test_otherErrors(self) -> None:
        """
        What has nothing to do with capabilities stays what it is.
        """
        error = self.assertRaises(OSError, openRawSocket, socket.AF_INET, 99, 0, "nonsense")
        self.assertNotIsInstance(error, MissingCapability)


class CapabilityTests(SynchronousTestCase):
    """
    Tests for L{checkCapabilities}.
    """

    def test_present(self) -> None:
        """
        In a network of its own a process has all of them.
        """
        with makeTestbed(self).node("a").inside():
            checkCapabilities()
            checkCapabilities(assign=True)

    def test_noSockets(self) -> None:
        """
        Without the right to open raw sockets the error says what to do.
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
        Nor may the right to change addresses be missing, if it is needed.
        """

        class Refusing(sockets.BlockingNetlink):
            def request(self, *requests: object) -> None:
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        self.patch(sockets, "BlockingNetlink", Refusing)
        with makeTestbed(self).node("a").inside():
            checkCapabilities()
            error = self.assertRaises(MissingCapability, checkCapabilities, assign=True)
        self.assertIn("CAP_NET_ADMIN", str(error))
