"""
Tests for L{txcarp.network.addresstable}, with a fake netlink socket and in the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Sequence
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock, deferLater
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.testbed.fixture import makeTestbed, until
from txcarp.addresses import Holding, VirtualAddress, parseVirtualAddress
from txcarp.interfaces import IAddressObserver, IAddressTable, ILeaseObserver
from txcarp.links import InterfaceAddress, Link
from txcarp.netlink import client
from txcarp.netlink.client import Netlink
from txcarp.netlink.conversation import AnswerLost
from txcarp.netlink.format import Message, Request, readAttributes, readMessages
from txcarp.netlink.messages import IFA_F_SECONDARY, RTM_DELADDR, RTM_NEWADDR, parseAddress
from txcarp.netlink.requests import (
    IFA_F_NODAD,
    newAddress,
    promoteSecondaries,
    setLink,
)
from txcarp.network.addresslist import AddressList
from txcarp.network.addresstable import OURS, AddressTable
from txcarp.network.sockets import MissingCapability

IPV4 = parseVirtualAddress("10.0.0.100/24")
IPV6 = parseVirtualAddress("fd00::100/64")
INDEX = 7

#: The packed addresses whose loss is reported to the observers of the tests.
WATCHED = (
    IPV6.packed,
    *(parseVirtualAddress(f"10.0.0.{last}/24").packed for last in (9, *range(100, 104))),
)

_RTMGRP_IPV4_ROUTE, _RTM_NEWROUTE, _RTM_DELROUTE, _RTA_DST = 0x40, 24, 25, 1


def address(one: VirtualAddress = IPV4, **facts: Any) -> InterfaceAddress:
    """
    An address as in the kernel's event.
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
    A netlink socket whose answers a test gives.

    @ivar asked: The requests, a list for each batch.
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
        Report to all observers that an address was added or removed.
        """
        for observer in self.observers:
            observer.addressChanged(one, present)

    def lose(self) -> None:
        """
        Report to all observers that events were lost.
        """
        for observer in self.observers:
            observer.addressesUncertain()


@implementer(ILeaseObserver)
class FakeObserver:
    """
    Keeps the calls that it gets.
    """

    def __init__(self) -> None:
        self.gone: list[bytes] = []
        self.taken: list[bytes] = []
        self.promoted: list[bytes] = []
        self.gonePossibly = 0
        self.held: list[bytes] = []

    def holdsAddress(self, address: bytes) -> bool:
        return address in self.held

    def addressesGone(self, addresses: Sequence[bytes]) -> None:
        self.gone += addresses

    def addressesTaken(self, addresses: Sequence[bytes]) -> None:
        self.taken += addresses

    def addressesPromoted(self, addresses: Sequence[bytes]) -> None:
        self.promoted += addresses

    def addressesPossiblyGone(self) -> None:
        self.gonePossibly += 1


class TableTests(SynchronousTestCase):
    """
    The state and the requests of a table.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.netlink = FakeNetlink()
        self.indexes = {"eth7": INDEX}
        self.linksKnown: Deferred[None] = succeed(None)
        self.list = AddressList(self.netlink, self.clock)  # type: ignore[arg-type]
        self.table = AddressTable(self.netlink, self.list, self)  # type: ignore[arg-type]
        self.observer = FakeObserver()
        self.table.watch("eth7", WATCHED, self.observer)

    def known(self) -> Deferred[None]:
        """
        See C{ILinkMonitor.known}.
        """
        return self.linksKnown

    def link(self, name: str) -> Link | None:
        """
        See C{ILinkMonitor.link}.
        """
        if name not in self.indexes:
            return None
        return Link(index=self.indexes[name], name=name, up=True, running=True)

    def begin(self) -> None:
        """
        Start the list and the table.
        """
        self.list.start()
        self.table.start()

    def end(self) -> None:
        """
        Stop them.
        """
        self.table.stop()
        self.list.stop()

    def start(self, *addresses: InterfaceAddress) -> None:
        """
        Start the table, with these addresses present.
        """
        self.begin()
        self.netlink.dumps[-1].callback(list(addresses))

    def holding(self, one: VirtualAddress = IPV4) -> Holding:
        """
        Who added an address to the interface.
        """
        return self.table.holding("eth7", one)

    def test_interfaces(self) -> None:
        """
        The table and the fake provide their interfaces.
        """
        verifyObject(IAddressTable, self.table)
        verifyObject(IAddressObserver, self.list)
        verifyObject(ILeaseObserver, self.observer)

    def test_known(self) -> None:
        """
        The addresses are known when the first list has been read.
        """
        waiting = self.table.known()
        self.begin()
        second = self.table.known()
        self.assertNoResult(waiting)
        self.netlink.dumps[0].callback([address()])
        self.successResultOf(waiting)
        self.successResultOf(second)
        self.successResultOf(self.table.known())
        self.assertIs(self.holding(), Holding.OURS)
        self.assertIs(self.holding(IPV6), Holding.NOBODY)

    def test_linksUnknown(self) -> None:
        """
        They are not known before the links are, by whose indexes they are found.
        """
        self.linksKnown = Deferred()
        self.start(address())
        waiting = self.table.known()
        self.assertNoResult(waiting)
        self.linksKnown.callback(None)
        self.successResultOf(waiting)

    def test_startTwice(self) -> None:
        """
        A second start does nothing.
        """
        self.start()
        self.begin()
        self.assertEqual((len(self.netlink.dumps), len(self.netlink.observers)), (1, 1))

    def test_stop(self) -> None:
        """
        After a stop, events are not followed and a late list is ignored.
        """
        self.begin()
        self.end()
        self.end()
        self.netlink.dumps[0].callback([address()])
        self.assertEqual(self.netlink.observers, [])
        self.assertIs(self.holding(), Holding.NOBODY)

    def test_startAgain(self) -> None:
        """
        A table that is started again lists the addresses again, and knows none until then.
        """
        self.start(address())
        self.end()
        self.begin()
        self.assertNoResult(self.table.known())
        self.assertIs(self.holding(), Holding.NOBODY)
        self.netlink.dumps[-1].callback([address()])
        self.successResultOf(self.table.known())
        self.assertIs(self.holding(), Holding.OURS)
        self.assertEqual(self.observer.gonePossibly, 0)

    def test_whose(self) -> None:
        """
        The mark of an address tells who added it; without a mark, a short lease does.
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

    def test_noMarks(self) -> None:
        """
        Where the kernel keeps no marks, an address that this process added is ours as long as
        its lifetime is not longer than the lease, however long that is.
        """
        self.start()
        self.table.hold("eth7", [IPV4], 100, True)
        unmarked = address(protocol=None, validLifetime=100)
        self.netlink.say(unmarked)
        self.assertIs(self.holding(), Holding.OURS)
        self.netlink.answers[-1].callback([None, None])
        self.table.hold("eth7", [IPV4], 100, True)
        self.netlink.say(unmarked)
        self.assertEqual((self.holding(), self.observer.taken), (Holding.OURS, []))
        for lifetime in 3600, None:
            self.netlink.say(address(protocol=None, validLifetime=lifetime))
            self.assertIs(self.holding(), Holding.FOREIGN)
        self.assertEqual(self.observer.taken, [IPV4.packed])
        self.table.drop("eth7", [IPV4])
        self.netlink.say(unmarked)
        self.assertIs(self.holding(), Holding.FOREIGN, "another program added it since")

    def test_events(self) -> None:
        """
        Later events change the state.
        """
        self.start()
        self.netlink.say(address())
        self.assertIs(self.holding(), Holding.OURS)
        self.netlink.say(address(), present=False)
        self.assertIs(self.holding(), Holding.NOBODY)
        self.assertEqual(self.observer.gone, [IPV4.packed])

    def test_goneElsewhere(self) -> None:
        """
        The removal of an address from another interface, or of an unknown address, is not
        reported.
        """
        self.start(address(index=8))
        self.netlink.say(address(index=8), present=False)
        self.netlink.say(address(), present=False)
        self.assertEqual(self.observer.gone, [])

    def test_unwatched(self) -> None:
        """
        An observer that no longer watches gets no reports.
        """
        self.start(address())
        self.table.unwatch("eth7", self.observer)
        self.netlink.say(address(), present=False)
        self.assertEqual(self.observer.gone, [])

    def test_others(self) -> None:
        """
        Each observer gets reports about the addresses that it watches, on its interface.
        """
        sixth, elsewhere = FakeObserver(), FakeObserver()
        self.indexes["eth8"] = INDEX + 1
        self.table.watch("eth7", [IPV6.packed], sixth)
        self.table.watch("eth8", [IPV4.packed], elsewhere)
        self.start(address(), address(IPV6))
        self.netlink.say(address(), present=False)
        self.assertEqual((self.observer.gone, sixth.gone), ([IPV4.packed], []))
        self.netlink.say(address(IPV6), present=False)
        self.assertEqual(self.observer.gone, [IPV4.packed, IPV6.packed])
        self.assertEqual((sixth.gone, elsewhere.gone), ([IPV6.packed], []))

    def test_newerThanTheList(self) -> None:
        """
        An event that arrives while the list is read is newer than the list.
        """
        self.begin()
        self.netlink.say(address(IPV6))
        self.netlink.say(address())
        self.netlink.say(address(), present=False)
        self.netlink.dumps[0].callback([address()])
        self.assertIs(self.holding(IPV6), Holding.OURS)
        self.assertIs(self.holding(), Holding.NOBODY)

    def test_lost(self) -> None:
        """
        After events were lost, the addresses are listed again and observers must compare.
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
        A list during which events were lost is discarded.  One more is read, however often
        events were lost.
        """
        waiting = self.table.known()
        self.begin()
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
        A list that the kernel could not send is requested again.
        """
        waiting = self.table.known()
        with capturedLogs() as logs:
            self.begin()
            self.netlink.dumps[0].errback(OSError("interrupted"))
        self.assertIn("interrupted", formatEvent(logs[0]))
        self.clock.advance(0.5)
        self.netlink.dumps[1].callback([address()])
        self.successResultOf(waiting)
        self.assertIs(self.holding(), Holding.OURS)

    def test_noListNoMore(self) -> None:
        """
        It is not requested again after a stop.
        """
        with capturedLogs():
            self.begin()
            self.netlink.dumps[0].errback(OSError("interrupted"))
        self.end()
        self.clock.advance(1.0)
        self.assertEqual(len(self.netlink.dumps), 1)

    def test_hold(self) -> None:
        """
        Several addresses are one batch.  The requests replace present addresses; they have the
        lifetime and the mark, and for IPv6 no duplicate address detection and a preferred
        lifetime of 0.
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
        A renewal sends only the request for the address.  So does an IPv6 address, as IPv6 has
        no secondary addresses.
        """
        self.start(address())
        self.table.hold("eth7", [IPV4], 3, True)
        self.table.hold("eth7", [IPV6], 3, True)
        for batch in self.netlink.asked:
            self.assertEqual([request.type for request in batch], [RTM_NEWADDR])

    def test_renewalChangesNothing(self) -> None:
        """
        An address that was renewed is news only if it was not there, or had another lease.
        """
        news = []
        self.start(address())
        self.patch(self.table, "addressNoted", lambda one, *facts: news.append(one.validLifetime))
        for lease in 3, 3, 2:
            self.table.hold("eth7", [IPV4], lease, True)
            self.netlink.answers[-1].callback([None])
        self.assertEqual(news, [2])
        self.table.hold("eth7", [IPV4], 2, True)
        self.netlink.say(address(), present=False)
        self.assertIs(self.holding(), Holding.NOBODY)
        self.netlink.answers[-1].callback([None])
        self.assertIs(self.holding(), Holding.OURS)

    def test_noSecondaries(self) -> None:
        """
        An address is added even if the kernel cannot promote secondary addresses.
        """
        self.start()
        done = self.table.hold("eth7", [IPV4], 3, True)
        self.netlink.answers[0].callback([OSError(errno.EOPNOTSUPP, "no"), None])
        self.successResultOf(done)
        self.assertIs(self.holding(), Holding.OURS)

    def test_holdFails(self) -> None:
        """
        If the kernel refuses one address, the whole call fails.
        """
        self.start()
        done = self.table.hold("eth7", [IPV4, IPV6], 3, True)
        self.netlink.answers[0].callback([None, None, OSError(errno.EACCES, "IPv6 is disabled")])
        failure = self.failureResultOf(done, OSError)
        self.assertIn("IPv6 is disabled", failure.getErrorMessage())

    def test_holdNotAllowed(self) -> None:
        """
        The error of a process without the capability names it.
        """
        self.start()
        done = self.table.hold("eth7", [IPV4], 3, True)
        refused = OSError(errno.EPERM, "Operation not permitted")
        self.netlink.answers[0].callback([refused, refused])
        failure = self.failureResultOf(done, MissingCapability)
        self.assertIn("CAP_NET_ADMIN", failure.getErrorMessage())

    def test_holdNothing(self) -> None:
        """
        Without addresses nothing is requested.
        """
        self.successResultOf(self.table.hold("eth7", [], 3, True))
        self.assertEqual(self.netlink.asked, [])

    def test_noInterface(self) -> None:
        """
        On a missing interface no address can be held, dropping is no error, and nobody holds
        anything.
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
        Addresses of several virtual hosts are all removed from an interface that was renamed.
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
        A present address is removed with the prefix length that it has.
        """
        self.start(address(prefixLength=16))
        done = self.table.drop("eth7", [IPV4])
        [[request]] = self.netlink.asked
        self.assertEqual((request.type, request.body[1]), (RTM_DELADDR, 16))
        self.netlink.answers[0].callback([None])
        self.successResultOf(done)

    def test_dropMoved(self) -> None:
        """
        An address that an observer of the interface holds now is not removed: it has moved to
        another group.
        """
        self.start()
        self.table.hold("eth7", [IPV4, IPV6], 3, True)
        self.observer.held = [IPV4.packed]
        self.table.drop("eth7", [IPV4, IPV6])
        [request] = self.netlink.asked[-1]
        self.assertEqual(request.type, RTM_DELADDR)
        self.assertIn(IPV6.packed, request.body)
        self.observer.held = []
        self.table.drop("eth7", [IPV4])
        [request] = self.netlink.asked[-1]
        self.assertIn(IPV4.packed, request.body)

    def test_dropUnknown(self) -> None:
        """
        An address that is not known to be present is removed, too: the event of its addition
        may still be to come.
        """
        self.start()
        self.table.drop("eth7", [IPV4, IPV6])
        [batch] = self.netlink.asked
        self.assertEqual([request.body[1] for request in batch], [24, 64])
        self.successResultOf(self.table.drop("eth7", []))

    def test_answeredIsThere(self) -> None:
        """
        An address counts as present when the kernel has answered, before the event, and its
        removal is reported.  A refused address does not count.
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
        It is no error if the address or the interface is already gone; any other error is
        reported.
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
        If an answer was lost, the batch is sent again, a limited number of times.
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
        It is reported when another program makes an address of ours permanent.  Changes of a
        foreign address are not reported.
        """
        self.start(address(), address(IPV6, protocol=None, validLifetime=None))
        self.netlink.say(address(validLifetime=2))
        self.netlink.say(address(IPV6, protocol=None, validLifetime=4000))
        self.assertEqual(self.observer.taken, [])
        self.netlink.say(address(protocol=None, validLifetime=None))
        self.assertEqual(self.observer.taken, [IPV4.packed])
        self.assertIs(self.holding(), Holding.FOREIGN)

    def test_promoted(self) -> None:
        """
        It is reported once when an address of ours is the first of its network, before a
        foreign one, with the others of ours that the kernel would promote after it.  Each is then
        added anew when it is held, while it is there with another prefix length.
        """
        own, second = parseVirtualAddress("10.0.0.1/24"), parseVirtualAddress("10.0.0.9/24")
        foreign = address(own, protocol=None, validLifetime=None)
        self.start(foreign, address(flags=IFA_F_SECONDARY))
        for one, present in (
            (foreign, False),
            (address(), True),
            (address(own, prefixLength=25, protocol=None, flags=IFA_F_SECONDARY), True),
            (address(parseVirtualAddress("10.0.1.1/24"), protocol=3, flags=IFA_F_SECONDARY), True),
            (address(second, flags=IFA_F_SECONDARY), True),
            (attrs.evolve(foreign, index=8, flags=IFA_F_SECONDARY), True),
        ):
            self.netlink.say(one, present)
        self.assertEqual(self.observer.promoted, [])
        self.netlink.say(attrs.evolve(foreign, flags=IFA_F_SECONDARY))
        reported = [second.packed, IPV4.packed]
        self.assertEqual(sorted(self.observer.promoted), reported)
        self.netlink.say(address(validLifetime=2))
        self.table.hold("eth7", [IPV4, IPV6], 3, True)
        asked = [(one.type, one.body[1]) for one in self.netlink.asked[-1][1:]]
        self.assertEqual(self.netlink.asked[-1][0], promoteSecondaries(INDEX))
        new, old = RTM_NEWADDR, RTM_DELADDR
        self.assertEqual(asked, [(new, 32), (old, 24), (new, 24), (new, 64), (old, 32)])
        self.netlink.say(address(prefixLength=32))
        self.netlink.say(address(), present=False)
        self.netlink.say(foreign)
        self.netlink.say(address(flags=IFA_F_SECONDARY))
        self.netlink.say(address(prefixLength=32), present=False)
        self.netlink.answers[-1].callback([None] * 6)
        self.assertEqual(sorted(self.observer.promoted), reported)
        self.assertNotIn(IPV4.packed, self.observer.gone)
        self.table.hold("eth7", [IPV4], 3, True)
        self.assertEqual(len(self.netlink.asked[-1]), 1)

    def test_promotedByTheKernel(self) -> None:
        """
        It is also reported when the kernel makes our address the first one, and found in a list
        after lost events.
        """
        foreign = address(
            parseVirtualAddress("10.0.0.2/24"), protocol=3, flags=IFA_F_SECONDARY
        )
        self.start(address(flags=IFA_F_SECONDARY), foreign)
        self.netlink.say(address())
        self.assertEqual(self.observer.promoted, [IPV4.packed])
        self.setUp()
        self.start()
        self.netlink.lose()
        self.netlink.dumps[-1].callback([address(), foreign])
        self.table.hold("eth7", [IPV4], 3, True)
        self.assertEqual(len(self.netlink.asked[-1]), 5)

    def test_elsewhere(self) -> None:
        """
        An address on another interface is found, whether it is foreign or that of another txcarp.
        What this process added there, and a foreign one on the interface itself, do not count.
        """
        self.start(address(index=8, protocol=None, validLifetime=None), address(IPV6, index=8))
        self.assertTrue(self.table.isElsewhere("eth7", IPV4))
        self.assertTrue(self.table.isElsewhere("eth7", IPV6))
        self.assertFalse(self.table.isElsewhere("eth9", IPV4), "there is no such interface")
        self.indexes["eth8"] = 8
        self.assertFalse(self.table.isElsewhere("eth8", IPV4))
        self.table.hold("eth8", [IPV6], 3, True)
        self.assertFalse(self.table.isElsewhere("eth7", IPV6))
        self.table.drop("eth8", [IPV6])
        self.assertFalse(self.table.isElsewhere("eth7", IPV6), "it is about to go")
        self.netlink.say(address(IPV6, index=8), False)
        self.netlink.say(address(IPV6, index=8))
        self.assertTrue(self.table.isElsewhere("eth7", IPV6), "another process added it since")

    def test_twice(self) -> None:
        """
        IPv4 can have an address with several prefix lengths: only ours is dropped, and the
        removal of a foreign one is not that of ours.
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
        The addresses from before a stop are not known after the next start.
        """
        self.start(address())
        self.end()
        self.begin()
        waiting = self.table.known()
        self.assertNoResult(waiting)
        self.assertIs(self.holding(), Holding.NOBODY)
        self.netlink.dumps[-1].callback([])
        self.successResultOf(waiting)


class KernelTests(TestCase):
    """
    A table in a network namespace of its own.
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
        Make a table that knows the present addresses.
        """
        addresses = AddressList(self.netlink, reactor)  # type: ignore[arg-type]
        table = AddressTable(self.netlink, addresses, self)  # type: ignore[arg-type]
        with self.node.inside():
            self.netlink.start()
        addresses.start()
        table.start()
        self.addCleanup(self.netlink.stop)
        self.addCleanup(addresses.stop)
        self.addCleanup(table.stop)
        table.watch("eth0", WATCHED, self.observer)
        await table.known()
        return table

    def known(self) -> Deferred[None]:
        """
        See C{ILinkMonitor.known}.
        """
        return succeed(None)

    def link(self, name: str) -> Link | None:
        """
        See C{ILinkMonitor.link}; the state of the node's interface.
        """
        try:
            return self.node.link(name)
        except LookupError:
            return None

    def found(self, one: VirtualAddress) -> InterfaceAddress | None:
        """
        An address as the kernel has it.
        """
        with self.node.netlink() as netlink:
            return next((each for each in netlink.addresses() if each.local == one.packed), None)

    def put(self, one: VirtualAddress, **facts: Any) -> None:
        """
        Add an address without the table.
        """
        with self.node.netlink() as netlink:
            netlink.request(newAddress(self.index, one.packed, one.prefixLength, **facts))

    async def test_held(self) -> None:
        """
        Addresses of both families are usable at once, with their lifetimes and our mark.
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

    async def test_noMarks(self) -> None:
        """
        On a kernel that keeps no marks (before Linux 5.18), addresses on a long lease are
        renewed and dropped as on others.
        """

        def parse(message: Message) -> InterfaceAddress:
            return attrs.evolve(parseAddress(message), protocol=None)

        self.patch(client, "parseAddress", parse)
        table = await self.table()
        for _ in range(3):
            await table.hold("eth0", [IPV4, IPV6], 100, True)
            await deferLater(reactor, 0.05)
            for one in (IPV4, IPV6):
                self.assertIs(table.holding("eth0", one), Holding.OURS)
        self.assertEqual(self.observer.taken, [])
        await table.drop("eth0", [IPV4, IPV6])
        await until(lambda: table.holding("eth0", IPV6) is Holding.NOBODY)
        self.assertIsNone(self.found(IPV4))

    async def test_vanish(self) -> None:
        """
        An address that is not renewed vanishes at the end of its lease, and that is reported.
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
        A renewed address has its whole lifetime again, and was never absent.
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
        Dropped addresses are removed at once, and no others.
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
        Addresses of an earlier run are recognized as ours, and can be renewed or dropped, with
        any prefix length.
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
        Addresses of an administrator or a DHCP client are recognized as foreign.
        """
        self.put(IPV4)
        self.put(IPV6, validLifetime=3600)
        table = await self.table()
        for one in (IPV4, IPV6):
            self.assertIs(table.holding("eth0", one), Holding.FOREIGN)

    async def test_removed(self) -> None:
        """
        The removal of an address by another program is reported at once.
        """
        table = await self.table()
        await table.hold("eth0", [IPV4], 30, True)
        self.node.removeAddress("10.0.0.100/24")
        await until(lambda: self.observer.gone == [IPV4.packed])
        self.assertIs(table.holding("eth0", IPV4), Holding.NOBODY)

    async def test_taken(self) -> None:
        """
        It is reported at once when another program makes an address permanent, and the address
        can be put on lease again.
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
        A network manager may add the host's own address after ours, which makes it a secondary
        address.  It stays when ours is dropped, and when the lease ends.
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

    async def test_leavesTheHostsOwnFirst(self) -> None:
        """
        When the host's own address is added after ours, that is reported.  Held again, ours are
        behind it, the host sends from its own address, and it answered for ours all the time.
        """

        def source(destination: str) -> str:
            with self.node.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.connect((destination, 9))
                return str(sock.getsockname()[0])

        table = await self.table()
        own = parseVirtualAddress("10.0.0.1/24")
        ours = [IPV4, *(parseVirtualAddress(f"10.0.0.{last}/24") for last in range(101, 104))]
        self.node.removeAddress("10.0.0.1/24")
        await table.hold("eth0", ours, 30, True)
        self.node.addAddress("10.0.0.1/24")
        self.node.route("10.9.0.0/24", "10.0.0.2")
        await until(lambda: self.observer.promoted)
        self.assertEqual(source("10.0.0.2"), "10.0.0.100")
        with self.node.socket(socket.AF_NETLINK, socket.SOCK_RAW) as routes:
            routes.bind((0, _RTMGRP_IPV4_ROUTE))
            await table.hold("eth0", ours, 30, True)
            self.assertEqual((source("10.0.0.2"), source("10.9.0.1")), ("10.0.0.1", "10.0.0.1"))
            routes.setblocking(False)
            changes = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    for message in readMessages(routes.recv(65536)):
                        if readAttributes(message.body[12:])[_RTA_DST] == IPV4.packed:
                            changes.append(message.type)
        # The route that has packets delivered to this host is there twice meanwhile.
        self.assertEqual(changes, [_RTM_NEWROUTE, _RTM_DELROUTE])
        await until(lambda: (found := self.found(own)) and not found.flags & IFA_F_SECONDARY)
        self.assertEqual(self.node.addresses()[:5], ["10.0.0.1/24", *map(str, ours)])
        self.assertEqual(sorted(self.observer.promoted), [one.packed for one in ours])
        self.assertNotIn(IPV4.packed, self.observer.gone)
        await table.hold("eth0", ours, 30, True)
        self.assertEqual(self.node.addresses()[:5], ["10.0.0.1/24", *map(str, ours)])

    async def test_interfaceRenamed(self) -> None:
        """
        Addresses are also dropped from an interface that was renamed.
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
        An address is gone with its interface, and can be held on a new interface of the same
        name.
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
        When the kernel drops events because nobody reads them, the table lists the addresses
        again, reports that, and knows the true state.
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
        A hundred addresses can be held and dropped in one call each.
        """
        table = await self.table()
        many = [parseVirtualAddress(f"10.2.0.{number}") for number in range(1, 101)]
        await table.hold("eth0", many, 30, True)
        self.assertLessEqual({f"{one.text}/32" for one in many}, set(self.node.addresses()))
        await until(lambda: all(table.holding("eth0", o) is Holding.OURS for o in many))
        await table.drop("eth0", many)
        self.assertEqual([a for a in self.node.addresses() if a.startswith("10.2.")], [])
