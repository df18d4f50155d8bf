"""
Tests for L{txcarp.daemon.program}.  L{tests.lab.test_programs} tests it in real processes.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.application.app import AppLogger
from twisted.application.service import Application, IService, IServiceMaker
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogPublisher,
    capturedLogs,
    formatEvent,
)
from twisted.plugin import IPlugin
from twisted.python import usage
from twisted.python.reflect import namedModule
from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.configuration.test_ucarp import commandLine
from twisted import plugins
from txcarp.configuration.options import OPTIONS, helpText
from txcarp.daemon import program
from txcarp.daemon.collector import Collector
from txcarp.daemon.program import Options, Program, makeService
from txcarp.daemon.reload import Reloader
from txcarp.daemon.signals import SignalService
from txcarp.daemon.supervision import Supervision
from txcarp.logs import filtered
from txcarp.network.hostlock import AlreadyRunning
from txcarp.network.sockets import MissingCapability
from txcarp.operate.endpoints import ReadingService
from txcarp.operate.server import ControlService
from txcarp.service import CARPService

#: Modules that only some processes need, or some requests.
_NEEDLESS = {
    *("automat", "prometheus_client", "rich", "twisted.application.internet"),
    *("twisted.trial", "twisted.web.client", "twisted.web.resource", "twisted.web.server"),
    *("txcarp.checks.dns", "txcarp.checks.http", "txcarp.checks.local", "txcarp.checks.plugins"),
    *("txcarp.mastership.services", "txcarp.operate.exposition"),
    *("txcarp.operate.groupmetrics", "txcarp.operate.processmetrics"),
    *("txcarp.observer", "txcarp.testbed", "txcarp.testing", "unittest"),
}


class FakeSyslog:
    """
    A log daemon.
    """

    def __init__(self, facility: int, identity: str) -> None:
        self.facility, self.identity = facility, identity
        self.events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        self.events.append(event)


class FakeJournal(FakeSyslog):
    """
    The journal.
    """

    def __init__(self, facility: int | None, isThere: bool) -> None:
        super().__init__(facility or 0, "txcarp")
        self.isThere = isThere


class PluginTests(SynchronousTestCase):
    """
    The plugin of twistd.
    """

    def setUp(self) -> None:
        """
        Grant this process all capabilities, and keep it away from the system log.
        """
        self.asked: list[bool] = []
        self.hidden: list[bytes] = []
        self.syslogs: list[FakeSyslog] = []
        self.patch(program, "checkCapabilities", self.asked.append)
        self.patch(program, "awaitPredecessor", lambda interface, vhid: None)
        self.patch(program, "SyslogObserver", self.syslog)
        self.patch(program, "hideArguments", self.hidden.append)
        self.publisher = LogPublisher()
        self.patch(program, "globalLogPublisher", self.publisher)

    def syslog(self, facility: int, identity: str) -> FakeSyslog:
        """
        Make a connection to a log daemon.
        """
        self.syslogs.append(FakeSyslog(facility, identity))
        return self.syslogs[-1]

    def parsed(self, *more: str, parent: Any = None, command: bool = False) -> Options:
        """
        A parsed command line, as twistd passes it to L{makeService}.
        """
        options = Options()
        options.parent = parent
        options.command = command
        options.parseOptions(commandLine(*more))
        return options

    def made(self, *more: str, **settings: Any) -> Program:
        """
        The whole program for a command line.
        """
        made = makeService(self.parsed(*more, **settings))
        assert isinstance(made, Program)
        return made

    def refused(self, *more: str) -> str:
        """
        The error text for a command line that cannot run.
        """
        errors = io.StringIO()
        self.patch(sys, "stderr", errors)
        ended = self.assertRaises(SystemExit, lambda: makeService(self.parsed(*more)))
        self.assertEqual(ended.code, 2)
        return errors.getvalue()

    def test_found(self) -> None:
        """
        twistd finds the plugin by its name, and its options.
        """
        maker = namedModule("twisted.plugins.txcarp_plugin").carp
        verifyObject(IServiceMaker, maker)
        verifyObject(IPlugin, maker)
        self.assertEqual(maker.tapname, "txcarp")
        self.assertIs(maker.options, Options)
        self.assertTrue(plugins.__path__)

    def test_services(self) -> None:
        """
        The services are the signals and the virtual host.  Before they are made, capabilities are
        checked and passwords are hidden.
        """
        made = self.made()
        verifyObject(IService, made)
        kinds = [type(service) for service in made]
        self.assertEqual(kinds, [Collector, SignalService, CARPService])
        self.assertEqual((self.asked, self.hidden), ([False], [b"love"]))
        self.made("--assign")
        self.assertEqual(self.asked, [False, True])

    def test_file(self) -> None:
        """
        With a file, everything is done for each of its groups.
        """
        awaited: list[tuple[str, int]] = []
        warned: list[str] = []
        self.patch(program, "awaitPredecessor", lambda *group: awaited.append(group))
        self.patch(program.precautions, "warn", lambda one: warned.append(one.title))
        options = Options()
        options.parseOptions([f"--config={self.file()}"])
        _, _, carp, reloader, control = makeService(options)
        self.assertIsInstance(reloader, Reloader)
        self.assertEqual([type(part) for part in control], [ControlService])
        names = [host.name for host in carp.virtualHosts]
        self.assertEqual(names, ["eth0:1", "eth1:2"])
        self.assertEqual((awaited, warned), ([("eth0", 1), ("eth1", 2)], ["a", "b"]))
        self.assertEqual((self.asked, self.hidden), ([True], []))

    def test_doors(self) -> None:
        """
        A process has the doors that it is told to have, and a socket beside its state file only if
        it has no control socket.
        """
        self.patch(program, "awaitPredecessor", lambda *group: None)
        for more, kinds in (
            ((), [ControlService]),
            (("--http=tcp:1", "--http=tcp:2"), [ReadingService, ReadingService, ControlService]),
            (("--http=tcp:1", "--control=none"), [ReadingService]),
        ):
            options = Options()
            options.parseOptions([f"--config={self.file()}", *more])
            _, _, carp, _, doors = makeService(options)
            self.assertEqual([type(one) for one in doors], kinds)
            hasSocket = carp.platform.store._listen is not None
            self.assertEqual(hasSocket, ControlService not in kinds)

    def test_noControl(self) -> None:
        """
        A process without a control side does not load it.
        """
        code = (
            "import sys, txcarp.daemon.program\n"
            "doors = 'twisted.web', 'txcarp.operate'\n"
            "print([one for one in sys.modules if one.startswith(doors)])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        self.assertEqual(done.stdout, "[]\n")

    def test_small(self) -> None:
        """
        A process has loaded nothing that its groups do not need: it starts sooner, and is smaller.
        """
        code = (
            "import sys, twisted.internet.reactor, txcarp.commands.run, txcarp.operate.server\n"
            "from txcarp.configuration.ucarp import read\n"
            f"read(['--config={self.file()}'])\n"
            f"print(*sorted(set({sorted(_NEEDLESS)}) & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        self.assertEqual(done.stdout.split(), [])

    def file(self, *lines: str) -> str:
        """
        A configuration file with two groups, and more lines at its end.
        """
        path = Path(self.mktemp()).absolute()
        path.with_suffix(".password").write_text("secret")
        path.with_suffix(".password").chmod(0o600)
        group = f'passfile = "{path.name}.password"\naddresses = "fe80::'
        path.write_text(
            f'[group.a]\ninterface = "eth0"\nvhid = 1\n{group}1"\n'
            f'[group.b]\ninterface = "eth1"\nvhid = 2\n{group}2"\nassign = false\n'
            + "\n".join(lines)
        )
        return str(path)

    def test_wrongFile(self) -> None:
        """
        A mistake in the file leads to its lines, without a hint at the help, and exit status 78.
        """
        errors = io.StringIO()
        self.patch(sys, "stderr", errors)
        options = Options()
        path = self.file("vhdi = 5")
        ended = self.assertRaises(SystemExit, options.parseOptions, [f"--config={path}"])
        self.assertEqual(ended.code, 78)
        first, second, *_ = errors.getvalue().splitlines()
        self.assertEqual(first, "txcarp: nothing is started, because the file cannot be used")
        self.assertTrue(second.startswith(f"{path}:12: unknown key 'vhdi'"), second)
        self.assertNotIn("--help", errors.getvalue())

    def test_unusable(self) -> None:
        """
        An interface that has no address yet is no mistake in the file: the exit status is 2, and
        systemd tries again.  If there is a mistake, too, it does not.
        """
        path = self.file("[group.c]", 'interface = "gone0"', 'vhid = 3\naddresses = "10.9.9.9/24"')
        secret = Path(path).with_suffix(".password").name
        text = Path(path).read_text() + f'\npassfile = "{secret}"\n'
        for more, status in (("", 2), ("vhdi = 5\n", 78)):
            Path(path).write_text(text + more)
            errors = io.StringIO()
            self.patch(sys, "stderr", errors)
            ended = self.assertRaises(SystemExit, Options().parseOptions, [f"--config={path}"])
            self.assertEqual(ended.code, status, errors.getvalue())
            self.assertIn("has no source", errors.getvalue())

    def test_unreadable(self) -> None:
        """
        A path that leads to no file is a mistake.  A disk that fails may work again.
        """
        for path, status in (("/nonexistent/x", 78), ("/", 78), ("/proc/self/mem", 2)):
            errors = io.StringIO()
            self.patch(sys, "stderr", errors)
            ended = self.assertRaises(SystemExit, Options().parseOptions, [f"--config={path}"])
            self.assertEqual(ended.code, status, path)
            self.assertIn(f"{path}: cannot be read", errors.getvalue())

    def test_syslog(self) -> None:
        """
        As soon as the program is part of an application, the events that an administrator wants
        to read go to the syslog facility.
        """
        for options, debugging in (((), False), (("-D",), True)):
            made = self.made("-f", "local3", *options)
            logger = Logger(observer=self.publisher)
            logger.info("before")
            made.setServiceParent(Application("test"))
            log = self.syslogs[-1]
            self.assertEqual((log.facility, log.identity), (19, "txcarp"))
            logger.info("shown")
            logger.debug("detail")
            said = [event["log_format"] for event in log.events]
            self.assertEqual(said, ["shown", "detail"] if debugging else ["shown"])

    def test_noSyslog(self) -> None:
        """
        With the facility C{none} there is no syslog.
        """
        self.made("-f", "none").setServiceParent(Application("test"))
        self.assertEqual(self.syslogs, [])

    def log(self, *more: str, command: bool = False, **changes: Any) -> ILogObserver | None:
        """
        The log that the program gives to twistd; C{None} if twistd makes its own.
        """
        twistd = {"nodaemon": True, "syslog": False, "logfile": None, **changes}
        application = Application("test")
        made = self.made(*more, parent=twistd, command=command)
        self.patch(program.atexit, "register", lambda call: None)
        made.setServiceParent(application)
        made.flushLog()
        log: ILogObserver | None = application.getComponent(ILogObserver, None)
        return log

    def test_terminal(self) -> None:
        """
        In the foreground twistd gets the log of the C{txcarp} command, in place of its own.
        """
        for changes in ({}, {"logfile": "-"}, {"command": True}):
            self.assertIsInstance(self.log(**changes), FilteringLogObserver)

    def test_journal(self) -> None:
        """
        If what is printed ends up in the journal, each line goes there once: neither to the
        terminal nor to syslog.  twistd's own logs, and a journal that is not there, change nothing.
        """
        made: list[FakeJournal] = []

        def journal(facility: int | None) -> FakeJournal:
            made.append(FakeJournal(facility, self.isThere))
            return made[-1]

        self.patch(program, "JournalObserver", journal)
        self.patch(program, "isJournal", lambda: True)
        self.isThere = True
        log = self.log("-f", "local3", command=True)
        self.assertIsInstance(log, FilteringLogObserver)
        self.assertEqual(self.syslogs, [])
        [only] = made
        self.assertEqual(only.facility, 19)
        Logger(observer=log).info("once")
        self.assertEqual([event["log_format"] for event in only.events], ["once"])
        self.assertIsNone(self.log("-f", "local3", logfile="x"))
        self.assertEqual(len(self.syslogs), 1)
        self.assertIsInstance(self.log("-f", "local3", "-B", command=True), LogPublisher)
        self.assertEqual(len(self.syslogs), 2)
        self.assertEqual(len(made), 1)
        self.isThere = False
        self.log("-f", "local3", command=True)
        self.assertEqual(len(self.syslogs), 3)

    def test_supervised(self) -> None:
        """
        If a service manager listens, it gets to know about the process, and no script does.
        """
        self.patch(os, "environ", {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "4000000"})
        kinds = [type(one) for one in self.made()]
        self.assertIn(Supervision, kinds)
        self.assertEqual(os.environ, {})
        self.assertNotIn(Supervision, [type(one) for one in self.made()])

    def test_ownLog(self) -> None:
        """
        twistd keeps its log if it was told what to log to, and as a daemon.
        """
        for changes in ({"logfile": "x"}, {"syslog": True}, {"nodaemon": False}):
            self.assertIsNone(self.log(**changes))
        self.assertIsNone(self.log("-B"))

    def test_noLog(self) -> None:
        """
        The C{txcarp} command in the background logs to syslog only.
        """
        log = self.log("-B", command=True)
        self.assertIsInstance(log, LogPublisher)

    def test_aboutTwistd(self) -> None:
        """
        The C{txcarp} command is silent about twistd; C{twistd} is not.
        """
        for command in (False, True):
            heard: list[LogEvent] = []
            more = [program._withoutTwistd] if command else []
            observer = filtered(heard.append, lambda: False, *more)
            for source in (AppLogger({}), self):
                Logger(source=source, observer=observer).info("x")
            self.assertEqual(len(heard), 1 if command else 2)

    def test_mayNot(self) -> None:
        """
        Without a capability, the process prints one line that names it, and exits with status 2.
        """

        def refuse(assign: bool) -> None:
            raise MissingCapability("open a raw socket", "CAP_NET_RAW")

        self.patch(program, "checkCapabilities", refuse)
        said = self.refused()
        self.assertRegex(said, r"^txcarp: cannot open a raw socket: .*CAP_NET_RAW.*\n$")

    def test_already(self) -> None:
        """
        If another process runs the virtual host, the process prints its number and exits with
        status 2.
        """

        def refuse(interface: str, vhid: int) -> None:
            raise AlreadyRunning(interface, vhid, 4711)

        self.patch(program, "awaitPredecessor", refuse)
        said = self.refused()
        self.assertRegex(said, r"^txcarp: virtual host 10 on eth0 already .* process 4711: .*\n$")

    def test_cannot(self) -> None:
        """
        An impossible command line leads to one line, without the password, and exit status 2.
        """
        said = self.refused("-p", "Geheimnis" * 10)
        self.assertRegex(said, r"^txcarp: Password too long: 90 bytes.*\n$")
        self.assertNotIn("Geheimnis", said)
        self.assertEqual((self.asked, self.hidden), ([], []))

    def test_background(self) -> None:
        """
        C{-B} makes twistd run in the background, whatever its own options say.
        """
        for more, expected in (((), True), (("-B",), False)):
            parent = {"nodaemon": True}
            self.made(*more, parent=parent)
            self.assertEqual(parent, {"nodaemon": expected})
        self.made("-B")

    def test_onTime(self) -> None:
        """
        The process asks once to be run before others, while it has privileges, and once to have
        its memory locked, after it may have dropped them.
        """
        self.assertEqual(self.onTime(True, True), "")

    def test_notOnTime(self) -> None:
        """
        The log names what the process may not have.
        """
        self.assertIn("without locked memory (CAP_IPC_LOCK):", self.onTime(True, False))
        self.assertIn("processes (CAP_SYS_NICE):", self.onTime(False, True))
        self.assertIn("(CAP_SYS_NICE) and without locked memory", self.onTime(False, False))

    def onTime(self, first: bool, locked: bool) -> str:
        """
        Start the program without its services.

        @param first: Whether the process may run before others.
        @param locked: Whether it may lock its memory.
        @return: The log.
        """
        asked: list[str] = []

        def patch(name: str, result: bool) -> None:
            self.patch(program, name, lambda: asked.append(name) or result)

        patch("runFirst", first)
        patch("lockMemory", locked)
        made = self.made()
        while made.services:
            made.services.pop()
        with capturedLogs() as events:
            made.privilegedStartService()
            self.assertEqual(asked, ["runFirst"])
            made.startService()
            made.stopService()
        self.assertEqual(asked, ["runFirst", "lockMemory"])
        return "\n".join(map(formatEvent, events))


class Twistd(ServerOptions):
    """
    The options of twistd, with this program as the only subcommand.
    """

    subCommands: Any = (("txcarp", None, Options, ""),)


class OptionsTests(SynchronousTestCase):
    """
    The command line in the form that twistd needs.
    """

    def test_wrong(self) -> None:
        """
        A wrong command line is an error of twistd's kind.
        """
        error = self.assertRaises(usage.UsageError, Options().parseOptions, ["-i", "eth0"])
        self.assertEqual(str(error), "You must supply a valid virtual host id (-v)")

    def test_wrongUnderTwistd(self) -> None:
        """
        Under twistd a wrong command line ends the process with two lines, without the help.
        """
        errors = io.StringIO()
        self.patch(sys, "stderr", errors)
        twistd = Twistd()
        wrong = self.assertRaises(SystemExit, twistd.parseOptions, ["-n", "txcarp", "--nonsense"])
        self.assertEqual(wrong.code, 1)
        self.assertEqual(
            errors.getvalue(),
            "txcarp: option --nonsense not recognized\nTry 'twistd txcarp --help'.\n",
        )

    def test_pidFile(self) -> None:
        """
        C{--pidfile} is twistd's, which it overrides.
        """
        for more, path in (([], "/twistd"), (["--pidfile=/ours"], "/ours")):
            twistd = Twistd()
            twistd.parseOptions(["--pidfile=/twistd", "txcarp", *commandLine(*more)])
            self.assertEqual(twistd["pidfile"], path)

    def test_help(self) -> None:
        """
        As a command of twistd the help begins with what is typed then.
        """
        whole = ServerOptions()
        whole.subCommand = "txcarp"
        options = Options()
        options.parent = whole
        output = io.StringIO()
        self.patch(sys, "stdout", output)
        self.assertEqual(self.assertRaises(SystemExit, options.parseOptions, ["-h"]).code, 0)
        self.assertEqual(output.getvalue(), str(options))
        self.assertEqual(str(options).splitlines()[0], "Usage: twistd [options] txcarp [options]")
        self.assertEqual(str(Options()), helpText())

    def test_completion(self) -> None:
        """
        Shells complete every option.
        """
        names = {name.rstrip("=") for name in Options().longOpt}
        self.assertEqual(names, {option.name for option in OPTIONS})
