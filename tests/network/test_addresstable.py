"""
Tests for L{txcarp.network.addresstable}, against a fake conversation and against the
kernel.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.testbed.fixture import makeTestbed, until
from txcarp.addresses import Holding, VirtualAddress, parseVirtualAddress
from txcarp.interfaces import IAddressObserver, IAddressTable, ILeaseObserver
from txcarp.links import InterfaceAddress, Link
from txcarp.netlink.client import Netlink
from txcarp.netlink.conversation import AnswerLost
from txcarp.netlink.format import Request
from txcarp.netlink.messages import RTM_DELADDR, RTM_NEWADDR
from txcarp.netlink.requests import (
    IFA_F_NODAD,
    newAddress,
    promoteSecondaries,
    setLink,
)
from txcarp.network.addresstable import OURS, AddressTable
from txcarp.network.sockets import MissingCapability

IPV4 = parseVirtualAddress("10.0.0.100/24")
IPV6 = parseVirtualAddress("fd00::100/64")
INDEX = 7


def address(one: VirtualAddress = IPV4, **facts: Any) -> InterfaceAddress:
    """
    An address as the kernel tells of it.
    """
    whole: dict[str, Any] = {
        "index": INDEX,
        "family": socket.AF_INET if one.isIPv4 else socket.AF_INET6,
        "prefixLength": one.prefixLength,
        "local": one.packed,
        "protocol": OURS,
        "validLifetime": 3,
    }
    return InterfaceAddress(**{**whole, **facts})


class FakeNetlink:
    """
    A conversation that a test leads.

    @ivar asked: the requests, a list for each batch.
    """

    def __init__(self) -> None:
        self.observers: list[IAddressObserver] = []
        self.dumps: list[Deferred[list[InterfaceAddress]]] = []
        self.asked: list[Sequence[Request]] = []
        self.answers: list[Deferred[list[OSError | None]]] = []

    def addAddressObserver(self, observer: IAddressObserver) -> None:
        self.observers.append(observer)

    def removeAddressObserver(self, observer: IAddressObserver) -> None:
        self.observers.remove(observer)

    def dumpAddresses(self) -> Deferred[list[InterfaceAddress]]:
        self.dumps.append(Deferred())
        return self.dumps[-1]

    def requestAll(self, requests: Sequence[Request]) -> Deferred[list[OSError | None]]:
        self.asked.append(requests)
        self.answers.append(Deferred())
        return self.answers[-1]

    def say(self, one: InterfaceAddress, present: bool = True) -> None:
        """
        Tell everybody that an address came or went.
        """
        for observer in self.observers:
            observer.addressChanged(one, present)

    def lose(self) -> None:
        """
        Tell everybody that messages were lost.
        """
        for observer in self.observers:
            observer.addressesUncertain()


@implementer(ILeaseObserver)
class FakeObserver:
    """
    Keeps what it was told.
    """

    def __init__(self) -> None:
        self.gone: list[bytes] = []
        self.taken: list[bytes] = []
        self.gonePossibly = 0

    def addressesGone(self, addresses: Sequence[bytes]) -> None:
        self.gone += addresses

    def addressesTaken(self, addresses: Sequence[bytes]) -> None:
        self.taken += addresses

    def addressesPossiblyGone(self) -> None:
        self.gonePossibly += 1


class TableTests(SynchronousTestCase):
    """
    What a table believes and asks for.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.netlink = FakeNetlink()
        self.indexes = {"eth7": INDEX}
        self.table = AddressTable(self.netlink, self.clock, self)  # type: ignore[arg-type]
        self.observer = FakeObserver()
        self.table.watch("eth7", self.observer)

    def link(self, name: str) -> Link | None:
        """
        See C{ILinkMonitor.link}.
        """
        if name not in self.indexes:
            return None
        return Link(index=self.indexes[name], name=name, up=True, running=True)

    def start(self, *addresses: InterfaceAddress) -> None:
        """
        Start, with these addresses there.
        """
        self.table.start()
        self.netlink.dumps[-1].callback(list(addresses))

    def holding(self, one: VirtualAddress = IPV4) -> Holding:
        """
        Who put an address on the interface.
        """
        return self.table.holding("eth7", one)

    def test_interfaces(self) -> None:
        """
        It provides what it says.
        """
        verifyObject(IAddressTable, self.table)
        verifyObject(IAddressObserver, self.table)
        verifyObject(ILeaseObserver, self.observer)

    def test_known(self) -> None:
        """
        What is there is known once the kernel's list is.
        """
        waiting = self.table.known()
        self.table.start()
        second = self.table.known()
        self.assertNoResult(waiting)
        self.netlink.dumps[0].callback([address()])
        self.successResultOf(waiting)
        self.successResultOf(second)
        self.successResultOf(self.table.known())
        self.assertIs(self.holding(), Holding.OURS)
        self.assertIs(self.holding(IPV6), Holding.NOBODY)

    def test_startTwice(self) -> None:
        """
        A second start asks for nothing.
        """
        self.start()
        self.table.start()
        self.assertEqual((len(self.netlink.dumps), len(self.netlink.observers)), (1, 1))

    def test_stop(self) -> None:
        """
        After the end nothing is followed, and a late list means nothing.
        """
        self.table.start()
        self.table.stop()
        self.table.stop()
        self.netlink.dumps[0].callback([address()])
        self.assertEqual(self.netlink.observers, [])
        self.assertIs(self.holding(), Holding.NOBODY)

    def test_startAgain(self) -> None:
        """
        It can be started again, and lists anew; until then what it knew is not known.
        """
        self.start(address())
        self.table.stop()
        self.table.start()
        self.assertNoResult(self.table.known())
        self.assertIs(self.holding(), Holding.NOBODY)
        self.netlink.dumps[-1].callback([address()])
        self.successResultOf(self.table.known())
        self.assertIs(self.holding(), Holding.OURS)
        self.assertEqual(self.observer.gonePossibly, 0)

    def test_whose(self) -> None:
        """
        The tag says who added an address; where there is none, a short lease does.
        """
        for facts, expected in (
            ({}, Holding.OURS),
            ({"validLifetime": None}, Holding.OURS),
            ({"protocol": 3}, Holding.FOREIGN),
            ({"protocol": 3, "validLifetime": 3}, Holding.FOREIGN),
            ({"protocol": None, "validLifetime": None}, Holding.FOREIGN),
            ({"protocol": None, "validLifetime": 3600}, Holding.FOREIGN),
            ({"protocol": None, "validLifetime": 60}, Holding.OURS),
            ({"index": 8}, Holding.NOBODY),
        ):
            with self.subTest(**facts):
                self.setUp()
                self.start(address(**facts))
                self.assertIs(self.holding(), expected)

    def test_news(self) -> None:
        """
        What the kernel says later is believed.
        """
        self.start()
        self.netlink.say(address())
        self.assertIs(self.holding(), Holding.OURS)
        self.netlink.say(address(), present=False)
        self.assertIs(self.holding(), Holding.NOBODY)
        self.assertEqual(self.observer.gone, [IPV4.packed])

    def test_goneElsewhere(self) -> None:
        """
        An address that leaves another interface, or was not there, is nobody's news.
        """
        self.start(address(index=8))
        self.netlink.say(address(index=8), present=False)
        self.netlink.say(address(), present=False)
        self.assertEqual(self.observer.gone, [])

    def test_unwatched(self) -> None:
        """
        Nor is it told to those who do not listen any more.
        """
        self.start(address())
        self.table.unwatch("eth7", self.observer)
        self.netlink.say(address(), present=False)
        self.assertEqual(self.observer.gone, [])

    def test_newerThanTheList(self) -> None:
        """
        What was said while the list was read is newer than the list.
        """
        self.table.start()
        self.netlink.say(address(IPV6))
        self.netlink.say(address())
        self.netlink.say(address(), present=False)
        self.netlink.dumps[0].callback([address()])
        self.assertIs(self.holding(IPV6), Holding.OURS)
        self.assertIs(self.holding(), Holding.NOBODY)

    def test_lost(self) -> None:
        """
        After lost messages there is a fresh list, and observers compare.
        """
        self.start(address(), address(IPV6))
        self.netlink.lose()
        self.assertEqual(len(self.netlink.dumps), 2)
        self.assertEqual(self.observer.gonePossibly, 0, "nothing is known yet")
        self.netlink.dumps[1].callback([address(IPV6)])
        self.assertIs(self.holding(), Holding.NOBODY)
        self.assertEqual(self.observer.gonePossibly, 1)

    def test_lostInTheList(self) -> None:
        """
        A list during which messages were lost is not believed; there is another, and
        only one, however often that was said.
        """
        waiting = self.table.known()
        self.table.start()
        self.netlink.lose()
        self.netlink.lose()
        self.netlink.dumps[0].callback([address()])
        self.assertNoResult(waiting)
        self.netlink.dumps[1].callback([])
        self.successResultOf(waiting)
        self.assertEqual(len(self.netlink.dumps), 2)
        self.assertIs(self.holding(), Holding.NOBODY)

    def test_noList(self) -> None:
        """
        A list that the kernel could not give is asked for again.
        """
        waiting = self.table.known()
        with capturedLogs() as logs:
            self.table.start()
            self.netlink.dumps[0].errback(OSError("interrupted"))
        self.assertIn("interrupted", formatEvent(logs[0]))
        self.clock.advance(0.5)
        self.netlink.dumps[1].callback([address()])
        self.successResultOf(waiting)
        self.assertIs(self.holding(), Holding.OURS)

    def test_noListNoMore(self) -> None:
        """
        Unless it was stopped meanwhile.
        """
        with capturedLogs():
            self.table.start()
            self.netlink.dumps[0].errback(OSError("interrupted"))
        self.table.stop()
        self.clock.advance(1.0)
        self.assertEqual(len(self.netlink.dumps), 1)

    def test_hold(self) -> None:
        """
        Several addresses are one batch: they replace, have the lifetime, the tag, and
        for IPv6 no duplicate address detection and no connections of their own.
        """
        self.start()
        done = self.table.hold("eth7", [IPV4, IPV6], 3, True)
        [batch] = self.netlink.asked
        expected = [
            promoteSecondaries(INDEX),
            newAddress(INDEX, IPV4.packed, 24, validLifetime=3, protocol=OURS, replace=True),
            newAddress(
                INDEX,
                IPV6.packed,
                64,
                validLifetime=3,
                preferredLifetime=0,
                flags=IFA_F_NODAD,
                protocol=OURS,
                replace=True,
            ),
        ]
        self.assertEqual(list(batch), expected)
        self.assertEqual([request.type for request in batch[1:]], [RTM_NEWADDR] * 2)
        self.assertNoResult(done)
        self.netlink.answers[0].callback([None, None, None])
        self.successResultOf(done)

    def test_renewal(self) -> None:
        """
        What is there is renewed, and nothing else is asked for; nor for IPv6, which
        knows no secondary addresses.
        """
        self.start(address())
        self.table.hold("eth7", [IPV4], 3, True)
        self.table.hold("eth7", [IPV6], 3, True)
        for batch in self.netlink.asked:
            self.assertEqual([request.type for request in batch], [RTM_NEWADDR])

    def test_noSecondaries(self) -> None:
        """
        A kernel that does not know how to keep secondary addresses still adds ours.
        """
        self.start()
        done = self.table.hold("eth7", [IPV4], 3, True)
        self.netlink.answers[0].callback([OSError(errno.EOPNOTSUPP, "no"), None])
        self.successResultOf(done)
        self.assertIs(self.holding(), Holding.OURS)

    def test_holdFails(self) -> None:
        """
        One address that is refused fails it all.
        """
        self.start()
        done = self.table.hold("eth7", [IPV4, IPV6], 3, True)
        self.netlink.answers[0].callback([None, None, OSError(errno.EACCES, "IPv6 is disabled")])
        failure = self.failureResultOf(done, OSError)
        self.assertIn("IPv6 is disabled", failure.getErrorMessage())

    def test_holdNotAllowed(self) -> None:
        """
        A process that lost its privileges is told which one it needs.
        """
        self.start()
        done = self.table.hold("eth7", [IPV4], 3, True)
        refused = OSError(errno.EPERM, "Operation not permitted")
        self.netlink.answers[0].callback([refused, refused])
        failure = self.failureResultOf(done, MissingCapability)
        self.assertIn("CAP_NET_ADMIN", failure.getErrorMessage())

    def test_holdNothing(self) -> None:
        """
        No addresses are no question.
        """
        self.successResultOf(self.table.hold("eth7", [], 3, True))
        self.assertEqual(self.netlink.asked, [])

    def test_noInterface(self) -> None:
        """
        On an interface that is not there nothing can be held, nothing need be dropped
        and nobody holds anything.
        """
        self.start(address())
        self.indexes.clear()
        self.assertIs(self.holding(), Holding.NOBODY)
        failure = self.failureResultOf(self.table.hold("eth7", [IPV4], 3, True), OSError)
        self.assertIn("there is no interface eth7", failure.getErrorMessage())
        self.successResultOf(self.table.drop("eth7", [IPV4]))
        self.netlink.say(address(), present=False)
        self.assertEqual(self.observer.gone, [])

    def test_dropRenamed(self) -> None:
        """
        The addresses of several virtual hosts are removed from an interface that has
        another name now, not only those that leave first.
        """
        self.start()
        for one in (IPV4, IPV6):
            self.table.hold("eth7", [one], 3, True)
        self.indexes = {"lan7": INDEX}
        for one in (IPV4, IPV6):
            self.table.drop("eth7", [one])
            [request] = self.netlink.asked[-1]
            self.assertEqual(request.type, RTM_DELADDR)
            self.assertIn(one.packed, request.body)

    def test_drop(self) -> None:
        """
        What is there is removed, as it is there: with its own prefix length.
        """
        self.start(address(prefixLength=16))
        done = self.table.drop("eth7", [IPV4])
        [[request]] = self.netlink.asked
        self.assertEqual((request.type, request.body[1]), (RTM_DELADDR, 16))
        self.netlink.answers[0].callback([None])
        self.successResultOf(done)

    def test_dropUnknown(self) -> None:
        """
        What is not known to be there is removed all the same: the kernel's word of it
        may be on its way.
        """
        self.start()
        self.table.drop("eth7", [IPV4, IPV6])
        [batch] = self.netlink.asked
        self.assertEqual([request.body[1] for request in batch], [24, 64])
        self.successResultOf(self.table.drop("eth7", []))

    def test_answeredIsThere(self) -> None:
        """
        What the kernel added is there with its answer, before it tells of it, and its
        removal is noticed; what it did not add is not.
        """
        self.start()
        done = self.table.hold("eth7", [IPV4, IPV6], 3, True)
        self.assertIs(self.holding(), Holding.NOBODY)
        self.netlink.answers[0].callback([None, None, OSError(errno.EACCES, "no")])
        self.failureResultOf(done)
        self.assertIs(self.holding(), Holding.OURS)
        self.assertIs(self.holding(IPV6), Holding.NOBODY)
        self.netlink.say(address(), present=False)
        self.assertEqual(self.observer.gone, [IPV4.packed])

    def test_dropTooLate(self) -> None:
        """
        It is no error if it went meanwhile; anything else is.
        """
        self.start(address())
        for number, good in (
            (errno.EADDRNOTAVAIL, True),
            (errno.ENODEV, True),
            (errno.ENXIO, True),
            (errno.EBUSY, False),
        ):
            with self.subTest(number=number):
                done = self.table.drop("eth7", [IPV4])
                self.netlink.answers[-1].callback([OSError(number, "no")])
                if good:
                    self.successResultOf(done)
                else:
                    self.failureResultOf(done, OSError)

    def test_answerLost(self) -> None:
        """
        What the kernel answered may have been lost: it is asked again, but not for
        ever.
        """
        self.start(address(), address(IPV6))
        for ask in (
            lambda: self.table.hold("eth7", [IPV4, IPV6], 3, True),
            lambda: self.table.drop("eth7", [IPV4, IPV6]),
        ):
            done = ask()
            for _ in range(2):
                self.assertNoResult(done)
                self.netlink.answers[-1].callback([None, AnswerLost()])
            self.assertEqual(self.netlink.asked[-3:], [self.netlink.asked[-1]] * 3)
            self.netlink.answers[-1].callback([None, None])
            self.successResultOf(done)
        done = self.table.hold("eth7", [IPV4], 3, True)
        for _ in range(3):
            self.netlink.answers[-1].callback([AnswerLost()])
        self.failureResultOf(done, AnswerLost)

    def test_taken(self) -> None:
        """
        An address of ours that somebody makes permanent is told; what was somebody
        else's before is nobody's news.
        """
        self.start(address(), address(IPV6, protocol=None, validLifetime=None))
        self.netlink.say(address(validLifetime=2))
        self.netlink.say(address(IPV6, protocol=None, validLifetime=4000))
        self.assertEqual(self.observer.taken, [])
        self.netlink.say(address(protocol=None, validLifetime=None))
        self.assertEqual(self.observer.taken, [IPV4.packed])
        self.assertIs(self.holding(), Holding.FOREIGN)

    def test_elsewhere(self) -> None:
        """
        An address that somebody else put on another interface is told from one of ours
        there, and from one on this interface.
        """
        self.start(address(index=8, protocol=None, validLifetime=None), address(IPV6, index=8))
        self.assertTrue(self.table.isElsewhere("eth7", IPV4))
        self.assertFalse(self.table.isElsewhere("eth7", IPV6))
        self.assertFalse(self.table.isElsewhere("eth9", IPV4), "there is no such interface")
        self.indexes["eth8"] = 8
        self.assertFalse(self.table.isElsewhere("eth8", IPV4))

    def test_twice(self) -> None:
        """
        IPv4 has an address with several prefix lengths: only what is ours is dropped,
        and it is not gone with somebody else's.
        """
        other = address(prefixLength=32, protocol=None, validLifetime=None)
        self.start(address())
        self.netlink.say(other)
        self.assertIs(self.holding(), Holding.FOREIGN)
        self.table.drop("eth7", [IPV4])
        [[request]] = self.netlink.asked
        self.assertEqual((request.type, request.body[1]), (RTM_DELADDR, 24))
        self.netlink.say(other, present=False)
        self.assertEqual((self.observer.gone, self.holding()), ([], Holding.OURS))
        self.netlink.say(other)
        self.netlink.say(address(), present=False)
        self.assertEqual((self.observer.gone, self.holding()), ([IPV4.packed], Holding.FOREIGN))

    def test_knownAfterRestart(self) -> None:
        """
        What was there before the end is not believed at the next start.
        """
        self.start(address())
        self.table.stop()
        self.table.start()
        waiting = self.table.known()
        self.assertNoResult(waiting)
        self.assertIs(self.holding(), Holding.NOBODY)
        self.netlink.dumps[-1].callback([])
        self.successResultOf(waiting)


class KernelTests(TestCase):
    """
    A table in a network of its own.
    """

    timeout = 60

    def setUp(self) -> None:
        self.testbed = makeTestbed(self)
        self.node = self.testbed.node("a", "10.0.0.1/24")
        self.index = self.node.link().index
        self.netlink = Netlink(reactor)  # type: ignore[arg-type]
        self.observer = FakeObserver()

    async def table(self) -> AddressTable:
        """
        A table that knows what is there.
        """
        table = AddressTable(self.netlink, reactor, self)  # type: ignore[arg-type]
        with self.node.inside():
            self.netlink.start()
        table.start()
        self.addCleanup(self.netlink.stop)
        self.addCleanup(table.stop)
        table.watch("eth0", self.observer)
        await table.known()
        return table

    def link(self, name: str) -> Link | None:
        """
        See C{ILinkMonitor.link}; as the node has it now.
        """
        try:
            return self.node.link(name)
        except LookupError:
            return None

    def found(self, one: VirtualAddress) -> InterfaceAddress | None:
        """
        An address as the kernel has it now.
        """
        with self.node.netlink() as netlink:
            return next((each for each in netlink.addresses() if each.local == one.packed), None)

    def put(self, one: VirtualAddress, **facts: Any) -> None:
        """
        Add an address behind the table's back.
        """
        with self.node.netlink() as netlink:
            netlink.request(newAddress(self.index, one.packed, one.prefixLength, **facts))

    async def test_held(self) -> None:
        """
        Both families appear with their lifetimes, at once usable, tagged as ours.
        """
        table = await self.table()
        await table.hold("eth0", [IPV4, IPV6], 3, True)
        for one, preferred in ((IPV4, (2, 3)), (IPV6, (0,))):
            found = self.found(one)
            assert found is not None
            self.assertIn(found.validLifetime, (2, 3))
            self.assertIn(found.preferredLifetime, preferred)
            self.assertEqual(found.prefixLength, one.prefixLength)
            self.assertIn(found.protocol, (OURS, None), "None before Linux 5.18")
            self.assertEqual(found.flags & 0x40, 0, "tentative")
            self.assertIs(table.holding("eth0", one), Holding.OURS)
        with self.node.inside():
            for family, text in ((socket.AF_INET, "10.0.0.100"), (socket.AF_INET6, "fd00::100")):
                sock = socket.socket(family, socket.SOCK_STREAM)
                self.addCleanup(sock.close)
                sock.bind((text, 0))  # not while it is tentative

    async def test_vanish(self) -> None:
        """
        What is not renewed vanishes at the end of its lease, and observers are told.
        """
        table = await self.table()
        for lease in (1, 2):
            with self.subTest(lease=lease):
                self.observer.gone.clear()
                began = time.monotonic()
                await table.hold("eth0", [IPV4, IPV6], lease, True)
                late = {}
                for one in (IPV4, IPV6):
                    await until(lambda one=one: one.packed in self.observer.gone)
                    late[one.text] = time.monotonic() - began - lease
                    self.assertIsNone(self.found(one))
                    self.assertIs(table.holding("eth0", one), Holding.NOBODY)
                words = ", ".join(f"{text} {1000 * by:.0f} ms late" for text, by in late.items())
                print(f"\n    a lease of {lease} s: {words}", end=" ", flush=True)
                self.assertGreater(min(late.values()), -0.05)
                self.assertLess(max(late.values()), 2.0)

    async def test_renewed(self) -> None:
        """
        What is renewed has its whole lifetime again, and was never away.
        """
        table = await self.table()
        await table.hold("eth0", [IPV4, IPV6], 20, True)
        await table.hold("eth0", [IPV4, IPV6], 40, True)
        for one in (IPV4, IPV6):
            found = self.found(one)
            assert found is not None and found.validLifetime is not None
            self.assertGreater(found.validLifetime, 20)
        self.assertEqual(self.observer.gone, [])

    async def test_dropped(self) -> None:
        """
        What is dropped is gone at once, and only that.
        """
        table = await self.table()
        await table.hold("eth0", [IPV4, IPV6], 30, True)
        await table.drop("eth0", [IPV4, IPV6])
        self.assertIsNone(self.found(IPV4))
        self.assertIsNone(self.found(IPV6))
        self.assertEqual(self.node.addresses()[0], "10.0.0.1/24")
        await table.drop("eth0", [IPV4, IPV6])

    async def test_adopted(self) -> None:
        """
        What an earlier run left is known for ours, and can be renewed or dropped, with
        whatever prefix length.
        """
        self.put(IPV4, validLifetime=40, protocol=OURS)
        self.put(IPV6, validLifetime=40, protocol=OURS)
        table = await self.table()
        for one in (IPV4, IPV6):
            self.assertIs(table.holding("eth0", one), Holding.OURS)
        await table.hold("eth0", [IPV4], 5, True)
        found = self.found(IPV4)
        assert found is not None
        self.assertIn(found.validLifetime, (4, 5))
        await table.drop("eth0", [parseVirtualAddress("fd00::100/128")])
        self.assertIsNone(self.found(IPV6))

    async def test_foreign(self) -> None:
        """
        What an administrator or a DHCP client put there is known for somebody else's.
        """
        self.put(IPV4)
        self.put(IPV6, validLifetime=3600)
        table = await self.table()
        for one in (IPV4, IPV6):
            self.assertIs(table.holding("eth0", one), Holding.FOREIGN)

    async def test_removed(self) -> None:
        """
        What somebody else removes is told at once.
        """
        table = await self.table()
        await table.hold("eth0", [IPV4], 30, True)
        self.node.removeAddress("10.0.0.100/24")
        await until(lambda: self.observer.gone == [IPV4.packed])
        self.assertIs(table.holding("eth0", IPV4), Holding.NOBODY)

    async def test_taken(self) -> None:
        """
        What somebody else makes permanent is told at once, and can be put on lease
        again.
        """
        table = await self.table()
        for number, one in enumerate((IPV4, IPV6), 1):
            await table.hold("eth0", [one], 30, True)
            self.put(one, replace=True)
            await until(lambda n=number: len(self.observer.taken) == n)
            self.assertIs(table.holding("eth0", one), Holding.FOREIGN)
            await table.hold("eth0", [one], 30, True)
            self.assertIs(table.holding("eth0", one), Holding.OURS)
            found = self.found(one)
            assert found is not None
            self.assertIn(found.validLifetime, (29, 30))

    async def test_keepsTheHostsOwn(self) -> None:
        """
        A network manager may add the host's own address after ours, which makes it a
        secondary one. It does not go with ours, neither dropped nor at the lease's end.
        """
        table = await self.table()
        for end in ("dropped", "vanished"):
            self.node.removeAddress("10.0.0.1/24")
            self.observer.gone.clear()
            await table.hold("eth0", [IPV4], 1, True)
            self.node.addAddress("10.0.0.1/24")
            if end == "dropped":
                await table.drop("eth0", [IPV4])
            await until(lambda: IPV4.packed in self.observer.gone)
            self.assertIn("10.0.0.1/24", self.node.addresses(), end)

    async def test_interfaceRenamed(self) -> None:
        """
        From an interface that has another name now the addresses are removed all the
        same.
        """
        table = await self.table()
        await table.hold("eth0", [IPV4, IPV6], 30, True)
        with self.node.netlink() as netlink:
            netlink.request(setLink(self.index, up=False))
            netlink.request(setLink(self.index, name="lan0"))
        self.assertIsNotNone(self.found(IPV4))
        await table.drop("eth0", [IPV4, IPV6])
        self.assertIsNone(self.found(IPV4))

    async def test_interfaceDeleted(self) -> None:
        """
        With its interface an address is gone; on a new one of the same name it can be
        held again.
        """
        table = await self.table()
        await table.hold("eth0", [IPV4, IPV6], 30, True)
        self.node.deleteInterface()
        await table.drop("eth0", [IPV4, IPV6])
        self.assertIs(table.holding("eth0", IPV4), Holding.NOBODY)
        with self.assertRaises(OSError):
            await table.hold("eth0", [IPV4], 30, True)
        self.node.createInterface()
        await table.hold("eth0", [IPV4, IPV6], 30, True)
        await until(lambda: table.holding("eth0", IPV6) is Holding.OURS)
        self.assertIsNotNone(self.found(IPV4))

    async def test_overrun(self) -> None:
        """
        When the kernel drops messages because nobody reads them, the table reads a
        fresh list and says so, and believes the truth.
        """
        table = await self.table()
        await table.hold("eth0", [IPV4, IPV6], 30, True)
        assert self.netlink._socket is not None
        self.netlink._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        # The reactor does not run meanwhile.
        self.node.removeAddress("10.0.0.100/24")
        for number in range(200):
            self.node.addAddress(f"10.1.0.{number}/32")
            self.node.removeAddress(f"10.1.0.{number}/32")
        self.node.removeAddress("fd00::100/64")
        await until(lambda: self.observer.gonePossibly)
        self.assertGreater(self.netlink.overruns, 0)
        for one in (IPV4, IPV6):
            self.assertIs(table.holding("eth0", one), Holding.NOBODY)

    async def test_many(self) -> None:
        """
        A hundred addresses are one question.
        """
        table = await self.table()
        many = [parseVirtualAddress(f"10.2.0.{number}") for number in range(1, 101)]
        await table.hold("eth0", many, 30, True)
        self.assertLessEqual({f"{one.text}/32" for one in many}, set(self.node.addresses()))
        await until(lambda: all(table.holding("eth0", o) is Holding.OURS for o in many))
        await table.drop("eth0", many)
        self.assertEqual([a for a in self.node.addresses() if a.startswith("10.2.")], [])
