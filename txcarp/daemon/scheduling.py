"""
Running on time on a machine that is short of everything else.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

# sys/mman.h
_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MCL_ONFAULT = 4

#: Ahead of ordinary processes, but not of the kernel's real-time tasks.
_NICENESS = -15


def stayOnTime() -> bool:
    """
    Keep this process's memory where it is and let it run before ordinary
    processes, as far as it may: an advertisement that is late because a page
    of code has to be read from a busy disk is a take-over.

    Neither is inherited by the scripts that this process starts.

    @return: Whether both could be done.  It takes root, or the capabilities
        CAP_IPC_LOCK and CAP_SYS_NICE; a group works without, too.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # Pages are locked as they are used: most of the interpreter never is.
    locked = libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0
    favoured = False
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
        favoured = True
    return locked and favoured
