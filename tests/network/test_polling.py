"""
Tests for L{txcarp.network.polling}: the same questions again and again, in the kernel.
"""

from __future__ import annotations

import threading
import time

from zope.interface.verify import verifyObject

from tests.network.scenery import awaitDelivery, packed
from tests.network.test_neighbours import GATEWAY, GATEWAY6, OWN, NeighboursTestCase, reply
from tests.testbed.fixture import until
from txcarp.interfaces import IPolling
from txcarp.network.frames import BROADCAST
from txcarp.network.interfaceport import openFrameSocket
from txcarp.network.polling import Polling
from txcarp.network.socketfilter import MOST_ANSWERS
from txcarp.protocol.family import Family

#: Seconds in which a kernel answers.
SOON = 30.0

ARP, IPV6 = 0x0806, 0x86DD


class PollingTests(NeighboursTestCase):
    """
    A host that asks its gateway.
    """

    def poll(self, family: Family = Family.IPV4) -> Polling:
        """
        What asks.
        """
        with self.node.inside():
            polling = self.neighbours.poll("eth0", family)
        assert isinstance(polling, Polling)
        self.addCleanup(polling.close)
        return polling

    def answered(self, polling: Polling, address: bytes, to: bytes | None = None) -> bytes:
        """
        Ask until there is an answer, and return the hardware address.
        """
        end = time.monotonic() + SOON
        before, _ = polling.heard(address)
        while time.monotonic() < end:
            polling.ask(address, (OWN,), to)
            awaitDelivery(self.node, self.gateway)
            awaitDelivery(self.gateway, self.node)
            polling.read()
            number, hardware = polling.heard(address)
            if number > before:
                return hardware
        raise AssertionError("no answer")

    def test_provided(self) -> None:
        """
        It provides the interface.
        """
        verifyObject(IPolling, self.poll())

    def test_closing(self) -> None:
        """
        Nobody waits until the kernel has closed the socket.
        """
        polling = self.poll()
        frames = vars(polling)["_socket"]
        begun, mayEnd = threading.Event(), threading.Event()

        class Slow:
            def close(self) -> None:
                begun.set()
                mayEnd.wait(SOON)
                frames.close()

        self.patch(polling, "_socket", Slow())
        polling.close()
        self.assertTrue(begun.wait(SOON))
        self.assertNotEqual(frames.fileno(), -1)
        mayEnd.set()
        for thread in threading.enumerate():
            if thread.name == "txcarp close":
                thread.join(SOON)
        self.assertEqual(frames.fileno(), -1)

    def test_everybody(self) -> None:
        """
        At first everybody is asked.  The answer has the hardware address.
        """
        for family, address in ((Family.IPV4, GATEWAY), (Family.IPV6, GATEWAY6)):
            polling = self.poll(family)
            polling.follow([address])
            self.assertEqual(self.answered(polling, address), self.gateway.link().address)

    def test_one(self) -> None:
        """
        A question may go to one host alone, in both families.  Its kernel answers.
        """
        hardware = self.gateway.link().address
        questions = ((Family.IPV4, GATEWAY, ARP), (Family.IPV6, GATEWAY6, IPV6))
        for family, address, kind in questions:
            polling = self.poll(family)
            polling.follow([address])
            self.answered(polling, address)
            with self.capture(kind) as ear:
                self.frames(ear)
                self.assertEqual(self.answered(polling, address, hardware), hardware)
                own = self.node.link().address
                asked = [one for one in self.frames(ear) if one[6:12] == own and address in one]
            self.assertEqual({one[:6] for one in asked}, {hardware})

    def test_otherHost(self) -> None:
        """
        A host that is asked for an address of another one does not answer.
        """
        polling = self.poll()
        polling.follow([GATEWAY])
        self.answered(polling, GATEWAY)
        polling.read()
        before = polling.heard(GATEWAY)
        for _ in range(3):
            polling.ask(GATEWAY, (OWN,), b"\2\0\0\0\0\x77")
            awaitDelivery(self.node, self.gateway)
            awaitDelivery(self.gateway, self.node)
            polling.read()
        self.assertEqual(polling.heard(GATEWAY), before)

    def test_source(self) -> None:
        """
        The question comes from the address of this host alone, or from nobody.
        """
        polling = self.poll()
        for sources, sender in (((OWN,), OWN), ((packed("10.99.0.66"),), bytes(4))):
            polling.refresh()
            with self.capture(ARP) as ear:
                self.frames(ear)
                polling.ask(GATEWAY, sources)
                [frame] = [one for one in self.frames(ear) if one[38:42] == GATEWAY]
            self.assertEqual((frame[:6], frame[28:32]), (BROADCAST, sender))

    def test_followed(self) -> None:
        """
        Only the answers of addresses that somebody follows count, as long as anybody does.
        """
        polling = self.poll()
        self.assertTrue(polling.isIdle)
        polling.follow([GATEWAY])
        polling.follow([GATEWAY])
        polling.unfollow([GATEWAY])
        self.answered(polling, GATEWAY)
        polling.unfollow([GATEWAY])
        self.assertEqual((polling.isIdle, polling.heard(GATEWAY)), (True, (0, b"")))
        polling.ask(GATEWAY, (OWN,))
        awaitDelivery(self.node, self.gateway)
        awaitDelivery(self.gateway, self.node)
        polling.read()
        self.assertEqual(polling.heard(GATEWAY), (0, b""))

    def test_tooMany(self) -> None:
        """
        More addresses than the kernel's filter can have are refused, and change nothing.
        """
        polling = self.poll()
        polling.follow([GATEWAY])
        many = [bytes((10, 99, 1, number)) for number in range(MOST_ANSWERS)]
        error = self.assertRaises(OSError, polling.follow, many)
        self.assertEqual(error.strerror, "too many neighbours are asked at once")
        self.answered(polling, GATEWAY)

    def test_storm(self) -> None:
        """
        A storm of answers is read in small portions.
        """
        polling = self.poll()
        polling.follow([GATEWAY])
        self.answered(polling, GATEWAY)
        before, _ = polling.heard(GATEWAY)
        frame = reply(self.node.link().address, self.gateway.link().address, GATEWAY)
        self.send([frame] * 500)
        polling.read()
        after, _ = polling.heard(GATEWAY)
        self.assertTrue(0 < after - before <= 64, after - before)

    def test_ownAddress(self) -> None:
        """
        This host does not answer itself: nobody is asked.
        """
        error = self.assertRaises(OSError, self.poll().ask, OWN, (OWN,))
        self.assertIn("an address of this host", error.strerror or "")

    def test_noInterface(self) -> None:
        """
        There is nobody on an interface that is missing.
        """
        error = self.assertRaises(OSError, self.neighbours.poll, "eth9", Family.IPV4)
        self.assertEqual(error.strerror, "there is no interface eth9")

    def test_gone(self) -> None:
        """
        If the interface goes while the socket is opened, the socket is closed again.
        """
        with self.node.inside():
            sock = openFrameSocket("eth0")
        arguments = sock, Family.IPV4, lambda *question: (b"", b"")
        self.assertRaises(OSError, Polling, "eth9", *arguments)
        self.assertEqual(sock.fileno(), -1)

    async def test_down(self) -> None:
        """
        After the interface was down, it works as before.
        """
        polling = self.poll()
        polling.follow([GATEWAY])
        self.answered(polling, GATEWAY)
        self.node.setInterface(False)
        await until(lambda: not self.neighbours._link("eth0").works)
        polling.refresh()
        error = self.assertRaises(OSError, polling.ask, GATEWAY, (OWN,))
        self.assertEqual(error.strerror, "eth0 is down")
        polling.read()
        self.node.setInterface(True)
        await until(lambda: self.neighbours._link("eth0").works)
        self.assertEqual(self.answered(polling, GATEWAY), self.gateway.link().address)
