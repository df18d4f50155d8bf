"""
Running on time on a machine that is short of memory and processor time.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from types import FrameType

from twisted.logger import Logger

_log = Logger()

# sys/mman.h
_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MCL_ONFAULT = 4

#: Seconds after which a thread that reads a file gives way to the reactor.  Python's default would
#: let each turn of the reactor wait for as long as an advertisement may be late.
_GIVE_WAY = 0.0005

#: Microseconds of processor time, without a pause, after which the kernel tells a real-time process
#: that it takes too much, and after which the kernel kills it.
_BUSY, _KILLED = 1_000_000, 3_000_000

#: Before ordinary processes, but not before the kernel's real-time tasks.
_NICENESS = -15


def stayOnTime() -> bool:
    """
    Run this process before ordinary ones and lock its memory, as far as its privileges allow.
    An advertisement that is late, because a page of code had to be read from a busy disk, leads
    to a takeover.

    The scripts that this process starts inherit neither.

    @return: Whether both succeeded.  That needs root, or the capabilities CAP_IPC_LOCK and
        CAP_SYS_NICE.  A group works without them, too.
    """
    return runFirst() & lockMemory()


def runFirst() -> bool:
    """
    Run this process before ordinary ones, and its reactor before its other threads.  It keeps that
    when it drops its privileges.

    @return: Whether this process may.
    """
    sys.setswitchinterval(_GIVE_WAY)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
        return True
    return False


def runRealtime() -> bool:
    """
    Run this process before all ordinary ones, as a real-time process of the lowest priority
    (sched(7), SCHED_FIFO).  Call it after L{runFirst}, in the main thread.

    A fault that keeps the process busy must not take the machine away from everybody.  When the
    process has used a processor for a second without waiting for anything (setrlimit(2),
    RLIMIT_RTTIME), it becomes an ordinary process for good.  If it cannot even do that, because
    it hangs in a function in C, the kernel kills it two seconds later.

    @return: Whether this process may.
    """
    before = resource.getrlimit(resource.RLIMIT_RTTIME)
    highest = [_KILLED] if before[1] == resource.RLIM_INFINITY else [_KILLED, before[1]]
    with contextlib.suppress(OSError, ValueError):
        signal.signal(signal.SIGXCPU, _giveUpRealtime)
        resource.setrlimit(resource.RLIMIT_RTTIME, (min(_BUSY, *highest), min(highest)))
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(1))
        return True
    return False


def _giveUpRealtime(number: int, frame: FrameType | None) -> None:
    os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    _log.error(
        "txcarp was busy for {seconds:.0f} s without a pause, so it no longer runs before all "
        "ordinary processes. Start it again when the cause is mended: too many groups for this "
        "host, or a program in the same process that blocks",
        seconds=_BUSY / 1e6,
    )


def lockMemory() -> bool:
    """
    Lock the memory of this process, now and in the future.  Call it after the process has
    dropped its privileges: a process with locked memory that is subject to a limit
    (RLIMIT_MEMLOCK) gets no more memory than the limit, however much the machine has.  For the
    same reason nothing is locked if there is such a limit.

    @return: Whether the memory is locked.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    limit, highest = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    # The kernel lets a process with a limit of 0 lock memory only if no limit applies to it.
    # CAP_IPC_LOCK alone does not show that: in a user namespace it does not lift the limit.
    trial = limit if limit == resource.RLIM_INFINITY else 0
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (trial, highest))
    try:
        # Each page is locked when it is first used.  Most pages of the interpreter never are.
        locked: int = libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, highest))
    return locked == 0
