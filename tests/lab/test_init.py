"""
Two hosts that get their first group from C{txcarp init}.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from twisted.internet.threads import deferToThread

from tests.lab.world import STARTING, VIRTUAL, Host, LabTestCase
from txcarp.addresses import parseVirtualAddress
from txcarp.operate.client import PORT
from txcarp.setup import firstgroup
from txcarp.setup.firstgroup import Plan, Refused
from txcarp.testbed.program import TXCARP


class InitTests(LabTestCase):
    """
    C{txcarp init}, the command that it prints, and the daemons with the files that it writes.
    """

    needsUcarp = False

    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(subprocess.run, ["rm", "-r", str(self.directory)], check=True)

    async def init(
        self, host: Host, *arguments: str, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """
        Run C{txcarp init} on a host, with a directory of its own.
        """
        directory = str(self.directory / host.name)
        command = [*TXCARP, "init", *arguments, "--directory", directory]

        def run() -> subprocess.CompletedProcess[str]:
            with host.node.inside():
                return subprocess.run(
                    command, input=given, capture_output=True, text=True, check=False
                )

        done: subprocess.CompletedProcess[str] = await deferToThread(run)
        return done

    async def read(self, host: Host, url: str) -> str:
        """
        What a browser on a host gets.
        """
        def get() -> str:
            with host.node.inside(), urllib.request.urlopen(url, timeout=STARTING) as answer:
                text: str = answer.read().decode()
                return text

        found: str = await deferToThread(get)
        return found

    def daemon(self, host: Host) -> str:
        """
        The configuration file of a host, with a daemon that leaves the machine alone.
        """
        path = self.directory / host.name / "txcarp.toml"
        own = '[daemon]\nfacility = "none"\nstate_file = "none"\ncontrol = false\n'
        path.write_text(own + path.read_text().replace("[daemon]\n", ""))
        return str(path)

    async def test_pair(self) -> None:
        """
        One host makes a group.  The command that it prints makes it on the other one, if the
        password is right.  One of them is master then, and the other one backup.
        """
        a, b = self.host("a"), self.host("b")
        made = await self.init(a, "--page", "--interface", "eth0", "--address", VIRTUAL)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertIn("1 group, no mistakes", made.stdout)
        first = a.run("a txcarp", TXCARP, ["--config", self.daemon(a)])
        await self.becomes(first, "MASTER")
        [command] = [line for line in made.stdout.splitlines() if line.startswith("  txcarp init")]
        words = shlex.split(command)[2:]
        words = words[: words.index("--directory")]
        password = (self.directory / "a" / "password").read_text()
        joined = await self.init(b, *words, given=password)
        self.assertEqual(joined.returncode, 0, joined.stderr)
        self.assertIn(f"Heard in the group: {a.address}", joined.stderr)
        second = b.run("b txcarp", TXCARP, ["--config", self.daemon(b)])
        await self.becomes(second, "BACKUP")
        self.assertEqual(first.state, "MASTER")
        shown = {"": "<title>", "metrics": "# TYPE txcarp_", "v1/status": "MASTER"}
        for path, expected in shown.items():
            self.assertIn(expected, await self.read(b, f"http://{a.address}:{PORT}/{path}"))

        def seen() -> tuple[dict[int, str], list[str]]:
            with a.node.inside():
                numbers = firstgroup.taken(firstgroup.listen("eth0", 2.5))
                return numbers, list(firstgroup.interfaces())

        # What this host sends itself counts, too.
        self.assertEqual(await deferToThread(seen), ({1: a.address}, ["eth0"]))
        # A host with another password is told so.
        path = self.directory / "b"
        addresses = [parseVirtualAddress(f"{VIRTUAL}/24")]
        plan = Plan("web", "eth0", addresses, 1, 100, str(path))
        (path / "password").write_text("another\n")

        def members() -> list[str]:
            with b.node.inside():
                return firstgroup.members(plan, firstgroup.listen("eth0", 2.5))

        error = await self.assertFailure(deferToThread(members), Refused)
        self.assertIn(f"{a.address} advertises vhid 1 on eth0 with another", str(error))
