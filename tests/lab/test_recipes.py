"""
The recipes in C{docs/recipes.rst} that need no program but txcarp and ucarp.  The others are run
by C{python -m tests.recipes}.
"""

from __future__ import annotations

import shlex
import signal
import socket
import time
from functools import partial
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import LoopingCall

import txcarp
from tests import crafted
from tests.lab.daemons import Daemon
from tests.lab.wire import Advert
from tests.lab.world import STARTING, Host
from tests.recipes.clients import Asker, knock
from tests.recipes.text import block, exchangedSkews
from tests.recipes.world import PASSWORD, RecipeTestCase
from txcarp.clock.monotonic import MonotonicClock

_EXAMPLES = Path(txcarp.__file__).parent.parent / "examples"

_WEB = "10.1.1.252"


class SharedTestCase(RecipeTestCase):
    """
    Shared addresses, and a client that knocks there.
    """

    def client(self, *addresses: str) -> Host:
        """
        Make the host of the client.
        """
        return self.host("client", *addresses[:1], None, *addresses[1:])

    def knocking(self, client: Host, address: str) -> Asker:
        """
        Knock at an address until the end of the test.
        """
        return self.asker(partial(knock, client.node, address))

    async def has(self, host: Host, *addresses: str) -> float:
        """
        Wait until a host has addresses.
        """
        return await self.until(
            lambda: {*addresses} <= {*host.node.addresses()},
            f"{host.name} has {', '.join(addresses)}",
            STARTING,
        )

    async def lacks(self, host: Host, *addresses: str) -> float:
        """
        Wait until a host has none of some addresses.
        """
        return await self.until(
            lambda: not {*addresses} & {*host.node.addresses()},
            f"{host.name} does not have {', '.join(addresses)}",
            STARTING,
        )


class TwoAddressesTests(SharedTestCase):
    """
    Each of two hosts is master of one address.
    """

    title = "Two addresses on two hosts"

    async def test_moves(self) -> None:
        """
        One that is killed leaves its address to the other, and gets it back when it returns.
        """
        left, right = "10.1.1.251/24", "10.1.1.252/24"
        a, b = self.host("a", "10.1.1.1/24"), self.host("b", "10.1.1.2/24")
        file = self.configuration()
        first = self.fromText(a, file)
        second = self.fromText(b, exchangedSkews(file))
        for host, own, other in ((a, left, right), (b, right, left)):
            await self.has(host, own)
            await self.lacks(host, other)
        client = self.client("10.1.1.100/24")
        askers = [self.knocking(client, one.partition("/")[0]) for one in (left, right)]
        for asker in askers:
            await self.answered(asker)
        since = time.monotonic()
        first.signal(signal.SIGKILL)
        await self.has(b, left, right)
        for asker in askers:
            await self.answered(asker)
        self.lost("txcarp killed", since, moved=askers[0], other=askers[1])
        self.fromText(a, file)
        await self.has(a, left)
        await self.lacks(b, left)
        self.assertIn(right, b.node.addresses())
        self.assertFalse(second.ended)


class IPv6Tests(SharedTestCase):
    """
    Hosts, a gateway and a client without any IPv4 address.
    """

    title = "IPv6 only"
    route = ("default", "via", "fe80::1", "dev", "eth0")

    async def test_moves(self) -> None:
        """
        The address moves if the master cannot reach the gateway.
        """
        address = "2001:db8::80/64"
        ip = self.program("ip", "iproute2")
        self.testbed.node("gateway", "fe80::1/64")
        hosts = [self.host(name, f"2001:db8::{n}/64") for n, name in enumerate("ab", 1)]
        for host in hosts:
            await self.output(host, ip, "-6", "route", "add", *self.route)
        a, b = hosts
        first = self.fromText(a, self.configuration(0))
        await self.becomes(first, "MASTER")
        second = self.fromText(b, self.configuration(100))
        await self.listens(second)
        await self.until(lambda: second.said("Check gateway is good"), "b is fit", STARTING)
        asker = self.knocking(self.client("2001:db8::100/64"), "2001:db8::80")
        await self.answered(asker)
        since = time.monotonic()
        await self.output(a, ip, "-6", "route", "del", *self.route)
        await self.has(b, address)
        await self.answered(asker)
        self.lost("the master has no gateway", since, client=asker)
        self.assertTrue(first.said("Check gateway is bad"))
        self.assertEqual({one.isIPv6 for one in self.wire.adverts}, {True})


class UcarpTests(SharedTestCase):
    """
    The real ucarp on the other host.
    """

    title = "A group with ucarp"
    packages = ("ucarp",)
    needsUcarp = True

    def ucarp(self, host: Host) -> Daemon:
        """
        Start ucarp as the recipe says, but with files that are in the source and in the directory
        of the test, and without syslog.
        """
        _, *words = shlex.split(block(self.title, "ucarp --interface"))
        password = host.directory / "ucarp.password"
        password.write_text(PASSWORD)
        places = {"/etc/ucarp.password": str(password), "/usr/local/sbin": str(_EXAMPLES)}
        for place, here in places.items():
            words = [word.replace(place, here) for word in words]
        return host.run("b ucarp", (self.ucarpPath,), [*words, "--facility=none"])

    async def test_moves(self) -> None:
        """
        ucarp takes over when txcarp is stopped or killed, and gives the address back.
        """
        address = f"{_WEB}/24"
        self.program("ip", "iproute2")  # for the scripts
        a, b = self.host("a", "10.1.1.1/24"), self.host("b", "10.1.1.2/24")
        first = self.fromText(a, self.configuration(0))
        await self.becomes(first, "MASTER")
        ucarp = self.ucarp(b)
        await self.becomes(ucarp, "BACKUP")
        await self.has(a, address)
        await self.beats(a)
        asker = self.knocking(self.client("10.1.1.100/24"), _WEB)

        async def leaves(what: str, number: int) -> None:
            await self.answered(asker)
            since = time.monotonic()
            first.signal(number)
            await self.has(b, address)
            await self.answered(asker)
            self.lost(f"txcarp {what}", since, client=asker)

        await leaves("killed", signal.SIGKILL)
        first = self.fromText(a, self.configuration(0))
        await self.has(a, address)
        await self.lacks(b, address)
        await self.beats(a)
        await leaves("stopped", signal.SIGTERM)

    async def beats(self, host: Host) -> None:
        """
        Wait for two advertisements, so that ucarp has heard the first one.
        """
        since = time.monotonic()
        await self.until(
            lambda: len(self.wire.since(host.address, since)) > 1, "it advertises", STARTING
        )


class _Kernel:
    """
    A host that sends what a BSD kernel sends.  It is always master while it is on.

    @ivar demotion: The demotion that OpenBSD advertises.
    """

    address = "10.1.1.2"
    _VHID, _PASSWORD = 1, PASSWORD.strip().encode()

    def __init__(self, test: SharedTestCase, tos: int, step: int) -> None:
        """
        @param tos: The type of service of its packets.
        @param step: By how much its counter grows with each.
        """
        self.host = test.host("bsd", f"{self.address}/24")
        self.demotion = 0
        self._tos, self._step, self._counter = tos, step, 0x1234_5678_9ABC_DEF0
        self._sock = self.host.node.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._sock.bind(("eth0", 0))
        clock = MonotonicClock(reactor)  # type: ignore[arg-type]
        self._loop = LoopingCall(self._advertise)
        self._loop.clock = clock
        for cleanup in (self._sock.close, clock.stop, self.off):
            test.addCleanup(cleanup)

    def on(self) -> None:
        """
        Become master.
        """
        self.host.node.addAddress(f"{_WEB}/24")
        self._loop.start(1.0)

    def off(self) -> None:
        """
        Fall silent, without a bow-out.
        """
        if self._loop.running:
            self._loop.stop()
            self.host.node.removeAddress(f"{_WEB}/24")

    def believes(self, advert: Advert) -> bool:
        """
        Whether the kernel would take an advertisement for one of its group.
        """
        said = advert.said
        proof = crafted.digest(said.counter, self._PASSWORD, self._VHID, _WEB)
        return (said.vhid, said.digest, advert.hops) == (self._VHID, proof, 255)

    def _advertise(self) -> None:
        self._counter += self._step
        packet = crafted.packet(
            source=self.address,
            tos=self._tos,
            vhid=self._VHID,
            advbase=1,
            advskew=0,
            counter=self._counter,
            demotion=self.demotion,
            password=self._PASSWORD,
            addresses=[_WEB],
        )
        group = b"\x01\x00\x5e\x00\x00\x12"
        self._sock.send(group + bytes((0, 0, 0x5E, 0, 1, self._VHID)) + b"\x08\0" + packet)


class KernelTestCase(SharedTestCase):
    """
    A backup of a master that sends what a BSD kernel sends.
    """

    async def follow(self, kernel: _Kernel) -> tuple[Host, Daemon, Asker]:
        """
        Start the master, the backup, and a client.

        @return: The host of the backup, its daemon, and what asks the shared address.
        """
        host = self.host("a", "10.1.1.1/24")
        kernel.on()
        daemon = self.fromText(host, self.configuration())
        await self.listens(daemon)
        asker = self.knocking(self.client("10.1.1.100/24"), _WEB)
        await self.answered(asker)
        return host, daemon, asker

    async def giveWay(self, kernel: _Kernel, host: Host, daemon: Daemon, asker: Asker) -> None:
        """
        Check what the backup sent as master, and that it gives way to the kernel.
        """
        said = self.wire.of(host.address)
        self.assertTrue(said)
        self.assertEqual([one for one in said if not kernel.believes(one)], [])
        kernel.on()
        await self.becomes(daemon, "BACKUP")
        await self.lacks(host, f"{_WEB}/24")
        await self.answered(asker)


class FreeBSDTests(KernelTestCase):
    """
    A host that sends what FreeBSD sends.
    """

    title = "A group with FreeBSD"

    async def test_moves(self) -> None:
        """
        txcarp takes over from it when it is silent, sends what it would believe, and gives way to
        it when it returns.
        """
        kernel = _Kernel(self, tos=0xE0, step=1)
        a, daemon, asker = await self.follow(kernel)
        since = time.monotonic()
        kernel.off()
        await self.has(a, f"{_WEB}/24")
        await self.answered(asker)
        self.lost("FreeBSD lost", since, client=asker)
        await self.giveWay(kernel, a, daemon, asker)


class OpenBSDTests(KernelTestCase):
    """
    A host that sends what OpenBSD sends.
    """

    title = "A group with OpenBSD"

    async def test_moves(self) -> None:
        """
        txcarp takes over when it is demoted, although its advskew is lower, and gives way when it
        is not any more.
        """
        kernel = _Kernel(self, tos=0x10, step=0)
        a, daemon, asker = await self.follow(kernel)
        since = time.monotonic()
        kernel.demotion = 1
        await self.has(a, f"{_WEB}/24")
        kernel.off()  # as it does when it hears a host that is less demoted
        await self.answered(asker)
        self.lost("OpenBSD demoted", since, client=asker)
        kernel.demotion = 0
        await self.giveWay(kernel, a, daemon, asker)
