"""
The kernel's timer descriptor, which Python offers since 3.13 and the C library
always has.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

_NANOSECONDS = 1_000_000_000

if sys.version_info >= (3, 13):  # pragma: no cover

    def openTimer() -> int:
        """
        Open a timer on CLOCK_MONOTONIC that is not set.

        @return: A non-blocking descriptor, readable once the timer expired.
        """
        return os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)

    def setTimer(descriptor: int, when: float) -> None:
        """
        Make the timer expire once, at once if that time has passed.

        @param when: Seconds of CLOCK_MONOTONIC.
        """
        os.timerfd_settime_ns(descriptor, flags=os.TFD_TIMER_ABSTIME, initial=_nanoseconds(when))

else:  # pragma: no cover

    class _Timespec(ctypes.Structure):
        _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))

    class _TimerSpec(ctypes.Structure):
        _fields_ = (("interval", _Timespec), ("value", _Timespec))

    _libc = ctypes.CDLL(None, use_errno=True)
    # timerfd.h: TFD_NONBLOCK and TFD_CLOEXEC are O_NONBLOCK and O_CLOEXEC.
    _FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
    _ABSOLUTE = 1

    def openTimer() -> int:
        """
        Open a timer on CLOCK_MONOTONIC that is not set.

        @return: A non-blocking descriptor, readable once the timer expired.
        """
        descriptor: int = _libc.timerfd_create(time.CLOCK_MONOTONIC, _FLAGS)
        if descriptor < 0:
            raise _lastError()
        return descriptor

    def setTimer(descriptor: int, when: float) -> None:
        """
        Make the timer expire once, at once if that time has passed.

        @param when: Seconds of CLOCK_MONOTONIC.
        """
        seconds, nanoseconds = divmod(_nanoseconds(when), _NANOSECONDS)
        wanted = _TimerSpec(_Timespec(0, 0), _Timespec(seconds, nanoseconds))
        if _libc.timerfd_settime(descriptor, _ABSOLUTE, ctypes.byref(wanted), None) < 0:
            raise _lastError()

    def _lastError() -> OSError:
        number = ctypes.get_errno()
        return OSError(number, os.strerror(number))


def _nanoseconds(when: float) -> int:
    # Zero would switch the timer off instead of letting it expire.
    return max(1, round(when * _NANOSECONDS))
