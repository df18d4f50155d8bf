"""
Tests for L{txcarp.network.linkmonitor}.
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
from txcarp.netlink.requests import setLink
from txcarp.network.linkmonitor import LinkMonitor
from txcarp.testbed.requests import newBridge

ETH0 = Link(index=2, name="eth0", up=True, running=True, address=b"\2abcde", mtu=1500)


@implementer(ILinkObserver)
class Tape:
    """
    Keeps the calls that an observer gets.
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
        The link of the last call.
        """
        return self.told[-1][1]


class FakeNetlink:
    """
    Lists of links that a test completes.
    """

    def __init__(self) -> None:
        self.lists: list[Deferred[list[Link]]] = []
        self.observers: list[ILinkEventObserver] = []

    def dumpLinks(self) -> Deferred[list[Link]]:
        """
        Request a list.
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
    Events and lists in any order.
    """

    def setUp(self) -> None:
        """
        Make a monitor of C{eth0} whose first list has been requested.
        """
        self.netlink = FakeNetlink()
        self.clock = Clock()
        self.monitor = LinkMonitor(self.netlink, self.clock)  # type: ignore[arg-type]
        self.tape = Tape()
        self.monitor.watch("eth0", self.tape)
        self.monitor.start()

    def listed(self, *links: Link) -> None:
        """
        Complete the list that was requested first.
        """
        self.netlink.lists.pop(0).callback(list(links))

    def test_interfaces(self) -> None:
        """
        The monitor and the tape provide their interfaces.
        """
        verifyObject(ILinkMonitor, self.monitor)
        verifyObject(ILinkEventObserver, self.monitor)
        verifyObject(ILinkObserver, self.tape)

    def test_firstAnswer(self) -> None:
        """
        No observer is called before the first list is complete.  Then all are, whether their
        link exists or not.
        """
        missing = Tape()
        self.monitor.watch("eth9", missing)
        self.assertEqual(self.tape.told, [])
        self.assertIsNone(self.monitor.link("eth0"))
        self.listed(ETH0)
        self.assertEqual(self.tape.told, [("eth0", ETH0)])
        self.assertEqual(missing.told, [("eth9", None)])
        self.assertEqual(self.monitor.link("eth0"), ETH0)

    def test_known(self) -> None:
        """
        The links are known when the first list is complete and observers have been called.
        """
        told: list[int] = []
        waiting = self.monitor.known()
        waiting.addCallback(lambda _: told.append(len(self.tape.told)))
        self.assertEqual(told, [])
        self.listed(ETH0)
        self.assertEqual(told, [1])
        self.successResultOf(self.monitor.known())

    def test_lateObserver(self) -> None:
        """
        An observer that begins to watch later is called at once.
        """
        self.listed(ETH0)
        late = Tape()
        self.monitor.watch("eth0", late)
        self.assertEqual(late.told, [("eth0", ETH0)])

    def test_nothingNew(self) -> None:
        """
        A repetition, and a change of what observers do not look at, are not reported.
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
        A change of up, running, MAC address, ability to carry IPv6 or index is reported.
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
        A renamed link is gone for observers of its old name.
        """
        self.listed(ETH0)
        other = Tape()
        self.monitor.watch("lan0", other)
        self.monitor.linkEvent(attrs.evolve(ETH0, name="lan0"), True)
        self.assertIsNone(self.tape.last)
        self.assertEqual(other.last, attrs.evolve(ETH0, name="lan0"))

    def test_renamedInto(self) -> None:
        """
        When another link gets the name, its events are reported, and those of the old link are
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
        If the event of a renaming is missing, the deletion of the old link does not delete the
        new one of the same name.
        """
        self.listed(ETH0)
        successor = attrs.evolve(ETH0, index=3)
        self.monitor.linkEvent(successor, True)
        self.monitor.linkEvent(ETH0, False)
        self.assertEqual(self.monitor.link("eth0"), successor)

    def test_deletedDuringList(self) -> None:
        """
        A link that is deleted while the list is read does not come back with the list.
        """
        self.monitor.linkEvent(ETH0, False)
        self.listed(ETH0)
        self.assertEqual(self.tape.told, [("eth0", None)])

    def test_changedDuringList(self) -> None:
        """
        An event that arrives while the list is read is newer than the list.
        """
        down = attrs.evolve(ETH0, running=False)
        self.monitor.linkEvent(down, True)
        self.assertEqual(self.tape.told, [])
        self.listed(ETH0)
        self.assertEqual(self.tape.told, [("eth0", down)])

    def test_madeDuringList(self) -> None:
        """
        A link that is made while the list is read, and is not in it, is kept.
        """
        self.monitor.linkEvent(ETH0, True)
        self.listed()
        self.assertEqual(self.tape.told, [("eth0", ETH0)])

    def test_overrun(self) -> None:
        """
        When events were lost, the links are listed again.
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
        A list during which events were lost is discarded.
        """
        self.monitor.linkEventsLost()
        self.listed(ETH0)
        self.assertEqual(self.tape.told, [])
        self.listed()
        self.assertEqual(self.tape.told, [("eth0", None)])

    def test_failedList(self) -> None:
        """
        A list that could not be read is requested again, and events are reported meanwhile.
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
        When events are lost before the retry, the list is requested at once, and only once.
        """
        self.netlink.lists.pop(0).errback(OSError("changed each time"))
        self.monitor.linkEventsLost()
        self.assertEqual((len(self.netlink.lists), self.clock.getDelayedCalls()), (1, []))

    def test_unwatch(self) -> None:
        """
        An observer that no longer watches is not called, even if another observer's call
        removed it.
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
        An exception of an observer is logged, and the others are called.
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
        After a stop no observer is called and no call is scheduled.  The monitor can be started
        again, and then reports the state anew.
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
        A list that was requested before a stop is discarded after the next start.
        """
        self.monitor.stop()
        self.monitor.start()
        self.listed(ETH0)
        self.assertEqual(self.tape.told, [])
        self.listed()
        self.assertEqual(self.tape.told, [("eth0", None)])


class KernelTests(TestCase):
    """
    The kernel's events when links change.
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
        The reported states, in words.
        """

        def word(link: Link | None) -> str:
            if link is None:
                return "gone"
            return "running" if link.running else "up" if link.up else "down"

        return [word(link) for _, link in self.tape.told]

    async def test_carrier(self) -> None:
        """
        To unplug a cable and to plug it in again is one change each.
        """
        self.start()
        await until(lambda: self.states() == ["running"])
        self.node.unplug()
        await until(lambda: self.states() == ["running", "up"])
        self.node.plugIn()
        await until(lambda: self.states() == ["running", "up", "running"])

    async def test_silentCut(self) -> None:
        """
        When the network behind the cable fails, nothing is reported: the link does not change.
        """
        self.start()
        await until(self.states)
        self.node.cut()
        self.node.heal()
        await self.netlink.dumpLinks()
        self.assertEqual(self.states(), ["running"])

    async def test_switchedOff(self) -> None:
        """
        An interface that is switched off and on again is never reported as gone.
        """
        self.start()
        await until(self.states)
        self.node.setInterface(False)
        await until(lambda: self.states()[-1] == "down")
        self.node.setInterface(True)
        await until(lambda: self.states()[-1] == "running")
        self.assertNotIn("gone", self.states())

    async def test_enslaved(self) -> None:
        """
        An interface that becomes a port of a bridge is reported with the name of the bridge, and
        when it leaves it, without.
        """
        self.start()
        await until(self.states)
        with self.node.netlink() as netlink:
            netlink.request(newBridge("br7"))
            bridge, port = netlink.link("br7").index, netlink.link("eth0").index
            netlink.request(setLink(port, master=bridge))
        await until(lambda: self.tape.last and self.tape.last.isEnslaved)
        assert self.tape.last is not None
        self.assertEqual((self.tape.last.portOf, self.tape.last.masterName), ("bridge", "br7"))
        with self.node.netlink() as netlink:
            netlink.request(setLink(port, master=0))
        await until(lambda: self.tape.last and not self.tape.last.isEnslaved)
        self.assertEqual(self.states(), ["running"] * 3)

    async def test_madeAgain(self) -> None:
        """
        An interface that is deleted is reported as gone, and its successor has another index.
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
        When another interface gets the name eth0, that one is reported.
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
        A port that leaves its bridge, for which the kernel sends a deletion, is not gone.
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
        An interface that does not exist yet is reported as missing, then as present.
        """
        self.start("br7")
        await until(self.states)
        with self.node.netlink() as netlink:
            netlink.request(newBridge("br7"))
        await until(lambda: len(self.tape.told) > 1)
        self.assertEqual(self.states(), ["gone", "down"])
