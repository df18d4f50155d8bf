"""
Somebody who has never used txcarp sets up two hosts, as the manual says.

The hosts are as Debian installs them.  What is typed is in L{TRANSCRIPT}.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import attrs

from tests.lab.world import STARTING, VIRTUAL
from tests.machines import roots
from tests.machines.machine import Machine, MachineTestCase

#: The chapters that say what to type.
_CHAPTERS = ("install", "first", "service", "maintenance", "metrics", "control", "day")

#: Characters that somebody types in a second who is in no hurry.
_TYPED = 4.0

#: Seconds that all the typing may take.
_TWO_MINUTES = 120.0


@attrs.frozen
class Line:
    """
    Something that is typed.

    @ivar host: The name of the host.
    @ivar command: What is typed.  C{JOIN} and C{START} stand for what C{txcarp init} has printed,
        which is copied.
    @ivar shows: A regular expression that its output matches.
    @ivar patience: Seconds within which the output must match, if it is asked for repeatedly.
    """

    host: str
    command: str
    shows: str = ""
    patience: float = 0.0


def _onBoth(command: str, shows: str = "") -> tuple[Line, ...]:
    return tuple(Line(host, command, shows) for host in "ab")


#: The page is the last line of what must be typed in two minutes.
_PAGE = r"(?is)<!doctype html>.*<title>"

#: What is typed, in order.
TRANSCRIPT = (
    *_onBoth("python3 -m venv /opt/txcarp"),
    *_onBoth("/opt/txcarp/bin/pip install .", "Successfully installed .*txcarp"),
    *_onBoth("ln -s /opt/txcarp/bin/txcarp /usr/local/sbin/"),
    Line(
        "a",
        f"txcarp init --systemd --page --interface eth0 --address {VIRTUAL}",
        "1 group, no mistakes",
    ),
    Line("a", "START"),
    Line("b", "JOIN", "Heard in the group: 10.99.0.1"),
    Line("b", "START"),
    Line("a", "txcarp status", r"web +MASTER .* this host .* 10.99.0.100/24", STARTING),
    Line("b", "txcarp status", r"web +BACKUP .* 10.99.0.1 ", STARTING),
    Line("client", "curl -s http://10.99.0.2:9112/metrics", r"(?m)^txcarp_"),
    Line("client", "curl -s http://10.99.0.1:9112/", _PAGE),
    Line("a", "txcarp drain web", "10.99.0.2"),
    Line("b", "txcarp status", r"web +MASTER ", STARTING),
    Line("a", "txcarp resume web"),
    Line("b", "pkill -9 -x txcarp"),
    Line("a", "txcarp status", r"web +MASTER ", STARTING),
    Line("b", "txcarp status", r"web +BACKUP .* 10.99.0.1 ", STARTING),
    Line("b", "journalctl -u txcarp", "txcarp has died: the addresses of .* were removed"),
)


class NewcomerTests(MachineTestCase):
    """
    The first minutes.
    """

    async def test_transcript(self) -> None:
        """
        Everything works at the first try, and is typed in two minutes.
        """
        source = roots.sources(self.run_ / "source")
        (self.run_ / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        given = (
            f"--bind-ro={self.run_ / 'wheels'}:/wheels",
            f"--bind-ro={self.run_ / 'pip.conf'}:/etc/pip.conf",
            f"--overlay={source}::/root/txcarp",
        )
        self.machines: dict[str, Machine] = {}
        entered: set[str] = set()
        for name in ("a", "b", "client"):
            self.machines[name] = await self.machine(name, *given, root="fresh")
        typed, waited, working, transcript = 0, 0.0, 0, []
        for line in TRANSCRIPT:
            command = await self.copied(line)
            # What was printed, or typed on the other host, is copied.
            seen = command != line.command or command in entered
            typed += 1 if seen else len(command)
            entered.add(command)
            began = time.monotonic()
            output = await self.enter(line, command)
            waited += time.monotonic() - began
            if line.shows == _PAGE:
                working = typed
            transcript.append(f"{line.host}# {command}\n{output}")
        path = roots.CACHE / "newcomer.txt"
        path.write_text("".join(transcript))
        took = working / _TYPED
        self.report(f"{path} has all of it")
        self.report(
            f"{working} characters are typed until both work ({took:.0f} s), waited {waited:.0f} s"
        )
        self.assertLess(took, _TWO_MINUTES)
        page = await self.machines["client"].shell("curl -s http://10.99.0.1:9112/v1/status")
        self.assertEqual(json.loads(page)["groups"][0]["role"], "MASTER")

    async def copied(self, line: Line) -> str:
        """
        What is really entered for a line.
        """
        if line.command == "JOIN":
            # The command for the other host, where the password is then given to it.
            [command] = re.findall(r"(?m)^  (txcarp init --join .*)$", self.printed["a"])
            return str(command)
        if line.command == "START":
            [command] = re.findall(r"(?m)^  (systemctl enable .*)$", self.printed[line.host])
            return str(command)
        return line.command

    async def enter(self, line: Line, command: str) -> str:
        """
        Enter a command in a shell, until it shows what it should.

        @return: What it shows.
        """
        machine = self.machines[line.host]
        password = ""
        if line.command == "JOIN":
            password = await self.machines["a"].run("cat", "/etc/txcarp/password")
        end = time.monotonic() + line.patience
        while True:
            done = await machine.tried("sh", "-c", f"cd /root/txcarp; {command}", given=password)
            output = done.stdout + done.stderr
            good = done.returncode == 0 and re.search(line.shows, output)
            if good or time.monotonic() > end:
                break
            await self.during(0.2)
        self.assertTrue(good, f"{line.host}# {command}: status {done.returncode}\n{output}")
        if " init " in command:
            self.printed = {**getattr(self, "printed", {}), line.host: output}
        return output

    def test_manual(self) -> None:
        """
        All that is typed is in the manual.
        """
        chapters = [Path(roots.ROOT, "docs", f"{name}.rst").read_text() for name in _CHAPTERS]
        manual = " ".join("".join(chapters).split())
        missing = [
            line.command
            for line in TRANSCRIPT
            if line.command.split()[0] not in ("START", "JOIN", "curl", "printf")
            and " ".join(line.command.replace(VIRTUAL, "10.1.1.252").split()) not in manual
        ]
        self.assertEqual(missing, [])
