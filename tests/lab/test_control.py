"""
A daemon that tells others what happens, on its socket and on a TCP port.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.lab.daemons import Daemon
from tests.lab.world import STARTING, VHID, VIRTUAL, LabTestCase
from txcarp.testbed.program import TXCARP

_PORT = 9112


class ControlTests(LabTestCase):
    """
    C{txcarp events}, C{--http} and C{--host}.
    """

    needsUcarp = False

    async def test_told(self) -> None:
        """
        A reader on the socket hears of a take-over, of a lost link and of the end of the daemon;
        another host reads the state through the port.
        """
        # The path of a socket has at most 107 bytes, fewer than that of the directory of a host.
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        control = str(directory / "c.sock")
        host, other = self.host("a"), self.host("b")
        endpoint = f"tcp:{_PORT}:interface={host.address}"
        daemon = host.txcarp("--assign", f"--control={control}", f"--http={endpoint}")
        await self.becomes(daemon, "BACKUP")
        reader = host.run(
            "events", TXCARP, ["events", "--json", "--no-reconnect", "--control", control]
        )

        def told(*words: str) -> bool:
            found = [json.loads(line) for _, line in reader.lines if line.startswith("{")]
            return list(words) in [[one["event"], one["reason"]] for one in found]

        async def hears(*words: str) -> None:
            await self.until(lambda: told(*words), f"{words} is told", STARTING)

        await hears("listening", "snapshot")
        await self.becomes(daemon, "MASTER")
        await hears("transition", "silence")
        await hears("readiness", "ready")
        lines = await self.output(
            other, *TXCARP, "status", "--host", f"{host.address}:{_PORT}"
        )
        self.assertIn("MASTER", lines[1])
        self.assertIn(VIRTUAL, lines[1])
        url = f"http://{host.address}:{_PORT}/metrics"
        fetch = f"import urllib.request; print(urllib.request.urlopen({url!r}).read().decode())"
        lines = await self.output(other, sys.executable, "-c", fetch)
        labels = f'group="eth0:{VHID}",interface="eth0",role="MASTER",vhid="{VHID}"'
        self.assertIn(f"txcarp_group_role{{{labels}}} 1.0", lines)
        [timers] = [one for one in lines if one.startswith("txcarp_timer_lateness_seconds_count")]
        self.assertGreater(float(timers.split()[1]), 0)
        host.node.unplug()
        await hears("hold", "no_link")
        await hears("transition", "link_lost")
        host.node.plugIn()
        await hears("release", "no_link")
        await self.stopped(daemon)
        await self.until(lambda: told("transition", "stopped"), "the end is told", STARTING)
        await self.until(lambda: reader.ended, "the reader has ended", STARTING)
        self.assertEqual(self.tracebacks(daemon, reader), [])

    @staticmethod
    def tracebacks(*daemons: Daemon) -> list[str]:
        """
        Lines that no program should print.
        """
        return [line for one in daemons for _, line in one.lines if "Traceback" in line]
