"""
C{examples/debian}: the scripts that Debian's ifup and ifdown run, in real cycles of both.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from tests.lab.daemons import Daemon
from tests.lab.test_examples import EXAMPLES
from tests.lab.world import PASSWORD, STARTING, VHID, VIRTUAL, LabTestCase

_SOURCE = "10.99.0.1/24"

#: C{/etc/network/interfaces} as the documentation of Debian's package ucarp has it.
_INTERFACES = """\
iface eth0 inet static
    address {source}
    ucarp-vid {vhid}
    ucarp-vip {virtual}
    ucarp-password {password}
    ucarp-master yes
{more}
iface eth0:ucarp inet static
    address {virtual}
    netmask 255.255.255.255
"""

#: Where Debian has the files, relative to the directory of the host.
_PLACES = {
    "network": "/etc/network",
    "ifstate": "/run/network",
    "lib": "/var/lib",
    "sbin": "/usr/local/sbin",
}

#: The command C{txcarp}, for an environment that does not say where to find it.
_COMMAND = """\
#!{python}
import sys
sys.path.insert(0, {root!r})
from txcarp.commands.main import main
main()
"""


class DebianTests(LabTestCase):
    """
    A host with Debian's ifupdown, and files of its own in place of the machine's.

    @ivar ran: The last command that was run on it.
    """

    needsUcarp = False

    ran: Daemon

    def setUp(self) -> None:
        """
        Make the host.
        """
        super().setUp()
        self.program("ifup", "ifupdown")
        self.program("pkill", "procps")
        self.box = self.host("a", _SOURCE, bare=True)
        for name in _PLACES:
            (self.box.directory / name).mkdir()
        for phase in ("if-pre-up.d", "if-up.d", "if-down.d", "if-post-down.d"):
            (self.box.directory / "network" / phase).mkdir()
        self.command = self.box.directory / "sbin" / "txcarp"
        root = str(EXAMPLES.parent)
        self.command.write_text(_COMMAND.format(python=sys.executable, root=root))
        self.command.chmod(0o755)
        self.addCleanup(self.killDaemons)

    def configure(self, *more: str) -> None:
        """
        Write C{/etc/network/interfaces}.

        @param more: More options of C{eth0}.
        """
        text = _INTERFACES.format(
            source=_SOURCE,
            vhid=VHID,
            virtual=VIRTUAL,
            password=PASSWORD,
            more="".join(f"    {line}\n" for line in more),
        )
        (self.box.directory / "network" / "interfaces").write_text(text)

    def install(self, phase: str, script: Path) -> None:
        """
        Install a script for one phase.
        """
        shutil.copy(script, self.box.directory / "network" / phase)

    async def inBox(self, *words: str) -> int | None:
        """
        Run a command with the files of the host, and return its exit status.
        """
        mounts = [
            f"mount --bind {self.box.directory / name} {place}" for name, place in _PLACES.items()
        ]
        if Path("/usr/sbin/ucarp").exists():
            mounts.append(f"mount --bind {self.command} /usr/sbin/ucarp")
        steps = " && ".join(["mount -t tmpfs run /run && mkdir /run/network", *mounts, 'exec "$@"'])
        shell = ["unshare", "--mount", "sh", "-c", steps, "sh"]
        command = [self.program("env", "coreutils"), *shell]
        self.ran = self.box.run(" ".join(words), command, words)
        await self.ran.exit
        return self.ran.status

    def running(self) -> list[int]:
        """
        The numbers of the daemons on the host.  A child that has not begun its own program yet
        is none.
        """
        with self.box.node.inside():
            namespace = os.readlink("/proc/thread-self/ns/net")
        found: dict[int, int] = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(process / "ns/net") == namespace:
                    words = (process / "cmdline").read_bytes().split(b"\0")
                    if {os.path.basename(word) for word in words[:2]} & {b"txcarp", b"ucarp"}:
                        stat = (process / "stat").read_text()
                        found[int(process.name)] = int(stat.rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended, or belongs to another user
        return [pid for pid, parent in found.items() if parent not in found]

    def killDaemons(self) -> None:
        """
        Leave no daemon behind, however the test ends.
        """
        for pid in self.running():
            os.kill(pid, signal.SIGKILL)

    def isMaster(self) -> bool:
        """
        Whether the host has the virtual address.
        """
        return any(one.startswith(f"{VIRTUAL}/") for one in self.box.node.addresses())

    async def cycles(self, *, forced: bool) -> None:
        """
        Take the interface up and down three times.

        @param forced: Whether to run ifup twice each time.
        """
        for _ in range(3):
            self.assertEqual(await self.inBox("ifup", "eth0"), 0)
            await self.until(self.isMaster, "the daemon is master", STARTING)
            # The script for eth0:ucarp, which has the name of the daemon, may still run.
            await self.until(lambda: len(self.running()) == 1, "one daemon runs", STARTING)
            before = self.running()
            if forced:
                self.assertEqual(await self.inBox("ifup", "--force", "eth0"), 0)
                self.assertEqual(self.running(), before)
            began = time.monotonic()
            self.assertEqual(await self.inBox("ifdown", "eth0"), 0)
            self.assertLess(time.monotonic() - began, 15)
            self.assertEqual(self.running(), [])
            self.assertFalse(self.isMaster())

    async def test_cycles(self) -> None:
        """
        One daemon runs while the interface is up, and none while it is down.  A second ifup
        changes nothing.  The password is in no environment and no argument.
        """
        self.install("if-up.d", EXAMPLES / "debian/if-up.d/txcarp")
        self.install("if-down.d", EXAMPLES / "debian/if-down.d/txcarp")
        self.configure("ucarp-assign yes")
        await self.cycles(forced=True)
        self.assertEqual(await self.inBox("ifup", "eth0"), 0)
        [pid] = self.running()
        for file in ("environ", "cmdline"):
            seen = Path(f"/proc/{pid}", file).read_bytes()
            self.assertIn(b"eth0", seen)
            self.assertNotIn(PASSWORD.encode(), seen)

    async def test_wrongOptions(self) -> None:
        """
        ifup succeeds if the daemon cannot start, so that ifdown works; it says what is wrong.
        """
        self.install("if-up.d", EXAMPLES / "debian/if-up.d/txcarp")
        self.configure("ucarp-assign yes", "ucarp-advbase none")
        self.assertEqual(await self.inBox("ifup", "eth0"), 0)
        said = [line for _, line in self.ran.lines]
        self.assertIn(f"txcarp was not started for vhid {VHID} on eth0.", said)
        self.assertEqual(await self.inBox("ifdown", "eth0"), 0)

    async def test_scripts(self) -> None:
        """
        Without C{--assign}, the daemon brings C{eth0:ucarp} up and takes it down, which has the
        address.
        """
        self.install("if-up.d", EXAMPLES / "debian/if-up.d/txcarp")
        self.install("if-down.d", EXAMPLES / "debian/if-down.d/txcarp")
        scripts = EXAMPLES / "debian"
        self.configure(
            f"ucarp-upscript {scripts / 'vip-up'}", f"ucarp-downscript {scripts / 'vip-down'}"
        )
        await self.cycles(forced=False)

    async def test_debiansScript(self) -> None:
        """
        The script of Debian's package ucarp starts txcarp in place of ucarp, with the
        package's scripts for the address.  C{if-up.d/txcarp} beside it starts no second daemon.
        With C{if-down.d/txcarp}, one daemon runs while the interface is up, and none while it is
        down.
        """
        self.program("ucarp", "ucarp")
        self.install("if-up.d", Path("/etc/network/if-up.d/ucarp"))
        self.install("if-up.d", EXAMPLES / "debian/if-up.d/txcarp")
        self.install("if-down.d", EXAMPLES / "debian/if-down.d/txcarp")
        self.configure()
        await self.cycles(forced=False)
        self.assertEqual(await self.inBox("ifup", "eth0"), 0)
        said = [line for _, line in self.ran.lines]
        leaves = f"txcarp leaves vhid {VHID} on eth0 to ucarp, which is installed as well."
        self.assertIn(leaves, said)
