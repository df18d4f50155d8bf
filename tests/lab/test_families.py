"""
Groups of IPv4 addresses, of IPv6 addresses, and of both.
"""

from __future__ import annotations

import signal
import struct
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from twisted.internet.defer import gatherResults

from tests.lab.families import (
    BOTH,
    FOUR,
    QUICK,
    REACHABLE,
    SIX,
    SLOWER,
    VIRTUAL6,
    FamilyTestCase,
)
from tests.lab.wire import Advert
from tests.lab.world import VHID, VIRTUAL
from txcarp.protocol.timing import Timing


class StartTests(FamilyTestCase):
    """
    Two hosts that start at once, and a client.
    """

    async def begins(self, ratio: int, virtual: Sequence[str], *addresses: str) -> None:
        """
        Let both begin at once, and see one of them be master, soon, and reached.
        """
        switch = self.testbed.switch(f"ratio-{ratio}-{len(addresses[0])}")
        wire = self.listen(switch)
        a, b = self.members(switch)
        client = self.client(switch)
        # It has known these addresses, at a card that is gone.
        ip = self.program("ip", "iproute2")
        for address in addresses:
            await self.output(
                client,
                *(ip, "neigh", "add", address, "lladdr", "02:00:00:00:00:99", "dev", "eth0"),
                *("nud", "reachable"),
            )
        options = ("--assign", "-r", str(ratio))
        for host in (a, b):
            host.node.unplug()
        fast = a.txcarp(*options, virtual=virtual)
        slow = b.txcarp(*options, *SLOWER, virtual=virtual)
        began = await self.plugIn((a, fast), (b, slow))
        taken = await self.becomes(fast, "MASTER")
        self.report(f"{switch.name}: master {taken - began:.3f} s after the start")
        self.assertLess(taken - began, Timing(1, 0).deadTime(ratio) + self.slack)
        await self.answers(*(self.pinger(client, address) for address in addresses))
        for address in addresses:
            self.assertEqual(await self.neighbour(client, address), a.hardware.hex(":"))
        self.assertEqual({said.address for said in wire.claims(a.hardware)}, set(addresses))
        await self.during(1.0)
        self.assertEqual((fast.state, slow.state), ("MASTER", "BACKUP"))
        self.assertEqual({one.source for one in wire.adverts} - {a.address, a.linkLocal}, set())
        families = {":" in address for address in addresses}
        self.assertEqual({one.isIPv6 for one in wire.adverts}, families)
        self.assertEqual({one.hops for one in wire.adverts}, {255})

    async def test_oneFamily(self) -> None:
        """
        C01, C02: exactly one is master within the dead time, and a client reaches it, also
        one that remembers another card: it hears the announcement.  With IPv6 alone
        nothing needs an IPv4 source.
        """
        await gatherResults(
            [
                self.concurrently(self.begins(1, FOUR, VIRTUAL)),
                self.concurrently(self.begins(1, SIX, VIRTUAL6)),
            ],
            consumeErrors=True,
        )

    async def test_both(self) -> None:
        """
        C01, C02: the same with both in one group, which advertises in both.
        """
        await self.begins(3, BOTH, VIRTUAL, VIRTUAL6)


class FailureTests(FamilyTestCase):
    """
    Masters that are gone: the addresses are reached again, whatever the family, and whether
    the interfaces have addresses of their own or not.
    """

    async def replaced(self, how: str, virtual: Sequence[str], bare: bool) -> None:
        """
        Lose a master, on a switch of its own.
        """
        switch = self.testbed.switch(f"v{6 if virtual == SIX else 4}{'-bare' * bare}")
        a, b = self.members(switch, bare)
        client = self.client(switch)
        master, backup = await self.pair(a, b, virtual)
        address = virtual[0].partition("/")[0]
        pinger = self.pinger(client, address)
        await self.answers(pinger)
        lost = time.monotonic()
        if how == "halt":
            master.signalAll(signal.SIGKILL)
            a.node.deleteInterface()
        else:
            a.node.setInterface(False)
        await self.becomes(backup, "MASTER", REACHABLE)
        await self.answers(pinger)
        gap = pinger.gaps(lost)
        self.report(f"{switch.name}: no answer for {gap.silence:.3f} s")
        self.assertGreater(gap.silence, 0.2, "it was lost")
        self.assertLess(gap.silence, Timing(1, 200).deadTime(1) + self.slack)
        self.assertEqual(await self.neighbour(client, address), b.hardware.hex(":"))

    async def all(self, how: str) -> None:
        """
        Lose the masters of four groups.
        """
        await gatherResults(
            [
                self.concurrently(self.replaced(how, virtual, bare))
                for virtual in (FOUR, SIX)
                for bare in (False, True)
            ],
            consumeErrors=True,
        )

    async def test_halted(self) -> None:
        """
        C11, C13, C15, C16: the host of the master is off.
        """
        await self.all("halt")

    async def test_interfaceDown(self) -> None:
        """
        C11, C14, C15, C16: the interface of the master is switched off.
        """
        await self.all("down")


class FarewellTests(FamilyTestCase):
    """
    Masters that are stopped.
    """

    async def stops(self, virtual: Sequence[str]) -> None:
        """
        Stop a master, on a switch of its own.
        """
        switch = self.testbed.switch(f"of-{len(virtual)}")
        wire = self.listen(switch)
        a, b = self.members(switch)
        master, backup = await self.pair(a, b, virtual)
        master.signal(signal.SIGTERM)
        taken = await self.becomes(backup, "MASTER", 2)
        await self.until(
            lambda: sum(one.said.isBowOut for one in wire.adverts) >= len(virtual), "all left", 2
        )
        said = [one for one in wire.adverts if one.source in (a.address, a.linkLocal)]
        farewells = [one for one in said if one.said.isBowOut]
        self.assertEqual(farewells, said[-len(virtual) :])
        self.assertEqual(len({one.isIPv6 for one in farewells}), len(virtual))
        self.assertTrue(farewells[-1].isIPv6)
        self.assertLess(taken - farewells[0].time, self.slack)

    async def test_stopped(self) -> None:
        """
        C20: a master that is stopped says so in each of its families, and its backup is
        master at once, also where there is only IPv6 to hear it.
        """
        await gatherResults(
            [self.concurrently(self.stops(virtual)) for virtual in (SIX, BOTH)],
            consumeErrors=True,
        )


class SilenceTests(FamilyTestCase):
    """
    One of two families does not get through.
    """

    async def loses(self, lost: str, silent: str, heard: str) -> None:
        """
        Lose the advertisements of one family, on a switch of its own, then the master.

        @param lost: in the words of nft.
        """
        switch = self.testbed.switch(silent)
        wire = self.listen(switch)
        a, b = self.members(switch)
        master, backup = await self.pair(a, b, BOTH)
        await self.lose(switch, lost)
        began = time.monotonic()
        said = f"{heard} is heard, {silent} is not"
        await self.until(lambda: backup.said(said), "it says so", 4)
        await self.during(1.5)
        self.assertEqual(len(backup.said("family-silent")), 1)
        self.assertEqual((master.state, backup.state), ("MASTER", "BACKUP"))
        speakers = {one.source for one in wire.adverts if one.time > began}
        self.assertEqual(speakers, {a.address, a.linkLocal}, "it spoke in both")
        master.signal(signal.SIGKILL)
        await self.becomes(backup, "MASTER", 3)

    async def test_oneLost(self) -> None:
        """
        C23: the loss of the advertisements of one family is reported once, moves nothing,
        and does not keep the backup from taking over later.
        """
        await gatherResults(
            [
                self.concurrently(self.loses("ip6 nexthdr 112", "IPv6", "IPv4")),
                self.concurrently(self.loses("ip protocol 112", "IPv4", "IPv6")),
            ],
            consumeErrors=True,
        )


class DecoderTests(FamilyTestCase):
    """
    What programs that others wrote see in the advertisements.
    """

    @staticmethod
    def save(path: Path, adverts: Iterable[Advert]) -> None:
        """
        Write frames as tcpdump does (link type 1, Ethernet).
        """
        with path.open("wb") as file:
            file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for number, advert in enumerate(adverts):
                size = len(advert.frame)
                file.write(struct.pack("=IIII", number, 0, size, size) + advert.frame)

    async def capture(self) -> tuple[str, list[Advert]]:
        """
        The advertisements of a demoted OpenBSD speaker and its farewell, in both families.

        @return: the path of a file with them, and what is in it.
        """
        a = self.host("a")
        options = ("--dialect", "openbsd", "-k", "10", "--track-interface", "eth7:9")
        master = a.txcarp(*QUICK, *options, virtual=BOTH)
        await self.becomes(master, "MASTER")
        await self.stopped(master)
        await self.until(lambda: self.wire.adverts[-1].said.isBowOut, "it bows out", 2)
        adverts = self.wire.adverts
        self.assertEqual([one.isIPv6 for one in adverts], [False, True] * (len(adverts) // 2))
        self.assertEqual({one.said.demotion for one in adverts if not one.said.isBowOut}, {9})
        self.assertEqual({one.said.advskew for one in adverts}, {10, 255})
        path = a.directory / "capture"
        self.save(path, adverts)
        return str(path), adverts

    async def test_tcpdump(self) -> None:
        """
        tcpdump reads all fields, and has nothing to say about checksums.
        """
        program = self.program("tcpdump", "tcpdump")
        path, adverts = await self.capture()
        reader = self.host("reader")
        lines = await self.output(reader, program, "-nn", "-vvv", "-T", "carp", "-r", path)
        found = [line.partition(": CARPv")[2] for line in lines if ": CARPv" in line]
        self.assertEqual(
            found,
            [
                f"2-advertise 36: vhid={VHID} advbase={said.advbase} advskew={said.advskew} "
                f"authlen=7 counter={said.counter}"
                for said in (advert.said for advert in adverts)
            ],
        )
        self.assertEqual([line for line in lines if "bad" in line], [])
        self.assertIn("ttl 255", "".join(lines))
        self.assertIn("hlim 255", "".join(lines))

    async def test_tshark(self) -> None:
        """
        tshark reads all fields, the demotion of OpenBSD included, and finds the checksums
        good.
        """
        program = self.program("tshark", "tshark")
        path, adverts = await self.capture()
        reader = self.host("reader")
        names = ("version", "type", "vhid", "advskew", "authlen", "demotion", "adver_int")
        fields = [f"carp.{name}" for name in (*names, "counter", "hmac", "checksum.status")]
        lines = await self.output(
            reader,
            *(program, "-n", "-r", path, "-d", "ip.proto==112,carp", "-T", "fields"),
            *("-o", "ip.check_checksum:TRUE", "-E", "separator=;", "-e", "ip.checksum.status"),
            *(word for field in fields for word in ("-e", field)),
        )
        good = {"1", "Good"}
        found = [line.split(";") for line in lines if line.count(";") == len(fields)]
        self.assertEqual(len(found), len(adverts))
        for (header, *values, status), advert in zip(found, adverts, strict=True):
            said = advert.said
            self.assertEqual(
                (*map(int, values[:-1]), values[-1].replace(":", "")),
                (
                    *(2, 1, said.vhid, said.advskew, 7, said.demotion, said.advbase),
                    *(said.counter, said.digest.hex()),
                ),
            )
            self.assertIn(status, good)
            if not advert.isIPv6:
                self.assertIn(header, good)
