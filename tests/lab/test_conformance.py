"""
What other implementations of CARP test of themselves, and what else the members of a group
owe each other.  The list of it, with all tests, is at the end of C{docs/protocol.rst}.
"""

from __future__ import annotations

import errno
import re
import signal
import socket
import time
from pathlib import Path

from twisted.internet.defer import gatherResults
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.lab.daemons import Daemon
from tests.lab.families import BOTH, FOUR, QUICK, SLOWER, VIRTUAL6, FamilyTestCase
from tests.lab.world import VHID, VIRTUAL, Host, LabTestCase
from txcarp.addresses import virtualHardwareAddress
from txcarp.netlink.requests import delLink
from txcarp.protocol.election import OFFER_AFTER
from txcarp.protocol.timing import Timing

#: Seconds in which the others know that a host is demoted, and one has taken over.
SWAPPED = 0.1


class ListTests(SynchronousTestCase):
    """
    The lists in C{docs/protocol.rst}.
    """

    root = Path(txcarp.__file__).parent.parent

    def test_complete(self) -> None:
        """
        Each requirement has tests, and they exist.
        """
        text = (self.root / "docs" / "protocol.rst").read_text(encoding="utf-8")
        rows = text.partition("\nConformance\n")[2].split("\n   * - C")[1:]
        self.assertEqual([row[:2] for row in rows], [f"{number:02}" for number in range(1, 25)])
        for row in rows:
            self.exist(re.findall(r"``([\w.]+)``", row))

    def test_attacks(self) -> None:
        """
        So do those of the attacks.
        """
        text = (self.root / "docs" / "protocol.rst").read_text(encoding="utf-8")
        table = text.partition("Attacks, and the tests that mount them")[2]
        rows = table.partition("\nChanging the password")[0].split("\n   * - ")[2:]
        self.assertGreater(len(rows), 8)
        for row in rows:
            self.exist(re.findall(r"``([\w.]+)``", row))

    def exist(self, names: list[str]) -> None:
        """
        There are these tests, and there is one.
        """
        self.assertTrue(names)
        for name in names:
            # A module, or a method of a class in one.
            self.assertTrue(name.rpartition(".")[2].startswith("test_"), name)
            namedAny(f"tests.{name}")


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

    async def speaks(self, master: Host) -> None:
        """
        Ping the client from the virtual addresses, by a host that has to look for it.
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
        C08: the neighbours' tables name the virtual hardware address before and after a
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
            await self.during(1.1)  # so old is an entry before a request changes it
            await self.speaks(host)
            await self.remembered(client)
            if host is a:
                await self.stopped(master)
                await self.becomes(backup, "MASTER")
        sources = {one.frame[6:12] for one in self.wire.adverts}
        self.assertEqual(sources, {virtualHardwareAddress(VHID)})
        for host in (a, b):
            self.assertEqual(self.wire.claims(host.hardware), [])

    async def test_killed(self) -> None:
        """
        What a killed master leaves is cleared by the next run, which also puts back
        what was changed of the host; another process on the same interface keeps it.
        """
        a = self.host("a")
        first = a.txcarp("--assign", "--virtual-mac", "-r", "1")
        other = a.txcarp(
            *("--assign", "--virtual-mac", "-r", "1", "-v", "8"), virtual=("10.99.0.101",)
        )
        mine, others = f"vh{VHID}.eth0", "vh8.eth0"

        def there(name: str) -> bool:
            with a.node.netlink() as netlink:
                return name in {link.name for link in netlink.links()}

        for daemon, name in ((first, mine), (other, others)):
            await self.becomes(daemon, "MASTER")
            await self.until(
                lambda name=name: there(name) and a.node.addresses(name), f"{name} is there", 5
            )
        first.signal(signal.SIGKILL)
        await first.exit
        self.assertTrue(there(mine))
        later = a.txcarp("--assign", "--virtual-mac", "-b", "60")
        await self.becomes(later, "BACKUP")
        await self.until(lambda: not there(mine), f"{mine} is cleared", 3)
        self.assertEqual(self.sysctl(a, "arp_ignore"), "1")
        self.assertEqual(self.sysctl(a, "arp_announce"), "2")
        await self.stopped(other)
        self.assertEqual(self.sysctl(a, "arp_ignore"), "0")
        self.assertEqual(self.sysctl(a, "arp_announce"), "0")

    async def test_removed(self) -> None:
        """
        A master whose virtual interface somebody removes lets its backup take over, and
        has it again when it is its turn.
        """
        a, b = self.members()
        client = self.client()
        master, backup = await self.pair(a, b, FOUR, "--virtual-mac")
        pinger = self.pinger(client, VIRTUAL)
        await self.answers(pinger)
        with a.node.netlink() as netlink:
            netlink.request(delLink(netlink.link(f"vh{VHID}.eth0").index))
        await self.becomes(backup, "MASTER", 3)
        await self.answers(pinger)
        await self.becomes(master, "BACKUP", 3)
        self.assertTrue(master.said("This host is not fit to be master"))
        self.assertEqual(self.sysctl(a, "arp_ignore"), "0")


class DemotionTests(FamilyTestCase):
    """
    Hosts that are more or less fit than they were configured.
    """

    async def test_negative(self) -> None:
        """
        C07: a host whose demotion is negative stays at skew 0, and one that comes level
        with the master lets it be: there are never two.
        """
        a, b = self.members()
        options = (*QUICK, "-P", "--dialect", "freebsd")
        master = a.steered(*options, virtual=FOUR)
        await self.becomes(master, "MASTER")
        backup = b.steered(*options, *SLOWER, virtual=FOUR)
        await self.becomes(backup, "BACKUP")
        told = master.tell("demote negative -1")
        await self.until(lambda: master.said("Demoted by -1 (in all, by -1)"), "it is told", 2)
        await self.advertises(a, told + 1.0)
        backup.tell("demote negative -200")
        await self.until(lambda: backup.said("Demoted by -200"), "it is told", 2)
        await self.advertises(a, time.monotonic() + 1.0)
        self.assertEqual((master.state, backup.state), ("MASTER", "BACKUP"))
        self.assertEqual(self.wire.of(b.address), [])
        self.assertEqual({one.said.advskew for one in self.wire.adverts}, {0})

    async def test_forced(self) -> None:
        """
        C09: a lone host that is told what to be obeys, and is master in the end.
        """
        a = self.host("a")
        daemon = a.steered("--assign", "-b", "5", "-r", "1", virtual=FOUR)
        await self.listens(daemon)
        for _ in range(2):
            daemon.tell("claim")
        await self.becomes(daemon, "MASTER", 1)
        for _ in range(2):
            daemon.tell("resign")
        resigned = await self.becomes(daemon, "BACKUP", 1)
        daemon.tell("claim")  # in vain: it has just resigned
        await self.until(lambda: f"{VIRTUAL}/24" not in a.node.addresses(), "it lets go", 2)
        self.assertEqual(daemon.state, "BACKUP")
        await self.during(max(0.0, resigned + 3.0 + self.slack - time.monotonic()))
        daemon.tell("claim")
        await self.becomes(daemon, "MASTER", 1)
        await self.until(lambda: f"{VIRTUAL}/24" in a.node.addresses(), "it has it", 2)
        self.assertEqual(daemon.said("Traceback"), [])

    async def swaps(self, name: str, unicast: bool) -> None:
        """
        Demote the master of an OpenBSD group, on a switch of its own.
        """
        switch = self.testbed.switch(name)
        wire = self.listen(switch)
        a, b = self.members(switch)
        options = ("--assign", "-r", "2", "--dialect", "openbsd")
        toB = ("--peer", b.address) if unicast else ()
        toA = ("--peer", a.address) if unicast else ()
        for host in (a, b):
            host.node.unplug()
        first = a.steered(*options, *toB, virtual=FOUR)
        second = b.txcarp(*options, *SLOWER, *toA, virtual=FOUR)
        await self.plugIn((a, first), (b, second))
        await self.becomes(first, "MASTER")
        await self.during(1.5)
        self.assertEqual((first.state, second.state), ("MASTER", "BACKUP"))
        self.assertEqual(wire.of(b.address), [])
        first.tell("demote carpdemote 1")
        taken = await self.advertises(b, within=2, wire=wire)
        said = next(one.time for one in wire.of(a.address) if one.said.demotion)
        self.report(f"{name}: swapped after {(taken - said) * 1000:.1f} ms")
        self.assertLess(taken - said, SWAPPED + self.slack)
        await self.becomes(first, "BACKUP", 1)
        first.tell("promote carpdemote")
        await self.advertises(b, time.monotonic() + 1.0, wire=wire)
        self.assertEqual((first.state, second.state), ("BACKUP", "MASTER"))
        self.assertEqual(wire.since(a.address, taken + SWAPPED + self.slack), [])
        self.assertEqual(
            {one.destination for one in wire.adverts},
            {a.address, b.address} if unicast else {"224.0.0.18"},
        )

    async def test_openbsd(self) -> None:
        """
        C10, C12: the lower skew wins the start, and demotion swaps the roles at once without
        preemption; so it does in unicast.
        """
        await gatherResults(
            [
                self.concurrently(self.swaps("group", unicast=False)),
                self.concurrently(self.swaps("peers", unicast=True)),
            ],
            consumeErrors=True,
        )

    async def test_offer(self) -> None:
        """
        A demoted master whose backup does not preempt moves the address with an offer, at
        once: no client is without it for longer than that and the take-over.
        """
        a, b = self.members()
        client = self.client()
        options = ("--assign", "-r", "2")
        master = a.steered(*options, virtual=FOUR)
        await self.becomes(master, "MASTER")
        backup = b.txcarp(*options, *SLOWER, virtual=FOUR)
        await self.listens(backup)
        pinger = self.pinger(client, VIRTUAL)
        await self.answers(pinger)
        told = master.tell("demote uplink 240")
        taken = await self.advertises(b, told, 3)
        said = [one for one in self.wire.since(a.address, told) if one.time <= taken]
        offered = [(one.said.advbase, one.said.advskew) for one in said[:2]]
        self.assertEqual(offered, [(1, 240), (2, 240)])
        self.report(
            f"moved {(taken - said[0].time) * 1000:.1f} ms after the demotion was said, "
            f"{(taken - said[1].time) * 1000:.1f} ms after the offer"
        )
        self.assertLess(taken - said[0].time, OFFER_AFTER + self.slack)
        await self.becomes(master, "BACKUP", 2)
        await self.answers(pinger)
        self.assertLess(pinger.gaps(told).silence, self.slack)
        master.tell("promote uplink")
        await self.advertises(b, time.monotonic() + 1.0)
        self.assertEqual((master.state, backup.state), ("BACKUP", "MASTER"))

    async def test_trackedInterface(self) -> None:
        """
        A master whose other interface loses its link hands over, and takes the address
        back when the link is there again.
        """
        a, b = self.members()
        client = self.client()
        other = a.node.connect(self.testbed.switch("other"))
        options = (*QUICK, "-P")
        master = a.txcarp(*options, "--track-interface", other, virtual=FOUR)
        await self.becomes(master, "MASTER")
        backup = b.txcarp(*options, *SLOWER, virtual=FOUR)
        await self.listens(backup)
        pinger = self.pinger(client, VIRTUAL)
        await self.answers(pinger)
        for step, host, states in (
            (a.node.unplug, b, ("BACKUP", "MASTER")),
            (a.node.plugIn, a, ("MASTER", "BACKUP")),
        ):
            step(other)
            for daemon, state in zip((master, backup), states, strict=True):
                changed = await self.becomes(daemon, state, 2)
            await self.answers(pinger)
            self.assertEqual(await self.neighbour(client, VIRTUAL), host.hardware.hex(":"))
            await self.advertises(host, changed + 0.5)
        self.assertEqual(len(master.said("link of eth1")), 2)


class SecretTests(FamilyTestCase):
    """
    Groups that seal, and groups that change their password.
    """

    async def test_sealRequired(self) -> None:
        """
        With C{--seal require} hosts take over from each other, and a host that knows the
        password but does not seal changes nothing, however much it is preferred.
        """
        a, b = self.members()
        stranger = self.host("stranger")
        master, backup = await self.pair(a, b, FOUR, "--seal", "require")
        intruder = stranger.txcarp("-b", "0", "-k", "200", "-P", "--seal", "off")
        begun = await self.advertises(stranger)
        await self.advertises(stranger, begun + 2.0)
        self.assertEqual((master.state, backup.state), ("MASTER", "BACKUP"))
        self.assertEqual(intruder.state, "MASTER", "it believes them")
        for daemon in (master, backup):
            self.assertEqual(len(daemon.said("(unsealed, ")), 1)
        master.signal(signal.SIGTERM)
        await self.becomes(backup, "MASTER", 2)

    async def test_passwordChange(self) -> None:
        """
        A group changes its password host by host, and nobody misses a master meanwhile.
        """
        a, b = self.members()
        old, new = (self.directory / name for name in ("old", "new"))
        for path in (old, new):
            path.write_text(f"the {path.name} one\n")
            path.chmod(0o600)
        skews = {a: ("-k", "0"), b: SLOWER}
        everybody = []

        async def start(host: Host, *options: str) -> Daemon:
            daemon = host.txcarp("--assign", "-r", "2", "-D", *skews[host], *options, virtual=FOUR)
            everybody.append(daemon)
            await self.becomes(daemon, "BACKUP")
            return daemon

        async def hears(daemon: Daemon) -> None:
            await self.until(lambda: daemon.said("Received from"), f"{daemon.name} hears", 5)

        running = {a: await start(a, "-o", str(old))}
        await self.becomes(running[a], "MASTER")
        running[b] = await start(b, "-o", str(old))
        backup, master = b, a
        for options in (
            ("-o", str(old), "--accept-passfile", str(new)),
            ("-o", str(new), "--accept-passfile", str(old)),
            ("-o", str(new)),
        ):
            for host, other in ((backup, master), (master, backup)):
                await hears(running[backup])
                await self.stopped(running[host])
                await self.becomes(running[other], "MASTER", 2)
                running[host] = await start(host, *options)
            backup, master = master, backup
        await hears(running[backup])
        self.assertEqual(len(everybody), 8)
        for words in ("Bad digest", "Traceback", "two-masters"):
            self.assertEqual([one.name for one in everybody if one.said(words)], [], words)
        silences = [one for one in everybody if one.said("within the dead time")]
        self.assertEqual(silences, everybody[:1])


class UcarpTests(LabTestCase):
    """
    One group with the real ucarp, in what it can be configured like; the advertisements of
    txcarp are sealed.
    """

    #: Seconds that ucarp may leave a packet or a deadline unread.
    READING = 2.0

    async def together(self, name: str, ratio: int, skew: int) -> None:
        """
        Each takes over from the other, on a switch of their own.
        """
        switch = self.testbed.switch(name)
        wire = self.listen(switch)
        a, b = self.host(f"a-{name}", switch=switch), self.host(f"b-{name}", switch=switch)
        options = ("-r", str(ratio), "-k", str(skew))
        dead = Timing(1, skew).deadTime(ratio)
        daemon = a.txcarp(*options)
        await self.becomes(daemon, "MASTER")
        peer = b.ucarp(*options)
        started = await self.becomes(peer, "BACKUP")
        await self.during(max(0.0, started + dead + self.READING - time.monotonic()))
        self.assertEqual((daemon.state, peer.state), ("MASTER", "BACKUP"))
        self.assertEqual(wire.of(b.address), [])
        await self.stopped(daemon, signal.SIGKILL)
        last = wire.of(a.address)[-1].time
        taken = await self.advertises(b, last, wire=wire)
        self.assertLess(taken - last, dead + Timing(1, skew).interval + self.READING)

        again = a.txcarp(*options)
        started = await self.becomes(again, "BACKUP")
        await self.during(max(0.0, started + dead + 0.2 - time.monotonic()))
        self.assertEqual((again.state, peer.state), ("BACKUP", "MASTER"))
        self.assertEqual(wire.since(a.address, last), [])
        await self.stopped(peer, signal.SIGKILL)
        last = wire.of(b.address)[-1].time
        taken = await self.advertises(a, last, wire=wire)
        self.report(f"{name}: took over {(taken - last - dead) * 1000:+.1f} ms from the deadline")
        self.assertGreater(taken - last, dead - 0.01)
        self.assertLess(taken - last, dead + self.slack)
        self.assertEqual(peer.said("Bad ") + again.said("Bad "), [])

    async def zero(self) -> None:
        """
        Without a base the skew is all the time there is.  As a backup ucarp does not read
        fast enough for that, and tries again and again; it is told each time.
        """
        switch = self.testbed.switch("zero")
        wire = self.listen(switch)
        a, b = self.host("a-zero", switch=switch), self.host("b-zero", switch=switch)
        daemon = a.txcarp("-b", "0", "-k", "50")
        await self.becomes(daemon, "MASTER")
        peer = b.ucarp("-b", "0", "-k", "100")
        started = await self.becomes(peer, "BACKUP")
        await self.until(
            lambda: len(peer.said("going back to BACKUP")) > 2 and peer.state == "BACKUP",
            "it gives way",
            8,
        )
        self.assertEqual(len(daemon.said("Switching to state")), 2)
        self.assertLess(max(wire.gaps(a.address, started)), Timing(0, 50).interval + self.slack)
        await self.stopped(daemon, signal.SIGKILL)
        last = wire.of(a.address)[-1].time
        taken = await self.advertises(b, last, wire=wire)
        self.assertLess(taken - last, Timing(0, 255).interval + self.READING)

        await self.stopped(peer, signal.SIGKILL)

        peer = b.ucarp("-b", "0", "-k", "50")
        await self.becomes(peer, "MASTER")
        backup = a.txcarp("-b", "0", "-k", "255")
        started = await self.becomes(backup, "BACKUP")
        dead = Timing(0, 255).deadTime(3)
        await self.advertises(b, started + dead + 0.5, wire=wire)
        self.assertEqual((backup.state, peer.state), ("BACKUP", "MASTER"))
        await self.stopped(peer, signal.SIGKILL)
        last = wire.of(b.address)[-1].time
        taken = await self.advertises(a, last, wire=wire)
        self.report(f"zero: took over {(taken - last - dead) * 1000:+.1f} ms from the deadline")
        self.assertGreater(taken - last, dead - 0.01)
        self.assertLess(taken - last, dead + self.slack)

    async def equal(self, name: str, *options: str) -> None:
        """
        A ucarp master and a txcarp backup, whose dead time is the interval, and no longer.
        """
        switch = self.testbed.switch(name)
        wire = self.listen(switch)
        a, b = self.host(f"a-{name}", switch=switch), self.host(f"b-{name}", switch=switch)
        master = b.ucarp(*options)
        await self.becomes(master, "MASTER")
        backup = a.txcarp(*options)
        await self.listens(backup)
        await self.during(8.0)
        self.assertEqual((backup.state, master.state), ("BACKUP", "MASTER"))
        self.assertEqual(wire.of(a.address), [])

    async def test_noMargin(self) -> None:
        """
        C22: with a dead ratio of one, and without a base, an advertisement that is a
        millisecond late is no dead master.
        """
        await gatherResults(
            [
                self.concurrently(self.equal("one", "-r", "1", "-k", "128")),
                self.concurrently(self.equal("baseless", "-b", "0", "-k", "200")),
            ],
            consumeErrors=True,
        )

    async def test_timings(self) -> None:
        """
        C22: each takes over from the other: with another dead ratio, with the highest skew,
        and without a base.
        """
        await gatherResults(
            [
                self.concurrently(self.together("ratio", 2, 0)),
                self.concurrently(self.together("skew", 2, 255)),
                self.concurrently(self.zero()),
            ],
            consumeErrors=True,
        )
