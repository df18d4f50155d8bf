"""
Interfaces that lose their carrier, go and come back.
"""

from __future__ import annotations

import signal
import time
from functools import partial

from tests.lab.daemons import Daemon
from tests.lab.world import STARTING, VIRTUAL, Host, LabTestCase
from txcarp.netlink.requests import setLink


class LinkTests(LabTestCase):
    """
    A lone master that takes part in the group only while it can be heard.
    """

    needsUcarp = False

    async def master(self, *options: str) -> tuple[Host, Daemon]:
        """
        A txcarp host that is master, with a dead time of two seconds.
        """
        a = self.host("a")
        daemon = a.txcarp("-r", "2", *a.scripts(), *options)
        await self.advertises(a)
        await self.until(lambda: a.events() == ["down", "up"], "both scripts ran", 5)
        return a, daemon

    async def gone(self, a: Host, daemon: Daemon, since: float) -> None:
        """
        Wait until a host found out that it cannot be heard.
        """
        when = await self.becomes(daemon, "BACKUP", 3)
        self.assertLess(when - since, self.slack)
        await self.until(lambda: a.events()[-1] == "down", "the down script", 3)
        self.assertEqual(a.runs()[-1].reason, "link_lost")

    async def back(self, a: Host, daemon: Daemon, since: float) -> None:
        """
        Wait until a host is master again, after the ordinary wait.
        """
        taken = await self.advertises(a, since, 8)
        self.assertGreater(taken - since, 1.95)
        self.assertLess(taken - since, 2.0 + self.slack)
        await self.until(lambda: a.events() == ["down", "up"] * 2, "the up script", 3)
        await self.becomes(daemon, "MASTER", 3)
        await self.until(lambda: self.wire.claims(a.hardware, taken - 0.1), "announced", 3)

    async def test_carrier(self) -> None:
        """
        A master whose cable is pulled is backup at once, and after the ordinary wait
        master again when it is back.
        """
        a, daemon = await self.master()
        pulled = time.monotonic()
        a.node.unplug()
        await self.gone(a, daemon, pulled)
        plugged = time.monotonic()
        a.node.plugIn()
        await self.back(a, daemon, plugged)

    async def test_carrierIgnored(self) -> None:
        """
        With C{-S} a master stays master without a carrier, and is heard at once when it
        is back.
        """
        a, daemon = await self.master("-S")
        a.node.unplug()
        await self.during(2.2)
        self.assertEqual(daemon.state, "MASTER")
        plugged = time.monotonic()
        a.node.plugIn()
        heard = await self.advertises(a, plugged, 4)
        self.assertLess(heard - plugged, 1.0 + self.slack)
        self.assertEqual(a.events(), ["down", "up"])

    async def test_downAndUp(self) -> None:
        """
        An interface that an administrator switches off and on is waited for; ucarp
        would end.
        """
        a, daemon = await self.master()
        since = time.monotonic()
        a.node.setInterface(False)
        await self.gone(a, daemon, since)
        since = time.monotonic()
        a.node.setInterface(True)
        await self.back(a, daemon, since)

    async def test_recreated(self) -> None:
        """
        An interface that is deleted and made again is waited for, and its new sockets
        both send and hear.
        """
        a, daemon = await self.master()
        since = time.monotonic()
        a.node.deleteInterface()
        await self.gone(a, daemon, since)
        since = time.monotonic()
        a.node.createInterface()
        await self.back(a, daemon, since)
        b = self.host("b")
        better = b.txcarp("-r", "2", "-P", "-b", "0", "-k", "100")
        await self.becomes(better, "MASTER")
        await self.becomes(daemon, "BACKUP", 5)

    async def test_renamed(self) -> None:
        """
        An interface that is renamed is gone, until it has its name again.
        """
        a, daemon = await self.master()
        index = a.node.link().index
        since = time.monotonic()
        with a.node.netlink() as netlink:
            netlink.request(setLink(index, up=False), setLink(index, name="other", up=True))
        await self.gone(a, daemon, since)
        with a.node.netlink() as netlink:
            netlink.request(setLink(index, up=False))
            since = time.monotonic()
            netlink.request(setLink(index, name="eth0", up=True))
        await self.back(a, daemon, since)

    async def test_renamedBesideAnother(self) -> None:
        """
        A second daemon may run with the new name of an interface.  Whatever it is called, one of
        both is master, and the address is there once.
        """
        a = self.host("a")
        first = a.txcarp("--assign", "-r", "1")
        await self.becomes(first, "MASTER")
        index = a.node.link().index
        with a.node.netlink() as netlink:
            netlink.request(setLink(index, up=False), setLink(index, name="other", up=True))
        await self.becomes(first, "BACKUP")
        second = a.txcarp("-i", "other", "--assign", "-r", "1", "--state-file", "none")
        await self.becomes(second, "MASTER")
        await self.until(lambda: self.held(a, "other") == 1, "the address is on other", STARTING)
        self.assertEqual(first.state, "BACKUP")
        with a.node.netlink() as netlink:
            netlink.request(setLink(index, up=False), setLink(index, name="eth0", up=True))
        await self.becomes(second, "BACKUP")
        await self.becomes(first, "MASTER")
        await self.until(lambda: self.held(a) == 1, "the address is on eth0", STARTING)
        self.assertEqual(second.state, "BACKUP")

    async def test_otherInterface(self) -> None:
        """
        A second daemon with the same address on another interface of the host, or with another
        name of the same interface, says so.
        """
        a = self.host("a")
        a.node.connect(self.testbed.switch("more"), "10.98.0.1/24")
        ip = self.program("ip", "iproute2")
        await self.output(a, ip, "link", "property", "add", "dev", "eth0", "altname", "wan0")
        first = a.txcarp("--assign", "-r", "1")
        await self.becomes(first, "MASTER")
        await self.until(lambda: self.held(a) == 1, "the address is on eth0", STARTING)
        settings = "--assign", "--state-file", "none"
        second = a.txcarp("-i", "eth1", "-s", "10.98.0.1", *settings)
        third = a.txcarp("-i", "wan0", *settings)
        for daemon, words in (
            (second, f"{VIRTUAL} is on another interface than eth1"),
            (third, "wan0 is another name of eth0"),
            (third, "Interface [wan0] does not exist"),
        ):
            await self.until(partial(daemon.said, words), words, STARTING)
        self.assertEqual(first.state, "MASTER")

    def held(self, host: Host, interface: str = "eth0") -> int:
        """
        How many times an interface has the virtual address.
        """
        return sum(one.startswith(f"{VIRTUAL}/") for one in host.node.addresses(interface))

    async def test_inOneMoment(self) -> None:
        """
        An interface that went and came while nobody looked is noticed as well: the old
        sockets are closed, and the new ones open, in one turn.
        """
        a, daemon = await self.master()
        daemon.signal(signal.SIGSTOP)
        index = a.node.link().index
        for name in ("other", "eth0"):
            with a.node.netlink() as netlink:
                netlink.request(setLink(index, up=False), setLink(index, name=name, up=True))
        a.node.deleteInterface()
        a.node.createInterface()
        since = time.monotonic()
        daemon.signal(signal.SIGCONT)
        await self.back(a, daemon, since)
        b = self.host("b")
        better = b.txcarp("-P", "-b", "0", "-k", "100")
        await self.becomes(better, "MASTER")
        await self.becomes(daemon, "BACKUP", 5)
        for trouble in "Traceback", "was closed", "Unable to open":
            self.assertEqual(daemon.said(trouble), [])

    async def test_missing(self) -> None:
        """
        An interface that is not there at start is waited for; ucarp would end.
        """
        a = self.host("a")
        a.node.deleteInterface()
        daemon = a.txcarp("-r", "2", "-n", *a.scripts())
        await self.until(lambda: daemon.said("Interface [eth0] does not exist"), "it says so", 20)
        await self.during(1.2)
        self.assertEqual((a.events(), daemon.state), ([], "BACKUP"))
        since = time.monotonic()
        a.node.createInterface()
        taken = await self.advertises(a, since, 6)
        self.assertGreater(taken - since, 1.95)
        self.assertLess(taken - since, 2.0 + self.slack)
        await self.until(lambda: a.events() == ["up"], "the up script", 3)
