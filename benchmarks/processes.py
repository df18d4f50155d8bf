"""
What processes use, and processes that keep the machine busy.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")

_BUSY = (sys.executable, "-c", "while True: pass")


def processorSeconds(*pids: int) -> float:
    """
    The processor time that some processes have used, with all of their threads.
    """
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


def ownMemory(*pids: int) -> int:
    """
    The bytes of memory that some processes have: their private pages, and their part of those that
    they share with others (C{Pss} in proc(5)).
    """
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


@contextmanager
def busy(count: int) -> Iterator[None]:
    """
    Let busy loops compete for the processors.

    @param count: The number of processes.
    """
    loops: Sequence[subprocess.Popen[bytes]] = [subprocess.Popen(_BUSY) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
