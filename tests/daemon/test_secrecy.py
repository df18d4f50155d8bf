"""
Tests for L{txcarp.daemon.secrecy}.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import txcarp
from txcarp.daemon import secrecy
from txcarp.daemon.secrecy import hideArguments

_HIDE = """
import sys
from txcarp.daemon.secrecy import hideArguments
print([hideArguments(secret[::-1].encode()) for secret in sys.argv[1].split()])
sys.stdout.flush()
sys.stdin.read()
"""


class HideArgumentsTests(SynchronousTestCase):
    """
    Tests for L{hideArguments}.
    """

    def commandLine(self, secrets: str, *arguments: str) -> tuple[str, list[bytes]]:
        """
        Run a process that hides some secrets.

        @return: What L{hideArguments} returned for each, and the arguments
            after it hid them.
        """
        # Backwards, so that they are not found there.
        backwards = " ".join(secret[::-1] for secret in secrets.split())
        process = subprocess.Popen(
            [sys.executable, "-c", _HIDE, backwards, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(txcarp.__file__).parent.parent)},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            answer = process.stdout.readline().decode().strip()
            line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        finally:
            process.communicate(b"")
        return answer, line.split(b"\0")[4:-1]

    def test_forms(self) -> None:
        """
        A secret is hidden where it is an argument of its own, and where it ends a short or a long
        option.
        """
        answer, arguments = self.commandLine(
            "hunter2", "-p", "hunter2", "-phunter2", "--pass=hunter2", "-a", "10.0.0.1"
        )
        self.assertEqual(answer, "[True]")
        self.assertEqual(
            arguments, [b"-p", b"xxxxxxx", b"-pxxxxxxx", b"--pass=xxxxxxx", b"-a", b"10.0.0.1"]
        )

    def test_several(self) -> None:
        """
        Several secrets are hidden.
        """
        answer, arguments = self.commandLine("one two", "-p", "one", "-p", "two")
        self.assertEqual(answer, "[True, True]")
        self.assertEqual(arguments, [b"-p", b"xxx", b"-p", b"xxx"])

    def test_notThere(self) -> None:
        """
        Nothing else is changed.
        """
        answer, arguments = self.commandLine("absent", "-p", "present")
        self.assertEqual(answer, "[False]")
        self.assertEqual(arguments, [b"-p", b"present"])

    def test_empty(self) -> None:
        """
        An empty secret hides nothing.
        """
        self.assertFalse(hideArguments(b""))

    def test_noProc(self) -> None:
        """
        Without /proc nothing is hidden, and nobody can look.
        """

        def none() -> tuple[int, int]:
            raise FileNotFoundError

        self.patch(secrecy, "_argumentArea", none)
        self.assertFalse(hideArguments(b"hunter2"))
