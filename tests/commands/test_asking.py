"""
Tests for the commands that ask and tell a running process: L{txcarp.commands.status} and others.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from io import StringIO
from types import SimpleNamespace
from typing import Any

import attrs
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.fakes import MemoryFile, runTo
from tests.operate.running import RunningTestCase
from txcarp.change import FileStatus, ReloadResult
from txcarp.commands.explain import wrapped
from txcarp.commands.main import COMMANDS
from txcarp.commands.table import plainTable, row
from txcarp.operate.client import Client
from txcarp.protocol.effects import Role
from txcarp.protocol.events import HoldReason
from txcarp.state.store import StateStore

#: The commands that ask, each with arguments that need a group C{web}.
ASKING = {
    "status": ["web"],
    "explain": ["web"],
    "is-master": ["web"],
    "demote": ["web", "upgrade", "50"],
    "promote": ["web", "upgrade"],
    "takeover": ["web"],
    "drain": ["web"],
    "resume": ["--all"],
    "reload": [],
    "confirm": [],
}


class Terminal(StringIO):
    """
    An output that is a terminal.
    """

    def isatty(self) -> bool:
        return True


class CommandTests(RunningTestCase):
    """
    The commands and a service that answers.
    """

    file = FileStatus("/etc/txcarp.toml")

    def setUp(self) -> None:
        result = ReloadResult(("web  changes",), ("others can read it",))
        self.reloader = SimpleNamespace(
            reload=lambda confirm, actor: succeed(attrs.evolve(result, unconfirmed=confirm)),
            preview=lambda: succeed(ReloadResult(error="line 1: wrong\nThe file is wrong")),
            confirm=lambda: ReloadResult(error="No change waits"),
            status=lambda: succeed(self.file),
        )
        super().setUp()

    def ran(self, *words: str, output: StringIO | None = None) -> Deferred[tuple[Any, str, str]]:
        """
        Run a command.

        @return: Fires with its exit status and what it printed to the output and to the error
            output.
        """
        shown, errors = output or StringIO(), StringIO()
        self.patch(sys, "stdout", shown)
        self.patch(sys, "stderr", errors)
        run = COMMANDS[words[0]].load()

        def call() -> Any:
            try:
                return run([*words[1:], "--control", self.path])
            except SystemExit as end:
                return end.code

        done = self.inThread(call)
        return done.addCallback(lambda status: (status, shown.getvalue(), errors.getvalue()))

    async def test_isMaster(self) -> None:
        """
        The exit status of C{is-master} tells whether this host is master.
        """
        self.assertEqual(await self.ran("is-master", "web"), (2, "", ""))
        self.becomeMaster()
        self.assertEqual(await self.ran("is-master", "web"), (0, "", ""))
        status, output, _ = await self.ran("is-master", "-v", "web")
        self.assertEqual((status, output), (0, "web: this host is MASTER\n"))

    async def test_unknownGroup(self) -> None:
        """
        An unknown group is a wrong command line.
        """
        for command in ("status", "is-master", "takeover"):
            status, output, errors = await self.ran(command, "wbe")
            self.assertEqual((status, output), (1, ""))
            self.assertIn(f"txcarp {command}: There is no group 'wbe'; the groups are: web", errors)

    async def test_noDaemon(self) -> None:
        """
        Without a daemon, the status is 3, and the error says what to do.
        """
        await self.service.stopService()
        for command, words in ASKING.items():
            status, output, errors = await self.ran(command, *words)
            self.assertEqual((status, output), (3, ""), command)
            self.assertIn(f"txcarp {command}: no txcarp answers on {self.path}", errors)
            self.assertIn("start one", errors)

    async def test_notPermitted(self) -> None:
        """
        A user who may not open the socket gets status 4.
        """

        def refuse(*arguments: object) -> None:
            raise PermissionError(13, "Permission denied")

        self.patch(socket.socket, "connect", refuse)
        for command, words in ASKING.items():
            status, output, errors = await self.ran(command, *words)
            self.assertEqual((status, output), (4, ""), command)
            self.assertIn("as root", errors)

    async def test_demotion(self) -> None:
        """
        C{demote} and C{promote} say in which state the host is then.
        """
        self.assertEqual(
            await self.ran("demote", "web", "upgrade", "50"),
            (0, "web: demoted by 50 for 'upgrade'; this host is BACKUP, demoted by 50\n", ""),
        )
        status, output, _ = await self.ran("promote", "web", "upgrade")
        self.assertEqual(status, 0)
        self.assertEqual(output, "web: no longer demoted for 'upgrade'; this host is BACKUP\n")
        status, _, errors = await self.ran("promote", "web", "upgrade")
        self.assertEqual(status, 1)
        self.assertIn("web is not demoted for 'upgrade'; the present reasons are: none.", errors)
        status, _, errors = await self.ran("demote", "web", "upgrade", "256")
        self.assertEqual(status, 1)
        self.assertIn("-255 to 255", errors)
        status, _, errors = await self.ran("demote", "web", "upgrade", "much")
        self.assertEqual(status, 1)

    async def test_takeover(self) -> None:
        """
        C{takeover} makes this host master, or says why it cannot be.
        """
        status, output, _ = await self.ran("takeover", "web")
        self.assertEqual((status, output), (0, "web: asked to take over; this host is MASTER\n"))
        self.assertIs(self.carp.virtualHosts[0].role, Role.MASTER)
        self.platform.links.change(self.carp.virtualHosts[0].configuration.interface, up=False)
        status, _, errors = await self.ran("takeover", "web")
        self.assertEqual(status, 2)
        self.assertIn("cannot become master: it is held back from the election: no link", errors)

    async def test_drain(self) -> None:
        """
        C{drain} says who is master then, or that this host is.
        """
        self.platform.store = StateStore(MemoryFile(), self.clock, maybeDeferred)
        web, other = self.carp.virtualHosts
        for host in (web, other):
            host.stopService()
            host.startService()
        self.becomeMaster()
        status, output, errors = await self.passing("drain", "web")
        self.assertEqual((status, output), (2, ""))
        self.assertEqual(
            errors, "txcarp drain: Nobody took over web within 1.5 s; this host is master again.\n"
        )
        status, output, errors = await self.passing("drain", "web", "--anyway", "--for", "10m")
        self.assertEqual((status, errors), (0, ""))
        self.assertRegex(
            output, r"^web: drained until \d\d:\d\d:\d\d; no other host is master\n$"
        )
        _, output, _ = await self.ran("explain", "web")
        self.assertRegex(" ".join(output.split()), r"This host is drained by .* until \d\d:")
        status, output, errors = await self.passing("drain", "--all")
        self.assertEqual(status, 2)
        self.assertEqual(output, "web: drained; no other host is master\n")
        self.assertIn(f"Nobody took over {other.name}", errors)
        status, output, errors = await self.passing("resume", "--all")
        self.assertEqual(
            (status, output, errors),
            (
                0,
                "web: takes part again; this host is MASTER\n"
                f"{other.name}: was not drained; this host is MASTER\n",
                "",
            ),
        )
        self.assertIs(web.role, Role.MASTER)

    async def test_wait(self) -> None:
        """
        A command can be told not to wait, or not for long.  What was begun goes on.
        """
        self.becomeMaster()
        status, output, _ = await self.ran("drain", "web", "--anyway", "--no-wait")
        self.assertEqual((status, output), (0, "web: requested; nothing was waited for\n"))
        status, _, errors = await self.passing("drain", "web", "--timeout", "0.5")
        self.assertEqual(status, 2)
        self.assertEqual(
            errors,
            "txcarp drain: The request for web is not complete after 0.5 s. It goes on: 'txcarp "
            "status' shows what comes of it.\n",
        )
        runTo(self.clock, self.clock.seconds() + 2)
        self.assertEqual(self.carp.virtualHosts[0].status().holds[0].reason, HoldReason.DRAINED)
        for wrong in (["--for", "soon"], ["--for", "0"], ["--timeout", "-1"], ["--all"]):
            self.assertEqual((await self.ran("drain", "web", *wrong))[0], 1, wrong)
        self.assertEqual((await self.ran("drain"))[0], 1)

    def passing(self, *words: str) -> Deferred[tuple[Any, str, str]]:
        """
        Run a command while time passes.
        """
        done = self.ran(*words)
        passing = LoopingCall(lambda: runTo(self.clock, self.clock.seconds() + 0.1))
        passing.start(0.01)
        return done.addBoth(lambda result: passing.stop() or result)

    async def test_reload(self) -> None:
        """
        C{reload} shows what has changed, or what is wrong.
        """
        self.assertEqual(
            await self.ran("reload"),
            (0, "web  changes\n", "txcarp reload: warning: others can read it\n"),
        )
        self.assertEqual(
            await self.ran("reload", "--dry-run"),
            (2, "", "txcarp reload: line 1: wrong\nThe file is wrong\n"),
        )
        reloader = SimpleNamespace(reload=lambda confirm, actor: Deferred())
        self.control._reloader = reloader  # type: ignore[assignment]
        status, output, errors = await self.ran("reload", "--no-wait")
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(output, "The file is read again. The log says what changes.\n")
        status, output, errors = await self.passing("reload", "--timeout", "2")
        self.assertEqual((status, output), (2, ""))
        self.assertIn("not complete after 2 s. It goes on.", errors)

    async def test_numbers(self) -> None:
        """
        A number that cannot be read is an error that names it and what it should be.
        """
        for line, words in (
            (("demote", "web", "x", "much"), "'much' is not a whole number from -255 to 255"),
            (("demote", "web", "x", "256"), "'256' is not a whole number from -255 to 255"),
            (("drain", "web", "--timeout", "5m"), "'5m' is not a number of seconds greater than 0"),
            (("drain", "web", "--for", "10x"), "for must be a time such as"),
            (("drain", "web", "--for", "10x"), "It cannot be '10x'"),
        ):
            status, output, errors = await self.ran(*line)
            self.assertEqual((status, output), (1, ""))
            self.assertIn(words, errors)

    async def test_confirm(self) -> None:
        """
        C{reload --confirm} says how long the change waits, and C{confirm} what it keeps.
        """
        status, output, _ = await self.ran("reload", "--confirm", "2m")
        self.assertEqual(status, 0)
        self.assertIn("This is undone in 120 s: enter 'txcarp confirm' before that", output)
        self.patch(self.reloader, "reload", lambda confirm, actor: succeed(ReloadResult()))
        self.assertEqual(
            await self.ran("reload", "--confirm", "2m"), (0, "There is nothing to confirm.\n", "")
        )
        status, output, errors = await self.ran("reload", "--confirm", "soon")
        self.assertEqual((status, output), (1, ""))
        self.assertIn("'soon' is not a time to confirm a change in", errors)
        status, _, errors = await self.ran("reload", "--confirm", "2m", "--dry-run")
        self.assertEqual(status, 1)
        self.assertEqual(await self.ran("confirm"), (2, "", "txcarp confirm: No change waits.\n"))
        self.patch(self.reloader, "confirm", lambda: ReloadResult(("web  changes",)))
        self.assertEqual(await self.ran("confirm"), (0, "web  changes\n", ""))

    async def test_file(self) -> None:
        """
        C{status} says if the file is not what runs, beside the table.
        """
        self.file = FileStatus("/etc/txcarp.toml", differs=True, unconfirmed=62.0)
        status, output, errors = await self.ran("status")
        self.assertEqual((status, len(output.splitlines())), (0, 3))
        self.assertEqual(errors, f"txcarp status: {self.file.explain()}\n")
        _, output, _ = await self.ran("status", "--json")
        found = json.loads(output)["configuration"]
        self.assertEqual(found["unconfirmed"], 62.0)
        self.assertIn("is undone in 62 s", found["explanation"])

    async def test_status(self) -> None:
        """
        Without a terminal, the table has one line for each group.
        """
        self.becomeMaster()
        status, output, errors = await self.ran("status")
        self.assertEqual((status, errors), (0, ""))
        heading, web, other = output.splitlines()
        columns = "GROUP STATE SINCE MASTER HEARD ADDRESSES LEASE NOTES"
        self.assertEqual(heading.split(), columns.split())
        self.assertRegex(web, r"^web +MASTER +[\d:]{8} +this host +- +10.99.0.100/32 +-$")
        self.assertRegex(other, r"^\w+:8 +MASTER ")
        _, output, _ = await self.ran("status", "web")
        self.assertEqual(len(output.splitlines()), 2)

    async def test_terminal(self) -> None:
        """
        On a terminal the table has colours, and fits 80 columns.
        """
        self.carp.virtualHosts[0].demote("a long reason", 50)
        self.patch(os, "environ", {**os.environ, "TERM": "xterm", "COLUMNS": "80"})
        status, output, _ = await self.ran("status", output=Terminal())
        self.assertEqual(status, 0)
        self.assertIn("\x1b[", output)
        lines = re.sub(r"\x1b\[[\d;]*m", "", output).splitlines()
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertTrue(any("demoted 50" in line for line in lines), lines)

    async def test_explain(self) -> None:
        """
        C{explain} prints the explanation, or the whole answer.
        """
        status, output, _ = await self.ran("explain", "web")
        lines = self.carp.virtualHosts[0].explain().lines()
        self.assertEqual(status, 0)
        self.assertEqual(" ".join(output.split()), " ".join(" ".join(lines).split()))
        self.assertLessEqual(max(map(len, output.splitlines())), 80)
        self.assertEqual(
            list(wrapped(["x " * 50, "  12:00:00  A -> B: " + "why " * 20])),
            [
                ("x " * 40).rstrip(),
                ("x " * 10).rstrip(),
                "  12:00:00  A -> B: " + ("why " * 15).rstrip(),
                " " * 16 + ("why " * 5).rstrip(),
            ],
        )
        status, output, _ = await self.ran("explain", "--json", "web")
        self.assertEqual(status, 0)
        self.assertEqual(json.loads(output), {"schema": 1, "lines": lines, "comparisons": {}})

    async def test_json(self) -> None:
        """
        With C{--json}, everything that is known is printed.
        """
        status, output, _ = await self.ran("status", "--json")
        self.assertEqual(status, 0)
        document = json.loads(output)
        whole = await self.asking(Client.status)
        self.assertEqual(set(document), set(whole))
        self.assertEqual(set(document["groups"][0]), set(whole["groups"][0]))
        _, output, _ = await self.ran("status", "--json", "web")
        self.assertEqual([one["title"] for one in json.loads(output)["groups"]], ["web"])
        self.assertNotIn(crafted.PASSWORD.decode(), output)


class RowTests(SynchronousTestCase):
    """
    The cells of a group.
    """

    group: dict[str, Any] = {
        "name": "eth0:7",
        "title": "dns",
        "time": 1.8e9,
        "since": 65.0,
        "role": "BACKUP",
        "master": "10.1.1.2",
        "peers": [{"age": 9.0}, {"age": 0.42}],
        "addresses": [{"text": "10.1.1.53/24", "lease": None}],
        "holds": [],
        "notes": [{"text": "demoted 50", "remaining": None}],
    }

    def cells(self, **other: Any) -> tuple[str, ...]:
        """
        The cells of a group with other values.
        """
        return row({**self.group, **other})

    def test_backup(self) -> None:
        """
        A backup hears the master, and may be demoted.
        """
        name, state, _, master, heard, addresses, lease, notes = self.cells()
        self.assertEqual((name, state, master, heard), ("dns", "BACKUP", "10.1.1.2", "0.4 s"))
        self.assertEqual((addresses, lease, notes), ("10.1.1.53/24", "-", "demoted 50"))

    def test_since(self) -> None:
        """
        What is older than a day has a date; a host that has never run has no time.
        """
        self.assertRegex(self.cells()[2], r"^\d\d:\d\d:\d\d$")
        self.assertRegex(self.cells(since=90000.0)[2], r"^[A-Z]\w\w \d\d \d\d:\d\d$")
        self.assertEqual(self.cells(since=None)[2], "-")

    def test_held(self) -> None:
        """
        A host that is held back says why, each reason in a line.
        """
        notes = [{"text": one, "remaining": None} for one in ("no link", "not running")]
        cells = self.cells(holds=[{"reason": "no_link"}], notes=notes, master="")
        self.assertEqual((cells[1], cells[3], cells[7]), ("held", "-", "no link\nnot running"))

    def test_until(self) -> None:
        """
        A note may say until when it holds; with the date, if that is far away.
        """
        cells = self.cells(notes=[{"text": "drained by eve", "remaining": 60.0}])
        self.assertRegex(cells[7], r"^drained by eve until \d\d:\d\d:\d\d$")
        cells = self.cells(notes=[{"text": "drained", "remaining": 1e6}])
        self.assertRegex(cells[7], r"^drained until [A-Z]\w\w \d\d \d\d:\d\d$")

    def test_lease(self) -> None:
        """
        The lease is that which ends first.
        """
        addresses = [{"text": "a", "lease": 1.86}, {"text": "b", "lease": 1.5}]
        cells = self.cells(role="MASTER", master="", addresses=addresses)
        self.assertEqual((cells[3], cells[5], cells[6]), ("this host", "a\nb", "1.5 s"))
        self.assertIn("a, b", list(plainTable([cells]))[1])
