"""
Two PostgreSQL servers with streaming replication.
"""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from tests.lab.daemons import Daemon
from tests.lab.world import STARTING
from tests.recipes.systemd import SystemdHost
from tests.recipes.text import block
from tests.recipes.world import RecipeTestCase

_TITLE = "A database: PostgreSQL"

_ADDRESS, _GATEWAY = "10.1.1.250", "10.1.1.254"

#: Everybody on the network may do everything: how clients prove who they are is not the matter.
_ACCESS = "local all all trust\nhost all all 10.1.1.0/24 trust\n" + (
    "host replication all 10.1.1.0/24 trust\n"
)


def installed() -> str:
    """
    The version of PostgreSQL that is installed; that of the recipe if there is none.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_rewind"))
    return found[-1].parts[-3] if found else "15"


class DatabaseTests(RecipeTestCase):
    """
    A client that writes all the time.
    """

    title = _TITLE
    packages = ("postgresql", f"postgresql-{installed()}")
    timeout = 600

    def setUp(self) -> None:
        super().setUp()
        self.version = installed()
        self.client = self.host("client", "10.1.1.100/24")
        self.testbed.node("gateway", f"{_GATEWAY}/24")
        self.written: list[int] = []
        self.next = 0

    def text(self, words: str) -> str:
        """
        A file or some commands of the recipe, for the version that is installed.
        """
        return re.sub(r"\b15(?=[ /\n-])", self.version, block(_TITLE, words))

    def service(self) -> str:
        """
        What lets the script become another user.
        """
        return block(_TITLE, "[Service]")

    async def server(self, name: str, number: int, advskew: int) -> SystemdHost:
        """
        Make a host with PostgreSQL, which is not started and has no data.
        """
        units = ("postgresql@.service",)
        machine = await self.machine(name, f"10.1.1.{number}/24", units=units, advskew=advskew)
        machine.host.node.route("default", _GATEWAY)
        place = f"/etc/postgresql/{self.version}/main"
        await machine.run("/bin/sh", "-c", "rm -rf /etc/postgresql/* /var/lib/postgresql/*")
        await machine.run("/usr/bin/pg_createcluster", self.version, "main", "--start-conf=manual")
        settings = self.text("primary_conninfo =")
        if number == 2:
            settings = settings.replace("host=10.1.1.2", "host=10.1.1.1")
        machine.write(f"{place}/conf.d/txcarp.conf", settings)
        machine.write(f"{place}/pg_hba.conf", _ACCESS, owner="postgres")
        log = f"/var/log/postgresql/postgresql-{self.version}-main.log"
        self.addCleanup(machine.show, "server", "/usr/bin/tail", "--lines=60", log)
        machine.write("/usr/local/sbin/database-role", self.text("#!/bin/sh"), 0o755)
        return machine

    async def sql(self, machine: SystemdHost, words: str) -> str:
        """
        Ask the server of a host.
        """
        command = ("/sbin/runuser", "-u", "postgres", "--", "psql", "-XAtqc", words)
        return "\n".join(await machine.run(*command))

    def write(self) -> str:
        """
        Write the next number through the shared address, and note it if that has succeeded.
        """
        number, self.next = self.next, self.next + 1
        words = f"INSERT INTO numbers VALUES ({number})"
        command = ["psql", "-XAtq", "-h", _ADDRESS, "-U", "postgres", "-c", words]
        with self.client.node.inside():
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=2, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise OSError("no answer") from error
        if done.returncode:
            raise OSError(done.stderr)
        self.written.append(number)
        return str(number)

    async def missing(self, machine: SystemdHost) -> int:
        """
        The number of writes that were acknowledged and are not there.
        """
        acknowledged = set(self.written)
        there = await self.sql(machine, "SELECT number FROM numbers")
        return len(acknowledged - set(map(int, there.split())))

    async def follows(self, machine: SystemdHost) -> None:
        """
        Wait until the server of a host follows the primary and its host could be master.
        """
        await self.answering(machine)
        words = "SELECT status FROM pg_stat_wal_receiver"
        end = time.monotonic() + STARTING
        while await self.sql(machine, words) != "streaming":
            self.assertLess(time.monotonic(), end, "it does not follow")
            await self.during(0.2)
        await machine.isFit("database")

    async def answering(self, machine: SystemdHost) -> None:
        """
        Wait until the server of a host answers.
        """
        end = time.monotonic() + STARTING
        while True:
            daemon = machine.start("pg_isready", "/usr/bin/pg_isready", "-h", "/run/postgresql")
            await daemon.exit
            if daemon.status == 0:
                return
            self.assertLess(time.monotonic(), end, "the server does not answer")
            await self.during(0.1)

    async def readOnly(self, machine: SystemdHost) -> None:
        """
        Wait until the server of a host answers, and see that it takes no writes.
        """
        await self.answering(machine)
        self.assertEqual(await self.sql(machine, "SELECT pg_is_in_recovery()"), "t")
        refused = machine.start(
            "psql",
            *("/sbin/runuser", "-u", "postgres", "--", "psql", "-XAtqc"),
            "INSERT INTO numbers VALUES (-1)",
        )
        await refused.exit
        self.assertIn("read-only transaction", str(refused.lines))

    async def prepared(self) -> tuple[SystemdHost, SystemdHost, Daemon, Daemon]:
        """
        Prepare and start both hosts as the recipe says.
        """
        a, b = await self.server("a", 1, 0), await self.server("b", 2, 100)
        await a.run("/usr/bin/systemctl", "start", f"postgresql@{self.version}-main.service")
        await a.run(
            *("/sbin/runuser", "-u", "postgres", "--", "createuser", "--replication", "replicator")
        )
        await self.sql(a, "CREATE TABLE numbers (number int)")
        first = await a.txcarp()
        await self.becomes(first, "MASTER")
        await b.run("/bin/sh", "-ec", self.text("pg_basebackup"))
        second = await b.txcarp()
        await self.becomes(second, "BACKUP")
        return a, b, first, second

    async def rewound(self, machine: SystemdHost) -> None:
        """
        Let a server follow again that has gone its own way.
        """
        await machine.run("/bin/sh", "-ec", self.text("pg_rewind"))
        await self.follows(machine)

    async def test_moves(self) -> None:
        """
        The primary moves with the address when its host is drained, without a lost write; when its
        server dies; when txcarp is killed; and when the host is lost.  The old one comes back as a
        standby that takes no writes, and its host stays out of the election until it follows.
        """
        a, b, first, second = await self.prepared()
        client = self.asker(self.write)
        await self.answered(client)
        await self.follows(b)

        async def moved(what: str, since: float, machine: SystemdHost, daemon: Daemon) -> int:
            await self.until(
                lambda: daemon.said("Switching to state: MASTER", since), what, STARTING
            )
            await self.answered(client)
            self.assertEqual(await self.sql(machine, "SELECT pg_is_in_recovery()"), "f")
            missing = await self.missing(machine)
            self.lost(f"{what}, {missing} acknowledged writes missing", since, client=client)
            return missing

        since = time.monotonic()
        await a.ask("drain", "database")
        self.assertEqual(await moved("drained", since, b, second), 0)
        await self.readOnly(a)
        await a.ask("resume", "database")
        await self.follows(a)

        since = time.monotonic()
        unit = f"postgresql@{self.version}-main.service"
        await b.run("/usr/bin/systemctl", "kill", "--signal=KILL", unit)
        await moved("server killed", since, a, first)
        await self.readOnly(b)
        await self.follows(b)

        since = time.monotonic()
        await a.kill()
        await moved("txcarp killed", since, b, second)
        await self.restarted(first, since)
        await self.until(lambda: first.said("database-role ended", since), "undone", STARTING)
        await self.readOnly(a)
        # It has the end of its own history, which the other one lacks, and must not lead.
        await self.until(
            lambda: first.said("Check copy is bad", since), "it does not follow", STARTING
        )
        await self.rewound(a)

        since = time.monotonic()
        b.halt()
        await moved("host lost", since, a, first)
