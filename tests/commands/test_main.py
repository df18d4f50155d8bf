"""
Tests for L{txcarp.commands.main}.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.configuration.test_ucarp import commandLine
from txcarp import __version__
from txcarp.commands.main import COMMANDS, main
from txcarp.commands.run import settings
from txcarp.configuration.options import helpText

_ROOT = str(Path(txcarp.__file__).parent.parent)

_REPORT = """
import os, sys
from txcarp.commands.main import completeDescriptors
completeDescriptors()
names = [os.readlink(f"/proc/self/fd/{number}") for number in (0, 1, 2)]
print("x")
print("y", file=sys.stderr)
os.write(int(sys.argv[1]), " ".join(names).encode())
"""


class DescriptorTests(SynchronousTestCase):
    """
    Tests for L{completeDescriptors}.
    """

    def names(self, redirections: str) -> list[str]:
        """
        The files behind the standard descriptors of a process that a shell starts with some
        redirections.
        """
        reading, writing = os.pipe()
        try:
            subprocess.run(
                ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable]
                + ["-c", _REPORT, str(writing)],
                env={**os.environ, "PYTHONPATH": _ROOT},
                pass_fds=[writing],
                check=True,
            )
            return os.read(reading, 4096).decode().split(" ")
        finally:
            os.close(reading)
            os.close(writing)

    def test_closed(self) -> None:
        """
        Closed descriptors are opened on C{/dev/null}, and can be written to.
        """
        self.assertEqual(self.names("<&- >&- 2>&-"), [os.devnull] * 3)
        self.assertEqual(self.names("</dev/zero >/dev/null 2>&-")[2], os.devnull)

    def test_open(self) -> None:
        """
        Open descriptors do not change.
        """
        self.assertEqual(
            self.names("</dev/zero >&- 2>/dev/null"), ["/dev/zero", os.devnull, "/dev/null"]
        )


class SettingsTests(SynchronousTestCase):
    """
    What twistd is told.
    """

    def test_umask(self) -> None:
        """
        The umask does not change.
        """
        self.addCleanup(os.umask, os.umask(0o027))
        for more in ([], ["-B"]):
            self.assertEqual(settings(commandLine(*more))["umask"], 0o027)
        self.assertEqual(os.umask(0o027), 0o027)

    def test_directory(self) -> None:
        """
        A daemon changes to the root directory, and has no pid file unless it is told to.
        """
        told = settings(commandLine("-B", "--pidfile", "run/pid"))
        self.assertEqual(told["pidfile"], str(Path("run/pid").absolute()))
        for more, directory in (([], "."), (["-B"], "/")):
            told = settings(commandLine(*more))
            self.assertEqual((told["rundir"], told["pidfile"]), (directory, ""))

    def test_program(self) -> None:
        """
        twistd finds this program without a search for plugins.
        """
        told = settings(commandLine())
        self.assertEqual((told.subCommand, list(told.loadedPlugins)), ("txcarp", ["txcarp"]))
        self.assertTrue(told.subOptions.command)


class CommandTests(SynchronousTestCase):
    """
    Tests for L{main}.
    """

    def run_(self, *arguments: str) -> tuple[object, str, str]:
        """
        Run the command.

        @return: The exit status, and what was written to the standard output and error.
        """
        output, errors = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", output)
        self.patch(sys, "stderr", errors)
        self.patch(sys, "argv", ["txcarp", *arguments])
        try:
            main()
            status: object = 0
        except SystemExit as exit:
            status = exit.code
        return status, output.getvalue(), errors.getvalue()

    def test_unknown(self) -> None:
        """
        A first word that is not an option is a command.  The error for an unknown one names the
        command that looks similar, if there is one.
        """
        for line, hint in (
            (["dmeo"], ": did you mean 'demo'?"),
            (["observ", "-i", "eth0"], ": did you mean 'observe'?"),
            (["frobnicate", "-i", "eth0"], ""),
        ):
            self.assertEqual(
                self.run_(*line),
                (1, "", f"txcarp: there is no command '{line[0]}'{hint}\nTry 'txcarp --help'.\n"),
            )

    def test_information(self) -> None:
        """
        The help and the version go to the standard output.  The help has the options of the
        daemon, and says what each command does.
        """
        status, text, errors = self.run_("--help")
        self.assertEqual((status, errors), (0, ""))
        self.assertTrue(text.endswith(helpText("").lstrip("\n")))
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        for name, command in COMMANDS.items():
            self.assertRegex(text, rf"(?m)^  {name} +{re.escape(command.summary)}$")
        self.assertEqual(self.run_(), (0, text, ""))
        self.assertEqual(self.run_("--version"), (0, f"txcarp {__version__}\n", ""))

    def test_wrong(self) -> None:
        """
        A wrong command line is one line of text and a hint, whatever is wrong with it.
        """
        for line, words in (
            (["--nonsense"], "option --nonsense not recognized"),
            (["-i", "eth0"], "You must supply a valid virtual host id (-v)"),
        ):
            expected = f"txcarp: {words}\nTry 'txcarp --help'.\n"
            self.assertEqual(self.run_(*line), (1, "", expected))

    def test_impossible(self) -> None:
        """
        An impossible command line leads to exit status 2, without a hint.
        """
        status, output, errors = self.run_(*commandLine(p="x" * 20))
        self.assertEqual((status, output), (2, ""))
        self.assertEqual(errors, "txcarp: Password too long: 20 bytes; a password has 1 to 19\n")

    def test_pidFile(self) -> None:
        """
        A pid file of a process that runs is an error that names the process.
        """
        path = Path(self.mktemp())
        path.write_text(f"{os.getpid()}\n")
        status, output, errors = self.run_(*commandLine("--pidfile", str(path)))
        self.assertEqual((status, output), (2, ""))
        self.assertRegex(errors, rf"^txcarp: --pidfile: .*PID {os.getpid()}\n$")
        self.assertTrue(path.exists())

    def test_noPidFile(self) -> None:
        """
        A pid file that cannot be written is an error with its path and the reason, and nothing
        else.
        """
        directory = os.path.abspath(self.mktemp())
        os.mkdir(directory)
        for path, why in (
            (f"{directory}/missing/pid", "No such file or directory"),
            (directory, "Is a directory"),
        ):
            self.assertEqual(
                self.run_(*commandLine("--pidfile", path)),
                (2, "", f"txcarp: --pidfile: {path} cannot be written: {why}\n"),
            )

    def test_module(self) -> None:
        """
        C{python -m txcarp} is the command.
        """
        process = subprocess.run(
            [sys.executable, "-m", "txcarp", "--version"],
            env={**os.environ, "PYTHONPATH": _ROOT},
            capture_output=True,
            text=True,
        )
        self.assertEqual((process.stdout, process.stderr), (f"txcarp {__version__}\n", ""))

    def test_collector(self) -> None:
        """
        While the modules of a daemon are loaded, nothing looks for garbage in all of them, nor
        later.
        """
        code = """
import gc, sys
from txcarp.commands.main import main

def collects(phase, info):
    full.append(info["generation"] == 2)

full = []
gc.callbacks.append(collects)
sys.argv = ["txcarp", "--interface", "eth0"]
try:
    main()
except SystemExit:
    gc.callbacks.clear()
    print(gc.isenabled(), any(full), gc.get_freeze_count() > 10000)
"""
        process = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": _ROOT},
            capture_output=True,
            text=True,
        )
        self.assertEqual(process.stdout, "True False True\n", process.stderr)

    def test_output(self) -> None:
        """
        If the output cannot be written, a line and the exit status say so.  A reader that goes away
        is no failure.
        """
        for arguments in (["--help"], ["completion", "bash"]):
            command = [sys.executable, "-m", "txcarp", *arguments]
            environment = {**os.environ, "PYTHONPATH": _ROOT}
            with open("/dev/full", "wb") as full:
                process = subprocess.run(
                    command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True
                )
            self.assertEqual(process.returncode, 2, arguments)
            self.assertRegex(process.stderr, r"^txcarp[a-z ]*: standard output: No space [^\n]*\n$")
            reading, writing = os.pipe()
            os.close(reading)
            with os.fdopen(writing, "wb") as pipe:
                process = subprocess.run(
                    command, env=environment, stdout=pipe, stderr=subprocess.PIPE, text=True
                )
            self.assertEqual((process.returncode, process.stderr), (0, ""), arguments)

    def test_quick(self) -> None:
        """
        The help and the version do not import anything slow.
        """
        for argument in ("--help", "--version"):
            process = subprocess.run(
                [sys.executable, "-X", "importtime", "-m", "txcarp.commands.main", argument],
                env={**os.environ, "PYTHONPATH": _ROOT},
                capture_output=True,
                check=True,
                text=True,
            )
            self.assertIn("txcarp.configuration.options", process.stderr)
            for slow in ("twisted", "attr", "netaddr", "zope.interface", "txcarp.protocol"):
                self.assertNotRegex(process.stderr, rf"(?m)\| +{slow}$")
