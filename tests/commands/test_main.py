"""
Tests for L{txcarp.commands.main}.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp
from tests.configuration.test_options import commandLine
from txcarp.commands.main import _Runner, main
from txcarp.configuration.options import CARPOptions

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
    Standard descriptors that are closed.
    """

    def names(self, redirections: str) -> list[str]:
        """
        What the descriptors of a process are that is started by a shell with
        such redirections.
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
        They are nowhere, and can be written to.
        """
        self.assertEqual(self.names("<&- >&- 2>&-"), [os.devnull] * 3)
        self.assertEqual(self.names("</dev/zero >/dev/null 2>&-")[2], os.devnull)

    def test_open(self) -> None:
        """
        Those that are open stay what they are.
        """
        self.assertEqual(
            self.names("</dev/zero >&- 2>/dev/null"), ["/dev/zero", os.devnull, "/dev/null"]
        )


class RunnerTests(SynchronousTestCase):
    """
    What is asked of twistd.
    """

    def test_umask(self) -> None:
        """
        The umask stays what it is.
        """
        self.addCleanup(os.umask, os.umask(0o027))
        for more in ([], ["-B"]):
            options = CARPOptions()
            options.parseOptions(commandLine(*more))
            self.assertEqual(_Runner(options).config["umask"], 0o027)
        self.assertEqual(os.umask(0o027), 0o027)


class CommandTests(SynchronousTestCase):
    """
    What stands first.
    """

    def test_unknown(self) -> None:
        """
        A word without any option is meant to be a command.
        """
        errors = io.StringIO()
        self.patch(sys, "stderr", errors)
        self.patch(sys, "argv", ["txcarp", "dmeo"])
        self.assertEqual(self.assertRaises(SystemExit, main).code, 1)
        self.assertTrue(errors.getvalue().startswith("txcarp: there is no command 'dmeo': "))
