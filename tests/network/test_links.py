"""
Tests for L{txcarp.network.links}.
"""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.testbed.fixture import makeTestbed, until
from txcarp.interfaces import ILinkMonitor, ILinkObserver
from txcarp.links import Link
from txcarp.netlink.client import ILinkEventObserver, Netlink
from txcarp.netlink.requests import newBridge, setLink
from txcarp.network.links import LinkMonitor

ETH0 = Link(index=2, name="eth0", up=True, running=True, address=b"\2abcde", mtu=1500)


@implementer(ILinkObserver)
class Tape:
    """
    Writes down what an observer is told.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, Link | None]] = []

    def linkChanged(self, name: str, link: Link | None) -> None:
        """
        See L{ILinkObserver.linkChanged}.
        """
        self.told.append((name, link))

    @property
    def last(self) -> Link | None:
        """
        What was told last.
        """
        return self.told[-1][1]


class FakeNetlink:
    """
    Lists of links that the test completes when it likes.
    """

    def __init__(self) -> None:
        self.lists: list[Deferred[list[Link]]] = []
        self.observers: list[ILinkEventObserver] = []

    def dumpLinks(self) -> Deferred[list[Link]]:
        """
        A list that is to come.
        """
        answer: Deferred[list[Link]] = Deferred()
        self.lists.append(answer)
        return answer

    def addLinkObserver(self, observer: ILinkEventObserver) -> None:
        """
        See L{Netlink.addLinkObserver}.
        """
        self.observers.append(observer)

    def removeLinkObserver(self, observer: ILinkEventObserver) -> None:
        """
        See L{Netlink.removeLinkObserver}.
        """
        self.observers.remove(observer)


class OrderTests(SynchronousTestCase):
    """
    Events and lists in every order.
    """

    def setUp(self) -> None:
        """
        A monitor of C{eth0} whose first list is under way.
        """
        self.netlink = FakeNetlink()
        self.clock = Clock()
        self.monitor = LinkMonitor(self.netlink, self.clock)  # type: ignore[arg-type]
        self.tape = Tape()
        self.monitor.watch("eth0", self.tape)
        self.monitor.start()

    def listed(self, *links: Link) -> None:
        """
        Complete the list that was asked for first.
        """
        self.netlink.lists.pop(0).callback(list(links))

    def test_interfaces(self) -> None:
        """
        The monitor provides what it says.
        """
        verifyObject(ILinkMonitor, self.monitor)
        verifyObject(ILinkEventObserver, self.monitor)
        verifyObject(ILinkObserver, self.tape)

    def test_firstAnswer(self) -> None:
        """
        Nothing is told before the first list is complete; then whether the link is
        there or not.
        """
        missing = Tape()
        self.monitor.watch("eth9", missing)
        self.assertEqual(self.tape.told, [])
        self.assertIsNone(self.monitor.link("eth0"))
        self.listed(ETH0)
        self.assertEqual(self.tape.told, [("eth0", ETH0)])
        self.assertEqual(missing.told, [("eth9", None)])
        self.assertEqual(self.monitor.link("eth0"), ETH0)

    def test_lateObserver(self) -> None:
        """
        Who begins to watch later is told at once.
        """
        self.listed(ETH0)
        late = Tape()
        self.monitor.watch("eth0", late)
        self.assertEqual(late.told, [("eth0", ETH0)])

    def test_nothingNew(self) -> None:
        """
        What is told again, or what nobody looks at, is no change.
        """
        self.listed(ETH0)
        self.monitor.linkEvent(ETH0, True)
        self.monitor.linkEvent(attrs.evolve(ETH0, mtu=9000), True)
        self.monitor.linkEvent(attrs.evolve(ETH0, index=3, name="eth1"), True)
        self.assertEqual(len(self.tape.told), 1)
        link = self.monitor.link("eth0")
        assert link is not None
        self.assertEqual(link.mtu, 9000)

    def test_changes(self) -> None:
        """
        On or off, carrier, MAC address, whether it carries IPv6, and index each are a change.
        """
        self.listed(ETH0)
        for change in (
            {"running": False},
            {"up": False},
            {"address": b"\2fghij"},
            {"mtu": 1279},
        ):
            self.monitor.linkEvent(attrs.evolve(ETH0, **change), True)
        self.monitor.linkEvent(ETH0, False)
        self.monitor.linkEvent(attrs.evolve(ETH0, index=7), True)
        self.assertEqual(len(self.tape.told), 7)
        self.assertEqual(self.tape.told[5], ("eth0", None))
        self.assertEqual(self.tape.last, attrs.evolve(ETH0, index=7))

    def test_renamedAway(self) -> None:
        """
        A link that gets another name is gone for those who watch the old one.
        """
        self.listed(ETH0)
        other = Tape()
        self.monitor.watch("lan0", other)
        self.monitor.linkEvent(attrs.evolve(ETH0, name="lan0"), True)
        self.assertIsNone(self.tape.last)
        self.assertEqual(other.last, attrs.evolve(ETH0, name="lan0"))

    def test_renamedInto(self) -> None:
        """
        When another link takes the name over, its news are told, and the old link's are
        not.
        """
        self.listed(ETH0, attrs.evolve(ETH0, index=3, name="eth1"))
        self.monitor.linkEvent(attrs.evolve(ETH0, name="old0"), True)
        successor = attrs.evolve(ETH0, index=3)
        self.monitor.linkEvent(successor, True)
        self.monitor.linkEvent(attrs.evolve(ETH0, name="old0", up=False), True)
        self.monitor.linkEvent(attrs.evolve(ETH0, name="old0"), False)
        self.assertEqual([link for _, link in self.tape.told], [ETH0, None, successor])
        self.assertEqual(self.monitor.link("eth0"), successor)

    def test_takenOverBeforeItIsFree(self) -> None:
        """
        When an event is missing and a name is another link's already, the end of the
        old link does not end the new one.
        """
        self.listed(ETH0)
        successor = attrs.evolve(ETH0, index=3)
        self.monitor.linkEvent(successor, True)
        self.monitor.linkEvent(ETH0, False)
        self.assertEqual(self.monitor.link("eth0"), successor)

    def test_deletedDuringList(self) -> None:
        """
        A link that is deleted while the list is read is not brought back by it.
        """
        self.monitor.linkEvent(ETH0, False)
        self.listed(ETH0)
        self.assertEqual(self.tape.told, [("eth0", None)])

    def test_changedDuringList(self) -> None:
        """
        What changed while the list is read is newer than the list.
        """
        down = attrs.evolve(ETH0, running=False)
        self.monitor.linkEvent(down, True)
        self.assertEqual(self.tape.told, [])
        self.listed(ETH0)
        self.assertEqual(self.tape.told, [("eth0", down)])

    def test_madeDuringList(self) -> None:
        """
        A link that appears behind the reading of the list is kept.
        """
        self.monitor.linkEvent(ETH0, True)
        self.listed()
        self.assertEqual(self.tape.told, [("eth0", ETH0)])

    def test_overrun(self) -> None:
        """
        When events were lost, a fresh list tells what became of the links.
        """
        self.listed(ETH0)
        self.monitor.linkEventsLost()
        self.monitor.linkEventsLost()
        self.assertEqual(len(self.netlink.lists), 1)
        self.listed()
        # The second loss came while the list was read, so it may be incomplete.
        self.assertEqual(self.tape.told, [("eth0", ETH0)])
        self.listed()
        self.assertEqual(self.tape.told, [("eth0", ETH0), ("eth0", None)])
        self.assertEqual(self.netlink.lists, [])

    def test_overrunDuringList(self) -> None:
        """
        A list during which events were lost is not believed.
        """
        self.monitor.linkEventsLost()
        self.listed(ETH0)
        self.assertEqual(self.tape.told, [])
        self.listed()
        self.assertEqual(self.tape.told, [("eth0", None)])

    def test_failedList(self) -> None:
        """
        A list that cannot be had is asked for again; events go on being told meanwhile.
        """
        self.listed(ETH0)
        self.monitor.linkEventsLost()
        self.netlink.lists.pop(0).errback(OSError("changed each time"))
        self.monitor.linkEvent(attrs.evolve(ETH0, up=False, running=False), True)
        self.assertEqual(len(self.tape.told), 2)
        self.assertEqual(self.netlink.lists, [])
        self.clock.advance(1.0)
        self.listed()
        self.assertIsNone(self.tape.last)

    def test_lossBeforeRetry(self) -> None:
        """
        Another loss before the list is asked for again asks at once, and only once.
        """
        self.netlink.lists.pop(0).errback(OSError("changed each time"))
        self.monitor.linkEventsLost()
        self.assertEqual((len(self.netlink.lists), self.clock.getDelayedCalls()), (1, []))

    def test_unwatch(self) -> None:
        """
        Who does not watch any more is told nothing, even when another observer's call
        ended it.
        """
        second = Tape()

        monitor = self.monitor

        @implementer(ILinkObserver)
        class Ending(Tape):
            def linkChanged(self, name: str, link: Link | None) -> None:
                monitor.unwatch("eth0", second)

        self.monitor.watch("eth0", Ending())
        self.monitor.watch("eth0", second)
        self.listed(ETH0)
        self.assertEqual(second.told, [])
        self.assertRaises(ValueError, self.monitor.unwatch, "eth0", second)

    def test_raisingObserver(self) -> None:
        """
        An observer that raises is logged; the others are told.
        """

        @implementer(ILinkObserver)
        class Broken(Tape):
            def linkChanged(self, name: str, link: Link | None) -> None:
                raise ValueError("broken")

        self.monitor.unwatch("eth0", self.tape)
        self.monitor.watch("eth0", Broken())
        self.monitor.watch("eth0", self.tape)
        self.listed(ETH0)
        self.assertEqual(len(self.tape.told), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_stop(self) -> None:
        """
        After its end the monitor tells nothing and waits for nothing; it can begin
        again, and then tells the state anew.
        """
        self.monitor.stop()
        self.monitor.stop()
        self.listed(ETH0)
        self.assertEqual((self.tape.told, self.netlink.observers), ([], []))
        self.monitor.start()
        self.monitor.start()
        self.listed(ETH0)
        self.assertEqual(self.tape.told, [("eth0", ETH0)])
        self.monitor.linkEventsLost()
        self.netlink.lists.pop(0).errback(OSError("closed"))
        self.monitor.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(self.monitor.link("eth0"))

    def test_startAgainDuringList(self) -> None:
        """
        A list that was asked for before a stop does not count after the next start.
        """
        self.monitor.stop()
        self.monitor.start()
        self.listed(ETH0)
        self.assertEqual(self.tape.told, [])
        self.listed()
        self.assertEqual(self.tape.told, [("eth0", None)])


class KernelTests(TestCase):
    """
    What the kernel of this machine says when links change.
    """

    timeout = 30.0

    def setUp(self) -> None:
        """
        Watch C{eth0} of a node.
        """
        from twisted.internet import reactor

        self.testbed = makeTestbed(self)
        self.node = self.testbed.node("a", "10.99.0.1/24", "fd00::1/64")
        self.netlink = Netlink(reactor)
        self.monitor = LinkMonitor(self.netlink, reactor)
        self.tape = Tape()

    def start(self, name: str = "eth0", switch: bool = False) -> None:
        """
        Begin to watch in the node, or in its switch.
        """
        with self.testbed.lan.inside() if switch else self.node.inside():
            self.netlink.start()
        self.addCleanup(self.netlink.stop)
        self.monitor.start()
        self.addCleanup(self.monitor.stop)
        self.monitor.watch(name, self.tape)

    def states(self) -> list[str]:
        """
        What was told, in words.
        """

        def word(link: Link | None) -> str:
            if link is None:
                return "gone"
            return "running" if link.running else "up" if link.up else "down"

        return [word(link) for _, link in self.tape.told]

    async def test_carrier(self) -> None:
        """
        A cable that is pulled and put in again makes one change each.
        """
        self.start()
        await until(lambda: self.states() == ["running"])
        self.node.unplug()
        await until(lambda: self.states() == ["running", "up"])
        self.node.plugIn()
        await until(lambda: self.states() == ["running", "up", "running"])

    async def test_silentCut(self) -> None:
        """
        When the network behind the cable fails nothing is told: there is nothing to
        see.
        """
        self.start()
        await until(self.states)
        self.node.cut()
        self.node.heal()
        await self.netlink.dumpLinks()
        self.assertEqual(self.states(), ["running"])

    async def test_switchedOff(self) -> None:
        """
        An interface that is switched off and on again passes through its states.
        """
        self.start()
        await until(self.states)
        self.node.setInterface(False)
        await until(lambda: self.states()[-1] == "down")
        self.node.setInterface(True)
        await until(lambda: self.states()[-1] == "running")
        self.assertNotIn("gone", self.states())

    async def test_madeAgain(self) -> None:
        """
        An interface that is deleted is gone, and its successor has another index.
        """
        self.start()
        await until(self.states)
        before = self.tape.last
        self.node.deleteInterface()
        await until(lambda: self.states()[-1] == "gone")
        self.node.createInterface()
        await until(lambda: self.states()[-1] == "running")
        after = self.tape.last
        assert before is not None and after is not None
        self.assertNotEqual(before.index, after.index)
        self.assertEqual(before.address, after.address)

    async def test_exchanged(self) -> None:
        """
        When eth0 gets another name and another interface gets the name eth0, that one
        is told.
        """
        with self.node.netlink() as netlink:
            netlink.request(newBridge("new0"))
            old, new = netlink.link("eth0").index, netlink.link("new0").index
            self.start()
            await until(self.states)
            netlink.request(
                setLink(old, up=False),
                setLink(old, name="old0"),
                setLink(new, name="eth0"),
                setLink(old, up=True),
                setLink(new, address=b"\2\1\2\3\4\5"),
            )
        await until(lambda: self.tape.last and self.tape.last.address == b"\2\1\2\3\4\5")
        self.assertIn("gone", self.states())
        assert self.tape.last is not None
        self.assertEqual(self.tape.last.index, new)

    async def test_bridgePort(self) -> None:
        """
        A port that leaves its bridge, for which the kernel sends a message of deletion,
        is still there.
        """
        with self.testbed.lan.netlink() as netlink:
            port = next(link for link in netlink.links() if link.master is not None)
        self.start(port.name, switch=True)
        await until(self.states)
        self.node.cut()
        self.node.setInterface(False)
        await until(lambda: self.states()[-1] == "up")
        self.assertNotIn("gone", self.states())

    async def test_missing(self) -> None:
        """
        An interface that does not exist yet is told as missing, then as there.
        """
        self.start("br7")
        await until(self.states)
        with self.node.netlink() as netlink:
            netlink.request(newBridge("br7"))
        await until(lambda: len(self.tape.told) > 1)
        self.assertEqual(self.states(), ["gone", "down"])
