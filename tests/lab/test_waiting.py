"""
Hosts that lack something that a master needs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.lab.daemons import Daemon
from tests.lab.families import BOTH, FOUR, SIX, VIRTUAL6
from tests.lab.world import VIRTUAL, Host, LabTestCase
from tests.network.scenery import packed
from txcarp.netlink.requests import newAddress, setLink
from txcarp.testbed.requests import newBridge

_SWITCH = "net/ipv6/conf/eth0/disable_ipv6"

#: Words that a host that waits does not log.
_TROUBLE = "firewall", "not fit", "Internal error", "Traceback"

_TENTATIVE = 0x40


class WaitingTests(LabTestCase):
    """
    A lone host with a dead time of one second.
    """

    needsUcarp = False

    def start(self, host: Host, virtual: Sequence[str], *options: str) -> Daemon:
        """
        Start the host.
        """
        return host.txcarp("-r", "1", "--assign", *options, virtual=virtual)

    async def waits(self, daemon: Daemon, words: str, since: float = 0.0) -> None:
        """
        Wait until a host waits for something.
        """
        await self.until(
            lambda: daemon.said("Waiting: ", since), f"{daemon.name} waits", 40
        )
        self.assertTrue(daemon.said(words, since), daemon.lines[-5:])
        await self.until(lambda: daemon.state == "BACKUP", "it is backup", 5)
        await self.during(1.5)
        self.assertEqual(daemon.state, "BACKUP")

    async def joins(self, daemon: Daemon, event: float) -> None:
        """
        Wait until a host is ready, within a second of an event, and master.
        """
        await self.until(lambda: daemon.said("Ready: ", event - 0.1), "it is ready", 10)
        when = daemon.said("Ready: ", event - 0.1)[0]
        self.report(f"ready {1000 * (when - event):.0f} ms after the event")
        self.assertLess(when - event, 1.0 + self.slack)
        await self.until(lambda: daemon.state == "MASTER", "it is master", 5)
        for words in _TROUBLE:
            self.assertEqual(daemon.said(words), [], words)

    async def hasLinkLocal(self, host: Host) -> float:
        """
        Wait until the kernel has checked the link-local address of a host.

        @return: The time on the monotonic clock.
        """
        with host.node.netlink() as netlink:
            return await self.until(
                lambda: any(
                    one.local[:2] == b"\xfe\x80" and not one.flags & _TENTATIVE
                    for one in netlink.addresses()
                ),
                "a link-local address",
                10,
            )

    async def test_ipv6OffAtStart(self) -> None:
        """
        A host on whose interface IPv6 is switched off waits, also if it has IPv4 addresses, and
        joins when IPv6 is switched on.
        """
        for name, virtual in ("a", SIX), ("b", BOTH):
            host = self.host(name)
            host.node.sysctl(_SWITCH, "1")
            daemon = self.start(host, virtual)
            await self.waits(daemon, "IPv6 is switched off on eth0")
            host.node.sysctl(_SWITCH, "0")
            event = await self.hasLinkLocal(host)
            await self.joins(daemon, event)
            await self.stopped(daemon)

    async def test_ipv6OffOnMaster(self) -> None:
        """
        A master on whose interface IPv6 is switched off hands over at once, and joins again.  The
        event is noticed where the interface gets no link-local address by itself.
        """
        a = self.host("a")
        a.node.sysctl("net/ipv6/conf/eth0/addr_gen_mode", "1")
        daemon = self.start(a, BOTH)
        await self.becomes(daemon, "MASTER")
        await self.until(lambda: f"{VIRTUAL6}/64" in a.node.addresses(), "its address", 5)
        since = time.monotonic()
        a.node.sysctl(_SWITCH, "1")
        await self.becomes(daemon, "BACKUP", 2)
        await self.waits(daemon, "IPv6 is switched off on eth0", since)
        self.assertNotIn(f"{VIRTUAL}/24", a.node.addresses())
        event = time.monotonic()
        a.node.sysctl(_SWITCH, "0")
        await self.joins(daemon, event)

    async def test_linkLocal(self) -> None:
        """
        A host without a link-local address waits until it has one that the kernel has checked.
        """
        a = self.host("a")
        a.node.sysctl("net/ipv6/conf/eth0/addr_gen_mode", "1")
        for setting in "accept_dad", "dad_transmits":
            a.node.sysctl(f"net/ipv6/conf/eth0/{setting}", "1")
        [own] = [one for one in a.node.addresses() if one.startswith("fe80")]
        a.node.removeAddress(own)
        daemon = self.start(a, SIX)
        await self.waits(daemon, "eth0 has no link-local IPv6 address")
        with a.node.netlink() as netlink:
            netlink.request(newAddress(a.node.link().index, packed("fe80::5"), 64))
            self.assertTrue(
                [one for one in netlink.addresses() if one.flags & _TENTATIVE], "it is checked"
            )
        event = await self.hasLinkLocal(a)
        await self.joins(daemon, event)
        self.assertEqual(self.wire.of("fe80::5"), self.wire.adverts)

    async def test_source(self) -> None:
        """
        A host without its source address waits where its peers send to that address.
        """
        a = self.host("a")
        daemon = self.start(a, FOUR, "--peer", "10.99.0.9")
        await self.becomes(daemon, "MASTER")
        a.node.removeAddress("10.99.0.1/24")
        await self.waits(daemon, "no interface has 10.99.0.1")
        event = time.monotonic()
        a.node.addAddress("10.99.0.1/24")
        await self.joins(daemon, event)

    async def test_enslaved(self) -> None:
        """
        A host whose interface is a port of a bridge waits until it leaves the bridge.
        """
        a = self.host("a")
        with a.node.netlink() as netlink:
            netlink.request(newBridge("br7"))
            index, bridge = a.node.link().index, a.node.link("br7").index
            netlink.request(setLink(index, master=bridge))
        daemon = self.start(a, FOUR)
        await self.waits(daemon, "eth0 is enslaved to br7: configure br7")
        event = time.monotonic()
        with a.node.netlink() as netlink:
            netlink.request(setLink(index, master=0))
        await self.joins(daemon, event)
