"""
Tests for C{txcarp events}.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from io import StringIO
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from tests.commands.test_asking import Terminal
from tests.operate.running import RunningTestCase
from txcarp.commands import events
from txcarp.commands.asking import parserFor


class LinesTests(SynchronousTestCase):
    """
    Events for people.
    """

    def test_width(self) -> None:
        """
        A line has 80 columns at most, and no characters that move a cursor.
        """
        event = {
            "event": "check",
            "reason": "bad",
            "time": 1.25,
            "group": "web",
            "text": "check \x1b[2J\n" + "word " * 40,
        }
        lines = events.lines(event)
        self.assertRegex(lines[0], r"^\d\d:\d\d:\d\d\.250  web       check  \[2J word ")
        self.assertGreater(len(lines), 2)
        for line in lines:
            self.assertLessEqual(len(line), 80)
            self.assertTrue(line.isprintable())
        for line in lines[1:]:
            self.assertRegex(line, r"^ {16}word")

    def test_addresses(self) -> None:
        """
        C{--host} takes addresses of both families and names, with a port or without.
        """
        parser = parserFor("events", "x", reads=True)
        for text, address in (
            ("10.1.1.2", ("10.1.1.2", 9112)),
            ("10.1.1.2:80", ("10.1.1.2", 80)),
            ("::1", ("::1", 9112)),
            ("[::1]", ("::1", 9112)),
            ("[::1]:80", ("::1", 80)),
            ("web2:80", ("web2", 80)),
        ):
            self.assertEqual(parser.parse_args(["--host", text]).host, address)
        for text in ("", ":80", "web2:x", "web2:0", "web2:65536", "[::1]:", "web2:"):
            self.patch(sys, "stderr", open(os.devnull, "w"))  # noqa: SIM115
            self.assertRaises(SystemExit, parser.parse_args, ["--host", text])


class ColourTests(SynchronousTestCase):
    """
    Events on a terminal.
    """

    def shown(self, output: StringIO, **event: object) -> str:
        """
        Show an event.
        """
        self.patch(sys, "stdout", output)
        self.patch(os, "environ", {**os.environ, "TERM": "xterm"})
        os.environ.pop("NO_COLOR", None)
        events._printer(False)({"time": 1.0, "group": "web", "text": "words", **event})
        return output.getvalue()

    def test_terminal(self) -> None:
        """
        Only a terminal gets colours, and good and bad news have different ones.
        """
        good = self.shown(Terminal(), event="transition", reason="silence", role="MASTER")
        bad = self.shown(Terminal(), event="hold", reason="no_link")
        self.assertIn("\x1b[32m", good)
        self.assertIn("\x1b[1;31m", bad)
        self.assertEqual(self.shown(Terminal(), event="listening", reason="snapshot"), "")
        plain = self.shown(StringIO(), event="hold", reason="no_link")
        self.assertTrue(plain.isascii() and plain.rstrip("\n").isprintable(), plain)


class CommandTests(RunningTestCase):
    """
    The command in a process of its own.
    """

    def started(self, *words: str) -> subprocess.Popen[str]:
        """
        Start the command.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "txcarp", "events", "--control", self.path, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Trial may have been started in the background by a shell, which ignores SIGINT then.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

        def end() -> None:
            process.kill()
            process.communicate()

        self.addCleanup(end)
        return process

    async def until(self, stream: Any, word: str) -> str:
        """
        Read lines until one has a word.
        """
        while True:
            line: str = await deferToThread(stream.readline)
            if word in line or not line:
                return line

    async def test_followed(self) -> None:
        """
        The command prints events, waits for txcarp when that ends, and ends with Ctrl-C.
        """
        process = self.started("--json", "web")
        line = await self.until(process.stdout, "snapshot")
        self.assertEqual(json.loads(line)["event"], "listening")
        await self.asking(lambda client: client.demote("web", "upgrade", 50))
        line = await self.until(process.stdout, "demotion")
        self.assertEqual(json.loads(line)["amount"], 50)
        await self.service.stopService()
        self.assertIn("trying again", await self.until(process.stderr, "trying"))
        self.carp.virtualHosts[0].promote("upgrade")
        self.service = self.serve()
        line = await self.until(process.stdout, "demotion")
        self.assertEqual(json.loads(line)["amount"], 0)
        process.send_signal(signal.SIGINT)
        self.assertEqual(await deferToThread(process.wait, 30), 0)

    async def test_noReconnect(self) -> None:
        """
        With C{--no-reconnect} the command ends with txcarp; without a txcarp it fails.
        """
        process = self.started("--no-reconnect")
        await self.until(process.stdout, "BACKUP")
        await self.service.stopService()
        self.assertEqual(await deferToThread(process.wait, 30), 0)
        process = self.started()
        self.assertEqual(await deferToThread(process.wait, 30), 3)
