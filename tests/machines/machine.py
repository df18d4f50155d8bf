"""
A root that is booted by systemd, on a node of a test network.

C{systemd-nspawn} is the machine: systemd is process 1 of a container with a network of its own.
Each machine is as fresh as its root; what it writes is in memory, and gone when it ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread

from tests.lab.families import FamilyTestCase
from tests.lab.world import PASSWORD, Host
from tests.machines import roots
from txcarp.testbed.program import descendants

#: Seconds that a machine may take to boot on a busy host, and a command to end.
BOOT, PATIENCE = 60.0, 120.0

#: All processes of a machine end with the first one.
_ISOLATED = ("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")

#: Starts a machine whose only control groups are those of version 2, as on a current host; and
#: removes its control group when it has ended.
_LAUNCH = """\
set -e
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
mount --make-rprivate /
umount --recursive /sys/fs/cgroup
mount --types cgroup2 cgroup2 /sys/fs/cgroup
mount --types tmpfs tmpfs /run
group=$(mktemp --directory /sys/fs/cgroup/txcarp-machine-XXXXXX)
echo 0 > "$group/cgroup.procs"
status=0
systemd-nspawn "$@" || status=$?
echo 0 > /sys/fs/cgroup/cgroup.procs
for try in $(seq 100); do
    ! find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || break
    sleep 0.1  # its processes are dying
done
exit $status
"""


class Machine:
    """
    A machine that runs.

    @ivar host: The node that it is on.
    @ivar pid: The number of its process 1 on this host.
    """

    def __init__(self, host: Host, pid: int) -> None:
        self.host = host
        self.pid = pid

    @property
    def addresses(self) -> list[str]:
        """
        The addresses of its C{eth0}, with prefix length.
        """
        return self.host.node.addresses()

    def command(self, *command: str) -> list[str]:
        """
        The command that runs a command on the machine.
        """
        own = ("env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        environment = ("HOME=/root", "TERM=dumb", "LC_ALL=C.UTF-8")
        enter = ("nsenter", f"--target={self.pid}", "--all", "--wdns=/root")
        return [*enter, *own, *environment, *command]

    async def tried(self, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """
        Run a command on the machine.

        @param given: Its standard input.
        """
        done: subprocess.CompletedProcess[str] = await deferToThread(
            subprocess.run,
            self.command(*command),
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done

    async def run(self, *command: str, given: str = "") -> str:
        """
        Run a command that must succeed.

        @return: What it prints.
        """
        done = await self.tried(*command, given=given)
        if done.returncode:
            log = (await self.tried("journalctl", "--no-pager", "--lines=30")).stdout
            raise AssertionError(
                f"{self.host.name}: {' '.join(command)}: status {done.returncode}\n"
                f"{done.stdout}{done.stderr}{log}"
            )
        return done.stdout

    async def shell(self, script: str) -> str:
        """
        Run lines of a shell that must succeed.
        """
        return await self.run("sh", "-ec", script)

    async def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """
        Write a file.
        """
        await self.run(*("install", "-D", f"--mode={mode:o}", "/dev/stdin", path), given=text)

    async def properties(self, unit: str, *names: str) -> dict[str, str]:
        """
        What systemd says about a unit.
        """
        text = await self.run("systemctl", "show", unit, f"--property={','.join(names)}")
        return dict(line.split("=", 1) for line in text.splitlines())

    async def property(self, unit: str, name: str) -> str:
        """
        One thing that systemd says about a unit.
        """
        return (await self.properties(unit, name))[name]

    async def journal(self, unit: str, *matches: str) -> list[dict[str, Any]]:
        """
        What the journal has about a unit, oldest first.
        """
        await self.run("journalctl", "--sync")
        words = ("--output=json", f"--unit={unit}", "--no-pager", *matches)
        lines = await self.run("journalctl", *words)
        return [json.loads(line) for line in lines.splitlines()]

    async def signal(self, unit: str, number: int) -> None:
        """
        Send a signal to the main process of a unit.
        """
        pid = await self.property(unit, "MainPID")
        await self.run("kill", f"-{number}", pid)

    async def processes(self, unit: str) -> list[int]:
        """
        The processes in the control group of a unit, by their numbers on the machine.
        """
        group = await self.property(unit, "ControlGroup")
        if not group:
            return []
        done = await self.tried("cat", f"/sys/fs/cgroup{group}/cgroup.procs")
        return [int(one) for one in done.stdout.split()]

    async def comm(self, pid: int) -> str:
        """
        The name of a process.
        """
        return (await self.tried("cat", f"/proc/{pid}/comm")).stdout.strip()


#: A group for a pair of machines, and what else systemd needs to know.
FILE = """\
[defaults]
interface = "eth0"
credential = "password"
[group.web]
vhid = 7
addresses = ["10.99.0.100/24"]
advskew = {skew}
"""


class MachineTestCase(FamilyTestCase):
    """
    A test with machines.  All machines of a run share their roots, which none of them changes.
    """

    timeout = 1800

    def setUp(self) -> None:
        """
        Find the roots.
        """
        super().setUp()
        self.release, self.run_ = roots.current()

    async def machine(self, name: str, *options: str, root: str = "installed") -> Machine:
        """
        Boot a machine.

        @param options: More options for C{systemd-nspawn}.
        @param root: Its root: C{"installed"}, or C{"fresh"} without txcarp.
        """
        host = self.host(name)
        words = (
            *("--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe"),
            *("--volatile=overlay", f"--directory={self.run_ / root}", f"--machine={name}"),
            *("--network-namespace-path=/proc/self/ns/net", "--capability=CAP_NET_ADMIN"),
            *("--resolv-conf=off", *options),
        )
        launch = ("/usr/bin/setpriv", "--pdeathsig=KILL", *_ISOLATED)
        process = host.run(f"{name} machine", launch, ["sh", "-c", _LAUNCH, "launch", *words])
        found: list[int] = []

        def leader() -> bool:
            if process.ended:
                self.fail(f"{name} did not boot: {process.ending}, {process.lines}")
            # The launcher, systemd-nspawn, and process 1.
            found[:] = [
                pid for pid in descendants(process.pid) if _comm(pid) == "systemd" and _isFirst(pid)
            ]
            return bool(found)

        await self.until(leader, f"{name} boots", BOOT)
        machine = Machine(host, found[0])

        async def end() -> None:
            os.kill(machine.pid, signal.SIGKILL)
            await process.exit

        self.addCleanup(end)
        await self.until(
            lambda: os.path.exists(f"/proc/{machine.pid}/root/run/systemd/private"),
            f"{name} answers",
            BOOT,
        )
        state = await machine.tried("systemctl", "is-system-running", "--wait")
        self.assertEqual(state.stdout.strip(), "running", state.stderr)
        return machine

    async def configure(self, machine: Machine, skew: int = 0, more: str = "") -> None:
        """
        Give a machine a file, a password and the units.

        @param more: More lines of the file.
        """
        await machine.write("/etc/txcarp/txcarp.toml", FILE.format(skew=skew) + more)
        await machine.write("/etc/txcarp/password", f"{PASSWORD}\n", 0o600)
        units = f"{roots.PREFIX}/lib/systemd/system"
        await machine.run("systemctl", "link", f"{units}/txcarp.service")
        await machine.run("systemctl", "link", f"{units}/txcarp@.service")

    async def says(self, machine: Machine, status: str) -> None:
        """
        Wait until systemd shows a status of C{txcarp.service}.
        """

        async def shows() -> bool:
            return await machine.property("txcarp", "StatusText") == status

        await self.eventually(shows, f"{machine.host.name} is {status!r}")

    async def eventually(self, condition: Any, what: str, within: float = PATIENCE) -> None:
        """
        Wait for a condition that takes time to find out.

        @param condition: A coroutine function.
        """
        end = time.monotonic() + within
        while not await condition():
            if time.monotonic() > end:
                self.fail(f"not within {within:.0f} s: {what}")
            await self.during(0.05)


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _isFirst(pid: int) -> bool:
    """
    Whether a process is process 1 of its own namespace.
    """
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    [line] = [one for one in text.splitlines() if one.startswith("NSpid:")]
    numbers: Sequence[str] = line.split()[1:]
    return len(numbers) > 1 and numbers[-1] == "1"
