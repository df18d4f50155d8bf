"""
A set of groups on two networks: real daemons, and a switch port that becomes mute.
"""

from __future__ import annotations

import signal
import time
from functools import partial

from twisted.internet import reactor

from tests.lab.daemons import Daemon
from tests.lab.holders import Holders
from tests.lab.world import STARTING, Host, LabTestCase
from txcarp.testbed.program import TXCARP

#: The virtual addresses outside and inside, and the gateway inside.
_OUTER, _INNER, _GATEWAY = "10.99.0.100", "10.98.0.100", "10.98.0.254"

#: The most seconds in which a fault that a check notices is repaired, on a quiet machine.
_REPAIR = 5.0


class SyncTests(LabTestCase):
    """
    Two firewalls, each with a group on either side.
    """

    needsUcarp = False

    def setUp(self) -> None:
        super().setUp()
        self.inside = self.testbed.switch("inside")
        self.testbed.node("gateway", f"{_GATEWAY}/24", switch=self.inside)
        self.outer, self.inner = (
            Holders(reactor, one) for one in (_OUTER, _INNER)  # type: ignore[arg-type]
        )
        for holders in (self.outer, self.inner):
            self.addCleanup(holders.stop)
        self.hosts = [self.firewall("a", 1), self.firewall("b", 2)]

    def firewall(self, name: str, number: int) -> Host:
        """
        Make a host with an interface on each side.
        """
        host = self.host(name, f"10.99.0.{number}/24")
        host.node.connect(self.inside, f"10.98.0.{number}/24")
        for holders in (self.outer, self.inner):
            holders.watch(host.node)
        return host

    def start(self, host: Host, advskew: int, check: str = "") -> Daemon:
        """
        Run a daemon with a set.

        @param check: The lines of a health check inside.
        """
        (host.directory / "password").write_text("not a secret\n")
        (host.directory / "password").chmod(0o600)
        path = host.directory / "txcarp.toml"
        path.write_text(
            f"""\
[daemon]
facility = "none"
control = false
state_file = false
[defaults]
passfile = "password"
advskew = {advskew}
preempt = true
dead_ratio = 2
[group.outer]
interface = "eth0"
vhid = 1
addresses = "{_OUTER}/24"
[group.inner]
interface = "eth1"
vhid = 2
addresses = "{_INNER}/24"
{check}
[sync.firewall]
groups = ["outer", "inner"]
"""
        )
        return host.run(f"txcarp {host.name}", TXCARP, ["--config", str(path)])

    async def holds(self, host: Host) -> float:
        """
        Wait until a host alone has both addresses.
        """
        name = frozenset((host.node.name,))
        return await self.until(
            lambda: self.outer.now == name == self.inner.now,
            f"{host.name} has both addresses",
            STARTING,
        )

    async def mute(self, host: Host) -> None:
        """
        Lose everything that a host sends inside.
        """
        hardware = host.node.link("eth1").address.hex(":")
        await self.lose(self.inside, f"ether saddr {hardware}")

    async def pair(self, check: str = "") -> list[Daemon]:
        """
        Start the first host, and the second one when the first is master of both groups.
        """
        daemons = []
        for host, advskew, role in zip(self.hosts, (0, 50), ("MASTER", "BACKUP"), strict=True):
            daemon = self.start(host, advskew, check)
            said = partial(daemon.said, f"to state: {role}")
            what = f"{host.name} is {role} of both"
            await self.until(lambda: len(said()) == 2, what, STARTING)  # noqa: B023
            daemons.append(daemon)
        await self.holds(self.hosts[0])
        return daemons

    async def test_mute(self) -> None:
        """
        A master whose port inside becomes mute keeps both addresses, and the backup says that it
        hears it outside only.  When the master dies, the backup takes both.
        """
        first, second = self.hosts
        daemons = await self.pair()
        since = time.monotonic()
        await self.mute(first)
        # That is said a dead time after a single group would have taken over.
        await self.until(
            lambda: daemons[1].said("side-silent", since), "the silence is found", STARTING
        )
        changes = [line for one in daemons for when, line in one.lines if when > since]
        self.assertEqual([line for line in changes if "Switching" in line], [])
        self.assertEqual({*self.outer.now, *self.inner.now}, {first.node.name})
        daemons[0].signal(signal.SIGKILL)
        await self.holds(second)

    async def test_evidence(self) -> None:
        """
        With a check of the gateway, the master whose port is mute hands over both addresses.
        """
        check = f'[group.inner.check.gateway]\ngateway = "{_GATEWAY}"\ninterval = "100ms"'
        first, second = self.hosts
        daemons = await self.pair(check)
        await self.until(lambda: daemons[1].said("is good"), "the gateway answers b", STARTING)
        since = time.monotonic()
        await self.mute(first)
        until = await self.holds(second)
        self.report(f"{until - since:.2f} s from the fault until the other host has both addresses")
        self.assertLess(until - since, _REPAIR + self.slack)
        said = partial(daemons[0].said, "Switching to state: BACKUP", since)
        await self.until(lambda: len(said()) == 2, "the first host says why", STARTING)
        reasons = [line for when, line in daemons[0].lines if when in said()]
        self.assertTrue(any("a health check fails" in line for line in reasons))
        self.assertTrue(any("together with its set (firewall; inner" in line for line in reasons))
