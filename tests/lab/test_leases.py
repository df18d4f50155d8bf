"""
Addresses that a host lets go when it should: with C{--assign}, and what becomes of the
address when the host that has it fails.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence

from twisted.internet import reactor

from tests.lab.daemons import TWISTD, Daemon
from tests.lab.holders import Holders, Span
from tests.lab.world import VIRTUAL, Host, LabTestCase
from tests.network.scenery import egressRule, fullQueue
from txcarp.clock.monotonic import MonotonicClock
from txcarp.netlink.requests import delAddress, newAddress
from txcarp.testbed import Node
from txcarp.testbed.pinger import Pinger, openPingSocket
from txcarp.testbed.program import TXCARP

#: Seconds after which a backup takes over, with the default timing.
DEAD = 3.0

#: Seconds for which two hosts may have the address.
OVERLAP = 0.4

_PROBE = 0.002


def removeAddress(node: Node, address: str) -> None:
    """
    Remove an address behind the back of whoever added it.
    """
    with node.netlink() as netlink:
        index = netlink.link("eth0").index
        for found in netlink.addresses():
            if found.index == index and found.local == Holders.packed(address):
                netlink.request(delAddress(index, found.local, found.prefixLength))


class PairTestCase(LabTestCase):
    """
    Two txcarp hosts, of which a is master, and a client.

    @ivar holders: which of them have the address, at every moment.
    """

    needsUcarp = False

    async def pair(self, *options: str) -> tuple[Host, Host, Daemon, Daemon]:
        """
        Start both hosts.
        """
        a, b = self.host("a"), self.host("b")
        self.holders = Holders(reactor, VIRTUAL)  # type: ignore[arg-type]
        self.addCleanup(self.holders.stop)
        for host in (a, b):
            self.holders.watch(host.node)
        first = a.txcarp("--assign", *options)
        await self.becomes(first, "MASTER")
        second = b.txcarp("--assign", *options)
        await self.becomes(second, "BACKUP")
        await self.held("a", within=5)
        # The backup has heard the master, and counts from there.
        await self.advertises(a, time.monotonic())
        await self.during(0.2)
        return a, b, first, second

    async def held(self, *names: str, within: float) -> float:
        """
        Wait until exactly these hosts have the address.
        """
        who = " and ".join(names) or "nobody"
        return await self.until(
            lambda: self.holders.now == set(names), f"{who} has the address", within
        )

    def client(self) -> Pinger:
        """
        Somebody who pings the address all the time.
        """
        node = self.testbed.node("client", "10.99.0.200/24")
        clock = MonotonicClock(reactor)  # type: ignore[arg-type]
        with node.inside():
            pinger = Pinger(reactor, clock, openPingSocket(VIRTUAL), VIRTUAL, _PROBE)  # type: ignore[arg-type]
        pinger.start()
        self.addCleanup(clock.stop)
        self.addCleanup(pinger.stop)
        return pinger

    def both(self, since: float) -> Span:
        """
        The longest time since a moment in which two hosts had the address.
        """
        return self.holders.longest(lambda names: len(names) > 1, since, time.monotonic())

    def overlapIsShort(self, since: float, what: str) -> None:
        """
        Check and report how long two hosts had the address.
        """
        both = self.both(since)
        self.report(f"{what}: both had the address for {both.seconds * 1000:.0f} ms")
        self.assertFalse(both.open)
        self.assertLess(both.seconds, OVERLAP + self.slack)


class FailureTests(PairTestCase):
    """
    Masters that cannot let go any more: their kernel does it.
    """

    async def test_killed(self) -> None:
        """
        The kernel takes the address from a host whose daemon was killed, and its guard, too.
        """
        a, _, first, second = await self.pair()
        killed = time.monotonic()
        first.signalAll(signal.SIGKILL)
        await self.held("b", within=DEAD + 6)
        await self.becomes(second, "MASTER", 1)  # what it says may come a moment later
        self.overlapIsShort(killed, "killed")
        self.assertNotIn(f"{VIRTUAL}/32", a.node.addresses())

    async def test_dropsEverything(self) -> None:
        """
        A master from which nothing leaves, although it has a carrier, loses its address before
        the backup takes over, and yields to it.
        """
        a, _, first, second = await self.pair()
        for blocked in fullQueue, egressRule:
            with blocked(a.node):
                since = time.monotonic()
                await self.held("b", within=DEAD + 6)
                self.overlapIsShort(since, blocked.__name__)
                await self.becomes(first, "BACKUP", 5)
                await self.during(3.0)
                self.assertEqual(self.holders.now, {"b"})
            self.assertTrue(first.said("write() has failed: the kernel dropped the packet"))
            second.signal(signal.SIGUSR2)
            await self.held("a", within=5)

    async def test_stalled(self) -> None:
        """
        A master that is stopped and goes on after its backup took over says nothing
        before it has stepped back, and says how long it did not run.
        """
        a, _, first, second = await self.pair("--guard", "off")
        stopped = time.monotonic()
        first.signal(signal.SIGSTOP)
        await self.held("b", within=DEAD + 6)
        self.overlapIsShort(stopped, "stalled")
        await self.during(max(0.0, stopped + 5.0 - time.monotonic()))
        goesOn = time.monotonic()
        first.signal(signal.SIGCONT)
        await self.becomes(first, "BACKUP", 5)
        await self.during(2.0)
        self.assertEqual(self.wire.since(a.address, goesOn), [], "not one advertisement")
        self.assertEqual(self.wire.claims(a.node.link().address, goesOn), [])
        [line] = [text for _, text in first.lines if "did not run for" in text][:1]
        pause = float(line.partition("did not run for ")[2].split()[0])
        self.assertGreater(pause, DEAD)
        self.assertLess(abs(pause - (goesOn - stopped)), 1.2 + self.slack)
        self.assertIn("this host did not run", "".join(text for _, text in first.lines))
        self.assertEqual((first.state, second.state), ("BACKUP", "MASTER"))
        self.assertEqual(self.holders.now, {"b"})

    async def test_bothStalled(self) -> None:
        """
        Hosts that all did not run, as on a machine that slept, find one master again.
        """
        _, _, first, second = await self.pair()
        stopped = time.monotonic()
        for daemon in (first, second):
            daemon.signalAll(signal.SIGSTOP)
        await self.held(within=DEAD + 3)
        await self.during(max(0.0, stopped + 5.0 - time.monotonic()))
        for daemon in (first, second):
            daemon.signalAll(signal.SIGCONT)
        await self.until(lambda: len(self.holders.now) == 1, "one has the address", DEAD + 6)
        await self.during(2.5)
        self.overlapIsShort(stopped, "both stalled")
        self.assertEqual(len(self.holders.now), 1)
        self.assertEqual(sorted((first.state, second.state)), ["BACKUP", "MASTER"])

    async def test_powerOff(self) -> None:
        """
        A host that is gone with everything on it is replaced within the dead time.
        """
        a, _, first, second = await self.pair()
        off = time.monotonic()
        first.signalAll(signal.SIGKILL)
        a.node.deleteInterface()
        taken = await self.held("b", within=DEAD + 6)
        self.report(f"power off: nobody had the address for {(taken - off) * 1000:.0f} ms")
        self.assertLess(taken - off, DEAD + 0.05 + self.slack)
        await self.becomes(second, "MASTER", 1)

    async def test_cable(self) -> None:
        """
        A master without a carrier lets go at once, and takes part again when it is back.
        """
        a, _, first, second = await self.pair()
        pulled = time.monotonic()
        a.node.unplug()
        released = await self.until(lambda: "a" not in self.holders.now, "it lets go", 3)
        self.assertLess(released - pulled, self.slack)
        await self.held("b", within=DEAD + 6)
        a.node.plugIn()
        await self.during(2.0)
        self.overlapIsShort(pulled, "cable")
        self.assertEqual(self.holders.now, {"b"})
        self.assertEqual((first.state, second.state), ("BACKUP", "MASTER"))


class PlannedTests(PairTestCase):
    """
    Masters that go of their own accord.
    """

    async def test_stopped(self) -> None:
        """
        A master that is stopped answers until its successor does.
        """
        _, _, first, second = await self.pair()
        pinger = self.client()
        await self.during(0.5)
        stopping = time.monotonic()
        first.signal(signal.SIGTERM)
        await self.held("b", within=5)
        await self.during(0.3)
        gap = pinger.gaps(stopping)
        self.report(f"planned stop: {gap.lost} probes lost, {gap.silence * 1000:.0f} ms")
        # One, where two hosts share nothing but this machine; more where it is busy.
        self.assertLessEqual(gap.lost, 1 + self.slack / 0.05)
        await self.until(lambda: second.said("the master bowed out"), "the reason", 3)
        await self.until(lambda: first.ended, "it ends", 5)
        self.overlapIsShort(stopping, "planned stop")

    async def test_nobodyThere(self) -> None:
        """
        A master without a backup answers for half a second more, then lets go.
        """
        a = self.host("a")
        self.holders = Holders(reactor, VIRTUAL)  # type: ignore[arg-type]
        self.addCleanup(self.holders.stop)
        self.holders.watch(a.node)
        daemon = a.txcarp("--assign", "-r", "1")
        await self.held("a", within=30)
        stopping = time.monotonic()
        daemon.signal(signal.SIGTERM)
        released = await self.held(within=5)
        self.assertGreater(released - stopping, 0.45)
        self.assertLess(released - stopping, 0.5 + self.slack)
        await self.until(lambda: daemon.ended, "it ends", 5)

    async def test_releaseFirst(self) -> None:
        """
        With C{--release-first} there is no moment in which both have the address.
        """
        _, _, first, _ = await self.pair("--release-first")
        stopping = time.monotonic()
        first.signal(signal.SIGTERM)
        taken = await self.held("b", within=5)
        self.report(f"release first: taken over after {(taken - stopping) * 1000:.0f} ms")
        self.assertLess(taken - stopping, self.slack)
        self.assertEqual(self.both(stopping), Span())

    async def test_handsOver(self) -> None:
        """
        A master that is told to hand over answers until its successor does, too.
        """
        _, _, first, second = await self.pair()
        pinger = self.client()
        await self.during(0.5)
        asked = time.monotonic()
        first.signal(signal.SIGUSR2)
        await self.held("b", within=5)
        await self.during(0.3)
        gap = pinger.gaps(asked)
        self.report(f"USR2: {gap.lost} probes lost, {gap.silence * 1000:.0f} ms")
        self.assertLessEqual(gap.lost, 1 + self.slack / 0.05)
        self.overlapIsShort(asked, "USR2")
        self.assertEqual((first.state, second.state), ("BACKUP", "MASTER"))


class ReconcileTests(PairTestCase):
    """
    What others do to the addresses.
    """

    async def removed(self, host: Host, virtual: set[str]) -> float:
        """
        Remove the addresses of a host.

        @return: seconds until they were back; they were announced again, too.
        """
        since = time.monotonic()
        for address in virtual:
            removeAddress(host.node, address.partition("/")[0])
        back = await self.until(lambda: virtual <= set(host.node.addresses()), "back", 3)
        hardware = host.hardware
        await self.until(lambda: self.wire.claims(hardware, since), "announced", 3)
        return back - since

    async def test_flushed(self) -> None:
        """
        Addresses that somebody removes are back at once, announced, counted, and the
        log names who usually does that; the backup never notices.
        """
        a, _, first, second = await self.pair("-a", "fd00::100/64")
        pinger = self.client()
        await self.during(0.5)
        virtual = {f"{VIRTUAL}/32", "fd00::100/64"}
        worst = 0.0
        for _ in range(3):
            worst = max(worst, await self.removed(a, virtual))
        self.report(f"removed addresses were back after {worst * 1000:.1f} ms at most")
        self.assertLess(worst, self.slack)
        gap = pinger.gaps()
        self.report(f"the client lost {gap.lost} of {gap.sent} probes")
        self.assertEqual(len(first.said("Another program removed")), 1, "one line a minute")
        self.assertTrue(first.said("systemd-networkd"))
        self.assertEqual((first.state, second.state), ("MASTER", "BACKUP"))

    async def test_leftOver(self) -> None:
        """
        What a killed daemon left is cleared by the next one at its start, not only when
        its lease ends.
        """
        a = self.host("a")
        with a.node.netlink() as netlink:
            index = netlink.link("eth0").index
            for address, length in ((VIRTUAL, 32), ("fd00::100", 64)):
                packed = Holders.packed(address)
                netlink.request(
                    newAddress(index, packed, length, validLifetime=600, protocol=112)
                )
        daemon = a.txcarp("--assign", "-a", "fd00::100/64", "-b", "20")
        await self.becomes(daemon, "BACKUP")
        virtual = {f"{VIRTUAL}/32", "fd00::100/64"}
        await self.until(lambda: not virtual & set(a.node.addresses()), "cleared", 3)

    async def test_foreign(self) -> None:
        """
        An address that an administrator put on the host is used, said and left alone.
        """
        a = self.host("a")
        a.node.addAddress(f"{VIRTUAL}/24")
        daemon = a.txcarp("--assign", "-r", "1")
        await self.becomes(daemon, "MASTER")
        await self.during(1.5)
        self.assertEqual(len(daemon.said(f"{VIRTUAL} is on eth0 already")), 2, "backup, master")
        await self.stopped(daemon)
        with a.node.netlink() as netlink:
            [found] = [one for one in netlink.addresses() if one.local == Holders.packed(VIRTUAL)]
        self.assertEqual((found.prefixLength, found.validLifetime), (24, None))

    async def test_foreignRemoved(self) -> None:
        """
        When the administrator removes it, as the log asked for, the master holds it on
        lease.
        """
        a = self.host("a")
        a.node.addAddress(f"{VIRTUAL}/24")
        daemon = a.txcarp("--assign", "-r", "1")
        await self.becomes(daemon, "MASTER")
        await self.until(lambda: len(daemon.said("is on eth0 already")) == 2, "it says so", 3)
        a.node.removeAddress(f"{VIRTUAL}/24")
        await self.until(lambda: f"{VIRTUAL}/32" in a.node.addresses(), "it has it", 3)
        said = f"Another program had added {VIRTUAL} to eth0, and has removed"
        await self.until(lambda: daemon.said(said), "it says so", 3)
        await self.stopped(daemon)
        self.assertNotIn(f"{VIRTUAL}/32", a.node.addresses())

    async def test_madePermanent(self) -> None:
        """
        An address on lease that somebody makes permanent is on lease again, and goes
        when the daemon is killed.
        """
        a = self.host("a")
        daemon = a.txcarp("--assign", "-r", "1")
        await self.becomes(daemon, "MASTER")
        await self.until(lambda: f"{VIRTUAL}/32" in a.node.addresses(), "it has it", 3)
        with a.node.netlink() as netlink:
            index = netlink.link("eth0").index
            netlink.request(newAddress(index, Holders.packed(VIRTUAL), 32, replace=True))
        said = f"Another program changed {VIRTUAL} on eth0"
        await self.until(lambda: daemon.said(said), "said", 3)
        daemon.signalAll(signal.SIGKILL)
        await self.until(lambda: f"{VIRTUAL}/32" not in a.node.addresses(), "it goes", 5)

    async def test_networkManager(self) -> None:
        """
        A network manager that flushes the addresses and puts the host's own back has it
        afterwards: it does not leave with the virtual one, with which it is now in one
        network and came second.
        """
        a = self.host("a")
        daemon = a.txcarp("--assign", "-r", "1", virtual=(f"{VIRTUAL}/24",))
        await self.becomes(daemon, "MASTER")
        await self.until(lambda: f"{VIRTUAL}/24" in a.node.addresses(), "it has it", 3)
        for address in (f"{VIRTUAL}/24", f"{a.address}/24"):
            removeAddress(a.node, address.partition("/")[0])
        await self.until(lambda: f"{VIRTUAL}/24" in a.node.addresses(), "it is back", 3)
        a.node.addAddress(f"{a.address}/24")
        await self.stopped(daemon)
        self.assertNotIn(f"{VIRTUAL}/24", a.node.addresses())
        self.assertIn(f"{a.address}/24", a.node.addresses())

    async def test_networkManagerRestarts(self) -> None:
        """
        When the host's own address is flushed with the virtual ones and set again, the host soon
        sends from its own address again, and the virtual ones answer all the time meanwhile.
        """

        def source() -> str:
            with a.node.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.connect(("10.99.0.200", 9))
                return str(sock.getsockname()[0])

        a = self.host("a")
        virtual = f"{VIRTUAL}/24", "10.99.0.101/24"
        daemon = a.txcarp("--assign", "-r", "1", virtual=virtual)
        await self.becomes(daemon, "MASTER")
        await self.until(lambda: f"{VIRTUAL}/24" in a.node.addresses(), "it has it", 3)
        pinger = self.client()
        await self.during(0.5)
        self.assertEqual(source(), a.address)
        for address in (f"{a.address}/24", *virtual):
            removeAddress(a.node, address.partition("/")[0])
        await self.until(lambda: set(virtual) <= set(a.node.addresses()), "they are back", 3)
        since = time.monotonic()
        a.node.addAddress(f"{a.address}/24")
        changed = await self.until(lambda: source() == a.address, "its own source", 3)
        await self.during(1.0)
        gap = pinger.gaps(since)
        self.report(
            f"own source after {(changed - since) * 1000:.0f} ms, {gap.lost} probes lost"
        )
        self.assertLess(changed - since, self.slack)
        self.assertLessEqual(gap.lost, self.slack / 0.05)
        self.assertEqual((source(), daemon.state), (a.address, "MASTER"))
        self.assertTrue(daemon.said("removed this host's own address from eth0"))

    async def test_manyAddresses(self) -> None:
        """
        With many addresses of both families, all come and go, and advertisements keep
        their rhythm.
        """
        a = self.host("a")
        forms = ("10.98.{}.1/24", "fd00:{}::1/64")
        virtual = [form.format(number) for form in forms for number in range(1, 41)]
        options = [word for address in virtual for word in ("-a", address)]
        daemon = a.txcarp("--assign", *options)
        await self.becomes(daemon, "MASTER")
        await self.until(lambda: set(virtual) <= set(a.node.addresses()), "all are there", 5)
        await self.during(4.0)
        self.assertLessEqual(set(virtual), set(a.node.addresses()), "for longer than the lease")
        self.assertLess(max(self.wire.gaps(a.address)), 1.0 + self.slack)
        await self.stopped(daemon)
        self.assertEqual(set(virtual) & set(a.node.addresses()), set())


class HealthTests(PairTestCase):
    """
    A healthy master.
    """

    async def test_keepsItsAddress(self) -> None:
        """
        A master never loses its address while both cores of the machine are busy.
        """
        _, _, first, second = await self.pair()
        since = time.monotonic()
        # More work than there are processors, in processes that end by themselves.
        code = "import time; end = time.time() + 8\nwhile time.time() < end: pass"
        host = Host(self, self.testbed.node("busy"), "", self.directory / "busy")
        for number in range(len(os.sched_getaffinity(0)) + 1):
            host.run(f"busy {number}", (sys.executable, "-c", code), ())
        await self.during(8.0)
        self.assertEqual(self.holders.now, {"a"})
        lost = self.holders.longest(lambda names: "a" not in names, since, time.monotonic())
        self.assertEqual(lost, Span())
        self.assertEqual((first.state, second.state), ("MASTER", "BACKUP"))


class CapabilityTests(LabTestCase):
    """
    Processes that may not do what they are asked for.
    """

    needsUcarp = False

    async def refusal(self, command: Sequence[str], *options: str) -> str:
        """
        What a process says that ends at once because it cannot run.
        """
        host = self.host("a")
        daemon = host.run("unprivileged", command, host.arguments(*options))
        await self.until(lambda: daemon.ended, "it ends", 30)
        self.assertEqual(daemon.status, 2)
        [line] = [text for _, text in daemon.lines]
        return line

    def without(self, capability: str) -> list[str]:
        """
        What runs a command as root without one capability.
        """
        setpriv = self.program("setpriv", "util-linux")
        return [setpriv, "--bounding-set", f"-{capability}", "--inh-caps", f"-{capability}"]

    async def test_rawSockets(self) -> None:
        """
        A process without CAP_NET_RAW ends with one line that names it and the remedy.
        """
        line = await self.refusal([*self.without("net_raw"), *TXCARP])
        for words in ("txcarp: ", "CAP_NET_RAW", "Run it as root", "AmbientCapabilities="):
            self.assertIn(words, line)

    async def test_addresses(self) -> None:
        """
        A process that is to assign addresses and lacks CAP_NET_ADMIN, likewise.
        """
        line = await self.refusal([*self.without("net_admin"), *TXCARP], "--assign")
        for words in ("txcarp: ", "lacks the capability CAP_NET_ADMIN", "--assign", "Ambient"):
            self.assertIn(words, line)

    async def test_addressesInTwistd(self) -> None:
        """
        twistd says the same.
        """
        command = [*self.without("net_admin"), *TWISTD, "-n", "--pidfile=", "txcarp"]
        line = await self.refusal(command, "--assign")
        self.assertIn("CAP_NET_ADMIN", line)

    async def test_scriptsNeedLess(self) -> None:
        """
        Without C{--assign} CAP_NET_RAW is enough.
        """
        host = self.host("a")
        daemon = host.run(
            "without", [*self.without("net_admin"), *TXCARP], host.arguments("-r", "1")
        )
        await self.becomes(daemon, "MASTER")

    async def test_nothingAllowed(self) -> None:
        """
        A process without any capability is told of both at once.
        """
        line = await self.refusal([*self.without("all"), *TXCARP], "--assign")
        for words in (
            "cannot open a raw socket or add addresses (--assign)",
            "lacks the capabilities CAP_NET_RAW and CAP_NET_ADMIN",
            "--ambient-caps=+net_raw,+net_admin",
        ):
            self.assertIn(words, line)
