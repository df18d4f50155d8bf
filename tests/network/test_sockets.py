"""
Tests for L{txcarp.network.sockets}.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from twisted.trial.unittest import SynchronousTestCase

from tests.testbed.fixture import makeTestbed
from txcarp.network import sockets
from txcarp.network.sockets import (
    MissingCapability,
    checkCapabilities,
    openRawSocket,
    waited,
)

_SO_TIMESTAMPNS = 35


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

    def test_packets(self) -> None:
        """
        No packet socket is opened, because closing it takes long.  That one may not, and that there
        are none, is an error.
        """
        real, opened = socket.socket, []

        def record(family: int, kind: int, protocol: int) -> socket.socket:
            made = real(family, kind, protocol)
            opened.append(family)
            return made

        with makeTestbed(self).node("a").inside():
            self.patch(sockets.socket, "socket", record)
            checkCapabilities()
        self.assertEqual(opened, [socket.AF_INET])

        for number, kind in ((errno.EPERM, MissingCapability), (errno.EAFNOSUPPORT, OSError)):

            def refuse(
                family: int, kind: int, protocol: int, number: int = number
            ) -> socket.socket:
                if family == socket.AF_PACKET:
                    raise OSError(number, os.strerror(number))
                return real(socket.AF_INET, socket.SOCK_DGRAM)

            self.patch(sockets.socket, "socket", refuse)
            error = self.assertRaises(kind, checkCapabilities)
            self.assertEqual(error.errno, number)

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


class WaitedTests(SynchronousTestCase):
    """
    Tests for L{waited}.
    """

    def stamp(self, seconds: int, nanoseconds: int = 0) -> tuple[int, int, bytes]:
        return socket.SOL_SOCKET, _SO_TIMESTAMPNS, struct.pack("@ll", seconds, nanoseconds)

    def test_stamp(self) -> None:
        """
        The kernel's timestamp tells how long a packet waited.
        """
        self.assertAlmostEqual(waited([self.stamp(100, 250_000_000)], 101.0), 0.75)

    def test_none(self) -> None:
        """
        Without a usable timestamp, a packet has not waited.
        """
        for ancillary in (
            [],
            [(socket.SOL_SOCKET, 1, b"\0" * 16)],
            [(socket.SOL_SOCKET, _SO_TIMESTAMPNS, b"\0")],
            [self.stamp(102)],
            [self.stamp(0)],
        ):
            self.assertEqual(waited(ancillary, 101.0), 0.0)
