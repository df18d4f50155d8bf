"""
Tests for L{txcarp.testbed.namespaces}.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.testbed.fixture import makeTestbed
from txcarp.testbed import namespaces
from txcarp.testbed.namespaces import NetworkNamespace, TestbedUnavailable, enable, unavailable


def here() -> str:
    """
    The network namespace of this thread.
    """
    return os.readlink("/proc/thread-self/ns/net")


class NamespaceTests(SynchronousTestCase):
    """
    Making, entering and leaving.
    """

    def setUp(self) -> None:
        """
        A namespace.
        """
        makeTestbed(self)
        self.namespace = NetworkNamespace.create()
        self.addCleanup(self.namespace.close)

    def test_insideAndBack(self) -> None:
        """
        The block runs elsewhere, and what follows it here again.
        """
        home = here()
        with self.namespace.inside():
            self.assertNotEqual(here(), home)
            self.assertEqual([name for _, name in socket.if_nameindex()], ["lo"])
        self.assertEqual(here(), home)

    def test_backAfterAnError(self) -> None:
        """
        An error in the block leads back, too.
        """
        home = here()
        with self.assertRaises(ZeroDivisionError), self.namespace.inside():
            raise ZeroDivisionError
        self.assertEqual(here(), home)

    def test_nested(self) -> None:
        """
        A block in a block leads back to the outer one.
        """
        other = NetworkNamespace.create()
        self.addCleanup(other.close)
        with self.namespace.inside():
            outer = here()
            with other.inside():
                self.assertNotEqual(here(), outer)
            self.assertEqual(here(), outer)

    def test_onlyThisThread(self) -> None:
        """
        Another thread stays where it is.
        """
        entered = threading.Event()
        seen: list[str] = []

        def look() -> None:
            entered.wait()
            seen.append(here())

        home = here()
        thread = threading.Thread(target=look)
        thread.start()
        with self.namespace.inside():
            entered.set()
            thread.join()
        self.assertEqual(seen, [home])

    def test_closed(self) -> None:
        """
        A closed namespace is refused, and nothing moves.
        """
        home = here()
        self.namespace.close()
        self.namespace.close()
        with self.assertRaises(ValueError), self.namespace.inside():
            self.fail("inside a closed namespace")
        self.assertEqual(here(), home)

    def test_nothingLeaks(self) -> None:
        """
        Neither making nor entering keeps a descriptor.
        """
        before = len(os.listdir("/proc/self/fd"))
        other = NetworkNamespace.create()
        with other.inside():
            pass
        other.close()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class AvailabilityTests(SynchronousTestCase):
    """
    Whether a network can be made, and what is said if not.
    """

    def refuse(self, number: int) -> None:
        """
        Let every attempt fail with C{number}.
        """

        def attempt() -> int:
            return number

        self.patch(namespaces, "_enabled", False)
        self.patch(namespaces, "_attempt", attempt)

    def setting(self, name: str, value: str) -> None:
        """
        Let one of the kernel's settings have this value, and the others none.
        """

        def setting(asked: str) -> str:
            return value if asked == name else ""

        self.patch(namespaces, "_setting", setting)

    def test_triedInAChild(self) -> None:
        """
        Finding out changes nothing about this process.
        """
        self.patch(namespaces, "_enabled", False)

        def state() -> tuple[str, str, str]:
            return here(), os.readlink("/proc/self/ns/user"), Path("/proc/self/uid_map").read_text()

        before = state()
        unavailable()
        self.assertEqual(state(), before)

    def test_reasons(self) -> None:
        """
        Each cause is named, with what to do about it.
        """
        for name, value, number, words in (
            ("kernel/apparmor_restrict_unprivileged_userns", "1", errno.EPERM, "AppArmor"),
            ("kernel/unprivileged_userns_clone", "0", errno.EPERM, "unprivileged_userns_clone=1"),
            ("user/max_user_namespaces", "0", errno.ENOSPC, "user.max_user_namespaces=1000"),
            ("", "", errno.ENOSPC, "too many namespaces"),
            ("", "", errno.EPERM, "run as root, or give the container CAP_SYS_ADMIN"),
            ("", "", errno.EINVAL, "CONFIG_NET_NS"),
            ("", "", 255, "unknown error"),
        ):
            self.refuse(number)
            self.setting(name, value)
            error = self.assertRaises(TestbedUnavailable, enable)
            self.assertIn(words, str(error))
            self.assertEqual(unavailable(), str(error))

    def test_severalThreads(self) -> None:
        """
        A user namespace wants a process with one thread; the reason says so, and
        nothing is changed.
        """
        self.refuse(namespaces._AS_USER)
        release = threading.Event()
        thread = threading.Thread(target=release.wait)
        thread.start()
        try:
            error = self.assertRaises(TestbedUnavailable, enable)
        finally:
            release.set()
            thread.join()
        self.assertIn("threads, and only a process with one may", str(error))

    def test_childEndsBadly(self) -> None:
        """
        A child that dies instead of answering means no.
        """

        def attempt() -> int:
            raise RuntimeError("no answer")

        self.patch(namespaces, "_enabled", False)
        self.patch(namespaces, "_attempt", attempt)
        self.setting("", "")
        self.assertIn("unknown error", str(unavailable()))
