"""
Tests of L{txcarp.demo.hosts}.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txcarp.demo.hosts import writePassword


class PasswordTests(SynchronousTestCase):
    """
    Tests of L{writePassword}.
    """

    def test_password(self) -> None:
        """
        The password is the first line of a file that only its owner can read.
        """
        # A path that a shell would take apart.
        directory = Path(self.mktemp()) / "it's here"
        directory.mkdir(parents=True)
        path = writePassword(directory, b"secret")
        self.assertEqual(path.read_bytes(), b"secret\n")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
