"""
Tests for L{txcarp.network.neighbours} and L{txcarp.network.questions}: a host that asks others, in
the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from tests.network.scenery import GROUP4, awaitDelivery, awaitIPv6, packed, runTool
from tests.testbed.fixture import makeTestbed, until
from txcarp.addresses import parseVirtualAddress
from txcarp.interfaces import INeighbours
from txcarp.network.frames import gratuitousARP, unsolicitedAdvertisement
from txcarp.network.neighbours import Neighbours
from txcarp.network.questions import Questions
from txcarp.network.socketfilter import MOST_ANSWERS
from txcarp.platform import LinuxPlatform
from txcarp.protocol.family import Family

OWN, GATEWAY, NOBODY = packed("10.99.0.1"), packed("10.99.0.254"), packed("10.99.0.77")
GATEWAY6 = packed("fd00::fe")


def reply(
    receiver: bytes, sender: bytes, address: bytes, *, destination: bytes | None = None, op: int = 2
) -> bytes:
    """
    An ARP reply to a host without an address.
    """
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, op) + sender + address + receiver + bytes(4)
    return (destination or receiver) + sender + b"\x08\x06" + body


class NeighboursTestCase(TestCase):
    """
    A host, and a gateway.
    """

    timeout = 60

    def setUp(self) -> None:
        """
        Make them.
        """
        testbed = makeTestbed(self)
        self.node = testbed.node("a", "10.99.0.1/24", "fd00::1/64")
        self.gateway = testbed.node("gateway", "10.99.0.254/24", "fd00::fe/64")
        for node in self.node, self.gateway:
            awaitIPv6(node)
        self.platform = LinuxPlatform()
        with self.node.inside():
            self.platform.open()
            self.platform.network.attach("eth0", 7, GROUP4, False, None)
        self.addCleanup(self.leave)
        assert isinstance(self.platform.neighbours, Neighbours)
        self.neighbours = self.platform.neighbours
        return self.settled()  # type: ignore[return-value]

    def settled(self) -> Deferred[None]:
        """
        Wait until the links and addresses are known.
        """
        network: Any = self.platform.network
        return self.platform.links.known().addCallback(lambda _: network._addresses.known())

    def leave(self) -> Deferred[None]:
        """
        Close everything.
        """
        self.platform.network.detach("eth0", 7)
        installed: Any = reactor
        return self.platform.close().addCallback(lambda _: deferLater(installed, 0))

    def ask(self, address: bytes, *sources: bytes) -> Deferred[bytes]:
        """
        Ask for an address.
        """
        with self.node.inside():  # the first question of a family opens a socket
            return self.neighbours.ask("eth0", address, sources)

    async def asked(self, address: bytes, *sources: bytes) -> bytes:
        """
        Ask until there is an answer: for a moment after an interface came up, a switch forwards
        nothing to it.
        """
        answers: list[bytes] = []
        waiting: list[Deferred[None]] = []

        def answered() -> bool:
            if not answers:
                asked = self.ask(address, *sources)
                waiting.append(asked.addCallbacks(answers.append, lambda _: None))
            return bool(answers)

        await until(answered)
        for one in waiting:
            one.cancel()
        return answers[0]

    @contextlib.contextmanager
    def capture(self, kind: int) -> Iterator[socket.socket]:
        """
        A socket of the gateway that gets all frames of one kind.
        """
        with self.gateway.socket(socket.AF_PACKET, socket.SOCK_RAW) as ear:
            ear.bind(("eth0", kind))
            yield ear

    def frames(self, ear: socket.socket) -> list[bytes]:
        """
        What a captured socket has got.
        """
        awaitDelivery(self.node, self.gateway)
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(ear.recv(2048, socket.MSG_DONTWAIT))
        return found

    def send(self, frames: Sequence[bytes]) -> None:
        """
        Send frames from the gateway, and wait until they have arrived.
        """
        with self.gateway.socket(socket.AF_PACKET, socket.SOCK_RAW) as mouth:
            mouth.bind(("eth0", 0))
            for frame in frames:
                mouth.send(frame)
        awaitDelivery(self.gateway, self.node)


class NeighboursTests(NeighboursTestCase):
    """
    Single questions.
    """

    @property
    def questions(self) -> Questions:
        """
        What has asked.
        """
        return self.questionsIn(Family.IPV4)

    def questionsIn(self, family: Family) -> Questions:
        """
        What has asked in a family.
        """
        network: Any = self.platform.network
        found = network.port("eth0")._questions[family]
        assert isinstance(found, Questions)
        return found

    def unread(self) -> int:
        """
        How many frames the kernel kept for this process, which are read.
        """
        count = 0
        sock: Any = self.questions._socket
        with contextlib.suppress(BlockingIOError):
            while sock.recv(2048):
                count += 1
        return count

    async def test_answers(self) -> None:
        """
        A neighbour answers in either family, from its hardware address.
        """
        verifyObject(INeighbours, self.neighbours)
        hardware = self.gateway.link().address
        self.assertEqual(await self.asked(GATEWAY, OWN), hardware)
        self.assertEqual(await self.asked(GATEWAY), hardware)
        self.assertEqual(await self.asked(GATEWAY6), hardware)

    async def test_sender(self) -> None:
        """
        The sender of an ARP request is the own address that was given; without one, and if the
        interface does not have it, nobody, so that no neighbour learns anything.
        """
        await self.asked(GATEWAY)
        with self.capture(0x0806) as ear:
            for sources in ((OWN,), (), (NOBODY,), (NOBODY, OWN)):
                await self.asked(GATEWAY, *sources)
            senders = [
                frame[28:32] for frame in self.frames(ear) if frame[38:42] == GATEWAY
            ]
        self.assertEqual(senders, [OWN, bytes(4), bytes(4), OWN])

    async def test_virtualAddress(self) -> None:
        """
        A virtual address never asks, not even one that this host has now.
        """
        table: Any = self.platform.addresses
        virtual = parseVirtualAddress("10.99.0.100/24")
        linkLocal = parseVirtualAddress("fe80::100/64")
        await table.hold("eth0", [linkLocal, virtual], 60, True)
        await until(lambda: self.neighbours._addresses.isLocal(linkLocal.packed, self.index))
        await self.asked(GATEWAY6)
        with self.capture(0x0806) as ear, self.capture(0x86DD) as ear6:
            await self.asked(GATEWAY, virtual.packed)
            await self.asked(GATEWAY6, linkLocal.packed)
            senders = {one[28:32] for one in self.frames(ear) if one[38:42] == GATEWAY}
            senders6 = {one[22:38] for one in self.frames(ear6) if one[54] == 135}
        self.assertEqual(senders, {bytes(4)})
        [sender] = senders6 - {bytes(16)}
        self.assertEqual(sender[:8], packed("fe80::")[:8])
        self.assertNotEqual(sender, linkLocal.packed)

    @property
    def index(self) -> int:
        """
        The index of the interface.
        """
        return self.node.link().index

    async def test_own(self) -> None:
        """
        An address of this host is refused: its own kernel would answer.
        """
        for address in (OWN, packed("fd00::1")):
            error = self.assertRaises(OSError, self.ask, address)
            self.assertIn("is an address of this host", str(error.strerror))

    async def test_nobody(self) -> None:
        """
        Nobody answers for an address that nobody has.  A wait that is cancelled leaves nothing.
        """
        await self.asked(GATEWAY)
        silent = self.ask(NOBODY)
        self.assertEqual(await self.asked(GATEWAY), self.gateway.link().address)
        self.assertNoResult(silent)
        silent.addErrback(lambda _: None).cancel()
        self.assertEqual(self.questions._waiting, {})

    async def test_wrongAnswers(self) -> None:
        """
        Answers for other addresses, to other hosts, with a VLAN tag, requests, announcements and
        broken packets are none.
        """
        await self.asked(GATEWAY)
        own, other = self.node.link().address, self.gateway.link().address
        answers: list[bytes] = []
        waiting = self.ask(NOBODY).addCallbacks(answers.append, lambda _: None)
        waiting6 = self.ask(packed("fd00::77")).addCallbacks(answers.append, lambda _: None)
        tagged = reply(own, other, NOBODY)
        wrong = [
            reply(own, other, packed("10.99.0.78")),
            reply(bytes(6), other, NOBODY, destination=own),
            reply(own, other, NOBODY, destination=b"\xff" * 6),
            reply(own, other, NOBODY, op=1),
            reply(own, own, NOBODY),
            tagged[:12] + bytes.fromhex("81000005") + tagged[12:],
            gratuitousARP(other, NOBODY),
            unsolicitedAdvertisement(other, packed("fd00::77")),
            own + unsolicitedAdvertisement(other, packed("fd00::77"))[6:-1] + b"\0",
            own + unsolicitedAdvertisement(other, packed("fd00::78"))[6:],
            *(reply(own, other, NOBODY)[:size] for size in range(14, 42)),
        ]
        for frame in wrong:
            self.send([frame])
            for family in Family:
                self.questionsIn(family).doRead()
            self.assertEqual(answers, [], frame.hex())
        self.send([
            reply(own, other, NOBODY),
            own + unsolicitedAdvertisement(other, packed("fd00::77"))[6:],
        ])
        await until(lambda: len(answers) == 2)
        self.assertEqual(answers, [other, other])
        for one in waiting, waiting6:
            one.cancel()

    async def test_storm(self) -> None:
        """
        While nobody asks, the kernel keeps no answers.  While somebody asks for one, it keeps a few
        of it and none of others.
        """
        await self.asked(GATEWAY)
        own, other = self.node.link().address, self.gateway.link().address
        self.send([reply(own, other, GATEWAY)] * 1000)
        self.assertEqual(self.unread(), 0)
        waiting = self.ask(NOBODY).addErrback(lambda _: None)
        self.send([reply(own, other, GATEWAY)] * 1000)
        self.assertEqual(self.unread(), 0)
        self.send([reply(own, other, NOBODY)] * 1000)
        self.assertLess(self.unread(), 50)
        waiting.cancel()

    async def test_many(self) -> None:
        """
        The number of addresses that are asked for at once is limited; several may ask for one.
        """
        answers: list[bytes] = []
        await self.asked(GATEWAY)
        silent = [
            self.ask(bytes((10, 99, 1, number))).addErrback(lambda _: None)
            for number in range(MOST_ANSWERS - 1)
        ]
        for _ in range(3):
            self.ask(GATEWAY).addCallback(answers.append)
        error = self.assertRaises(OSError, self.ask, NOBODY)
        self.assertEqual(error.errno, errno.ENOBUFS)
        await until(lambda: len(answers) == 3)
        for one in silent:
            one.cancel()
        self.assertEqual(self.questions._waiting, {})

    async def test_down(self) -> None:
        """
        While the interface is down or missing, nobody can be asked.  When it is up again, the same
        socket asks, and announces at once.
        """
        hardware = self.gateway.link().address
        await self.asked(GATEWAY)
        questions = self.questions
        self.node.setInterface(False)
        await until(lambda: not self.neighbours._link("eth0").works)
        error = self.assertRaises(OSError, self.ask, GATEWAY)
        self.assertEqual(error.strerror, "eth0 is down")
        self.node.setInterface(True)
        await until(lambda: self.neighbours._link("eth0").works)
        self.platform.network.announcer("eth0", None).announce(OWN)
        self.assertEqual(await self.asked(GATEWAY), hardware)
        self.assertIs(self.questions, questions)
        for send in (
            lambda: self.platform.network.announcer("eth0", None).announce(OWN),
            lambda: self.ask(GATEWAY).addErrback(lambda _: None).cancel(),
        ):
            # The reactor does not learn that it was down before the next frame is sent.
            self.node.setInterface(False)
            self.node.setInterface(True)
            send()
        error = self.assertRaises(OSError, self.neighbours.ask, "eth1", GATEWAY, ())
        self.assertEqual(error.strerror, "there is no interface eth1")
        error = self.assertRaises(OSError, self.neighbours.ask, "lo", GATEWAY, ())
        self.assertIn("lo", str(error.strerror))

    async def test_unplugged(self) -> None:
        """
        Without a carrier nobody is asked.
        """
        self.node.unplug()
        await until(lambda: not self.neighbours._link("eth0").works)
        error = self.assertRaises(OSError, self.ask, GATEWAY)
        self.assertEqual(error.strerror, "eth0 is without carrier")

    async def test_replaced(self) -> None:
        """
        A wait ends when the interface is deleted.  On a new one of that name, others can be asked.
        """
        await self.asked(GATEWAY)
        errors: list[Any] = []
        self.ask(NOBODY).addErrback(errors.append)
        with self.node.inside():
            self.node.deleteInterface()
            await until(lambda: errors)
            errors[0].trap(OSError)
            self.node.createInterface()
            await until(lambda: self.platform.links.link("eth0"))
        await self.settled()
        self.assertEqual(await self.asked(GATEWAY), self.gateway.link().address)

    async def test_givenUp(self) -> None:
        """
        If the reactor gives the socket up, what waits fails, and the next question works.
        """
        await self.asked(GATEWAY)
        silent = self.ask(NOBODY)
        installed: Any = reactor
        installed.removeReader(self.questions)
        self.questions.connectionLost(Failure(ConnectionLost()))
        self.failureResultOf(silent, OSError)
        self.assertEqual(await self.asked(GATEWAY), self.gateway.link().address)

    async def test_gateways(self) -> None:
        """
        The next hops of the default routes are those of the kernel at this moment.
        """

        async def hops() -> Sequence[bytes]:
            return await self.neighbours.gateways("eth0")

        def route(*words: str) -> None:
            runTool(self.node, "iproute2", "ip", *words)

        self.assertEqual(await hops(), ())
        self.node.route("10.98.0.0/16", "10.99.0.253")
        self.assertEqual(await hops(), ())
        route("route", "add", "default", "via", "10.99.0.254")
        self.assertEqual(await hops(), (GATEWAY,))
        route("route", "add", "default", "via", "10.99.0.253", "metric", "1")
        route("route", "del", "default", "via", "10.99.0.254")
        self.assertEqual(await hops(), (packed("10.99.0.253"),))
        route("-6", "route", "add", "default", "via", "fd00::fe")
        self.assertEqual(await hops(), (packed("10.99.0.253"), GATEWAY6))
        route("route", "flush", "default")
        several = ("nexthop", "via", "10.99.0.3", "nexthop", "via", "10.99.0.4")
        route("route", "add", "default", *several)
        self.assertEqual(set(await hops()), {packed("10.99.0.3"), packed("10.99.0.4"), GATEWAY6})
        route("route", "replace", "default", "dev", "eth0")
        route("-6", "route", "flush", "default")
        self.assertEqual(await hops(), ())
        route("route", "replace", "unreachable", "default")
        self.assertEqual(await hops(), ())
        route("route", "replace", "default", "via", "inet6", "fe80::5", "dev", "eth0")
        self.assertEqual(await hops(), (packed("fe80::5"),))
        await self.assertFailure(self.neighbours.gateways("eth9"), OSError)

    async def test_elsewhere(self) -> None:
        """
        A default route through another interface is none of this one.
        """
        for words in (
            "link add out type veth peer name far",
            "link set far up",
            "link set out up",
            "address add 10.97.0.1/24 dev out",
            "route add default via 10.97.0.2",
        ):
            runTool(self.node, "iproute2", "ip", *words.split())
        self.assertEqual(await self.neighbours.gateways("eth0"), ())
        await until(lambda: self.platform.links.link("out"))
        self.assertEqual(await self.neighbours.gateways("out"), (packed("10.97.0.2"),))


