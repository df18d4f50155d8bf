"""
Tests with hosts of either address family, and clients.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet import reactor

from tests.lab.daemons import Daemon
from tests.lab.world import VIRTUAL, Host, LabTestCase
from txcarp.clock.monotonic import MonotonicClock
from txcarp.testbed import Switch
from txcarp.testbed.pinger import Pinger, openPingSocket

#: The IPv6 address that hosts share.
VIRTUAL6 = "fd00::100"

#: The shared addresses, with prefix length as C{--assign} needs it.
FOUR, SIX = (f"{VIRTUAL}/24",), (f"{VIRTUAL6}/64",)
BOTH = FOUR + SIX

#: The options of a master with a dead ratio of one, and more options of its backup.
QUICK = ("--assign", "-r", "1")
SLOWER = ("-k", "200")

#: Seconds within which an address must answer again.
REACHABLE = 5.0

_PROBE = 0.01


class FamilyTestCase(LabTestCase):
    """
    A test without ucarp.
    """

    needsUcarp = False

    def members(self, switch: Switch | None = None, bare: bool = False) -> list[Host]:
        """
        Make two hosts.

        @param bare: Whether they have no addresses of their own.
        """
        where = switch or self.testbed.lan
        return [
            self.host(f"{name}-{where.name}", "", where, f"fd00::{number}/64", bare=bare)
            for number, name in enumerate("ab", 1)
        ]

    def client(self, switch: Switch | None = None) -> Host:
        """
        Make a client.
        """
        where = switch or self.testbed.lan
        return self.host(f"client-{where.name}", "10.99.0.200/24", where, "fd00::200/64")

    def pinger(self, host: Host, target: str, source: str = "") -> Pinger:
        """
        Ping from a host until the end of the test.

        @param source: The address to ping from; the kernel chooses if it is empty.
        """
        clock = MonotonicClock(reactor)
        with host.node.inside():
            sock = openPingSocket(target)
            if source:
                sock.bind((source, 0))
            pinger = Pinger(reactor, clock, sock, target, _PROBE)
        pinger.start()
        self.addCleanup(clock.stop)
        self.addCleanup(pinger.stop)
        return pinger

    async def answers(self, *pingers: Pinger) -> None:
        """
        Wait until three more probes of each pinger are answered.
        """
        before = [pinger.received for pinger in pingers]
        await self.until(
            lambda: all(
                pinger.received > count + 2
                for pinger, count in zip(pingers, before, strict=True)
            ),
            "the addresses answer",
            REACHABLE,
        )

    def voice(self, host: Host, virtual: Sequence[str]) -> str:
        """
        The source of a host's advertisements, in one of their families.
        """
        return host.address if any(":" not in one for one in virtual) else host.linkLocal

    async def pair(
        self, first: Host, second: Host, virtual: Sequence[str], *options: str
    ) -> tuple[Daemon, Daemon]:
        """
        Start a master, and a backup that hears it.
        """
        master = first.txcarp(*QUICK, *options, virtual=virtual)
        await self.becomes(master, "MASTER")
        backup = second.txcarp(*QUICK, *SLOWER, *options, virtual=virtual)
        await self.listens(backup)
        await self.during(1.1)
        return master, backup
