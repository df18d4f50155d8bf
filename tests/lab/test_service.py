"""
A daemon that is started by a service manager.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.lab.world import STARTING, VIRTUAL, Host, LabTestCase
from txcarp.testbed.program import TXCARP


class ServiceTests(LabTestCase):
    """
    The test is the service manager.
    """

    needsUcarp = False

    def setUp(self) -> None:
        super().setUp()
        self.place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)
        self.place.chmod(0o777)
        path = str(self.place / "notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(path)
        os.chmod(path, 0o777)
        self.manager.setblocking(False)
        self.messages: list[list[str]] = []
        self.variables = [f"NOTIFY_SOCKET={path}", "WATCHDOG_USEC=2000000"]

    def write(self, host: Host, more: str = "") -> Path:
        """
        Write the file of a host.

        @return: Its path.
        """
        (self.place / "password").write_text("not a secret\n")
        path = self.place / "txcarp.toml"
        path.write_text(
            f'[daemon]\ncontrol = "{self.place / "control.sock"}"\nfacility = "none"\n'
            'state_file = false\n[group.web]\ninterface = "eth0"\npassfile = "password"\n'
            f'vhid = 7\naddresses = "{VIRTUAL}/24"\n{more}'
        )
        for one in (path, self.place / "password"):
            one.chmod(0o644)
        return path

    def told(self, *lines: str) -> bool:
        """
        Whether the manager got a message that begins with these lines; it and those before are
        forgotten then.
        """
        try:
            while data := self.manager.recv(4096):
                self.messages.append(data.decode().split("\n"))
        except BlockingIOError:
            pass
        for index, message in enumerate(self.messages):
            if message[: len(lines)] == list(lines):
                self.last = message
                del self.messages[: index + 1]
                return True
        return False

    async def expect(self, *lines: str) -> None:
        """
        Wait for a message.
        """
        await self.until(lambda: self.told(*lines), f"told {lines}", STARTING)

    async def test_messages(self) -> None:
        """
        The manager is told of the start, of roles, of a reload and of the end, in this order, and
        gets signs of life.
        """
        host = self.host("a")
        env = self.program("env", "coreutils")
        path = self.write(host)
        daemon = host.run(
            "a txcarp", (env, *self.variables, *TXCARP), ["--config", str(path)]
        )
        await self.expect("READY=1", "STATUS=Backup of web")
        await self.expect("WATCHDOG=1")
        await self.expect("STATUS=Master of web")
        self.write(host, "advskew = 9\n")
        before = time.monotonic()
        daemon.signal(signal.SIGHUP)
        await self.expect("RELOADING=1")
        name, _, value = self.last[1].partition("=")
        self.assertEqual(name, "MONOTONIC_USEC")
        self.assertTrue(before <= int(value) / 1e6 <= time.monotonic())
        await self.expect("READY=1")
        await self.expect("WATCHDOG=1")
        daemon.signal(signal.SIGTERM)
        await self.expect("STOPPING=1")
        await self.until(lambda: daemon.ended, "it ends", STARTING)
        self.assertEqual((daemon.status, daemon.killedBy), (0, None))

    async def test_rights(self) -> None:
        """
        With the rights that the units give, nothing is missing: a process with two capabilities,
        which cannot get others, runs on time and assigns the address.
        """
        prlimit, setpriv = (self.program(one, "util-linux") for one in ("prlimit", "setpriv"))
        nice, env = (self.program(one, "coreutils") for one in ("nice", "env"))
        unlimited = (prlimit, "--memlock=unlimited")
        first = (nice, "-n", str(-15 - os.getpriority(os.PRIO_PROCESS, 0)))
        # In a container root may not raise limits, and in a user namespace not its priority.
        isUnlimited, isFirst = (
            not subprocess.run([*words, env], capture_output=True, check=False).stderr
            for words in (unlimited, first)
        )
        host = self.host("a")
        path = self.write(host)
        capabilities = "-all,+net_raw,+net_admin"
        daemon = host.run(
            "a txcarp",
            (*(unlimited if isUnlimited else ()), *(first if isFirst else ()), setpriv)
            + ("--securebits=+noroot", "--no-new-privs", f"--inh-caps={capabilities}")
            + (f"--ambient-caps={capabilities}", f"--bounding-set={capabilities}")
            + (env, *self.variables, *TXCARP),
            ["--config", str(path)],
        )
        await self.expect("STATUS=Master of web")
        await self.until(lambda: f"{VIRTUAL}/24" in host.node.addresses(), "it has it", STARTING)
        self.assertEqual(bool(daemon.said("priority over other processes")), not isFirst)
        with open(f"/proc/{daemon.pid}/status") as status:
            values = dict(line.split(":\t") for line in status if ":\t" in line)
        self.assertEqual(int(values["CapEff"], 16), 1 << 12 | 1 << 13)
        self.assertEqual(int(values["VmLck"].split()[0]) > 0, isUnlimited)
        self.assertEqual(bool(daemon.said("without locked memory")), not isUnlimited)
        if isFirst:
            self.assertEqual(os.getpriority(os.PRIO_PROCESS, daemon.pid), -15)
        await self.stopped(daemon)
        self.assertNotIn(f"{VIRTUAL}/24", host.node.addresses())
