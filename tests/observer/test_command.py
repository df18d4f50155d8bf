"""
Tests of L{txcarp.commands.observe} and L{txcarp.observer.observation}: the command as a
whole, in a process of its own on a test network.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests import crafted
from tests.observer.air import ALPHA, BETA
from tests.terminal import shownBy
from tests.testbed.fixture import makeTestbed, until
from txcarp.commands.observe import main
from txcarp.network.frames import groupAddress, ipv4Frame
from txcarp.network.sockets import MissingCapability
from txcarp.observer.ear import Ear

_FAST = {"vhid": 7, "advbase": 0}


class _Run(ProcessProtocol):
    """
    One run of the command.
    """

    def __init__(self) -> None:
        self.output = ""
        self.errors = ""
        self.ended: Deferred[int] = Deferred()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == 2:
            self.errors += data.decode()
        else:
            self.output += data.decode()

    def processEnded(self, reason: Failure) -> None:
        error = reason.value
        killed = isinstance(error, ProcessTerminated) and error.signal is not None
        self.ended.callback(-error.signal if killed else error.exitCode)


class CommandTests(TestCase):
    """
    Tests on a network with hosts that advertise.
    """

    # Seconds; each takes three, or many more where others keep the machine busy.
    timeout = 120

    def setUp(self) -> None:
        testbed = makeTestbed(self)
        self.speaker, self.observer = testbed.node("speaker"), testbed.node("observer")
        self.address = self.speaker.link().address
        self.frames = self.speaker.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.addCleanup(self.frames.close)
        self.frames.bind(("eth0", 0))

    def start(self, *arguments: str, terminal: bool = False, colours: bool = True) -> _Run:
        from twisted.internet import reactor

        run = _Run()
        spawner: Any = reactor
        self.observer.spawn(
            spawner,
            run,
            sys.executable,
            [sys.executable, "-m", "txcarp.commands.main", "observe", "-i", "eth0", *arguments],
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "" if colours else "1"},
            path=str(Path(__file__).parents[2]),
            usePTY=terminal,
        )
        self.addCleanup(self.kill, run)
        return run

    def kill(self, run: _Run) -> Deferred[int] | None:
        if not run.ended.called:
            assert run.transport is not None
            run.transport.signalProcess("KILL")
            return run.ended
        return None

    def send(self, source: str = ALPHA, **fields: int) -> None:
        """
        Send an advertisement from another host.
        """
        packet = crafted.packet(source=source, **{**_FAST, "advskew": 25, **fields})
        group = socket.inet_aton(crafted.GROUP)
        self.frames.send(ipv4Frame(groupAddress(group), self.address, packet))

    def advertise(self, source: str = ALPHA, **fields: int) -> LoopingCall:
        """
        Send such advertisements ten times a second.
        """
        from twisted.internet import reactor

        loop = LoopingCall(self.send, source, **fields)
        loop.clock = reactor
        loop.start(0.1)
        self.addCleanup(lambda: loop.stop() if loop.running else None)
        return loop

    async def test_lines(self) -> None:
        """
        Without a terminal each event is a line, and an interrupt ends the command with status
        0.
        """
        run = self.start()
        await until(lambda: "listening" in run.output)
        alpha = self.advertise()
        await until(lambda: "10.99.0.1 is master" in run.output)
        alpha.stop()
        self.send(advbase=255, advskew=255)
        beta = self.advertise(BETA)
        await until(lambda: "10.99.0.2 is the new master: 10.99.0.1 bowed out" in run.output)
        beta.stop()
        await until(lambda: "NO MASTER since" in run.output)
        self.observer.setInterface(False)
        await until(lambda: "the interface is down" in run.output)
        self.observer.setInterface(True)
        await until(lambda: "listening again" in run.output)
        self.advertise(BETA)
        await until(lambda: "10.99.0.2 advertises again" in run.output)
        run.transport.signalProcess("INT")  # type: ignore[union-attr]
        self.assertEqual(await run.ended, 0)
        self.assertEqual(run.errors, "")
        events, _, end = run.output.partition("\n\n")
        self.assertRegex(end, r"\AObserved for \d.*: 1 group\.\n  eth0  CARP 7: .* in the end\n")
        self.assertIn("\n    1 bow-out\n", end)
        for line in events.splitlines():
            self.assertRegex(line, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  eth0  ")
        self.assertNotIn("\x1b", run.output)

    async def test_json(self) -> None:
        """
        Each event is a JSON object on a line.
        """
        run = self.start("--json")
        await until(lambda: "listening" in run.output)
        self.send()
        await until(lambda: '"silent"' in run.output)
        run.transport.signalProcess("TERM")  # type: ignore[union-attr]
        self.assertEqual(await run.ended, 0)
        records = [json.loads(line) for line in run.output.splitlines()]
        self.assertEqual(
            [(record["event"], record.get("source")) for record in records],
            [("listening", None), ("group", ALPHA), ("silent", ALPHA), ("summary", None)],
        )
        self.assertEqual((records[-1]["vacancies"], records[-1]["changes"]), (1, 0))

    async def test_readerGone(self) -> None:
        """
        When the reader of the output is gone, the command ends.
        """
        run = self.start("--json")
        await until(lambda: "listening" in run.output)
        run.transport.closeStdout()  # type: ignore[union-attr]
        self.advertise()
        self.assertEqual(await run.ended, 0)
        self.assertEqual(run.errors, "")

    async def test_terminal(self) -> None:
        """
        A terminal shows a table, which stays there after Ctrl-C.
        """
        for colours in (True, False):
            run = self.start(terminal=True, colours=colours)
            loop = self.advertise()
            await until(lambda run=run: "CARP 7" in run.output and "EVERY" in run.output)
            run.transport.write(b"\x03")  # type: ignore[union-attr]
            self.assertEqual(await run.ended, 0, run.output)
            loop.stop()
            shown = "\n".join(shownBy(run.output.replace("^C", "")))
            self.assertRegex(shown, r"\d  eth0  CARP 7: 10\.99\.0\.1 is master")
            self.assertRegex(shown, r"\n  eth0  CARP 7: 10\.99\.0\.1 is master in the end")
            self.assertRegex(shown, r"GROUP +MASTER.*\nCARP 7  10\.99\.0\.1 .*\nListening on eth0")
            self.assertEqual("\x1b[32m" in run.output, colours)

    async def test_once(self) -> None:
        """
        With --once the command ends by itself, and the status says whether any group was seen.
        """
        run = self.start("--once", "0.3")
        self.assertEqual(await run.ended, 1)
        self.assertIn("No advertisements heard", run.output)
        self.assertNotIn("No advertisement has the digest", run.errors)
        self.advertise()
        passwordFile = Path(self.mktemp()).absolute()
        passwordFile.write_text("another\n")
        run = self.start("--once", "2", "-o", str(passwordFile), "-a", "10.99.0.100")
        self.assertEqual(await run.ended, 0)
        self.assertIn("No advertisement has the digest of this password", run.errors)
        run = self.start("--once", "2", "--json")
        self.assertEqual(await run.ended, 0)
        (record,) = map(json.loads, run.output.splitlines())
        self.assertEqual((record["event"], record["masters"]), ("state", [ALPHA]))
        run = self.start("--once", "1000")
        await until(lambda: self.isRunning(run))
        run.transport.signalProcess("INT")  # type: ignore[union-attr]
        self.assertIn(await run.ended, (0, 1))

    def isRunning(self, run: _Run) -> bool:
        """
        Whether the reactor of a process runs and handles signals.  SIGTERM tells, since Python
        handles SIGINT from the start.
        """
        assert run.transport is not None
        process = Path("/proc", str(run.transport.pid))
        try:
            # Before it is another program, it has the handlers of this one.
            started = b"txcarp.commands.main" in (process / "cmdline").read_bytes()
            words = (process / "status").read_text().split()
        except OSError:
            return False
        caught = int(words[words.index("SigCgt:") + 1], 16)
        return started and bool(caught >> (signal.SIGTERM - 1) & 1)

    async def test_flood(self) -> None:
        """
        A flood of advertisements produces a limited number of lines.
        """
        run = self.start()
        await until(lambda: "listening" in run.output)
        for number in range(5000):
            source = f"10.{number % 7}.{number // 256 % 256}.{number % 256}"
            self.send(source, vhid=1 + number % 255, advbase=number % 3, advskew=number % 255)
        run.transport.signalProcess("INT")  # type: ignore[union-attr]
        self.assertEqual(await run.ended, 0)
        self.assertEqual(run.errors, "")
        self.assertLess(len(run.output.splitlines()), 1000)


class UsageTests(SynchronousTestCase):
    """
    Tests that need no network.
    """

    def run_(self, *arguments: str) -> tuple[int, str, str]:
        output, errors = StringIO(), StringIO()
        self.patch(sys, "stdout", output)
        self.patch(sys, "stderr", errors)
        try:
            status = main(arguments)
        except SystemExit as ended:
            status = int(str(ended.code))
        return status, output.getvalue(), errors.getvalue()

    def test_wrong(self) -> None:
        """
        A wrong command line is refused with an explanation and status 1.
        """
        wrong: Iterable[tuple[str, ...]] = (
            (),
            ("--nonsense",),
            ("-i", "lo", "operand"),
            ("-i", "lo", "--once", "soon"),
            ("-i", "lo", "--once", "0"),
            ("-i", "lo", "--once", "nan"),
        )
        for words in wrong:
            status, output, errors = self.run_(*words)
            self.assertEqual((status, output), (1, ""), words)
            self.assertRegex(errors, r"^txcarp observe: .+\nTry 'txcarp observe --help'\.\n$")

    def test_unknownInterface(self) -> None:
        """
        The error for an unknown interface lists the existing ones; the status is 2.
        """

        def refuse(interface: str) -> socket.socket:
            raise OSError(19, "No such device")

        self.patch(Ear.__init__, "__defaults__", (refuse,))
        status, output, errors = self.run_("-i", "nonesuch")
        self.assertEqual((status, output), (2, ""))
        self.assertRegex(
            errors, r"^txcarp observe: there is no interface nonesuch \(there are: .*\blo\b.*\)\n$"
        )

    def test_secondInterface(self) -> None:
        """
        If listening on one interface fails, the sockets of the others are closed.
        """
        from twisted.internet import reactor

        opened: list[socket.socket] = []

        def refuseSecond(interface: str) -> socket.socket:
            if opened:
                raise OSError(19, "No such device")
            opened.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            return opened[0]

        self.patch(Ear.__init__, "__defaults__", (refuseSecond,))
        status, _, errors = self.run_("-i", "lo", "-i", "nonesuch")
        self.assertEqual(status, 2)
        self.assertIn("nonesuch", errors)
        installed: Any = reactor
        installed.runUntilCurrent()  # a descriptor is closed in the next turn
        self.assertEqual(opened[0].fileno(), -1)

    def test_noCapability(self) -> None:
        """
        Without the capability the command says so in one line, with status 2.
        """

        def refuse(interface: str) -> socket.socket:
            raise MissingCapability("open a packet socket", "CAP_NET_RAW")

        self.patch(Ear.__init__, "__defaults__", (refuse,))
        status, output, errors = self.run_("-i", "lo")
        self.assertEqual((status, output), (2, ""))
        self.assertRegex(
            errors, r"^txcarp observe: cannot open a packet socket: .*CAP_NET_RAW.*\n$"
        )

    def test_help(self) -> None:
        """
        The help has examples and mentions multicast snooping.
        """
        for option in ("-h", "--help"):
            status, output, _ = self.run_(option)
            self.assertEqual(status, 0)
            self.assertIn("txcarp observe -i eth0 -i eth1\n", output)
            self.assertIn("snooping", output)

    def test_version(self) -> None:
        """
        The version is that of the package.
        """
        status, output, _ = self.run_("--version")
        self.assertEqual(status, 0)
        self.assertRegex(output, r"^txcarp \d")
