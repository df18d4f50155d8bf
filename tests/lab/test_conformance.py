"""
What other implementations of CARP test of themselves, and what else a member of a group
owes the others.  The list, with all tests, is at the end of C{docs/protocol.rst}.
"""

from __future__ import annotations

import errno
import signal
import socket
import struct
import time
from pathlib import Path

from twisted.internet.defer import gatherResults

from tests.lab.daemons import Daemon
from tests.lab.test_families import BOTH, FOUR, QUICK, SLOWER, VIRTUAL6, FamilyTestCase
from tests.lab.world import PASSWORD, STARTING, VHID, VIRTUAL, Host, LabTestCase
from txcarp.mastership.virtualmac import virtualHardwareAddress
from txcarp.testbed import Switch


class VirtualMACTests(FamilyTestCase):
    """
    C{--virtual-mac}.
    """

    def sysctl(self, host: Host, name: str) -> str:
        """
        An ARP setting of a host's interface.
        """
        with host.node.inside():
            return Path("/proc/sys/net/ipv4/conf/eth0", name).read_text().strip()

    def usable(self, host: Host) -> list[str]:
        """
        The virtual addresses that a host can send from.
        """
        found = []
        for family, address in ((socket.AF_INET, VIRTUAL), (socket.AF_INET6, VIRTUAL6)):
            with host.node.socket(family, socket.SOCK_DGRAM) as sock:
                try:
                    sock.bind((address, 0))
                    found.append(address)
                except OSError as error:
                    self.assertEqual(error.errno, errno.EADDRNOTAVAIL)
        return found

    async def remembered(self, client: Host) -> None:
        """
        See where a client believes the addresses to be.
        """
        hardware = virtualHardwareAddress(VHID).hex(":")
        for address in (VIRTUAL, VIRTUAL6):
            self.assertEqual(await self.neighbour(client, address), hardware)

    async def speaks(self, master: Host, client: Host) -> None:
        """
        Ping a client from the virtual addresses, by a host that first has to find it.
        """
        ip = self.program("ip", "iproute2")
        await self.output(master, ip, "neigh", "flush", "all")
        pingers = [
            self.pinger(master, target, source)
            for target, source in (("10.99.0.200", VIRTUAL), ("fd00::200", VIRTUAL6))
        ]
        await self.answers(*pingers)
        for pinger in pingers:
            pinger.stop()

    async def test_virtualMAC(self) -> None:
        """
        C08: the neighbours' tables name the virtual hardware address, before and after a
        take-over, whether they ask or are asked; only the master can use the addresses,
        and what it changes of its host it puts back.
        """
        a, b = self.members()
        client = self.client()
        master, backup = await self.pair(a, b, BOTH, "--virtual-mac")
        pingers = [self.pinger(client, address) for address in (VIRTUAL, VIRTUAL6)]
        for host, other in ((a, b), (b, a)):
            await self.answers(*pingers)
            await self.remembered(client)
            self.assertEqual((self.usable(host), self.usable(other)), ([VIRTUAL, VIRTUAL6], []))
            self.assertEqual(self.sysctl(host, "arp_ignore"), "1")
            self.assertEqual(self.sysctl(other, "arp_ignore"), "0")
            self.assertEqual(self.sysctl(other, "arp_announce"), "0")
            await self.during(1.1)  # so old must an entry be before it changes unasked
            await self.speaks(host, client)
            await self.remembered(client)
            if host is a:
                await self.stopped(master)
                await self.becomes(backup, "MASTER")
        sources = {one.frame[6:12] for one in self.wire.adverts}
        self.assertEqual(sources, {virtualHardwareAddress(VHID)})
        for host in (a, b):
            self.assertEqual(self.wire.claims(host.hardware), [])
