"""
A group that changes its password while it runs.
"""

from __future__ import annotations

import signal
import time

from tests.lab.daemons import Daemon
from tests.lab.world import PASSWORD, STARTING, VHID, VIRTUAL, Host, LabTestCase
from txcarp.testbed.program import TXCARP

_NEW = "another one"


class ChangeTests(LabTestCase):
    """
    Hosts that are changed one after the other.
    """

    def write(self, host: Host, *passwords: str, more: str = "") -> None:
        """
        Write the file of a host.

        @param more: More lines.
        """
        names = []
        for number, password in enumerate(passwords):
            path = host.directory / f"password{number}"
            path.write_text(f"{password}\n")
            path.chmod(0o600)
            names.append(f'"{path}"')
        more = more or f'addresses = "{VIRTUAL}/24"'
        (host.directory / "txcarp.toml").write_text(
            '[daemon]\nfacility = "none"\ncontrol = false\n'
            f'[group.web]\ninterface = "eth0"\nvhid = {VHID}\ndead_ratio = 2\n'
            f"passfile = [{', '.join(names)}]\n{more}\n"
        )

    def fromFile(self, host: Host) -> Daemon:
        """
        Start txcarp with the file.
        """
        path = str(host.directory / "txcarp.toml")
        return host.run(f"{host.name} txcarp", TXCARP, ["--config", path])

    async def reload(self, daemon: Daemon) -> None:
        """
        Have the file read again, and wait until it is in effect.
        """
        since = time.monotonic()
        daemon.signal(signal.SIGHUP)
        await self.until(lambda: daemon.said("is in effect", since), "it is in effect", STARTING)

    async def beats(self, host: Host, count: int) -> None:
        """
        Wait for advertisements, each form counted.
        """
        since = time.monotonic()
        await self.until(
            lambda: len(self.wire.since(host.address, since)) >= count, "it advertises", STARTING
        )

    async def test_ucarp(self) -> None:
        """
        A master gets a new password beside the old one, the ucarp that is its backup gets the new
        one, and the old one is given up.  No host but the master ever advertises, and it advertises
        in time.
        """
        a, b = self.host("a"), self.host("b")
        self.write(a, PASSWORD)
        master = self.fromFile(a)
        began = await self.advertises(a)
        old = b.ucarp("-k", "100", "-r", "2")
        await self.becomes(old, "BACKUP")
        self.write(a, _NEW, PASSWORD)
        await self.reload(master)
        await self.beats(a, 6)  # three intervals, for which ucarp waits
        await self.stopped(old)
        new = b.ucarp("-k", "100", "-r", "2", "-p", _NEW)
        await self.becomes(new, "BACKUP")
        await self.beats(a, 6)
        self.write(a, _NEW)
        await self.reload(master)
        await self.beats(a, 3)
        self.assertEqual({advert.source for advert in self.wire.adverts}, {a.address})
        self.assertLess(max(self.wire.gaps(a.address, began)), 1 + self.slack)
        # The backup understands the master, and follows it at once.
        await self.stopped(master)
        await self.becomes(new, "MASTER", 2)
