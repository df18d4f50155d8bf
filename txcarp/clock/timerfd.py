"""
The kernel's timer descriptor, C{timerfd_create(2)}.

Called in the C library, since C{os.timerfd_create} needs Python 3.13.
"""

from __future__ import annotations

import ctypes
import os
import time

# timerfd.h: TFD_NONBLOCK and TFD_CLOEXEC are O_NONBLOCK and O_CLOEXEC.
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME

#: The latest expiry, in seconds of CLOCK_MONOTONIC, that every C{time_t} can hold:
#: 68 years after the machine was started.
_LATEST = 2**31 - 1

_NANOSECONDS = 1_000_000_000

_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


def openTimer() -> int:
    """
    Open a timer on CLOCK_MONOTONIC that is not set.

    @return: A non-blocking descriptor that becomes readable when the timer expires.
    @raise OSError: If the process may not open another descriptor.
    """
    return _checked(_libc.timerfd_create(time.CLOCK_MONOTONIC, _FLAGS))


def setTimer(descriptor: int, when: float) -> None:
    """
    Let the timer expire once, or at once if the time has passed.

    @param when: Seconds of CLOCK_MONOTONIC.
    """
    # Zero would disarm the timer.
    total = max(1, round(min(when, _LATEST) * _NANOSECONDS))
    value = _Timespec(*divmod(total, _NANOSECONDS))
    wanted = _TimerSpec(_Timespec(0, 0), value)
    _checked(_libc.timerfd_settime(descriptor, _ABSOLUTE, ctypes.byref(wanted), None))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
