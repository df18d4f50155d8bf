"""
The image and the Compose file of C{packaging/container}, run by podman.

The base image is made from a fresh Debian root, because a test reaches no registry.  Everything
runs in namespaces of its own, and ends with them.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.machines import roots

#: The project's name for Compose, and the address that its hosts share.
_PROJECT, _SHARED = "pair", "10.77.7.100"

#: Seconds between two questions of the client.
_EVERY = 0.005

#: Seconds that a command may take on a busy host.
_PATIENCE = 400.0

_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{store}"
runroot = "/run/txcarp-containers"
"""

#: Neither the limits nor the control groups are ours: a container here cannot raise the first, and
#: may not have the second.
_CONTAINERS = """\
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
cgroups = "disabled"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_config_dir = "{network}"
"""

_BASE = """\
FROM scratch
ADD root.tar /
COPY wheels /wheels
COPY pip.conf /etc/pip.conf
"""

#: What the Compose file would set and this host may not allow.
_LIMITS = "ulimits: {memlock: 8388608, nofile: 4096, nproc: 4096}"

#: Holds namespaces open in which podman finds control groups of version 2 alone.
_CELL = """\
set -e
mount --make-rprivate /
umount --recursive /sys/fs/cgroup
mount --types cgroup2 cgroup2 /sys/fs/cgroup
mount --types tmpfs tmpfs /run
echo ready
exec sleep infinity
"""


class ContainerTests(TestCase):
    """
    Two hosts and a client.
    """

    timeout = 1800

    def setUp(self) -> None:
        """
        Make the images, and namespaces for the containers.
        """
        self.release, run = roots.current()
        self.work = run / "containers"
        if not self.work.exists():
            self.prepare(run)
        unshare = ("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
        self.cell = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *unshare, "--net", "sh", "-c", _CELL],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.end)
        assert self.cell.stdout is not None
        self.assertEqual(self.cell.stdout.readline(), "ready\n")
        children = Path(f"/proc/{self.cell.pid}/task/{self.cell.pid}/children").read_text()
        self.enter = ("nsenter", f"--target={children.split()[0]}", "--mount", "--pid", "--net")

    def end(self) -> None:
        """
        End all containers.
        """
        assert self.cell.stdout is not None
        self.cell.kill()
        self.cell.wait()
        self.cell.stdout.close()

    @property
    def environment(self) -> dict[str, str]:
        """
        Where podman finds its settings, and Compose its program.
        """
        settings = {
            f"CONTAINERS_{one}": str(self.work / f"{one.lower()}.conf")
            for one in ("STORAGE_CONF", "CONF")
        }
        return {**os.environ, **settings}

    def prepare(self, run: Path) -> None:
        """
        Build a base image, and the image of txcarp as a user does.
        """
        base = self.work / "base"
        base.mkdir(parents=True)
        settings = {
            "storage_conf.conf": _STORAGE.format(store=self.work / "store"),
            "conf.conf": _CONTAINERS.format(network=self.work / "network"),
            "base/Containerfile": _BASE,
            "base/pip.conf": "[global]\nno-index = true\nfind-links = /wheels\n",
        }
        for name, text in settings.items():
            (self.work / name).write_text(text)
        shutil.copytree(run / "wheels", base / "wheels")
        os.link(roots.archive(self.release), base / "root.tar")
        self.sources = roots.sources(self.work / "txcarp")
        build = ("podman", "build", "--quiet", "--isolation=chroot", "--network=host")
        self.call(*build, "--tag=localhost/base", str(base))
        file = self.sources / "packaging" / "container" / "Containerfile"
        self.call(
            *(*build, "--build-arg=BASE=localhost/base", "--tag=localhost/txcarp"),
            *(f"--file={file}", str(self.sources)),
        )

    def call(self, *command: str, check: bool = True) -> str:
        """
        Run a command, and wait for it.

        @return: What it prints.
        """
        done = subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    async def run_(self, *command: str, check: bool = True) -> str:
        """
        Run a command among the containers.
        """
        found: str = await deferToThread(self.call, *self.enter, *command, check=check)
        return found

    async def inside(self, name: str, *command: str) -> str:
        """
        Run a command in a container.
        """
        return await self.run_("podman", "exec", f"{_PROJECT}_{name}_1", *command)

    async def up(self, more: str = "") -> None:
        """
        Start all containers.

        @param more: More settings of both hosts.
        """
        directory = self.work / "txcarp" / "packaging" / "container"
        password = directory / "password"
        password.write_text("not a secret\n")
        password.chmod(0o600)
        hosts = "".join(f"  {name}: {{{_LIMITS}{more}}}\n" for name in "ab")
        (self.work / "own.yaml").write_text(f"services:\n{hosts}")
        self.compose = (
            *(sys.executable, "-m", "podman_compose", f"--project-name={_PROJECT}"),
            *("--file", str(directory / "compose.yaml"), "--file", str(self.work / "own.yaml")),
        )
        await self.run_(*self.compose, "up", "--detach", "--no-build")
        self.addCleanup(self.run_, *self.compose, "down", "--volumes")
        await self.role("a", "MASTER")
        await self.role("b", "BACKUP")

    async def role(self, name: str, role: str) -> None:
        """
        Wait for the role of a container.
        """
        for _ in range(100):
            done = await self.run_(
                *("podman", "exec", f"{_PROJECT}_{name}_1", "txcarp", "status"), check=False
            )
            if re.search(rf"^web +{role} ", done, re.MULTILINE):
                return
            await deferLater(reactor, 0.3)
        log = await self.run_("podman", "logs", f"{_PROJECT}_{name}_1", check=False)
        self.fail(f"{name} is not {role}:\n{done}\n{log}")

    async def silence(self, *event: str) -> float:
        """
        Run a command while the client asks.

        @return: The longest time in milliseconds for which it got no answer.
        """
        name = f"{_PROJECT}_client_1"
        ping = ("ping", "-D", "-n", f"-i{_EVERY}", "-w8", _SHARED)
        asking = Deferred.fromCoroutine(self.run_("podman", "exec", name, *ping, check=False))
        await deferLater(reactor, 2.0)
        await self.run_(*event, check=False)
        times = [float(one) for one in re.findall(r"(?m)^\[(\d+\.\d+)\] \d+ bytes", await asking)]
        self.assertGreater(len(times), 100)
        return max(later - sooner for sooner, later in itertools.pairwise(times)) * 1000

    def killing(self, name: str, process: str) -> tuple[str, ...]:
        """
        The command that kills a process in a container by its name.
        """
        script = (
            'for p in /proc/[0-9]*; do read -r n <$p/comm; [ "$n" != '
            f'{process} ] || kill -9 "${{p#/proc/}}"; done'
        )
        return ("podman", "exec", f"{_PROJECT}_{name}_1", "sh", "-c", script)

    async def test_pair(self) -> None:
        """
        The pair fails over, whether its master is stopped or its txcarp is killed, and both
        containers run again afterwards.
        """
        await self.up()
        capabilities = await self.inside("a", "sh", "-c", "grep -h CapEff /proc/[0-9]*/status")
        self.assertEqual(set(capabilities.split()), {"CapEff:", f"{1 << 12 | 1 << 13:016x}"})
        # An orphan is reaped by process 1.
        await self.inside("a", "sh", "-c", "(sleep 0.2 &)")
        await deferLater(reactor, 1.0)
        states = await self.inside("a", "sh", "-c", "grep -h ^State /proc/[0-9]*/status")
        self.assertNotIn("zombie", states)
        figures = {}
        figures["txcarp killed"] = await self.silence(*self.killing("a", "txcarp"))
        await self.role("b", "MASTER")
        await self.role("a", "BACKUP")
        figures["stopped"] = await self.silence(*self.compose, "stop", "b")
        await self.role("a", "MASTER")
        await self.run_(*self.compose, "start", "b")
        await self.role("b", "BACKUP")
        figures["drained"] = await self.silence(
            "podman", "exec", f"{_PROJECT}_a_1", "txcarp", "drain", "web", "--for", "20s"
        )
        await self.role("b", "MASTER")
        await self.inside("a", "txcarp", "resume", "web")
        killed = await self.silence("podman", "kill", f"{_PROJECT}_b_1")
        await self.role("a", "MASTER")
        for event, figure in (*figures.items(), ("whole container killed", killed)):
            print(f"\n    {event}: {figure:.0f} ms", end=" ", flush=True)
        for event, figure in figures.items():
            self.assertLessEqual(figure, 500.0, event)
        self.assertLessEqual(killed, 5000.0)

    async def test_processOne(self) -> None:
        """
        Without the entrypoint, txcarp is process 1.  When that dies, the kernel kills the guard,
        which has acted by then or has not.
        """
        await self.up(", entrypoint: [txcarp], command: [--config, /etc/txcarp/txcarp.toml]")
        figures = []
        for name, other in ("ab", "ba") * 3:
            figures.append(await self.silence("podman", "kill", f"{_PROJECT}_{name}_1"))
            await self.role(other, "MASTER")
            await self.run_(*self.compose, "start", name)
            await self.role(name, "BACKUP")
        said = " ".join(f"{one:.0f}" for one in sorted(figures))
        print(f"\n    txcarp is process 1, and killed: {said} ms", end=" ", flush=True)
        self.assertLessEqual(max(figures), 5000.0)
