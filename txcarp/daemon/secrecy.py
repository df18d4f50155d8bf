"""
Taking a secret out of the process list.
"""

from __future__ import annotations

import ctypes
import os

_ARGUMENTS_START = 48  # proc(5): the fields of /proc/PID/stat, from 1
_ARGUMENTS_END = 49


def hideArguments(secret: bytes) -> bool:
    """
    Overwrite each command-line argument of this process that is the secret,
    or an option that ends with it, where others can read it.

    The window from the start of the process to this call remains: a password
    file has none.

    @return: Whether there was one, and it is hidden now.
    """
    if not secret:
        return False
    try:
        start, end = _argumentArea()
        area = ctypes.string_at(start, end - start)
        hidden = False
        position = 0
        for argument in area.split(b"\0"):
            if argument.endswith(secret):
                offset = position + len(argument) - len(secret)
                ctypes.memset(start + offset, ord("x"), len(secret))
                hidden = True
            position += len(argument) + 1
        return hidden
    except (OSError, ValueError, IndexError):
        return False  # no /proc: it cannot be found, nor be shown by ps


def _argumentArea() -> tuple[int, int]:
    """
    Where in its own memory the kernel reads this process's arguments.
    """
    with open(f"/proc/{os.getpid()}/stat", "rb") as stat:
        # The name in parentheses may hold blanks; the fields after it do not.
        fields = stat.read().rsplit(b")", 1)[1].split()
    start, end = int(fields[_ARGUMENTS_START - 3]), int(fields[_ARGUMENTS_END - 3])
    if not 0 < start < end:
        raise ValueError("the argument area is unknown")
    return start, end
