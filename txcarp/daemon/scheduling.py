"""
Running on time on a machine that is short of memory and processor time.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

# sys/mman.h
_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MCL_ONFAULT = 4

#: Before ordinary processes, but not before the kernel's real-time tasks.
_NICENESS = -15


def stayOnTime() -> bool:
    """
    Lock this process's memory and run it before ordinary processes, as far as its privileges
    allow.  An advertisement that is late, because a page of code had to be read from a busy disk,
    leads to a takeover.

    The scripts that this process starts inherit neither.

    @return: Whether both succeeded.  That needs root, or the capabilities CAP_IPC_LOCK and
        CAP_SYS_NICE.  A group works without them, too.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # Each page is locked when it is first used.  Most pages of the interpreter never are.
    locked = libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0
    favoured = False
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
        favoured = True
    return locked and favoured
