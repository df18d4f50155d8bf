"""
A host whose services a systemd of its own runs.

The host is a node of the test network and has namespaces for processes, mounts and control groups
in addition.  Its first process is the real systemd of this machine, with the units that the test
names and no others.  C{/etc}, C{/var}, C{/usr/local}, C{/run} and C{/dev} are its own, in memory.
The programs, their units and their paths are therefore those of the distribution, and nothing of
this machine changes.  The kernel ends all processes of the host with its systemd.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any
from unittest import SkipTest

import txcarp
from tests.lab.daemons import Daemon
from tests.lab.world import STARTING, Host, LabTestCase
from txcarp.testbed.program import TXCARP, descendants

_UNITS = Path("/lib/systemd/system")

_ROOT = Path(txcarp.__file__).parent.parent

_SYSTEMCTL = ("/usr/bin/systemctl", "--no-ask-password")

_SERVICE = "txcarp.service"

#: What the unit of txcarp needs to run this source, which may be where no user but root gets, in a
#: directory of root or below C{/tmp}.
_FROM_SOURCE = f"""\
[Service]
ExecStart=
ExecStart={sys.executable} -P -m txcarp.commands.main --config /etc/txcarp/txcarp.toml
Environment=PYTHONPATH={_ROOT}
ProtectHome=no
PrivateTmp=no
DynamicUser=no
User=root
"""

#: What the units of the distribution need.
_BASE = (
    "systemd-journald.service",
    "systemd-journald.socket",
    "systemd-journald-dev-log.socket",
)

#: Empty, so that nothing of what a whole machine starts comes with them.
_EMPTY = ("sysinit.target", "basic.target", "shutdown.target", "sockets.target")

#: Ends the preparation, and with it the start.
_READY = "/run/ready"

_JOIN = 'mkdir "$1"; echo $$ > "$1/cgroup.procs"; shift; exec "$@"'

_BOOT = """\
scratch=$1
mount --make-rprivate /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs "$scratch"
for each in etc var usr/local; do
    mkdir -p "$scratch/$each/upper" "$scratch/$each/work"
    mount -t overlay overlay /$each -o \\
        "lowerdir=/$each,upperdir=$scratch/$each/upper,workdir=$scratch/$each/work"
done
mount -t tmpfs tmpfs /run
mkdir -p "$scratch/dev/shm" "$scratch/dev/pts" "$scratch/none"
for each in null zero full random urandom tty; do
    touch "$scratch/dev/$each"
    mount --bind "/dev/$each" "$scratch/dev/$each"
done
mount --rbind "$scratch/dev" /dev
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
ln -s pts/ptmx /dev/ptmx
echo "$3" > /etc/hostname
cp /proc/sys/kernel/random/uuid "$scratch/id"
tr -d - < "$scratch/id" > /etc/machine-id
systemd-tmpfiles --create --prefix=/run --prefix=/var/log || true
export container=lxc SYSTEMD_UNIT_PATH="$2" SYSTEMD_GENERATOR_PATH="$scratch/none"
exec /lib/systemd/systemd --unit=recipe.target
"""


def _controlGroups() -> Path:
    """
    Where the second version of control groups is mounted.

    @raise SkipTest: If it is nowhere, or this user may not use it.
    """
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 ") and os.geteuid() == 0:
            return Path(place.split()[4])
    raise SkipTest("a host with systemd needs root and control groups (cgroup2)")


class SystemdHost:
    """
    A host with a systemd.

    @ivar host: The host of the test network.
    """

    def __init__(self, lab: LabTestCase, host: Host) -> None:
        self.host = host
        self._lab = lab
        self._group = _controlGroups() / f"txcarp-recipe-{os.getpid()}-{host.name}"

    async def boot(self, *units: str, service: str = "") -> None:
        """
        Start the host.

        @param units: The units that it has, beside that of txcarp.  None is started.
        @param service: More lines for the unit of txcarp, as C{systemctl edit} adds them.
        @raise SkipTest: If a unit is not installed.
        """
        directory, scratch = self.host.directory / "units", self.host.directory / "scratch"
        directory.mkdir()
        scratch.mkdir()
        for unit in (*_BASE, *units):
            if not (_UNITS / unit).exists():
                raise SkipTest(f"there is no {unit} here: install the Debian package that has it")
            (directory / unit).symlink_to(_UNITS / unit)
        (directory / _SERVICE).symlink_to(_ROOT / "packaging" / "systemd" / _SERVICE)
        additions = directory / f"{_SERVICE}.d"
        additions.mkdir()
        (additions / "1.conf").write_text(_FROM_SOURCE)
        (additions / "2.conf").write_text(service)
        for unit in _EMPTY:
            (directory / unit).write_text("[Unit]\nDefaultDependencies=no\n")
        (directory / "ready.service").write_text(
            "[Unit]\nDefaultDependencies=no\nAfter=systemd-journald.service\n"
            f"[Service]\nType=oneshot\nExecStart=/bin/touch {_READY}\n"
        )
        wanted = " ".join([*_BASE, "ready.service"])
        (directory / "recipe.target").write_text(
            f"[Unit]\nDefaultDependencies=no\nWants={wanted}\n"
        )
        self._lab.addCleanup(self._swept)
        program = self._lab.program
        self._first = self.host.run(
            f"{self.host.name} systemd",
            (program("sh", "dash"), "-ec", _JOIN, "join", str(self._group)),
            (program("unshare", "util-linux"), "--mount", "--pid", "--cgroup", "--uts")
            + ("--fork", "--kill-child", "--", program("sh", "dash"), "-ec", _BOOT, "boot")
            + (str(scratch), str(directory), self.host.name),
            tied=True,
        )
        await self._lab.until(self._isReady, f"{self.host.name} has booted", STARTING)
        words = ("--no-pager", "--quiet", "--lines=60", "--output=short-monotonic")
        self._lab.addCleanup(self.show, "journal", "/usr/bin/journalctl", *words)

    @property
    def pid(self) -> int:
        """
        The number of its systemd, on this machine.
        """
        return next(descendants(self._first.pid))

    def path(self, path: str) -> Path:
        """
        A file of the host, as this process sees it.
        """
        return Path(f"/proc/{self.pid}/root{path}")

    def write(self, path: str, text: str, mode: int = 0o644, owner: str = "root") -> None:
        """
        Write a file of the host.
        """
        there = self.path(path)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(text)
        there.chmod(mode)
        shutil.chown(there, owner)

    def start(self, name: str, *command: str) -> Daemon:
        """
        Start a program on the host, beside its services.
        """
        nsenter = self._lab.program("nsenter", "util-linux")
        inside = (nsenter, f"--target={self.pid}", "--mount", "--pid", "--uts", "--wd=/", "--")
        daemon = self.host.run(f"{self.host.name} {name}", inside, command)
        # At the end, the program itself: otherwise its output would never end.
        self._lab.addCleanup(daemon.signalAll, signal.SIGKILL)
        return daemon

    async def run(self, *command: str) -> list[str]:
        """
        Run a command on the host, which must succeed.

        @return: The lines that it printed.
        """
        daemon = self.start(command[0], *command)
        await daemon.exit
        lines = [line for _, line in daemon.lines]
        self._lab.assertEqual((daemon.status, daemon.killedBy), (0, None), (command, lines))
        return lines

    async def isActive(self, unit: str) -> bool:
        """
        Whether a unit is active.
        """
        daemon = self.start("systemctl", *_SYSTEMCTL, "is-active", unit)
        await daemon.exit
        return daemon.status == 0

    async def txcarp(self) -> Daemon:
        """
        Start the service of txcarp, with the file C{/etc/txcarp/txcarp.toml} of the host, in which
        C{txcarp check} must find no mistake.

        @return: The reader of its log, which goes on when systemd starts the service again.
        """
        await self.ask("check", "/etc/txcarp/txcarp.toml")
        await self.run(*_SYSTEMCTL, "start", _SERVICE)
        words = ("--follow", "--no-tail", f"--unit={_SERVICE}", "--output=cat")
        return self.start("txcarp", "/usr/bin/journalctl", *words)

    async def kill(self) -> None:
        """
        Kill txcarp.  systemd starts it again two seconds later.
        """
        await self.run(*_SYSTEMCTL, "kill", "--signal=KILL", "--kill-whom=main", _SERVICE)

    async def ask(self, *words: str) -> list[str]:
        """
        Run a command of txcarp on the host, which must succeed.
        """
        return await self.run(*TXCARP, *words)

    async def status(self, group: str) -> dict[str, Any]:
        """
        What C{txcarp status --json} says about a group on the host.
        """
        answer: dict[str, Any] = json.loads("".join(await self.ask("status", group, "--json")))
        [found] = answer["groups"]
        return found  # type: ignore[no-any-return]

    async def isFit(self, group: str) -> None:
        """
        Wait until nothing keeps the host from being master, or demotes it.
        """
        end = time.monotonic() + STARTING
        while (status := await self.status(group))["holds"] or status["demotion"]:
            self._lab.assertLess(time.monotonic(), end, status["holds"])
            await self._lab.during(0.2)

    async def asks(self, group: str) -> None:
        """
        Wait until the silence of the master's host would mean something to this one: its probe is
        armed.
        """
        end = time.monotonic() + STARTING
        while {one["state"] for one in (await self.status(group))["probes"]} != {"armed"}:
            self._lab.assertLess(time.monotonic(), end, "the probe is not armed")
            await self._lab.during(0.1)

    def halt(self) -> None:
        """
        Lose the host: its processes and its cables are gone at once.
        """
        for interface in ("eth0",):
            self.host.node.deleteInterface(interface)
        self._first.signal(signal.SIGKILL)

    async def show(self, name: str, *command: str) -> None:
        """
        Have what a command prints at the end among the lines that a test shows if it fails.
        """
        if not self._first.ended:
            await self.start(name, *command).exit

    def _isReady(self) -> bool:
        if self._first.ended:
            self._lab.fail(f"{self.host.name} did not boot: {self._first.lines}")
        try:
            return self.path(_READY).exists()
        except StopIteration:
            return False  # it has not begun

    async def _swept(self) -> None:
        """
        Remove the control groups.
        """
        await self._lab.end(self._first)

        def removed() -> bool:
            for place, _, _ in os.walk(self._group, topdown=False):
                try:
                    os.rmdir(place)
                except OSError:
                    return False  # its processes are ending
            return not self._group.exists()

        await self._lab.until(removed, f"{self.host.name} has ended", STARTING)
