"""
The memory of a control group runs out::

    python -m benchmarks.memory PROCESS

The process and those that it started are put into a control group with little memory, and this
process into the same one.  It takes all of that.  The kernel kills the first process, whose
C{oom_score_adj} is raised for that.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: Bytes of memory in the control group.
_LIMIT = 64 << 20

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
    try:
        (group / limit).write_text(str(_LIMIT))
        Path(f"/proc/{processes[0]}/oom_score_adj").write_text("1000")
        for one in (*processes, os.getpid()):
            (group / "cgroup.procs").write_text(str(one))
        hoard = []
        while Path(f"/proc/{processes[0]}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            hoard.append(bytearray(os.urandom(1 << 20)))
    except FileNotFoundError:
        pass  # it is dead
    finally:
        (root / "cgroup.procs").write_text(str(os.getpid()))
        for one in (group / "cgroup.procs").read_text().split():
            (root / "cgroup.procs").write_text(one)
        group.rmdir()


if __name__ == "__main__":
    exhaust([int(one) for one in sys.argv[1:]])
