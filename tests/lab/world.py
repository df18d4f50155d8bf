"""
A test network with hosts on it, and waiting for what happens there.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.trial.unittest import TestCase

from tests.lab.daemons import Daemon, programPath
from tests.lab.wire import Wire
from txcarp.testbed import Node, Switch, Testbed, TestbedUnavailable
from txcarp.testbed.program import TXCARP

#: The address that hosts share.
VIRTUAL = "10.99.0.100"

#: The virtual host's number, unless a test has several.
VHID = 7

PASSWORD = "not a secret"

#: Seconds that a process may take to start on a busy machine.
STARTING = 40.0

#: Seconds of tolerance; see L{LabTestCase.slack}.  The most is small enough to tell an exact
#: deadline from one that is checked once a second.
_SLACK, _MOST_SLACK = 0.3, 0.7

_LOOK_EVERY = 0.01

#: A virtual host that does what it reads on its standard input (L{tests.lab.steered}).
_STEERED = (sys.executable, "-m", "tests.lab.steered")

_SCRIPT = """\
#!/bin/sh
printf '%s\\t' {event} "$0" "$@" > {record}.$$
printf '\\n%s %s %s' "$PPID" "$TXCARP_STATE" "$TXCARP_REASON" >> {record}.$$
mv {record}.$$ {record}.`date +%s%N`
{more}
"""

_log = Logger()


class Run:
    """
    One run of a script.

    @ivar event: C{"up"} or C{"down"}.
    @ivar argv: The path of the script and its arguments.
    @ivar parent: The number of the process that ran it.
    @ivar state: The value of C{TXCARP_STATE}.
    @ivar reason: The value of C{TXCARP_REASON}.
    """

    def __init__(self, text: str) -> None:
        words, _, facts = text.partition("\n")
        self.event, *self.argv = words.split("\t")[:-1]
        parent, self.state, self.reason = facts.split(" ")
        self.parent = int(parent)


class Host:
    """
    A node with a directory for its scripts.

    @ivar address: Its first address, without prefix length.
    """

    def __init__(self, lab: LabTestCase, node: Node, address: str, directory: Path) -> None:
        self.node = node
        self.name = node.name
        self.address = address
        self.directory = directory
        directory.mkdir()
        self._lab = lab

    @property
    def hardware(self) -> bytes:
        """
        The Ethernet address of C{eth0}.
        """
        return self.node.link().address

    @property
    def linkLocal(self) -> str:
        """
        The source of its IPv6 advertisements.
        """
        [found] = [one for one in self.node.addresses() if one.startswith("fe80:")]
        return found.partition("/")[0]

    def arguments(self, *options: str, virtual: Sequence[str] = (VIRTUAL,)) -> list[str]:
        """
        The arguments for ucarp or txcarp.

        @param options: More options, which override the others.
        @param virtual: The shared addresses.
        """
        source = ("-s", self.address) if any(":" not in one for one in virtual) else ()
        addresses = [word for address in virtual for word in ("-a", address)]
        return [
            *("-i", "eth0", *source, "-v", str(VHID), "-p", PASSWORD),
            *(*addresses, "-f", "none", *options),
        ]

    def txcarp(
        self, *options: str, virtual: Sequence[str] = (VIRTUAL,), **settings: Any
    ) -> Daemon:
        """
        Start txcarp.
        """
        arguments = self.arguments(*options, virtual=virtual)
        return self.run(f"{self.name} txcarp", TXCARP, arguments, **settings)

    def steered(self, *options: str, virtual: Sequence[str] = (VIRTUAL,)) -> Daemon:
        """
        Start a virtual host that L{Daemon.tell} controls; see L{tests.lab.steered}.
        """
        arguments = self.arguments(*options, virtual=virtual)
        return self.run(f"{self.name} steered", _STEERED, arguments)

    def ucarp(self, *options: str) -> Daemon:
        """
        Start the real ucarp.
        """
        return self.run(f"{self.name} ucarp", (self._lab.ucarpPath,), self.arguments(*options))

    def run(
        self, name: str, command: Sequence[str], arguments: Sequence[str], **settings: Any
    ) -> Daemon:
        """
        Start a process.  It is killed at the end of the test.
        """
        def note(line: str) -> None:
            _log.info("{name}: {line}", name=name, line=line)

        daemon = Daemon(name, notify=note)
        self._lab.daemons.append(daemon)
        state = self.directory / "state"
        daemon.start(reactor, self.node, [*command, *arguments], state, **settings)
        self._lab.addCleanup(self._lab.end, daemon)
        return daemon

    def script(self, event: str, more: str = "") -> str:
        """
        Write a script that records its call.

        @param more: More lines of the script.
        @return: Its path.
        """
        path = self.directory / f"{event}.sh"
        path.write_text(
            _SCRIPT.format(event=event, record=self.directory / f"{event}-run", more=more)
        )
        path.chmod(0o755)
        return str(path)

    def scripts(self) -> tuple[str, ...]:
        """
        The options for an up script and a down script that record their calls.
        """
        return ("-u", self.script("up"), "-d", self.script("down"))

    def runs(self, event: str | None = None) -> list[Run]:
        """
        The runs of the scripts, oldest first.

        @param event: Only the runs of this script.
        """
        files = [path for path in self.directory.glob("*-run.*") if len(path.suffix) > 12]
        runs = [Run(path.read_text()) for path in sorted(files, key=lambda path: path.suffix)]
        return [run for run in runs if event in (None, run.event)]

    def events(self) -> list[str]:
        """
        The events of all runs, oldest first.
        """
        return [run.event for run in self.runs()]


class LabTestCase(TestCase):
    """
    A test with its own network.

    @ivar wire: The packets on the switch C{testbed.lan}.
    @ivar daemons: All processes that the test started on hosts.
    @ivar directory: The directory for all files of the test.
    """

    timeout = 120
    needsUcarp = True

    testbed: Testbed
    wire: Wire
    ucarpPath: str

    def setUp(self) -> None:
        """
        Make the network.
        """
        self.daemons: list[Daemon] = []
        self._wires: list[Wire] = []
        self._last = time.monotonic()
        self._worst = 0.0
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        if self.needsUcarp:
            self.ucarpPath = self.program("ucarp", "ucarp")
        try:
            self.testbed = Testbed.create()
        except TestbedUnavailable as error:
            self._cannot(str(error))
        self.addCleanup(self.testbed.remove)
        self.wire = self.listen(self.testbed.lan)
        self._pulse = LoopingCall(self._beat)
        self._pulse.start(_LOOK_EVERY)
        self.addCleanup(self._pulse.stop)

    @property
    def slack(self) -> float:
        """
        Seconds by which an event may be late.  They grow with the longest time that this
        process had to wait for the processor.
        """
        return min(_SLACK + 2 * self._worst, _MOST_SLACK)

    def run(self, result: Any = None) -> Any:
        """
        Run the test.  If it fails, show what its processes wrote.
        """
        before = len(result.errors) + len(result.failures)
        super().run(result)
        if len(result.errors) + len(result.failures) > before:
            print(f"\n==== {self.id()}\n{self.transcript()}\n====", file=sys.stderr)

    def listen(self, switch: Switch) -> Wire:
        """
        Record the packets on a switch until the end of the test.
        """
        wire = Wire(reactor, switch)
        self._wires.append(wire)
        self.addCleanup(wire.stop)
        return wire

    def host(
        self,
        name: str,
        address: str = "",
        switch: Switch | None = None,
        *more: str,
        bare: bool = False,
    ) -> Host:
        """
        Make a host.

        @param address: Its address with prefix length; by default the next one of
            10.99.0.0/24.
        @param more: More addresses, of either family.
        @param bare: Whether its interface has none of these addresses.
        """
        if not address:
            address = f"10.99.0.{len(list(self.directory.iterdir())) + 1}/24"
        addresses = () if bare else (address, *more)
        node = self.testbed.node(name, *addresses, switch=switch)
        return Host(self, node, address.partition("/")[0], self.directory / name)

    def program(self, name: str, package: str) -> str:
        """
        The path of a program.  The test is skipped without it.

        @param package: The Debian package of the program.
        """
        path = programPath(name)
        if path is None:
            self._cannot(f"{name} is not installed: 'apt-get install {package}'")
        return str(path)

    async def output(self, host: Host, *command: str) -> list[str]:
        """
        Run a program, and return the lines that it writes.
        """
        daemon = host.run(command[0], command[:1], command[1:])
        await daemon.exit
        self.assertEqual((daemon.status, daemon.killedBy), (0, None), daemon.lines)
        return [line for _, line in daemon.lines]

    async def neighbour(self, host: Host, address: str) -> str:
        """
        The Ethernet address in a host's neighbour table for an IP address; empty if there
        is none.
        """
        path = self.program("ip", "iproute2")
        for line in await self.output(host, path, "neigh", "show", "to", address):
            _, found, rest = line.partition(" lladdr ")
            if found:
                return rest.split()[0]
        return ""

    async def lose(self, switch: Switch, *matches: str) -> None:
        """
        Let a switch drop packets.

        @param matches: The packets, as matches of an nft rule.
        """
        path = self.program("nft", "nftables")
        rules = "; ".join(f"{match} drop" for match in matches)
        chain = f"chain lossy {{ type filter hook forward priority 0; {rules}; }}\n"
        setting = Daemon("nft")
        with switch.inside():
            reactor.spawnProcess(setting, path, [path, f"table bridge lossy {{ {chain} }}"])
        await setting.exit
        if setting.status:
            self._cannot(f"nft cannot filter on a bridge here: {setting.lines}")

    async def until(self, condition: Callable[[], object], what: str, within: float) -> float:
        """
        Wait for a condition.

        @param what: The condition in words.
        @param within: Seconds after which the test fails.
        @return: The time, on the monotonic clock.
        """
        end = time.monotonic() + within
        done: Deferred[float] = Deferred()

        def look() -> None:
            now = time.monotonic()
            if condition():
                loop.stop()
                done.callback(now)
            elif now > end:
                self.fail(f"not within {within} s: {what}")

        loop = LoopingCall(look)
        loop.start(_LOOK_EVERY).addErrback(done.errback)
        self.addCleanup(self._halt, loop)
        return await done

    @staticmethod
    def concurrently(steps: Coroutine[Any, Any, None]) -> Deferred[None]:
        """
        Start a part of a test that runs concurrently.
        """
        return Deferred.fromCoroutine(steps)

    async def during(self, seconds: float) -> None:
        """
        Let time pass.
        """
        await deferLater(reactor, seconds)

    async def becomes(self, daemon: Daemon, state: str, within: float = STARTING) -> float:
        """
        Wait until a process logs a state.  It need not be in that state any more when this
        returns.

        @return: The time, on the monotonic clock.
        """
        since = time.monotonic()

        def reached() -> bool:
            if daemon.state == state or daemon.said(f"Switching to state: {state}", since):
                return True
            if daemon.ended:
                self.fail(f"{daemon.name} ended: status {daemon.status}, by {daemon.killedBy}")
            return False

        return await self.until(reached, f"{daemon.name} is {state}", within)

    async def plugIn(self, *members: tuple[Host, Daemon]) -> float:
        """
        Plug in the cables of hosts whose txcarp was started without a cable.  All of them
        begin to wait for a master at the same time, however long their processes took to
        start.

        @return: That time, on the monotonic clock.
        """
        for _, daemon in members:
            await self.until(
                lambda daemon=daemon: daemon.said("is without carrier"),
                f"{daemon.name} waits",
                STARTING,
            )
        began = time.monotonic()
        for host, _ in members:
            host.node.plugIn()
        return began

    async def listens(self, daemon: Daemon) -> float:
        """
        Wait until a backup knows its link.  Its first deadline counts from then.

        @return: The time, on the monotonic clock.
        """
        await self.becomes(daemon, "BACKUP")
        return await self.until(
            lambda: daemon.said("Local advertised"), f"{daemon.name} listens", 5
        )

    async def advertises(
        self, host: Host, since: float = 0.0, within: float = STARTING, wire: Wire | None = None
    ) -> float:
        """
        Wait for the first advertisement of a host after a time.

        @return: When it was sent.
        """
        heard = wire or self.wire
        await self.until(
            lambda: heard.since(host.address, since), f"{host.name} advertises", within
        )
        return heard.since(host.address, since)[0].time

    async def stopped(self, daemon: Daemon, number: int = signal.SIGTERM) -> None:
        """
        Send a signal to a process, and wait for its end.
        """
        daemon.signal(number)
        await self.until(lambda: daemon.ended, f"{daemon.name} ends", STARTING)

    async def end(self, daemon: Daemon) -> None:
        """
        Kill a process, unless it has ended.
        """
        if not daemon.ended:
            daemon.signal(signal.SIGKILL)
            daemon.signal(signal.SIGCONT)
            await daemon.exit

    def report(self, what: str) -> None:
        """
        Print a measured figure.
        """
        print(f"\n    {what}", end=" ", flush=True)

    @staticmethod
    def _halt(loop: LoopingCall) -> None:
        if loop.running:
            loop.stop()

    def _beat(self) -> None:
        now = time.monotonic()
        self._worst = max(self._worst, now - self._last - _LOOK_EVERY)
        self._last = now

    def transcript(self) -> str:
        """
        The last lines of all processes, and the last packets.
        """
        lines = [f"-- this process paused for up to {getattr(self, '_worst', 0):.3f} s"]
        for daemon in getattr(self, "daemons", ()):
            lines.append(f"-- {daemon.name}: {'ended' if daemon.ended else 'runs'}")
            lines += [f"{when:.3f} {line[:300]}" for when, line in daemon.lines[-60:]]
        for wire in getattr(self, "_wires", ()):
            lines += ["-- wire", *wire.describe()]
        return "\n".join(lines)

    def _cannot(self, reason: str) -> None:
        if os.environ.get("CI"):
            self.fail(f"in CI nothing is skipped: {reason}")
        raise SkipTest(reason)
