"""
The memory of a control group runs out::

    python -m benchmarks.memory PROCESS

The process and those that it started are put into a control group with little memory, together
with processes that take all of that.  The kernel kills the first process, whose C{oom_score_adj}
is raised for that.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

#: Bytes of memory in the control group.
_LIMIT = 64 << 20

#: The number of processes that take it.  Each of them is smaller than the one that is to be killed,
#: and larger than a guard: when that one is dead, the kernel kills one of these.
_HOGS = 4

#: The places of control groups of both versions, and the files of their limits.
_PLACES = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)


def place() -> tuple[Path, str] | None:
    """
    Where a control group with a limit can be made, and the file of the limit.
    """
    for root, limit in _PLACES:
        version1 = (root / limit).exists()
        controllers = root / "cgroup.subtree_control"
        if version1 or (controllers.exists() and "memory" in controllers.read_text().split()):
            return (root, limit) if os.access(root, os.W_OK) else None
    return None


def exhaust(processes: list[int]) -> None:
    """
    Put processes into a control group, of which the first is to be killed, and use up its memory.
    """
    found = place()
    if found is None:
        raise RuntimeError("no control group with a limit can be made here")
    root, limit = found
    group = root / f"txcarp-benchmark-{os.getpid()}"
    group.mkdir()
    hogs = []
    for _ in range(_HOGS):
        hogs.append(os.fork())
        if hogs[-1] == 0:
            _hoard(group)
    try:
        (group / limit).write_text(str(_LIMIT))
        Path(f"/proc/{processes[0]}/oom_score_adj").write_text("1000")
        for one in (*processes, *hogs):
            (group / "cgroup.procs").write_text(str(one))
        while _runs(processes[0]):
            time.sleep(0.001)
    finally:
        for hog in hogs:
            os.kill(hog, signal.SIGKILL)
            os.waitpid(hog, 0)
        _empty(group, root)


def _hoard(group: Path) -> NoReturn:
    """
    Take all memory that there is, from the moment at which this process is in the group.
    """
    while str(os.getpid()) not in (group / "cgroup.procs").read_text().split():
        time.sleep(0.001)
    hoard = []
    while True:
        hoard.append(os.urandom(1 << 18))


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "XZ"


def _empty(group: Path, root: Path) -> None:
    """
    Remove a group, whose processes go back to where they were.
    """
    for _ in range(1000):
        for one in (group / "cgroup.procs").read_text().split():
            with suppress(OSError):  # it has ended
                (root / "cgroup.procs").write_text(one)
        with suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.01)


if __name__ == "__main__":
    exhaust([int(one) for one in sys.argv[1:]])
