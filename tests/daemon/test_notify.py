"""
Tests for L{txcarp.daemon.notify}.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time

from twisted.trial.unittest import SynchronousTestCase

from txcarp.daemon.notify import Notifier


class NotifierTests(SynchronousTestCase):
    """
    Tests for L{Notifier} with a real socket.
    """

    def setUp(self) -> None:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.path = os.path.join(directory, "notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)

    def received(self) -> list[str]:
        """
        The lines of the next message.
        """
        self.manager.settimeout(5)
        return self.manager.recv(4096).decode().split("\n")

    def test_messages(self) -> None:
        """
        A reload is announced with the time of the monotonic clock, in microseconds.
        """
        self.manager.bind(self.path)
        environment = {"NOTIFY_SOCKET": self.path}
        notifier = Notifier(environment)
        self.assertTrue(notifier.listens)
        self.assertEqual(environment, {})
        before = time.monotonic()
        notifier.reloading()
        first, second = self.received()
        self.assertEqual(first, "RELOADING=1")
        name, _, value = second.partition("=")
        self.assertEqual(name, "MONOTONIC_USEC")
        self.assertTrue(before - 1e-6 <= int(value) / 1e6 <= time.monotonic())
        notifier.ready()
        self.assertEqual(self.received(), ["READY=1"])

    def test_abstract(self) -> None:
        """
        A name that begins with @ is in the abstract namespace.
        """
        name = f"txcarp-test-{os.getpid()}"
        self.manager.bind("\0" + name)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        self.assertEqual(self.received(), ["READY=1"])

    def test_nobody(self) -> None:
        """
        A service manager that is not there, is gone, or does not read, changes nothing.
        """
        notifier = Notifier({})
        self.assertFalse(notifier.listens)
        notifier.ready()
        Notifier({"NOTIFY_SOCKET": self.path}).ready()
        self.manager.bind(self.path)
        deaf = Notifier({"NOTIFY_SOCKET": self.path})
        for _ in range(2000):
            deaf.ready()
