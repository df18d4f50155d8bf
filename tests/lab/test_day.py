"""
The working day in C{docs/day.rst}: everything that is typed there is typed here, on two hosts,
while a client asks for each address all the time.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs
from twisted.internet import reactor

import txcarp
from tests.lab.daemons import Daemon
from tests.lab.families import REACHABLE, FamilyTestCase
from tests.lab.world import STARTING, Host
from txcarp.clock.monotonic import MonotonicClock
from txcarp.testbed.pinger import Pinger, openPingSocket
from txcarp.testbed.program import TXCARP

DOCUMENT = Path(txcarp.__file__).parent.parent / "docs" / "day.rst"

#: A file to write what is shown, in place of a comparison: how the document was made.
_RECORD = os.environ.get("TXCARP_RECORD", "")

#: The commands that change nothing.
_ASKS = re.compile(r"txcarp (?:status|explain)\b")

#: Seconds that a command of the document may take.
_PATIENCE = 60.0

#: Milliseconds between two questions of the client, and how many questions it remembers.
_EVERY, _KEPT = 2.0, 10_000

#: What is different on each day, and what is compared in its place.
_VARIABLE = (
    (r"\b[A-Z][a-z][a-z] \d\d \d\d:\d\d\b", "TIME"),
    (r"\b\d\d:\d\d:\d\d(?:\.\d+)?\b", "TIME"),
    (r"\b\d+(?:\.\d+)? (?:ms|s|min)\b", "SOME SECONDS"),
    (r"\bby \w+, uid \d+, process \d+\b", "by SOMEBODY"),
)


@attrs.frozen
class Step:
    """
    Something that is typed.

    @ivar host: The host where it is typed.
    @ivar command: What is typed.
    @ivar output: The lines that it shows.
    @ivar costs: The milliseconds for which a client may get no answer, from this step to the next.
    """

    host: str
    command: str
    output: tuple[str, ...]
    costs: float


def steps(text: str) -> Iterator[Step]:
    """
    Yield what is typed in a document, in order.
    """
    costs = 0.0
    for block in re.split(r"(?m)^\.\. ", text)[1:]:
        kind, _, rest = block.partition("\n")
        if kind.startswith("costs:"):
            costs = float(kind.split()[1])
        elif kind == "code-block:: console":
            body = re.match(r"(?:\s*\n|   .*\n)*", rest)
            assert body is not None
            typed: list[tuple[str, str, list[str]]] = []
            for line in body[0].splitlines():
                found = re.match(r"   ([ab])# (.*)", line)
                if found:
                    typed.append((found[1], found[2], []))
                elif typed and typed[-1][1].endswith("\\"):
                    host, command, output = typed[-1]
                    typed[-1] = host, f"{command[:-1]}{line.strip()}", output
                elif typed:
                    typed[-1][2].append(line[3:])
            for host, command, output in typed:
                while output and not output[-1].strip():
                    output.pop()
                yield Step(host, command, tuple(output), costs)
            costs = 0.0


def files(text: str) -> Iterator[str]:
    """
    Yield the configuration files in a document.
    """
    for found in re.finditer(r"(?m)^\.\. code-block:: toml\n\n((?:   .*\n|\n)+)", text):
        yield re.sub(r"(?m)^   ", "", found[1])


def comparable(lines: Iterable[str]) -> str:
    """
    Return text without what is different on each day, and without its line breaks, which follow
    from the lengths of paths.
    """
    text = " ".join(" ".join(lines).split())
    for pattern, replacement in _VARIABLE:
        text = re.sub(pattern, replacement, text)
    return text


def isAs(output: Iterable[str], expected: Iterable[str]) -> bool:
    """
    Whether output is what the document says, where three dots stand for anything.
    """
    pattern = re.escape(comparable(expected)).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, comparable(output)) is not None


class DayTests(FamilyTestCase):
    """
    The document, from the top to the end.
    """

    timeout = 300

    async def test_day(self) -> None:
        """
        Every command shows what the document says, and the client notices nothing but what is
        named there.
        """
        text = DOCUMENT.read_text(encoding="utf-8")
        # The path of a socket has at most 107 bytes.
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        self.hosts = {name: self.host(name) for name in "ab"}
        self.running: dict[str, Daemon] = {}
        [file] = files(text)
        for name in self.hosts:
            for directory in ("etc", "run"):
                (self.root / name / directory).mkdir(parents=True)
            (self.root / name / "run" / "web.ok").touch()
            (self.root / name / "etc" / "txcarp.toml").write_text(self.there(name, file))
        client = self.host("client", "10.99.0.200/24")
        self.client_, self.pingers = client, dict[str, Pinger]()
        shown: list[list[str]] = []
        for step in steps(text):
            await self.settled()
            began = time.monotonic()
            output = await self.typed(step)
            shown.append(output)
            if not _RECORD:
                end = began + _PATIENCE
                while _ASKS.match(step.command) and not isAs(output, step.output):
                    # What a reader of the document waits for may be still to come.
                    if time.monotonic() > end:
                        break
                    output = await self.typed(step)
                if not isAs(output, step.output):
                    self.assertEqual(output, list(step.output), step.command)
            await self.settled()
            for address, pinger in self.pingers.items():
                silence = pinger.gaps(began).lost * _EVERY
                self.assertLessEqual(silence, step.costs, f"{address} during {step.command!r}")
        if _RECORD:
            Path(_RECORD).write_text(
                "".join(
                    f"   {step.host}# {step.command}\n" + "".join(f"   {line}\n" for line in output)
                    for step, output in zip(steps(text), shown, strict=True)
                )
            )

    def there(self, name: str, text: str) -> str:
        """
        Put the paths of a host in place of those in the document.
        """
        text = text.replace("/etc/txcarp/", f"{self.root / name / 'etc'}/")
        return re.sub(r"(?<![\w.])/run/", f"{self.root / name / 'run'}/", text)

    def here(self, name: str, text: str) -> str:
        """
        Undo L{there}.
        """
        text = text.replace(f"{self.root / name / 'etc'}/", "/etc/txcarp/")
        return text.replace(f"{self.root / name / 'run'}/", "/run/")

    async def typed(self, step: Step) -> list[str]:
        """
        Do what is typed.

        @return: What it shows.
        """
        host = self.hosts[step.host]
        match step.command.split():
            case ["systemctl", "start", "txcarp"]:
                await self.begin(host)
                return []
            case ["systemctl", "stop", "txcarp"]:
                await self.stopped(self.running.pop(step.host))
                return []
            case ["reboot"]:
                await self.stopped(self.running.pop(step.host))
                host.node.unplug()
                await self.during(1.0)
                host.node.plugIn()
                await self.begin(host)
                return []
            case ["pkill", "-9", "-x", "txcarp"]:
                await self.stopped(self.running.pop(step.host), signal.SIGKILL)
                return []
            case ["ping", address]:
                await self.ping(address)
                return []
        control = self.root / step.host / "run" / "control.sock"
        program = " ".join(map(shlex.quote, TXCARP))
        function = (
            f'txcarp() {{ w=$1; shift; if [ "$w" != check ]; then set -- --control {control} "$@"; '
            f'fi; {program} "$w" "$@"; }}'
        )
        script = f"{function}\n{self.there(step.host, step.command)}"
        shell = host.run(f"{step.host} shell", ["/bin/sh"], ["-c", script])
        await self.until(lambda: shell.ended, step.command, _PATIENCE)
        return [self.here(step.host, line) for _, line in shell.lines]

    async def begin(self, host: Host) -> None:
        """
        Start txcarp, and wait until it answers commands.
        """
        file = self.root / host.name / "etc" / "txcarp.toml"
        daemon = host.run(f"{host.name} txcarp", TXCARP, ["--config", str(file)])
        self.running[host.name] = daemon
        control = self.root / host.name / "run" / "control.sock"
        await self.until(control.exists, f"{host.name} answers", STARTING)

    async def ping(self, address: str) -> None:
        """
        Ask for an address from now on.
        """
        clock = MonotonicClock(reactor)
        with self.client_.node.inside():
            pinger = Pinger(reactor, clock, openPingSocket(address), address, keep=_KEPT)
        pinger.start()
        self.addCleanup(clock.stop)
        self.addCleanup(pinger.stop)
        self.pingers[address] = pinger
        await self.answers(pinger)

    async def settled(self) -> None:
        """
        Wait for the answers to all questions that were asked, or for their loss.
        """
        if self.pingers:
            await self.answers(*self.pingers.values())
            await self.until(
                lambda: all(one.gaps().pending < 5 for one in self.pingers.values()),
                "the answers arrive",
                REACHABLE,
            )
