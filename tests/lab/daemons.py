"""
The daemons of a test: C{txcarp}, C{twistd txcarp} and C{ucarp}, and what they logged.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import txcarp
from txcarp.testbed.program import Program, descendants

_ROOT = str(Path(txcarp.__file__).parent.parent)

#: The command C{twistd}, which need not be installed beside this Python.
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")


def programPath(name: str) -> str | None:
    """
    The path of a program for administrators; C{None} if it is not installed.
    """
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def environment(state: Path) -> dict[str, str]:
    """
    The environment of a process that is to find this txcarp.

    @param state: The directory for its state files.
    """
    paths = [_ROOT, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "STATE_DIRECTORY": str(state),
    }


class Daemon(Program):
    """
    A program that finds this txcarp, and whose log lines are understood.
    """

    def environment(self, state: Path) -> dict[str, str]:
        """
        See L{Program.environment}.
        """
        return environment(state)

    @property
    def state(self) -> str:
        """
        The state that it logged last: C{"MASTER"}, C{"BACKUP"}, or empty before the first.
        """
        for _, line in reversed(self.lines):
            _, found, words = line.partition("Switching to state: ")
            if found:
                return words.split()[0]
        return ""

    def said(self, words: str, since: float = 0.0) -> list[float]:
        """
        The times of all lines that contain some words, after a time.
        """
        return [when for when, line in self.lines if words in line and when > since]

    def tell(self, line: str) -> float:
        """
        Write a line to its standard input.

        @return: The time of that on the monotonic clock.
        """
        self.transport.write(f"{line}\n".encode())
        return time.monotonic()


def guardOf(pid: int) -> int | None:
    """
    The process of the guard of a daemon; C{None} if none runs.

    @param pid: The process of the daemon.
    """
    for child in descendants(pid):
        try:
            name = Path(f"/proc/{child}/comm").read_text().strip()
        except OSError:
            continue  # it has ended
        if name == "txcarp-guard":
            return child
    return None
