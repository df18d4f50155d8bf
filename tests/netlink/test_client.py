"""
Tests for L{txcarp.netlink.client} and L{txcarp.netlink.blocking}.
"""

from __future__ import annotations

import errno
import gc
import socket
import struct
from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.testbed.fixture import makeTestbed, until
from txcarp.interfaces import IAddressObserver
from txcarp.links import InterfaceAddress, Link
from txcarp.netlink.client import ILinkEventObserver, Netlink
from txcarp.netlink.conversation import AnswerLost, NetlinkClosed
from txcarp.netlink.format import (
    NLM_F_ACK,
    NLM_F_DUMP_INTR,
    NLM_F_MULTI,
    NLMSG_DONE,
    NLMSG_ERROR,
    Request,
    readMessages,
)
from txcarp.netlink.messages import RTM_DELADDR, RTM_NEWADDR
from txcarp.netlink.requests import (
    IFA_F_NODAD,
    delAddress,
    delLink,
    newAddress,
    newMacvlan,
    setLink,
)
from txcarp.testbed.requests import newBridge

V4 = socket.inet_aton("10.99.0.252")
V6 = socket.inet_pton(socket.AF_INET6, "fd00::252")
PORT = 4711


@implementer(ILinkEventObserver, IAddressObserver)
class Tape:
    """
    Keeps the calls that an observer gets.
    """

    def __init__(self) -> None:
        self.links: list[tuple[Link, bool]] = []
        self.addresses: list[tuple[InterfaceAddress, bool]] = []
        self.ipv6: list[int] = []
        self.uncertain = 0

    def linkEvent(self, link: Link, present: bool) -> None:
        """
        See L{ILinkEventObserver.linkEvent}.
        """
        self.links.append((link, present))

    def linkEventsLost(self) -> None:
        """
        See L{ILinkEventObserver.linkEventsLost}.
        """
        self.uncertain += 1

    def addressChanged(self, address: InterfaceAddress, present: bool) -> None:
        """
        See L{IAddressObserver.addressChanged}.
        """
        self.addresses.append((address, present))

    def addressesUncertain(self) -> None:
        """
        See L{IAddressObserver.addressesUncertain}.
        """

    def ipv6Changed(self, index: int) -> None:
        """
        See L{IAddressObserver.ipv6Changed}.
        """
        self.ipv6.append(index)


class KernelTests(TestCase):
    """
    Requests to the kernel of this machine, in a network namespace of the test's own.
    """

    timeout = 20.0

    def setUp(self) -> None:
        """
        Open a netlink socket inside a node.
        """
        from twisted.internet import reactor

        self.node = makeTestbed(self).node("a", "10.99.0.1/24")
        self.index = self.node.link().index
        self.netlink = Netlink(reactor)
        with self.node.inside():
            self.netlink.start()
        self.addCleanup(self.netlink.stop)
        self.tape = Tape()
        self.netlink.addLinkObserver(self.tape)
        self.netlink.addAddressObserver(self.tape)

    def test_interfaces(self) -> None:
        """
        The tape provides the interfaces of observers.
        """
        verifyObject(ILinkEventObserver, self.tape)
        verifyObject(IAddressObserver, self.tape)

    def told(self, local: bytes) -> list[tuple[int, int, bool]]:
        """
        The events of one address; the kernel adds other addresses by itself.
        """
        return [
            (address.index, address.prefixLength, present)
            for address, present in self.tape.addresses
            if address.local == local
        ]

    async def test_addAndRemove(self) -> None:
        """
        An added address is listed and observers get its event; the same holds for its removal.
        """
        for local, prefixLength, flags in ((V4, 32, 0), (V6, 128, IFA_F_NODAD)):
            told = partial(self.told, local)
            await self.netlink.request(newAddress(self.index, local, prefixLength, flags=flags))
            held = [a.local for a in await self.netlink.dumpAddresses()]
            self.assertIn(local, held)
            # The event of an IPv6 address comes later, or never if the address is gone by then.
            await until(told)
            await self.netlink.request(delAddress(self.index, local, prefixLength))
            await until(lambda told=told: not told()[-1][-1])
            self.assertEqual(
                set(told()), {(self.index, prefixLength, present) for present in (True, False)}
            )
            held = [a.local for a in await self.netlink.dumpAddresses()]
            self.assertNotIn(local, held)

    async def test_ipv6(self) -> None:
        """
        The kernel's event that IPv6 is switched on is passed on, also where the interface gets no
        address by itself.
        """
        self.node.sysctl("net/ipv6/conf/eth0/addr_gen_mode", "1")
        self.node.sysctl("net/ipv6/conf/eth0/disable_ipv6", "1")
        await self.netlink.dumpLinks()
        self.tape.ipv6.clear()
        self.node.sysctl("net/ipv6/conf/eth0/disable_ipv6", "0")
        await until(lambda: self.tape.ipv6)
        self.assertEqual(set(self.tape.ipv6), {self.index})

    async def test_refused(self) -> None:
        """
        A refused request fails with the kernel's C{errno}.
        """
        answer = self.netlink.request(delAddress(self.index, V4, 32))
        error = await self.assertFailure(answer, OSError)
        self.assertEqual(error.errno, errno.EADDRNOTAVAIL)

    async def test_explanation(self) -> None:
        """
        The kernel's explanation, if there is one, is in the error.
        """
        answer = self.netlink.request(newAddress(999, V4, 32))
        error = await self.assertFailure(answer, OSError)
        self.assertEqual(error.errno, errno.ENODEV)
        self.assertRegex(str(error), "No such device: .*Device not found")

    async def test_lifetime(self) -> None:
        """
        The kernel removes an address at the end of its lifetime, and sends an event.  A renewal
        with C{replace} sets a new lifetime.
        """
        for local, prefixLength, flags in ((V4, 32, 0), (V6, 128, IFA_F_NODAD)):
            request = newAddress(
                self.index, local, prefixLength, validLifetime=30, flags=flags, protocol=112
            )
            await self.netlink.request(request)
            renewal = newAddress(
                self.index, local, prefixLength, validLifetime=1, flags=flags, replace=True
            )
            await self.netlink.request(renewal)
            lifetimes = [
                a.validLifetime for a in await self.netlink.dumpAddresses() if a.local == local
            ]
            self.assertEqual(len(lifetimes), 1)
            self.assertIn(lifetimes[0], (0, 1))
        await until(lambda: sum(not present for _, present in self.tape.addresses) == 2)
        self.assertEqual({a.local for a, present in self.tape.addresses if not present}, {V4, V6})

    async def test_renewals(self) -> None:
        """
        Events of renewals are not passed on: all that they say is when.  Other changes of the
        address are.
        """
        for local, prefixLength, flags in ((V4, 32, 0), (V6, 128, IFA_F_NODAD)):
            for lease in (60, 60, 60, 60, 50):
                request = newAddress(
                    self.index,
                    local,
                    prefixLength,
                    validLifetime=lease,
                    flags=flags,
                    replace=True,
                )
                await self.netlink.request(request)
                await until(partial(self.told, local))
                # The kernel counts hundredths of a second.
                await deferLater(cast(Any, reactor), 0.02)
            events: list[InterfaceAddress] = []

            def arrived(local: bytes = local, events: list[InterfaceAddress] = events) -> bool:
                events[:] = [one for one, _ in self.tape.addresses if one.local == local]
                return events[-1].validLifetime == 50

            await until(arrived)
            self.assertEqual(events, [one for one, _ in groupby(events)])

    async def test_tag(self) -> None:
        """
        The kernel keeps the mark of an address.
        """
        await self.netlink.request(newAddress(self.index, V4, 32, protocol=112))
        found = [a for a in await self.netlink.dumpAddresses(socket.AF_INET) if a.local == V4]
        self.assertEqual([a.protocol for a in found], [112])

    async def test_many(self) -> None:
        """
        Each of many requests has its own result, at its place; one that fails does not stop the
        others.
        """
        locals = [socket.inet_aton(f"10.99.1.{i}") for i in range(1, 201)]
        locals[150] = locals[100]
        outcomes = await self.netlink.requestAll(
            [newAddress(self.index, each, 32) for each in locals]
        )
        errors = {i: error.errno for i, error in enumerate(outcomes) if error is not None}
        self.assertEqual((len(outcomes), errors), (200, {150: errno.EEXIST}))
        held = {a.local for a in await self.netlink.dumpAddresses(socket.AF_INET)}
        self.assertTrue(held.issuperset(locals))

    async def test_order(self) -> None:
        """
        A list that is requested after many changes shows them, and two lists may be requested
        at once.
        """
        many = [newAddress(self.index, socket.inet_aton(f"10.99.1.{i}"), 32) for i in range(1, 101)]
        _, addresses, links = await gatherResults(
            [
                self.netlink.requestAll(many),
                self.netlink.dumpAddresses(socket.AF_INET),
                self.netlink.dumpLinks(),
            ]
        )
        self.assertEqual(len(addresses), 102)
        self.assertEqual([link.name for link in links], ["lo", "eth0"])

    async def test_links(self) -> None:
        """
        Links are made, changed and deleted, and observers get the events.
        """
        mac = bytes.fromhex("00005e000107")
        await self.netlink.request(newMacvlan("carp7", self.index, address=mac))
        link = {link.name: link for link in await self.netlink.dumpLinks()}["carp7"]
        self.assertEqual((link.kind, link.address, link.parent), ("macvlan", mac, self.index))
        await self.netlink.requestAll(
            [setLink(link.index, name="carp8"), setLink(link.index, up=True), delLink(link.index)]
        )

        def seen() -> list[tuple[str, bool, bool]]:
            # The kernel has something to say of the parent, too.
            return [
                (one.name, one.up, present)
                for one, present in self.tape.links
                if one.index == link.index
            ]

        await until(lambda: seen() and not seen()[-1][-1])
        self.assertIn(("carp7", False, True), seen())
        self.assertIn(("carp8", True, True), seen())
        self.assertEqual({name for name, _, present in seen() if not present}, {"carp8"})

    async def test_carrier(self) -> None:
        """
        An unplugged cable is reported.
        """
        self.node.unplug()
        await until(lambda: self.tape.links and not self.tape.links[-1][0].running)
        self.assertTrue(self.tape.links[-1][0].up)
        self.node.plugIn()
        await until(lambda: self.tape.links[-1][0].running)

    async def test_overrun(self) -> None:
        """
        When messages did not fit into the receive buffer, observers are told that events were
        lost, and requests work afterwards.
        """
        assert self.netlink._socket is not None
        self.netlink._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with self.node.netlink() as other:
            for i in range(100):
                other.request(newAddress(self.index, socket.inet_aton(f"10.99.2.{i}"), 32))
        await until(lambda: self.tape.uncertain)
        self.assertGreater(self.netlink.overruns, 0)
        addresses = await self.netlink.dumpAddresses(socket.AF_INET)
        self.assertEqual(len(addresses), 102)

    async def test_foreignSender(self) -> None:
        """
        A message that another process sends to the socket is ignored.
        """
        assert self.netlink._socket is not None
        port = self.netlink._socket.getsockname()[0]
        forged = newAddress(self.index, V4, 32).packed(0)
        with self.node.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as other:
            other.sendto(forged, (port, 0))
        await self.netlink.dumpLinks()
        self.assertEqual(self.told(V4), [])

    async def test_stopWhileWaiting(self) -> None:
        """
        Requests without an answer fail during C{stop} with an error that says why, and
        observers get no more events.
        """
        answers = [
            self.netlink.request(newAddress(self.index, V4, 32)),
            self.netlink.dumpLinks(),
        ]
        self.netlink.stop()
        for answer in answers:
            error = self.failureResultOf(answer, NetlinkClosed).value
            self.assertEqual(str(error), "the netlink socket is closed")
        self.assertEqual(self.tape.addresses, [])
        self.failureResultOf(self.netlink.request(delLink(1)), NetlinkClosed)

    async def test_startAgain(self) -> None:
        """
        The socket can be opened again.
        """
        self.netlink.stop()
        self.netlink.stop()
        with self.node.inside():
            self.netlink.start()
            self.netlink.start()
        self.assertEqual(len(await self.netlink.dumpLinks()), 2)

    async def test_errorWithoutData(self) -> None:
        """
        Reading continues after the reactor gave the descriptor up because of an error without
        data.
        """
        from twisted.internet import reactor

        reactor.removeReader(self.netlink)
        self.netlink.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.tape.uncertain, 1)
        self.assertEqual(len(await self.netlink.dumpLinks()), 2)

    def test_blocking(self) -> None:
        """
        The blocking socket carries requests out, too, and raises the kernel's errors.
        """
        with self.node.netlink() as netlink:
            netlink.request(newBridge("br0"), newAddress(self.index, V4, 32))
            self.assertEqual(netlink.link("br0").kind, "bridge")
            self.assertIn(V4, [a.local for a in netlink.addresses(socket.AF_INET)])
            error = self.assertRaises(OSError, netlink.request, newBridge("br0"))
            self.assertEqual(error.errno, errno.EEXIST)
            self.assertRaises(LookupError, netlink.link, "eth7")


class FakeSocket:
    """
    A socket with the test as its kernel.
    """

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.incoming: list[bytes | OSError] = []
        self.refusal: OSError | None = None
        self.closed = False

    def send(self, data: bytes) -> int:
        """
        Keep a request.
        """
        if self.refusal is not None:
            raise self.refusal
        self.sent.append(data)
        return len(data)

    def recvmsg(self, size: int) -> tuple[bytes, list[object], int, tuple[int, int]]:
        """
        Return the next message of the test.
        """
        if not self.incoming:
            raise BlockingIOError
        data = self.incoming.pop(0)
        if isinstance(data, OSError):
            raise data
        return data, [], socket.MSG_TRUNC if len(data) > size else 0, (0, 0)

    def close(self) -> None:
        """
        Note the call.
        """
        self.closed = True

    def fileno(self) -> int:
        """
        Return any number.
        """
        return 99

    def requests(self) -> list[tuple[int, int]]:
        """
        The types and numbers of all requests.
        """
        return [(m.type, m.sequence) for data in self.sent for m in readMessages(data)]

    def answer(self, sequence: int, code: int = 0, type: int = NLMSG_ERROR, flags: int = 0) -> None:
        """
        Acknowledge a request, or end a dump.
        """
        self.say(type, struct.pack("=i", -code) + bytes(16), sequence, flags)

    def say(self, type: int, body: bytes, sequence: int = 0, flags: int = 0) -> None:
        """
        Send a message.
        """
        length = 16 + len(body)
        header = struct.pack("=IHHII", length, type, flags, sequence, PORT if sequence else 0)
        self.incoming.append(header + body)


class FakeReactor(MemoryReactorClock):
    """
    A reactor whose next turn is now.
    """

    def callFromThread(self, call: Callable[[], object]) -> None:
        """
        See C{IReactorFromThreads}.
        """
        call()


class ConversationTests(SynchronousTestCase):
    """
    Rare behaviour of a kernel.
    """

    def setUp(self) -> None:
        """
        Open a netlink socket with the test as its kernel.
        """
        self.reactor = FakeReactor()
        self.netlink = Netlink(self.reactor)
        self.kernel = FakeSocket()
        self.netlink._socket = self.kernel  # type: ignore[assignment]
        self.netlink._conversation.open(PORT)
        self.reactor.addReader(self.netlink)
        self.tape = Tape()
        self.netlink.addLinkObserver(self.tape)
        self.netlink.addAddressObserver(self.tape)

    def request(self) -> Deferred[None]:
        """
        Send a request.
        """
        return self.netlink.request(delLink(5))

    def addressEvent(self, sequence: int = 0) -> None:
        """
        Send the event of an added address.
        """
        self.kernel.say(RTM_NEWADDR, newAddress(2, V4, 32).body, sequence)

    def test_together(self) -> None:
        """
        Many requests are sent in few datagrams, and no more are under way than the window has
        room for.
        """
        outcomes = self.netlink.requestAll([delLink(i) for i in range(1, 41)])
        self.assertEqual([len(list(readMessages(data))) for data in self.kernel.sent], [32])
        for sequence in range(1, 33):
            self.kernel.answer(sequence)
        while self.kernel.incoming:
            self.netlink.doRead()
        self.assertEqual(len(self.kernel.requests()), 40)
        self.assertNoResult(outcomes)
        for sequence in range(33, 41):
            self.kernel.answer(sequence, errno.ENODEV)
        self.netlink.doRead()
        errors = [error.errno if error else 0 for error in self.successResultOf(outcomes)]
        self.assertEqual(errors, [0] * 32 + [errno.ENODEV] * 8)

    def test_acknowledged(self) -> None:
        """
        Only the last request of a datagram asks for an answer, which means that those before it
        had no error but the ones that were reported.
        """
        outcomes = self.netlink.requestAll([delLink(one) for one in (1, 2, 3, 4)])
        [data] = self.kernel.sent
        asked = [bool(one.flags & NLM_F_ACK) for one in readMessages(data)]
        self.assertEqual(asked, [False, False, False, True])
        self.kernel.answer(2, errno.ENODEV)
        self.netlink.doRead()
        self.assertNoResult(outcomes)
        self.kernel.answer(4, errno.EPERM)
        self.netlink.doRead()
        errors = [error.errno if error else 0 for error in self.successResultOf(outcomes)]
        self.assertEqual(errors, [0, errno.ENODEV, 0, errno.EPERM])
        self.assertEqual(self.netlink._conversation._sent, {})

    def test_answersOfTheNextDatagram(self) -> None:
        """
        The answer to a later datagram says nothing about a list that is still being sent, nor
        about a question.
        """
        dump = self.netlink.dumpLinks()
        first, second = self.request(), self.request()
        self.kernel.answer(3)
        self.netlink.doRead()
        self.successResultOf(second)
        self.assertNoResult(dump)
        self.assertNoResult(first)
        self.kernel.answer(2)
        self.kernel.answer(1, type=NLMSG_DONE)
        self.netlink.doRead()
        self.successResultOf(first)
        self.assertEqual(self.successResultOf(dump), [])

    def test_gathering(self) -> None:
        """
        Requests of several callers leave in one datagram, in their order, also if one caller
        fails.
        """
        with self.assertRaises(KeyError), self.netlink.gathering:
            first = self.request()
            second = self.netlink.requestAll([delLink(6), delLink(7)])
            self.assertEqual(self.kernel.sent, [])
            raise KeyError
        [data] = self.kernel.sent
        self.assertEqual([one.sequence for one in readMessages(data)], [1, 2, 3])
        self.kernel.answer(3)
        self.netlink.doRead()
        self.successResultOf(first)
        self.assertEqual(self.successResultOf(second), [None, None])
        self.request()
        self.assertEqual(len(self.kernel.sent), 2)

    def test_manyCancelled(self) -> None:
        """
        Of requests that are cancelled, those that wait are not sent.  The answers to the others
        mean nothing to anybody.
        """
        outcomes = self.netlink.requestAll([delLink(i) for i in range(1, 41)])
        outcomes.cancel()
        self.failureResultOf(outcomes, CancelledError)
        other = self.netlink.requestAll([delLink(50)])
        for sequence in range(1, 34):
            self.kernel.answer(sequence, errno.ENODEV if sequence == 1 else 0)
        while self.kernel.incoming:
            self.netlink.doRead()
        self.assertEqual(len(self.kernel.requests()), 33)
        self.assertEqual(self.successResultOf(other), [None])
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_boundedTurn(self) -> None:
        """
        A turn of the reactor reads a limited number of datagrams.
        """
        for number in range(100):
            self.kernel.say(RTM_NEWADDR, newAddress(2, bytes([10, 0, 0, number]), 32).body)
        self.netlink.doRead()
        self.assertEqual(len(self.tape.addresses), 16)

    def test_repeated(self) -> None:
        """
        An event that says the same as the last one about its address is not passed on.  It is after
        an overrun, a list, a removal or another event.
        """
        other = newAddress(2, V4, 32, validLifetime=9).body
        for between in (
            lambda: self.kernel.say(RTM_NEWADDR, other),
            lambda: self.kernel.say(RTM_DELADDR, other),
            lambda: self.kernel.incoming.append(OSError(errno.ENOBUFS, "overrun")),
            lambda: self.netlink.dumpAddresses().addErrback(lambda failure: None),
        ):
            for _ in range(5):
                self.addressEvent()
                self.kernel.say(RTM_NEWADDR, newAddress(2, V6, 32).body)
                self.kernel.say(RTM_NEWADDR, newAddress(3, V4, 32).body)
            self.netlink.doRead()
            self.assertEqual(len(self.tape.addresses), 3)
            between()
            self.addressEvent()
            self.netlink.doRead()
            seen = [address.validLifetime for address, present in self.tape.addresses if present]
            self.assertEqual(seen[-1], None)
            self.assertGreater(len(self.tape.addresses), 3)
            self.tape.addresses.clear()
            self.kernel.incoming.append(OSError(errno.ENOBUFS, "overrun"))
            self.netlink.doRead()

    def test_short(self) -> None:
        """
        An event about an address that is cut off is malformed, or says less.
        """
        whole = newAddress(2, V4, 32, validLifetime=9).body
        for size in range(len(whole)):
            self.kernel.say(RTM_NEWADDR, whole[:size])
            self.netlink.doRead()
            self.assertEqual(self.netlink.malformed + len(self.tape.addresses), size + 1)
        self.assertGreater(self.netlink.malformed, len(self.tape.addresses))

    def test_oneDumpAtATime(self) -> None:
        """
        A second list is requested when the first is complete; earlier the kernel would answer
        C{EBUSY}.
        """
        first, second = self.netlink.dumpLinks(), self.netlink.dumpAddresses()
        self.assertEqual(self.kernel.requests(), [(18, 1)])
        self.kernel.answer(1, type=NLMSG_DONE, flags=NLM_F_MULTI)
        self.netlink.doRead()
        self.assertEqual(self.successResultOf(first), [])
        self.assertEqual(self.kernel.requests(), [(18, 1), (22, 2)])
        self.kernel.say(RTM_NEWADDR, newAddress(2, V4, 32).body, 2, NLM_F_MULTI)
        self.kernel.answer(2, type=NLMSG_DONE, flags=NLM_F_MULTI)
        self.netlink.doRead()
        self.assertEqual([a.local for a in self.successResultOf(second)], [V4])
        self.assertEqual(self.tape.addresses, [])

    def test_interruptedDump(self) -> None:
        """
        A list that changed while it was sent is requested again, and its first version is
        discarded.  It fails after several attempts.
        """
        answer = self.netlink.dumpAddresses()
        for sequence in range(1, 6):
            self.assertNoResult(answer)
            self.assertEqual(self.kernel.requests()[-1], (22, sequence))
            self.kernel.say(
                RTM_NEWADDR, newAddress(2, V4, 32).body, sequence, NLM_F_MULTI | NLM_F_DUMP_INTR
            )
            self.kernel.answer(sequence, type=NLMSG_DONE)
            self.netlink.doRead()
        self.failureResultOf(answer, OSError)
        again = self.netlink.dumpAddresses()
        self.kernel.answer(6, type=NLMSG_DONE, flags=NLM_F_DUMP_INTR)
        self.netlink.doRead()
        self.kernel.answer(7, type=NLMSG_DONE)
        self.netlink.doRead()
        self.assertEqual(self.successResultOf(again), [])

    def test_ownEvent(self) -> None:
        """
        An event that a request of this socket caused carries the number of the request, and is
        not taken for its answer.
        """
        answer = self.request()
        self.addressEvent(sequence=1)
        self.netlink.doRead()
        self.assertEqual(len(self.tape.addresses), 1)
        self.assertNoResult(answer)

    def test_othersAnswer(self) -> None:
        """
        An acknowledgement for another socket, with the same number, is not taken for an answer.
        """
        answer = self.request()
        self.kernel.incoming.append(struct.pack("=IHHIIi", 20, NLMSG_ERROR, 0, 1, PORT + 1, 0))
        self.netlink.doRead()
        self.assertNoResult(answer)
        self.kernel.answer(1)
        self.netlink.doRead()
        self.successResultOf(answer)

    def test_lostAnswer(self) -> None:
        """
        After an overrun, requests that have no answer when everything is read fail.
        """
        kept, lost = self.request(), self.request()
        self.kernel.incoming.append(OSError(errno.ENOBUFS, "No buffer space available"))
        self.kernel.answer(1)
        self.netlink.doRead()
        self.successResultOf(kept)
        self.failureResultOf(lost, AnswerLost)
        self.assertEqual(self.tape.uncertain, 1)

    def test_truncated(self) -> None:
        """
        A datagram that does not fit counts as lost messages.
        """
        self.kernel.incoming.append(bytes(70000))
        self.netlink.doRead()
        self.assertEqual((self.tape.uncertain, self.netlink.overruns), (1, 1))

    def test_malformed(self) -> None:
        """
        A malformed datagram is counted and logged, and the next one is read.
        """
        self.kernel.incoming.append(b"\xff" * 40)
        self.addressEvent()
        self.netlink.doRead()
        self.assertEqual((self.netlink.malformed, len(self.tape.addresses)), (1, 1))

    def test_refusedSend(self) -> None:
        """
        A request that cannot be sent fails, and later ones are sent.
        """
        self.kernel.refusal = OSError(errno.ENOBUFS, "No buffer space available")
        self.failureResultOf(self.netlink.dumpLinks(), OSError)
        self.kernel.refusal = None
        self.netlink.dumpLinks().addErrback(lambda failure: None)
        self.assertEqual(len(self.kernel.sent), 1)

    def test_stopFromRefusedSend(self) -> None:
        """
        The error of the first of several requests that cannot be sent may stop the client; the
        others then fail with that.
        """
        blocker = self.netlink.dumpLinks()
        dump, first, second = self.netlink.dumpLinks(), self.request(), self.request()
        first.addErrback(lambda failure: self.netlink.stop())
        for one in blocker, dump:
            one.addErrback(lambda failure: None)
            one.cancel()
        self.kernel.refusal = OSError(errno.ENOBUFS, "No buffer space available")
        self.kernel.answer(1, type=NLMSG_DONE)
        self.netlink.doRead()
        self.successResultOf(first)
        self.failureResultOf(second, NetlinkClosed)

    def test_cancelled(self) -> None:
        """
        A request that is cancelled before it is sent is not sent.
        """
        self.netlink.dumpLinks()
        second = self.netlink.dumpLinks()
        third = self.request()
        second.addErrback(lambda failure: None)
        second.cancel()
        self.kernel.answer(1, type=NLMSG_DONE)
        self.netlink.doRead()
        self.assertEqual(self.kernel.requests(), [(18, 1), (17, 2)])
        self.assertNoResult(third)

    def test_cancelledWhileWaiting(self) -> None:
        """
        The answer to a request that was cancelled meanwhile is ignored.
        """
        answer = self.request()
        answer.addErrback(lambda failure: None)
        answer.cancel()
        self.kernel.answer(1)
        self.netlink.doRead()
        self.assertEqual(self.netlink._conversation._sent, {})

    def test_raisingObserver(self) -> None:
        """
        An exception of an observer is logged, and the others are called.
        """

        @implementer(IAddressObserver)
        class Broken(Tape):
            def addressChanged(self, address: InterfaceAddress, present: bool) -> None:
                raise ValueError("broken")

        second = Tape()
        self.netlink.removeAddressObserver(self.tape)
        self.netlink.addAddressObserver(Broken())
        self.netlink.addAddressObserver(second)
        self.addressEvent()
        self.netlink.doRead()
        self.assertEqual(len(second.addresses), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_stopFromObserver(self) -> None:
        """
        When an observer stops the client, no further event is reported, not even one that has
        been read.
        """

        netlink = self.netlink

        @implementer(IAddressObserver)
        class Stopping(Tape):
            def addressChanged(self, address: InterfaceAddress, present: bool) -> None:
                netlink.stop()

        self.netlink.removeAddressObserver(self.tape)
        self.netlink.addAddressObserver(Stopping())
        self.netlink.addAddressObserver(self.tape)
        self.addressEvent()
        self.addressEvent()
        # One is in the same datagram, one in the next.
        self.kernel.incoming[0] += self.kernel.incoming[0]  # type: ignore[operator]
        self.netlink.doRead()
        self.assertEqual(self.tape.addresses, [])
        self.assertTrue(self.kernel.closed)
        self.assertEqual(self.reactor.getReaders(), [])

    def test_shutdown(self) -> None:
        """
        The client stops when the reactor does.
        """
        answer = self.request()
        self.netlink.connectionLost(Failure(ConnectionLost()))
        self.failureResultOf(answer, NetlinkClosed)
        self.assertEqual(self.netlink.fileno(), -1)
        # A reactor may say so again of a descriptor that is closed.
        self.netlink.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.tape.uncertain, 0)

    def test_numbersWrap(self) -> None:
        """
        No request gets the number 0, which events have.
        """
        self.netlink._conversation._sequence = 0xFFFFFFFE
        for _ in range(2):
            self.request().addErrback(lambda failure: None)
        self.assertEqual([number for _, number in self.kernel.requests()], [0xFFFFFFFF, 1])

    def test_unknownMessages(self) -> None:
        """
        Messages of other types are ignored.
        """
        self.kernel.answer(77)
        self.kernel.say(24, b"route")
        self.netlink.doRead()
        self.assertEqual(self.netlink.malformed, 0)

    def test_requestType(self) -> None:
        """
        A request is sent unchanged.
        """
        self.netlink.request(Request(17, 0x30, b"abcd")).addErrback(lambda failure: None)
        (message,) = readMessages(self.kernel.sent[0])
        self.assertEqual((message.type, message.flags, message.body), (17, 0x35, b"abcd"))
